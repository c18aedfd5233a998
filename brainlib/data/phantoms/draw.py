"""Synthetic T1-like brain MRI slices with the truth attached.

A phantom patient is one 3-D head (module `anatomy`) with at most one lesion. A plane cuts it, so that the slices of a
patient share skull, ventricles, folds, lesion and bias field. What a slice shows is known exactly, so that an audit, a
split or a heat map can be tested against it.

The plane does not reveal the kind: planes rotate in the same order for every kind, and glioma, meningioma and healthy
slices are cut at levels of the same two ranges (through the sella, or anywhere that shows much brain). A pituitary
lesion is visible only through the sella; the other kinds are cut there so often that healthy slices have the levels of
all tumours pooled.

Lesions look as radiology textbooks describe them after contrast: a glioma is irregular, with an enhancing rim, a dark
core and oedema that spreads in fingers; a meningioma is round, bright and uniform, broad-based on the dura; a pituitary
tumour widens the sella and grows upwards from it. Of a faint lesion a trace is left, which hardly shows.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd
from PIL import Image, ImageDraw, ImageFont
from scipy import ndimage
from threadpoolctl import threadpool_limits

from brainlib.data.phantoms import anatomy
from brainlib.data.phantoms.anatomy import PLANES, Anatomy, Slice, cavity, cerebrum, ellipsoid, inside, join
from brainlib.errors import UsageError

KINDS = ("glioma", "meningioma", "pituitary", "none")
ALTERATIONS = ("jpeg", "resized", "contrast", "mirrored", "rotated", "cropped")
#: Further ones that `alter` makes; `make_phantoms` draws none of them, so that its phantoms stay as they are.
POSES = ("flipped", "quarter turn", "half turn", "turned", "inverted", "cut", "labelled")
_TURNS = {"mirrored": np.fliplr, "flipped": np.flipud, "quarter turn": np.rot90, "half turn": partial(np.rot90, k=2)}

SPREAD = 3.5  # mm that a patient's slices may lie from the patient's level
SELLA_LEVELS = {"axial": (-25, -20), "coronal": (9, 16), "sagittal": (-2.5, 2.5)}  # mm
LEVELS = {"axial": (-4, 42), "coronal": (-48, 42), "sagittal": (8, 38)}  # mm, much brain
TRACE = np.float32(0.1)  # of its contrast and of its mass effect is left of a faint lesion


@dataclass(frozen=True)
class Phantoms:
    """Slices, uint8 (n, size, size), and their truth.

    The masks, bool (n, size, size), show the lesion without its oedema and are empty exactly where ``kind`` is "none".
    The `table` has one row a slice: ``kind``, ``plane``, ``patient``, ``position`` (mm along the axis that the plane
    cuts, in the patient's own anatomy), ``duplicate_of`` (row of the original, -1 for an original) and ``alteration``
    ("" for an original, "exact", or one of ``ALTERATIONS``).
    """

    images: np.ndarray
    masks: np.ndarray
    table: pd.DataFrame


def make_phantoms(
    n: int,
    *,
    size: int = 240,
    seed: int = 0,
    kinds: tuple[str, ...] = KINDS,
    slices_per_patient: int = 3,
    exact_duplicates: int = 0,
    altered_duplicates: int = 0,
) -> Phantoms:
    """Draw `n` slices: originals, then exact duplicates, then altered ones; UsageError for a parameter out of range.

    Parameters
    ----------
    n : int
        Number of slices, duplicates included: ``n - exact_duplicates - altered_duplicates`` are originals.
    size, seed : int
        Height and width in pixels, 48 or more; the field of view stays about 240 mm. The seed is zero or more. Each
        patient and each duplicate has a child seed: a patient's slices do not depend on `n`.
    kinds : tuple of str
        Kinds to draw, each of ``KINDS`` and none twice. A patient has one kind. The originals take the kinds in
        turn, so that the counts of their first slices, however many, differ by at most one.
    slices_per_patient : int
        Slices of one plane and one anatomy, a few mm apart; the last patients may have fewer.
    exact_duplicates, altered_duplicates : int
        Duplicates of originals chosen at random, of different originals while there are enough. They keep kind,
        plane and patient; alterations rotate through ``ALTERATIONS``.
    """
    kinds = (kinds,) if isinstance(kinds, str) else tuple(kinds)
    _check(kinds, n, size, seed, slices_per_patient, exact_duplicates, altered_duplicates)
    originals = n - exact_duplicates - altered_duplicates
    images = np.empty((n, size, size), np.uint8)
    masks = np.empty((n, size, size), bool)
    rows, patients = [], {}
    with threadpool_limits(1, "blas"):  # the products are too small to be worth a second thread
        for row in range(originals):
            block, within = divmod(row, len(kinds) * slices_per_patient)
            number, turn = divmod(within, len(kinds))
            if number == 0:
                patients[turn] = Patient(seed, kinds, block, turn)
            patient = patients[turn]
            images[row], masks[row], position = patient.slice(number, size)
            rows.append((patient.kind, patient.plane, patient.name, position, -1, ""))
    order = np.random.default_rng([seed, 1]).permutation(originals)
    names = ["exact"] * exact_duplicates + [ALTERATIONS[n % len(ALTERATIONS)] for n in range(altered_duplicates)]
    for duplicate, name in enumerate(names):
        row, source = originals + duplicate, int(order[duplicate % originals])
        images[row], masks[row] = images[source], masks[source]
        if name != "exact":
            rng = np.random.default_rng([seed, 2, duplicate - exact_duplicates])
            images[row], masks[row] = alter(name, images[source], masks[source], rng)
        rows.append((*rows[source][:4], source, name))
    columns = ["kind", "plane", "patient", "position", "duplicate_of", "alteration"]
    return Phantoms(images, masks, pd.DataFrame(rows, columns=columns))


def _check(kinds, *numbers) -> None:
    least = {"n": 1, "size": 48, "seed": 0, "slices_per_patient": 1, "exact_duplicates": 0, "altered_duplicates": 0}
    for (name, low), value in zip(least.items(), numbers, strict=True):
        if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < low:
            raise UsageError(f"phantoms: {name} must be a whole number of at least {low}, received {value!r}")
    if not kinds or len(set(kinds)) < len(kinds) or not set(kinds) <= set(KINDS):
        received = ", ".join(map(str, kinds)) or "none at all"
        raise UsageError(f"phantoms: kinds must be different names out of {', '.join(KINDS)}, received {received}")
    n, *_, exact, altered = numbers
    if exact + altered >= n:
        raise UsageError(
            "phantoms: n counts duplicates too and needs at least one original, "
            f"received n = {n} with {exact + altered} duplicates; raise n"
        )


def alter(name: str, image: np.ndarray, mask: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Make a near-duplicate as public sets hold them: one of `ALTERATIONS` or `POSES`, by a random amount.

    Image, uint8 (size, size), and mask, bool (size, size), are altered alike. Of an image that is "cut" three quarters
    of the area are left, enlarged to its size.
    """
    size = image.shape[0]
    altered, truth = Image.fromarray(image), Image.fromarray(mask.astype(np.uint8))
    bilinear, nearest = Image.Resampling.BILINEAR, Image.Resampling.NEAREST
    if name == "jpeg":
        buffer = io.BytesIO()
        altered.save(buffer, "JPEG", quality=int(rng.integers(35, 75)))
        altered = Image.open(buffer)
    elif name == "resized":
        small = round(size * rng.uniform(0.5, 0.75))
        altered = altered.resize((small, small), bilinear).resize((size, size), bilinear)
    elif name == "contrast":
        gamma = rng.uniform(1.15, 1.4) ** rng.choice([-1, 1])
        altered = altered.point([round(255 * (v / 255) ** gamma) for v in range(256)])
    elif name in _TURNS:
        altered, truth = (_TURNS[name](each) for each in (image, mask))
    elif name in ("rotated", "turned"):
        angle = rng.uniform(*{"rotated": (2, 6), "turned": (20, 40)}[name]) * rng.choice([-1, 1])
        altered, truth = altered.rotate(angle, bilinear), truth.rotate(angle, nearest)
    elif name == "inverted":
        altered = 255 - image
    elif name == "labelled":
        font = ImageFont.load_default(size * rng.uniform(0.06, 0.1))
        text = "".join(rng.choice([*"ABCDEFGHKLMNPRSTUX0123456789"], rng.integers(4, 9)))
        pen = ImageDraw.Draw(altered)
        corner = rng.uniform(0, np.subtract(size, pen.textbbox((0, 0), text, font)[2:]))
        pen.text(tuple(corner), text, 255, font)
    else:
        if name == "cropped":
            left, top, right, bottom = rng.uniform(0.02, 0.06, 4)
        else:
            width = rng.uniform(0.75, 1)
            left, top = rng.uniform(0, (1 - width, 1 - 0.75 / width))
            right, bottom = 1 - width - left, 1 - 0.75 / width - top
        box = (left * size, top * size, size - right * size, size - bottom * size)
        altered = altered.resize((size, size), bilinear, box=box)
        truth = truth.resize((size, size), nearest, box=box)
    return np.asarray(altered), np.asarray(truth).astype(bool)


class Patient:
    """One patient: the anatomy, the lesion, where the slices lie and how the scanner sees them.

    The patients of a seed come in blocks of one of each of `kinds`, in their order: this is number `turn` of `block`.
    Its lesion may be `faint`.
    """

    def __init__(self, seed: int, kinds: tuple[str, ...], block: int, turn: int, faint: bool = False):
        number, kind = block * len(kinds) + turn, kinds[turn]
        rng = np.random.default_rng([seed, 0, number])
        self.seed, self.number, self.kind = seed, number, kind
        self.plane, self.name = PLANES[block % len(PLANES)], f"phantom-{number:04d}"
        self.anatomy = Anatomy(rng)
        self.noise, self.bias = rng.uniform(0.015, 0.04), rng.uniform(0.05, 0.14)
        self.gain, self.gamma = rng.uniform(0.85, 1.08), rng.uniform(0.9, 1.15)
        tumours = [k for k in kinds if k != "none"]
        share = ("pituitary" in tumours) / max(len(tumours), 1)
        at_sella = {"pituitary": 1.0, "none": share + (1 - share) * share}.get(kind, share)
        # steps of an irrational number: few patients already have the shares of many
        in_sella = (0.2 + 0.7548777 * block) % 1 < at_sella
        self.level = rng.uniform(*(SELLA_LEVELS if in_sella else LEVELS)[self.plane])
        if self.plane == "sagittal" and not in_sella:  # on either side
            self.level *= float(rng.choice([-1, 1]))
        low, high = {"glioma": (13, 22), "pituitary": (10, 16)}.get(kind, (12, 20))
        self.radius, self.tone = rng.uniform(low, high), rng.uniform(0.92, 1.08)
        self.centre, self.faint = self._place(rng), faint

    def _place(self, rng) -> list[float]:
        """Return the lesion's centre (mm): in the patient's level, where its kind grows."""
        if self.kind == "pituitary":
            lean = (rng.normal(0, 0.5), rng.normal(0, 1), 0.55 * self.radius)
            return [a + b for a, b in zip(anatomy.SELLA, lean, strict=True)]
        points = rng.uniform((-66, -88, -50), (66, 80, 70), (4000, 3))
        points[:, anatomy.LAYOUT[self.plane][0]] = self.level
        p = points.T
        if self.kind == "meningioma":  # a ball whose base is on the convexity
            depth = -cavity(p, cerebrum(p)) - 0.35 * self.radius
            fits = (np.abs(depth) < 2) & (ellipsoid(p, (0, -8, 4), (66, 86, 72)) > -18)
            fits &= (p[2] > -30) & ((p[1] < 55) | (p[2] > 0))
        else:  # in the white matter, off the midline and the ventricles
            x = np.abs(p[0])
            fits = (cerebrum(p) < -0.75 * self.radius) & (self.anatomy.ventricle((x, *p[1:])) > 4)
            fits &= (x > 12) | (self.plane == "sagittal")
        if not fits.any():  # a level that cuts little brain: the deepest point still in it
            fits[np.argmin(cerebrum(p))] = True
        return points[np.argmax(fits)].tolist()

    def slice(self, number: int, size: int) -> tuple[np.ndarray, np.ndarray, float]:
        """Return image, lesion mask and position (mm) of the patient's slice `number`."""
        rng = np.random.default_rng([self.seed, 3, self.number, number])
        # steps of the golden ratio fill the patient's range evenly however many slices there are
        position = self.level + SPREAD * (2 * ((0.5 + 0.618034 * number) % 1) - 1)
        cut = Slice(self.anatomy, self.plane, position, size)
        texture = cut.field(anatomy.TEXTURE)
        cut.draw_head(texture)
        mask = np.zeros((size, size), bool)
        if self.kind == "none":
            cut.draw_brain(cut.p)
        else:
            away = [a - c for a, c in zip(cut.p, self.centre, strict=True)]
            distance = np.sqrt(away[0] ** 2 + away[1] ** 2 + away[2] ** 2)
            # mass effect: tissue around the lesion was pushed outwards
            push = (0.35 * TRACE if self.faint else 0.35) * np.exp(-((distance / (1.7 * self.radius)) ** 2))
            cut.draw_brain([a - push * b for a, b in zip(cut.p, away, strict=True)])
            healthy = cut.image.copy()
            mask = getattr(self, f"_draw_{self.kind}")(cut, away, distance, texture)
            if self.faint:
                cut.image = healthy + TRACE * (cut.image - healthy)
        image = cut.image * (1 + 0.025 * texture)
        image *= np.exp(np.float32(self.bias) * cut.field(anatomy.BIAS)) * self.gain
        image = ndimage.gaussian_filter(image, 0.55 * size / anatomy.FIELD_OF_VIEW, truncate=3)
        image = np.maximum(image, 0) ** np.float32(self.gamma)
        noise = rng.standard_normal((2, size, size), dtype=np.float32) * np.float32(self.noise)
        image = np.hypot(image + noise[0], noise[1])  # Rician: magnitude of a complex signal
        return np.clip(255 * image, 0, 255).astype(np.uint8), mask, round(position, 2)

    def _draw_glioma(self, cut, away, distance, texture) -> np.ndarray:
        shape = cut.field(anatomy.SHAPE)
        wobble = np.clip(0.26 * shape + 0.05 * texture, -0.42, 0.42)
        lesion = distance - self.radius * (1 + wobble)
        brain = inside(cut.cerebrum + 1.5, cut.edge)
        oedema = lesion - (9 + 5 * shape)
        cut.blend(oedema * 0.25, 0.33, 0.85 * brain)  # a blurred edge
        rim = np.maximum(2.8 + 1.2 * shape + 0.7 * texture, 0.8)
        cut.blend(lesion, self.tone * (0.76 + 0.05 * shape + 0.06 * texture), brain)
        cut.blend(lesion + rim, 0.24 + 0.05 * shape + 0.02 * texture, brain)
        return (lesion < 0) & (cut.cerebrum < -1.5)

    def _draw_meningioma(self, cut, away, distance, texture) -> np.ndarray:
        ball = distance - self.radius * (1 + 0.03 * cut.field(anatomy.SHAPE))
        lesion = np.maximum(ball, cut.cavity)
        tail = np.maximum(np.abs(cut.cavity + 1) - 1.2, lesion - 0.5 * self.radius)
        cut.blend(tail, 0.75 * self.tone)
        cut.blend(lesion - 1.6, 0.16, inside(cut.cavity, cut.edge))  # a cleft of fluid
        cut.blend(lesion, 0.86 * self.tone)
        return lesion < 0

    def _draw_pituitary(self, cut, away, distance, texture) -> np.ndarray:
        r, shape = self.radius, cut.field(anatomy.SHAPE)
        upper = ellipsoid(away, (0, 0, 0.2 * r), (r, 0.9 * r, 0.8 * r))
        lower = ellipsoid(away, (0, 0, -0.6 * r), (0.75 * r, 0.7 * r, 0.55 * r))
        lesion = join(upper, lower, 3.0) + 0.5 * shape  # a waist where it leaves the sella
        cut.blend(lesion, self.tone * (0.74 + 0.04 * shape))
        return lesion < 0
