"""Recall and precision of the search for near-duplicates, the choice of its threshold, and its cost.

    python benchmarks/near_duplicates.py known --images 1200 --figure near_duplicates.svg
    python benchmarks/near_duplicates.py growth --images 1000 3000 10000 30000
    python benchmarks/near_duplicates.py second --data DIR

`known` plants duplicates of each kind among phantoms, three slices a patient, and measures recall and precision.
`growth` times the search over thumbnails that are mapped from disk. `second` compares the groups of real sets with
those of another method, a difference hash without registration.
"""

from __future__ import annotations

import argparse
import itertools
import resource
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from brainlib.audit import findings, near_duplicates
from brainlib.audit.candidates import Search
from brainlib.audit.planted import PLANTED
from brainlib.data import datasets
from brainlib.data.groups import connected
from brainlib.data.phantoms.draw import alter, make_phantoms
from brainlib.data.scan import scan_folder
from brainlib.data.thumbnails import SIDE, thumbnail

THRESHOLDS = (0.80, 0.85, 0.87, 0.89, 0.91, 0.93)
BLOCK = 500  # phantoms drawn at a time
HASH_SIDE, HASH_DISTANCE = 16, 20  # most differing bits, of 256, of two duplicates by the second method


def main() -> None:
    """Read the arguments, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(required=True)
    known = commands.add_parser("known")
    known.set_defaults(run=lambda a: find_known(a.images, a.figure))
    known.add_argument("--images", type=int, default=300, help="a third of them duplicates")
    known.add_argument("--figure", default="", help="draw the correlations into this file")
    growth = commands.add_parser("growth")
    growth.set_defaults(run=lambda a: grow(a.images, a.figure))
    growth.add_argument("--images", type=int, nargs="+", default=[300, 1000])
    growth.add_argument("--figure", default="", help="draw the times into this file")
    second = commands.add_parser("second")
    second.set_defaults(run=lambda a: compare(a.data, a.sets))
    second.add_argument("--data", required=True)
    second.add_argument("--sets", nargs="+", default=["br35h", "navoneel", "sartaj"])
    arguments = parser.parse_args()
    arguments.run(arguments)


def thumbnails(slices):
    """Thumbnails of grey images."""
    return np.stack([thumbnail(Image.fromarray(each)) for each in slices])


def find_known(n: int, figure: str) -> None:
    """Print recall by alteration and precision, by threshold."""
    few, rng = n // 3, np.random.default_rng(7)
    made = make_phantoms(n - few, seed=7)
    kinds = np.array(PLANTED)[np.arange(few) % len(PLANTED)]
    original = np.concatenate([np.arange(n - few), rng.permutation(n - few)[:few]])
    altered = [
        alter(kind, made.images[row], made.masks[row], rng)[0] for kind, row in zip(kinds, original[-few:], strict=True)
    ]
    small = thumbnails([*made.images, *altered])
    # Every candidate is wanted here, so none may be left out for being connected already.
    candidates = np.unique(Search(small).candidates(small, 0).best().pairs, axis=0)
    value = near_duplicates.compare(small, candidates).correlation
    first, second = candidates.T
    duplicates = original[first] == original[second]
    patient = made.table["patient"].to_numpy()[original]
    neighbours = (patient[first] == patient[second]) & ~duplicates
    print(f"{n} phantoms, {few} of them altered duplicates, three slices a patient 1.6 to 4.3 mm apart")
    print("threshold  precision  pairs of neighbours  other pairs  " + "  ".join(PLANTED))
    for threshold in THRESHOLDS:
        kept = value >= threshold
        group = connected(n, candidates[kept & duplicates])
        recovered = group[-few:] == group[original[-few:]]
        recall = [float(recovered[kinds == kind].mean()) for kind in PLANTED]
        print(
            f"{threshold:9.2f}  {duplicates[kept].mean():9.3f}  {int((kept & neighbours).sum()):19d}  "
            f"{int((kept & ~duplicates & ~neighbours).sum()):11d}  " + "  ".join(f"{r:.3f}" for r in recall)
        )
    if figure:
        draw(value, duplicates, neighbours, figure)


def draw(value, duplicates, neighbours, target):
    """Draw the correlations of duplicates, of neighbouring slices and of other candidates."""
    from brainlib.report.figures import style

    figure = style.figure(style.WIDTH, 3.4)
    axes = figure.subplots()
    shown = {
        "planted duplicates": duplicates,
        "slices of the same patient": neighbours,
        "other patients": ~duplicates & ~neighbours,
    }
    for i, (name, chosen) in enumerate(shown.items()):
        bins, line = np.linspace(0.6, 1, 41), {"histtype": "step", "lw": 1.6, "color": style.COLOURS[i]}
        axes.hist(value[chosen & (value > 0)], bins, label=name, **line)
    axes.axvline(near_duplicates.THRESHOLD, color="0.3", ls=":", label=f"threshold {near_duplicates.THRESHOLD}")
    axes.set(xlabel="Correlation of the detail after registration", ylabel="Pairs", yscale="log")
    style.tidy(axes)
    axes.legend(frameon=False, loc="upper left")
    figure.savefig(target, metadata={"Date": None})


def grow(sizes, figure: str) -> None:
    """Print seconds of the search and peak memory for growing numbers of phantoms, whose thumbnails lie on disk."""
    seconds = []
    print("images  search (s)  of processors (s)  recall  pairs of two patients  peak memory of the process (MiB)")
    with tempfile.TemporaryDirectory() as folder:
        for n in sizes:
            origin, patient = drawn(n, Path(folder) / "thumbnails.npy")
            small = np.load(Path(folder) / "thumbnails.npy", mmap_mode="r")
            started, busy = time.perf_counter(), time.process_time()
            pairs = near_duplicates.find_near_duplicates(small).pairs
            elapsed = time.perf_counter() - started
            seconds.append(time.process_time() - busy)
            group = connected(n, pairs)
            altered = np.flatnonzero(origin != np.arange(n))
            recall = (group[altered] == group[origin[altered]]).mean()
            wrong = int((patient[pairs[:, 0]] != patient[pairs[:, 1]]).sum())
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
            print(f"{n:6d}  {elapsed:10.1f}  {seconds[-1]:17.1f}  {recall:6.3f}  {wrong:21d}  {peak:8.0f}", flush=True)
    print(f"exponent of processors' seconds {np.polyfit(np.log(sizes), np.log(seconds), 1)[0]:.2f}")
    if figure:
        draw_growth(sizes, seconds, figure)


def drawn(n: int, target: Path) -> tuple[np.ndarray, np.ndarray]:
    """Write thumbnails of phantoms, of which a tenth are altered duplicates; return originals and patients of each."""
    small = np.lib.format.open_memmap(target, "w+", np.uint8, (n, SIDE, SIDE))
    with ProcessPoolExecutor() as pool:
        found = []
        for block, (images, origin, patient) in enumerate(
            pool.map(drawn_block, range(0, n, BLOCK), itertools.repeat(n))
        ):
            start = block * BLOCK
            small[start : start + len(images)] = images
            found.append((origin + start, patient + start))
    return tuple(np.concatenate(each) for each in zip(*found, strict=True))


def drawn_block(start: int, n: int):
    """Draw the thumbnails of up to `BLOCK` phantoms, patients of their own."""
    size = min(BLOCK, n - start)
    made = make_phantoms(size, size=120, altered_duplicates=size // 10, seed=3 + start)
    origin = made.table["duplicate_of"].to_numpy()
    return (
        thumbnails(made.images),
        np.where(origin < 0, np.arange(size), origin),
        pd.factorize(made.table["patient"])[0],
    )


def draw_growth(sizes, seconds, target) -> None:
    """Draw seconds over images, both logarithmic, beside growth with the images and with their square."""
    from brainlib.report.figures import style

    figure = style.figure(style.WIDTH, 3.4)
    axes = figure.subplots()
    sizes, seconds = np.array(sizes, dtype=float), np.array(seconds)
    axes.plot(sizes, seconds, marker="o", color="0.1", label="search")
    for power, line, name in ((1, "--", "as the images"), (2, ":", "as their square")):
        axes.plot(sizes, seconds[0] * (sizes / sizes[0]) ** power, ls=line, color="0.5", label=f"growing {name}")
    axes.set(xlabel="Phantoms", ylabel="Seconds of processors", xscale="log", yscale="log")
    style.tidy(axes)
    axes.legend(frameon=False, loc="upper left")
    figure.savefig(target, metadata={"Date": None})


def compare(data: str, sets) -> None:
    """Print the agreement with a difference hash on real sets."""
    for name in sets:
        root = datasets.locate(name, Path(data))
        scan = scan_folder(root, name)
        found = findings.audit_scan(scan)
        groups = found.table["near"].to_numpy()
        bits = difference_hash(scan.thumbnails)
        near = hash_pairs(bits)
        same = groups[near[:, 0]] == groups[near[:, 1]]
        hashed = connected(len(groups), near)
        paths = pd.Index(found.table["path"])
        both = hashed[paths.get_indexer(found.pairs["first"])] == hashed[paths.get_indexer(found.pairs["second"])]
        print(
            f"{name}: {len(near)} pairs by the hash, {same.mean():.3f} of them in one group of ours; "
            f"{len(both)} pairs of ours, {both.mean():.3f} of them in one group of the hash"
        )
        for a, b in near[~same][:5]:
            print("  by the hash alone:", found.table["path"][a], found.table["path"][b])


def difference_hash(small):
    """256 bits an image: whether each of 16 by 16 areas is brighter on its right."""
    shrunk = [Image.fromarray(x).resize((HASH_SIDE + 1, HASH_SIDE), Image.Resampling.BOX) for x in small]
    values = np.stack([np.asarray(x, dtype=np.int16) for x in shrunk])
    return (values[:, :, 1:] > values[:, :, :-1]).reshape(len(small), -1)


def hash_pairs(bits):
    """Pairs of images whose bits differ in few places; every pair is compared."""
    signs = np.where(bits, 1, -1).astype(np.float32)
    found = []
    for start in range(0, len(signs), 1024):
        distance = (signs.shape[1] - signs[start : start + 1024] @ signs.T) / 2
        first, second = np.nonzero(distance <= HASH_DISTANCE)
        first += start
        found.append(np.stack([first, second], axis=1)[first < second])
    return np.concatenate(found)


if __name__ == "__main__":
    main()
