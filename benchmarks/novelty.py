"""False alarms of the novelty score, and what it detects.

    python benchmarks/novelty.py --data DIR --store DIR --phantoms 600

Each fifth of a set's groups (of duplicates and, in phantoms, of patients) is held out once and compared with the
rest: an image that is novel then is a false alarm. The same rests are compared with the other sets without their
duplicates, with photographs (pieces of scikit-learn's two) and with synthetic images.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image
from scipy import ndimage
from sklearn.datasets import load_sample_images

from brainlib.audit import findings, near_duplicates
from brainlib.audit.novelty import NoveltyDetector
from brainlib.data import datasets
from brainlib.data.groups import connected
from brainlib.data.scan import scan_folder
from brainlib.data.thumbnails import thumbnail
from brainlib.errors import DataError
from brainlib.stats.intervals import wilson_interval

SETS = ("br35h", "navoneel", "sartaj", "dubail")
FOLDS = 5


def main() -> None:
    """Read the arguments, measure, print a table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", default="", help="folder with one folder a set; none by default")
    parser.add_argument("--store", default="", help="keeps the scans; a temporary folder by default")
    parser.add_argument("--phantoms", type=int, default=200)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        measure(arguments.data, Path(arguments.store or folder), arguments.phantoms)


def measure(data: str, store: Path, phantoms: int) -> None:
    """Measure every set against itself and all others."""
    roots = {f"{phantoms} phantoms": datasets.load_dataset("br35h", "phantoms", store, phantoms=phantoms).root}
    for name in SETS if data else ():
        try:
            roots[name] = datasets.locate(name, Path(data))
        except DataError as error:
            print(f"left out: {error}")
    seen = {}
    for name, root in roots.items():
        layout = name if name in SETS else "br35h"
        scan = scan_folder(root, layout, store)
        near = findings.audit_scan(scan, store=store).table["near"].to_numpy()
        groups = datasets.index(layout, root, store).together(scan.table["path"], near)
        seen[name] = scan.thumbnails, groups
    # The sets share images: duplicates in two sets are in one group.
    every = np.concatenate([thumbnails for thumbnails, _ in seen.values()])
    across = connected(len(every), near_duplicates.find_near_duplicates(every).pairs)
    ends = np.cumsum([len(thumbnails) for thumbnails, _ in seen.values()])
    across = dict(zip(seen, np.split(across, ends[:-1]), strict=True))
    odd = {name: np.stack([thumbnail(image) for image in images]) for name, images in synthetic().items()}
    print("| trained on | held out | " + " | ".join([*seen, *odd]) + " |")
    print("|---" * (2 + len(seen) + len(odd)) + "|")
    for name, (thumbnails, groups) in seen.items():
        alarms, total, shares = 0, 0, {other: [] for other in [*seen, *odd] if other != name}
        drawn = np.random.default_rng(0).permutation(np.unique(groups))
        for fold in range(FOLDS):
            other = np.isin(groups, drawn[fold::FOLDS])
            known = NoveltyDetector(thumbnails[~other], groups[~other])
            # One image of each group, as in the limit.
            one = np.flatnonzero(other)[np.unique(groups[other], return_index=True)[1]]
            alarms, total = alarms + int((known.novelty(thumbnails[one]) > 1).sum()), total + len(one)
            for where, share in shares.items():
                shown = odd[where] if where in odd else seen[where][0][~np.isin(across[where], across[name])]
                share.append((len(shown), (known.novelty(shown) > 1).mean() if len(shown) else np.nan))
        limits = wilson_interval(alarms, total)
        row = [f"{alarms / total:.1%} ({limits.low:.1%} to {limits.high:.1%}) of {total}"]
        row += [
            "–" if where == name else f"{np.mean([share for _, share in shares[where]]):.1%} of {shares[where][0][0]}"
            for where in [*seen, *odd]
        ]
        print(f"| {name} | " + " | ".join(row) + " |", flush=True)


def synthetic() -> dict[str, list[Image.Image]]:
    """Draw images that are no slices."""
    rng, found = np.random.default_rng(0), {"photographs": [], "noise": [], "clouds": [], "discs": []}
    for photograph in map(Image.fromarray, load_sample_images().images):
        for _ in range(25):
            side = int(min(photograph.size) * rng.uniform(0.3, 1))
            left, top = (int(rng.integers(0, extent - side + 1)) for extent in photograph.size)
            found["photographs"].append(photograph.crop((left, top, left + side, top + side)))
    across, down = np.meshgrid(np.linspace(-1, 1, 200), np.linspace(-1, 1, 200))
    for _ in range(50):
        noise = rng.normal(size=(200, 200))
        cloud = ndimage.gaussian_filter(noise, rng.uniform(5, 40))
        width, height = rng.uniform(0.5, 0.95, 2)
        disc = (across / width) ** 2 + (down / height) ** 2 < 1
        for name, values in (("noise", noise), ("clouds", cloud), ("discs", disc.astype(float))):
            scaled = 255 * (values - values.min()) / np.ptp(values)
            found[name].append(Image.fromarray(scaled.astype(np.uint8)))
    return found


if __name__ == "__main__":
    main()
