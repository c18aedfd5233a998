"""The head that a phantom is cut from: a schematic 3-D anatomy, drawn on a slice.

One implicit head per patient, in mm (x right, y anterior, z superior, origin near the thalamus): signed distances to
ellipsoids, warped and folded by smooth random wave fields. Whatever plane cuts it, slices of one patient agree with
each other. Proportions are those of textbook drawings; grey levels follow contrast-enhanced T1 weighting (fat bright,
white above grey matter, fluid and cortical bone dark). Nothing here knows of lesions.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import yaml

PLANES = ("axial", "coronal", "sagittal")
FIELD_OF_VIEW = 240.0  # mm across the image
SELLA = (0.0, 12.0, -27.0)  # mm, the floor that the pituitary gland lies on
# plane -> (axis cut, axis and sign that rows follow, axis and sign that columns follow, centre)
LAYOUT = {
    "axial": (2, (1, -1), (0, 1), (0, -6, 0)),
    "coronal": (1, (2, -1), (0, 1), (0, 0, -9)),
    "sagittal": (0, (2, -1), (1, -1), (0, -2, -9)),
}
WARP, FOLDS, SHAPE, TEXTURE, BIAS = range(5)
FIELDS = (12, 110.0), (64, 21.0), (24, 26.0), (32, 9.0), (6, 330.0)  # of each: number of waves, wavelength in mm

# Centre, radii and grey level of small ellipsoids: outside the brain, in it, and those around the brain stem.
_SHAPES = yaml.safe_load(Path(__file__).with_suffix(".yaml").read_text("utf-8"))


def ellipsoid(p, centre, radii) -> np.ndarray:
    """Return the approximate signed distance (mm, negative inside) of points to an ellipsoid.

    First-order estimate k0 (k0 - 1) / k1 with k0 = |p / r| and k1 = |p / r^2|.
    """
    k0 = k1 = 1e-6
    for points, middle, radius in zip(p, centre, radii, strict=True):
        square = (points - middle) * (1 / radius)
        square = square * square
        k0 = k0 + square
        k1 = k1 + square * (1 / radius**2)
    k0 = np.sqrt(k0)
    return k0 * (k0 - 1) / np.sqrt(k1)


def join(a, b, k=14.0) -> np.ndarray:
    """Return the distance to the union of two shapes, rounded over `k` mm."""
    h = np.maximum(k - np.abs(a - b), 0) / k
    return np.minimum(a, b) - h * h * (k / 4)


def inside(distance, width) -> np.ndarray:
    """Return 1 inside a shape and 0 outside, with an edge of `width` mm."""
    return np.clip(0.5 - distance / width, 0, 1)


def cerebrum(p) -> np.ndarray:
    """Return the distance to both hemispheres, temporal lobes included."""
    upper = ellipsoid(p, (0, -4, 10), (66, 85, 66))
    temporal = ellipsoid((np.abs(p[0]), p[1], p[2]), (38, 6, -22), (25, 40, 22))
    return join(np.maximum(upper, 2 * (-17 - p[2])), temporal, 6.0)


def cavity(p, hemispheres) -> np.ndarray:
    """Return the distance to the inner table of the skull, given `cerebrum` of `p`."""
    return join(hemispheres, ellipsoid(p, (0, -47, -34), (55, 41, 32)))


class Anatomy:
    """One patient's healthy head: proportions, and the wave fields that fold and shade it."""

    def __init__(self, rng: np.random.Generator):
        self.scale = rng.normal(1, 0.03) * rng.normal(1, 0.03, 3).clip(0.92, 1.08)
        self.tilt, self.offset = np.deg2rad(rng.normal(0, 3)), rng.normal(0, 3, 2)
        self.ventricles, self.skull = rng.uniform(0.75, 1.5), rng.uniform(6.0, 8.5)
        self.fat, self.atrophy = rng.uniform(4.0, 7.0), rng.uniform(0.5, 1.3)
        self.waves = []
        for count, length in FIELDS:
            direction = rng.normal(size=(count, 3))
            direction /= np.linalg.norm(direction, axis=1, keepdims=True)
            length = length * rng.uniform(0.85, 1.15, (count, 1))
            self.waves.append((direction * 2 * np.pi / length, rng.uniform(0, 2 * np.pi, count)))

    def grid(self, plane: str, position: float, size: int) -> np.ndarray:
        """Return the first pixel, the row step and the column step (rows; mm of the anatomy)."""
        axis, (down, down_sign), (right, right_sign), middle = LAYOUT[plane]
        pitch, grid = FIELD_OF_VIEW / size, np.zeros((3, 3))
        cos, sin = pitch * np.cos(self.tilt), pitch * np.sin(self.tilt)
        grid[1, down], grid[1, right] = down_sign * cos, right_sign * sin
        grid[2, down], grid[2, right] = -down_sign * sin, right_sign * cos
        grid[0] = -(size - 1) / 2 * (grid[1] + grid[2])
        grid[0, [down, right]] += self.offset
        grid /= self.scale
        grid[0] += middle
        grid[0, axis] = position
        return grid

    def ventricle(self, p) -> np.ndarray:
        """Return the distance to a lateral ventricle; ``p[0]``: distance from the midline."""
        x, y, z = p
        curve = 8 + 0.5 * np.maximum(-6 - y, 0) + 0.3 * np.maximum(y - 12, 0)
        arch, v = 15 - 0.006 * y * y, self.ventricles
        return ellipsoid((x - curve, y, z - arch), (0, -8, 0), (5.2 * v, 42, 6.5 * v))


