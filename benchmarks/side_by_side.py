"""Duplicates planted among real images, as found by brainlib and by the tools that people use for it.

    python benchmarks/side_by_side.py --slices DIR --data DIR --json benchmarks/results/side_by_side.json

Of the images in `--slices` no two are duplicates (Cheng's slices; any folder of image files), so that each pair of
images of different slices that a tool reports is false. Altered duplicates are planted of some of them, and of images
of the sets in `--data`, whose own duplicates are not known: of those only the recall counts. Each tool reads the same
folder in a process of its own. A tool that is not installed is named, and the others run.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.metadata
import json
import multiprocessing
import resource
import shutil
import sys
import tempfile
import time
import types
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import NamedTuple

import measuring
import numpy as np
import pandas as pd
from PIL import Image

from brainlib.audit import findings, planted
from brainlib.data import datasets, images
from brainlib.data.groups import connected
from brainlib.data.scan import files_of, scan_folder, walk

SIDE = 240  # pixels at which an image is altered, as in the audit's own control
MOST = 400_000  # pairs of a hash that are judged, the closest
CURVE = 1000  # false pairs up to which the curve goes


class Tool(NamedTuple):
    """A way to find duplicates: the package, what it does with a folder, and the most bits by which duplicates differ.

    `find` takes the folder and the names of its files, sorted, and returns pairs of positions, (m, 2), and their
    distances. A tool whose distances and limit are None selects the pairs itself.
    """

    package: str
    find: Callable
    limit: int | None = None


def ours(folder, names):
    """Audit the folder."""
    audit = findings.audit_scan(scan_folder(folder))
    # Of images with the same pixels the first stands for all in the pairs.
    first = audit.table.groupby("pixel_hash")["path"].transform("first")
    same = pd.DataFrame({"first": first, "second": audit.table["path"]})[first != audit.table["path"]]
    pairs = pd.concat([audit.pairs[["first", "second"]], same])
    return np.searchsorted(names, pairs.to_numpy()).reshape(-1, 2), None


def hashed(name, folder, names):
    """Compare the hashes of ImageHash."""
    import imagehash

    hash_of = getattr(imagehash, name)
    return closest(np.stack([hash_of(Image.open(Path(folder, each))).hash.ravel() for each in names])[:, None])


def pdq(poses, folder, names):
    """Compare each PDQ hash with those of the other image's poses, of which the first is its own."""
    import pdqhash

    found = []
    for name in names:
        values = np.asarray(Image.open(Path(folder, name)).convert("RGB"))
        found.append(pdqhash.compute_dihedral(values)[0] if poses == 8 else [pdqhash.compute(values)[0]])
    return closest(np.stack(found).astype(bool))


def deduplicated(name, folder, names):
    """Compare the hashes of imagededup."""
    from imagededup import methods

    codes = getattr(methods, name)(verbose=False).encode_images(folder)
    bits = np.unpackbits(np.array([list(bytes.fromhex(codes[each])) for each in names], np.uint8), axis=1)
    return closest(bits.astype(bool)[:, None])


def cleaned(folder, names):
    """Take the sets of exact and near-duplicates of cleanvision: images with one perceptual hash."""
    from cleanvision import Imagelab

    lab = Imagelab(data_path=str(folder))
    lab.find_issues({"near_duplicates": {}, "exact_duplicates": {}}, verbose=False)
    pairs = [np.empty((0, 2), int)]
    for kind in ("near_duplicates", "exact_duplicates"):
        for paths in lab.info[kind]["sets"]:
            rows = np.searchsorted(names, sorted(Path(path).name for path in paths))
            pairs.append(rows[np.stack(np.triu_indices(len(rows), 1), axis=1)])
    return np.unique(np.concatenate(pairs), axis=0), None


# The limit of PDQ is its authors', that of imagededup its default. ImageHash recommends none: its own program takes
# equal hashes.
TOOLS = {
    "brainlib": Tool("brainlib", ours),
    "ImageHash, pHash": Tool("imagehash", partial(hashed, "phash"), 0),
    "ImageHash, dHash": Tool("imagehash", partial(hashed, "dhash"), 0),
    "pdqhash": Tool("pdqhash", partial(pdq, 1), 31),
    "pdqhash, eight poses": Tool("pdqhash", partial(pdq, 8), 31),
    "imagededup, PHash": Tool("imagededup", partial(deduplicated, "PHash"), 10),
    "imagededup, DHash": Tool("imagededup", partial(deduplicated, "DHash"), 10),
    "cleanvision": Tool("cleanvision", cleaned),
}


def closest(bits):
    """Return about `MOST` pairs of images whose bits, bool (n, poses, bits), differ least, and how many differ.

    The first pose of one image is compared with all poses of the other. Packages that make hashes leave this search to
    their user.
    """
    n, poses, length = bits.shape
    signs = np.where(bits, 1, -1).astype(np.float32)
    distance = np.full((n, n), length, np.int16)
    for pose in range(poses):
        for start in range(0, n, 1024):
            part = slice(start, start + 1024)
            differ = (length - signs[part, 0] @ signs[:, pose].T) / 2
            distance[part] = np.minimum(distance[part], differ.astype(np.int16))
    distance = np.minimum(distance, distance.T)  # the pose of one is the opposite pose of the other
    counts = sum(np.bincount(row, minlength=length + 1) for row in distance)
    first, second = np.nonzero(distance < max(1, np.searchsorted(np.cumsum(counts), n + 2 * MOST)))
    first, second = first[first < second], second[first < second]
    return np.stack([first, second], axis=1), distance[first, second]


def load(package):
    """Import a package, whose time is not counted."""
    if package == "imagededup":  # its hashes need no PyTorch, which its networks import
        for module, name in (("methods.cnn", "CNN"), ("utils.models", "CustomModel")):
            sys.modules[f"imagededup.{module}"] = types.SimpleNamespace(**{name: None})
        package = "imagededup.methods"
    importlib.import_module(package)


def run(name, folder, names):
    """Let a tool find pairs: these, their distances, seconds, and the peak memory (MiB) of its largest process."""
    tool = TOOLS[name]
    multiprocessing.set_start_method("fork", force=True)  # as in a program of one's own: this one was spawned
    load(tool.package)
    started = time.perf_counter()
    pairs, distance = tool.find(folder, names)
    seconds = time.perf_counter() - started
    own = int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0])
    return pairs, distance, seconds, max(own, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss) / 1024


class Images(NamedTuple):
    """The files of the folder, the number of what each shows, its alteration or "", and whether that is a slice."""

    names: list[str]
    shows: np.ndarray
    kinds: np.ndarray
    slices: np.ndarray


def fill(folder: Path, slices: Path, count: int, data: Path, sets: list[str], each: int, seed: int) -> Images:
    """Lay images and altered duplicates of some of them into a folder."""
    rng, rows = np.random.default_rng([seed, 11]), []
    found, _ = walk(slices, deep=True)
    chosen = sorted(rng.permutation(len(found))[:count])
    files = [(slices / found[i], True) for i in chosen]
    alterations = planted.PLANTED
    for name in sets:
        root = datasets.locate(name, data)
        found, _ = files_of(name, root)
        drawn = rng.permutation(len(found))[: each * len(alterations)]
        files += [(root / found[i].path, False) for i in np.sort(drawn)]
    for number, (path, is_slice) in enumerate(files):
        rows.append((f"{number:05d}{path.suffix.lower()}", number, "", is_slice))
        shutil.copyfile(path, folder / rows[-1][0])
    # Of each alteration `each` duplicates in each set: no image has two.
    slice_rows = rng.permutation(len(chosen))[: each * len(alterations)]
    for i, number in enumerate([*slice_rows, *range(len(chosen), len(files))]):
        kind, (path, is_slice) = alterations[i % len(alterations)], files[number]
        grey = images.decode(path).convert("L").resize((SIDE, SIDE), Image.Resampling.BILINEAR)
        altered, _ = planted.alter(kind, np.asarray(grey), np.zeros((SIDE, SIDE), bool), rng)
        rows.append((f"{len(rows):05d}.png", number, kind, is_slice))
        Image.fromarray(np.ascontiguousarray(altered)).save(folder / rows[-1][0])
    names, *columns = zip(*rows, strict=True)
    return Images(list(names), *map(np.array, columns))