class Slice:
    """A cut through an anatomy: where its pixels lie, and the grey image drawn so far.

    Where a pixel lies, `p` (three arrays, mm), its grey level, `image` (0, air, to about 1), and its distances to the
    hemispheres, `cerebrum`, and to the inner table of the skull, `cavity`, are float32 (size, size).
    """

    def __init__(self, anatomy: Anatomy, plane: str, position: float, size: int):
        self.anatomy, self.plane, self.size = anatomy, plane, size
        self.axis = LAYOUT[plane][0]
        self.origin, *self.steps = anatomy.grid(plane, position, size)
        # where a point lies in pixels
        self.to_pixels = np.linalg.pinv(np.transpose(self.steps))
        self.edge = 1.2 * FIELD_OF_VIEW / size  # mm: edges are as soft as a pixel is wide
        self.image = np.zeros((size, size), np.float32)
        rows = np.arange(size)[:, None]
        warp = 2.0 * self.field(WARP)
        self.p = [
            (self.origin[i] + self.steps[0][i] * rows + self.steps[1][i] * rows.T).astype(np.float32) for i in range(3)
        ]
        for i in {0, 1, 2} - {self.axis}:
            self.p[i] += warp * (1.0 if i else 0.6)
        self.cerebrum = cerebrum(self.p)
        self.cavity = cavity(self.p, self.cerebrum)

    def field(self, name: int) -> np.ndarray:
        """Return the anatomy's field `name` (zero mean, unit variance), float32 (size, size).

        A sum of plane waves: cos(a + b) = cos a cos b - sin a sin b makes it one small product of matrices. In float64,
        so that the order of summation cannot show in 8 bits.
        """
        vectors, phase = self.anatomy.waves[name]
        steps = np.arange(self.size)[:, None]
        a = steps * (vectors @ self.steps[0]) + (vectors @ self.origin + phase)
        b = steps * (vectors @ self.steps[1])
        left = np.concatenate([np.cos(a), -np.sin(a)], axis=1)
        right = np.concatenate([np.cos(b), np.sin(b)], axis=1)
        return (left @ right.T * (2 / len(phase)) ** 0.5).astype(np.float32)

    def blend(self, distance, value, weight=1.0) -> None:
        """Give the inside of a shape the grey level `value`."""
        self.image += (value - self.image) * (inside(distance, self.edge) * weight)

    def ellipsoids(self, shapes, p) -> None:
        """Blend small ellipsoids (see ``anatomy.yaml``) at the coordinates `p`, each in its own window."""
        for (x, y, z), radii, value in shapes:
            for middle in ((x, y, z), (-x, y, z)) if x else ((x, y, z),):
                # warp and mass effect move a shape by less than 9 mm
                if abs(middle[self.axis] - self.origin[self.axis]) > radii[self.axis] + 9:
                    continue
                where = self.to_pixels @ np.subtract(middle, self.origin)
                reach = (max(radii) + 9) * self.size / FIELD_OF_VIEW
                low, high = (np.clip(where + r, 0, self.size).astype(int) for r in (-reach, reach))
                box = (slice(low[0], high[0]), slice(low[1], high[1]))
                weight = inside(ellipsoid([a[box] for a in p], middle, radii), self.edge)
                self.image[box] += (value - self.image[box]) * weight

    def draw_head(self, texture) -> None:
        """Draw everything outside the brain: scalp, face, neck, skull, the fluid around."""
        p, own = self.p, self.anatomy
        neck = np.maximum(ellipsoid(p, (0, -18, -110), (52, 56, 90)), p[2] + 40)
        face = ellipsoid(p, (0, 42, -62), (60, 52, 66))
        head = join(join(self.cavity - (own.skull + own.fat + 3), face, 20), neck, 20)
        self.blend(head, 0.45)  # skin
        self.blend(head + 2, 0.80)  # fat
        self.blend(head + 2 + own.fat, 0.36 + 0.03 * texture)  # muscle
        table = np.abs(self.cavity - 1.5 - own.skull / 2)
        self.blend(table - own.skull / 2, 0.06)
        self.blend(table - 1.0, 0.30)  # marrow between the tables
        self.ellipsoids(_SHAPES["face"], p)
        self.blend(self.cavity - 3.5, 0.06)  # the thin bone of the skull base
        self.blend(self.cavity - 1.5, 0.13)

    def draw_brain(self, q) -> None:
        """Draw the brain, each pixel showing the tissue that rests at `q` (mass effect)."""
        half = x, y, z = np.abs(q[0]), q[1], q[2]
        own, shape = self.anatomy, self.field(SHAPE)
        tentorium = -15 - 0.12 * x
        surface = cerebrum(q) + 1.2 * own.atrophy
        behind = -8 - 0.45 * x - y  # the petrous ridges, where the tentorium begins
        surface = np.maximum(surface, np.minimum(tentorium + 1.5 - z, behind))
        core = ellipsoid((0.0, y, z), (0, -6, 2), (1, 44, 30))  # within: no midline fissure
        # on the midline the partial volume shows the gyri of both sides, not the fissure
        from_middle = np.maximum(x, 2.2) if self.plane == "sagittal" else x
        fissure = np.hypot(from_middle, np.maximum(-core, 0))
        sylvian = np.maximum(np.abs(z + 2 + 0.4 * y + 4 * shape), np.maximum(36 - x, np.abs(y - 4) - 28))
        # distance to a sulcus: |field| over its mean slope; sulci reach some 15 mm deep
        folds = np.abs(self.field(FOLDS)) * (FIELDS[FOLDS][1] / (2 * np.pi) * 1.5)
        depth = np.minimum(np.minimum(-surface, fissure - 0.8), sylvian - 0.3)
        depth = np.minimum(depth, folds - 0.3 + np.maximum(depth - 11, 0) * 0.5)
        within = inside(surface, self.edge)
        self.blend(surface, 0.62)
        self.blend(depth - 3.3, 0.43, within)  # the cortex
        self.blend(depth - 0.5 * own.atrophy, 0.15, within)
        self.ellipsoids(_SHAPES["deep_grey"], q)
        self.blend(np.maximum(np.abs(core + 3) - 3.2, np.maximum(x - 14, 4 - z)), 0.66)  # callosum
        self.blend(own.ventricle(half), 0.12)
        self.ellipsoids((((0, -6, -1), (2.2 * own.ventricles, 13, 10), 0.12),), q)
        white = ellipsoid(half, (14, -46, -36), (20, 14, 9))
        folia = 0.07 * np.cos((white + 0.4 * folds) * (2 * np.pi / 5.0))
        cerebellum = ellipsoid(half, (0, -48, -36), (53, 37, 29))
        self.blend(np.maximum(cerebellum, z - tentorium + 1), 0.42 + folia)
        self.blend(white, 0.58)
        self.ellipsoids(_SHAPES["stem"], q)
        sinus = np.maximum(np.abs(self.cavity + 1.5) - 2.5, np.maximum(x - 3.5, -z))
        self.blend(sinus, 0.7)  # superior sagittal sinus, enhanced