def judge(filled: Images, pairs, distance, limit) -> list[dict]:
    """Judge the pairs at each limit: recall of each alteration, number of false pairs, precision among slices.

    An alteration is recovered where pairs that are not known to be false connect it with its original.
    """
    same = filled.shows[pairs[:, 0]] == filled.shows[pairs[:, 1]]
    judged = filled.slices[pairs].all(1)
    plants = np.flatnonzero(filled.kinds != "")
    altered = filled.kinds[plants]
    if distance is None:
        distance, limit = np.zeros(len(pairs)), 0
    points = []
    for each in np.unique(np.append(distance, limit)):
        kept = distance <= each
        wrong = kept & judged & ~same
        group = connected(len(filled.names), pairs[kept & ~wrong])
        recovered = group[plants] == group[filled.shows[plants]]
        recall = {kind: round(float(recovered[altered == kind].mean()), 3) for kind in dict.fromkeys(altered.tolist())}
        right, false = int((kept & judged & same).sum()), int(wrong.sum())
        precision = right / max(right + false, 1)
        points.append({"limit": int(each), "false": false, "precision": precision, "recall": recall})
        if false > CURVE and each >= limit:
            break
    return points


def measure(name: str, folder: str, filled: Images) -> dict:
    """Measure one tool: at the limit that it recommends, at the widest with no false pair, and the curve."""
    tool = TOOLS[name]
    row = {"tool": name, "recommended": tool.limit}
    try:
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as alone:
            pairs, distance, seconds, memory = alone.submit(run, name, folder, filled.names).result()
    except ModuleNotFoundError as error:
        print(f"{name}: left out, {error}", flush=True)
        return row | {"missing": str(error)}
    if tool.package != "brainlib":
        row["version"] = importlib.metadata.version(tool.package)
    row |= {"seconds": round(seconds, 1), "memory": round(memory)}
    points = judge(filled, pairs, distance, tool.limit)
    at = next(each for each in points if tool.limit in (None, each["limit"]))
    exact = [each for each in points if not each["false"]]
    curve = [[each["limit"], each["false"], round(float(np.mean(list(each["recall"].values()))), 4)] for each in points]
    print(f"{name}: {seconds:.0f} s, {at['false']} false pairs, {at['recall']}", flush=True)
    return row | {"at": at, "no false pair": exact[-1] if exact else None, "curve": curve}


def main() -> None:
    """Read the arguments, plant, let each tool find, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--slices", type=Path, required=True, help="images of which no two are duplicates")
    parser.add_argument("--most", type=int, default=3064, help="most of these")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--sets", nargs="*", default=["br35h", "navoneel", "sartaj"])
    parser.add_argument("--each", type=int, default=15, help="duplicates of each alteration, in each set")
    parser.add_argument("--tools", nargs="+", default=list(TOOLS), choices=TOOLS)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, default=Path("side_by_side.json"))
    asked = parser.parse_args()
    machine, busy, started = measuring.machine(), measuring.Busy(), time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        filled = fill(Path(folder), asked.slices, asked.most, asked.data, asked.sets, asked.each, asked.seed)
        originals = filled.kinds == ""
        result = {"machine": machine, "sets": ["slices", *asked.sets], "each": asked.each, "files": len(filled.names)}
        result |= {"slices": int((filled.slices & originals).sum()), "planted": int((~originals).sum()), "rows": []}
        for name in asked.tools:
            result["rows"].append(measure(name, folder, filled))
            result |= {"seconds": time.perf_counter() - started, "cores busy": busy.cores()}
            asked.json.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
