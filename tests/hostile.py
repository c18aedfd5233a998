"""Hostile files from a fixed seed: images, predictions and stored results that no program of good will writes.

``python tests/hostile.py KIND COUNT`` hands so many of them to the code that reads them and prints what came of it;
anything but an error of ours ends it with a traceback. No file of the corpus is kept.
"""

from __future__ import annotations

import dataclasses
import faulthandler
import hashlib
import io
import itertools
import json
import random
import resource
import struct
import sys
import tempfile
import time
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
from made_up import FACTS, predictions
from PIL import Image
from small_trials import final_trial

from brainlib.errors import BrainlibError
from brainlib.trials import store

SEED, HANGS = 16, 60  # seconds after which an input counts as one that never ends
NAMES = ("a.png", "", "two\nlines.png", "\x1b[31m.jpg", "\ud800.gif", "<script>.tif", "../../x.png", "-rf", "n" * 5000)


def image_files() -> dict[str, bytes]:
    """Whole files of every format that is read, in its modes and with several frames, and some that are none."""
    grey = Image.fromarray(np.random.default_rng(0).integers(0, 256, (24, 20), np.uint8))
    deep = {"I;16": np.uint16, "I": np.int32, "F": np.float32}
    modes = {name: grey.convert(name) for name in ("L", "RGB", "RGBA", "P", "LA", "1", "CMYK")}
    modes |= {name: Image.fromarray(np.asarray(grey).astype(dtype) * dtype(200)) for name, dtype in deep.items()}
    exif = Image.Exif()
    exif[0x0112], exif[0x010E] = 6, "<script>alert(1)</script>"
    ways = {"JPEG": [{"exif": exif}, {"progressive": True}], "PNG": [{"exif": exif}, {}], "BMP": [{}], "GIF": [{}]}
    ways["WEBP"] = [{}, {"lossless": True}]
    ways["TIFF"] = [{"compression": each} for each in ("raw", "tiff_lzw", "tiff_deflate", "jpeg", "packbits", "group4")]
    found = {}
    for (kind, options), (mode, image) in itertools.product(
        [(kind, each) for kind, every in ways.items() for each in every], modes.items()
    ):
        try:
            found[f"{kind} {mode} {'/'.join(map(str, options.values()))[:20]}"] = _saved(image, kind, **options)
        except (OSError, ValueError, KeyError):  # no such mode in this format
            continue
    for kind in ("GIF", "TIFF", "WEBP", "PNG"):
        frames = [grey.rotate(angle) for angle in (90, 180)]
        found[f"{kind} of three frames"] = _saved(grey, kind, save_all=True, append_images=frames)
    for kind in ("EPS", "PPM", "ICO", "TGA", "PDF", "PCX", "SGI"):
        found[kind] = _saved(grey, kind)
    words = {
        "HTML": b"<html>not found</html>",
        "SVG": b"<svg onload='x()'/>",
        "DICOM": bytes(128) + b"DICM" + bytes(99),
    }
    return found | words | {"empty": b"", "zeros": bytes(5000)} | _bombs()


def _saved(image, kind, **options):
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def _chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _png(width, height, *chunks, depth=8, kind=0):
    header = _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, kind, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(chunks) + _chunk(b"IEND", b"")


def _bombs():
    """Small files that announce, or unpack to, more than a memory holds."""
    zeros = zlib.compress(bytes(64 * 2**20), 9)
    found = {
        f"PNG of {side} squared": _png(side, side, _chunk(b"IDAT", zeros))
        for side in (2**31 - 1, 60_000, 10_000, 6_000)
    }
    found["PNG with a bomb as text"] = _png(4, 4, *[_chunk(b"zTXt", b"k\0\0" + zeros)] * 3, _chunk(b"IDAT", zeros))
    found["PNG with a bomb as profile"] = _png(4, 4, _chunk(b"iCCP", b"k\0\0" + zeros), _chunk(b"IDAT", zeros))
    found["GIF of a large screen"] = b"GIF89a\xff\xff\xff\xff\0\0\0,\0\0\0\0\xff\xff\xff\xff\0\x02\x02D\1\0;"
    found["BMP of a large image"] = b"BM" + struct.pack(
        "<IHHIIiiHHIIiiII", 99, 0, 0, 54, 40, 50_000, 50_000, 1, 24, *[0] * 6
    )
    for count in (2**16, 2**31 - 1, 2**32 - 1):  # entries of a tag, bytes of a strip
        tags = {256: 24, 257: 24, 258: 8, 259: 1, 262: 1, 273: 8, 277: 1, 278: 24, 279: count}
        entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags.items())
        entries += struct.pack("<HHII", 700, 1, count, 8)
        found[f"TIFF with {count}"] = b"II*\0\x08\0\0\0" + struct.pack("<H", len(tags) + 1) + entries + b"\x08\0\0\0"
    return found


def mutated(data: bytes, rng: random.Random, other: bytes = b"") -> bytes:
    """The bytes with some of them changed, cut out, repeated, or replaced by extreme numbers or by another file's."""
    data = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 5, 20))):
        at, length = rng.randrange(len(data) + 1), rng.choice((1, 2, 4, 40))
        match rng.randrange(6):
            case 0:
                data[at : at + length] = rng.randbytes(length)
            case 1:
                del data[at : at + length]
            case 2:
                del data[at:]
            case 3:
                data[at:at] = data[at : at + length] * rng.choice((2, 50))
            case 4:
                data[at : at + 4] = rng.choice(
                    (b"\xff\xff\xff\xff", b"\0\0\0\0", b"\x7f\xff\xff\xff", b"\xff\xff\xff\x7f")
                )
            case _:
                data[at : at + length] = other[at : at + length]
    return bytes(data)


VALUES = (
    None,
    True,
    -1,
    0,
    2**70,
    1e308,
    float("nan"),
    "",
    "<script>",
    "../../etc",
    "\x1b\n",
    "9" * 5000,
    [],
    {},
    [{}],
    [[]],
)


def edited(content, rng: random.Random):
    """Plain data with one value replaced by another, by one of another type, left out, or put a level deeper."""
    content = json.loads(json.dumps(content))
    if not isinstance(content, (dict, list)) or not content or rng.random() < 0.15:
        return rng.choice((*VALUES, [content], {"x": content}))
    key = rng.choice(list(content) if isinstance(content, dict) else range(len(content)))
    if rng.random() < 0.15:
        del content[key]
    else:
        content[key] = edited(content[key], rng)
    return content


def tables(good: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Tables in place of predictions, which none of them are."""
    scores = [name for name in good if name.startswith("p_")]
    found = {
        "without columns": pd.DataFrame(index=range(len(good))),
        "of nothing": pd.DataFrame(),
        "without rows": good.head(0),
        "of nan alone": good.assign(**dict.fromkeys(good, np.nan)),
        "of text": good.assign(**dict.fromkeys(good, "x")),
        "of numbers": good.assign(**dict.fromkeys(good, 0.5)),
        "of bytes": good.assign(**dict.fromkeys(good, b"\xff")),
        "of lists": good.assign(path=[[1]] * len(good)),
        "of dates": good.assign(label=pd.Timestamp(0)),
    }
    for value in (np.nan, np.inf, -0.5, 2.0, "half", None):
        found[f"of probabilities {value}"] = good.assign(**dict.fromkeys(scores, value))
    for name in good:
        found[f"without {name}"] = good.drop(columns=name)
        found[f"with nothing as {name}"] = good.assign(**{name: None})
    return found


def parquet(table: pd.DataFrame) -> bytes:
    file = io.BytesIO()
    table.to_parquet(file, index=False)
    return file.getvalue()


def archive(**changes: bytes) -> Callable[[bytes], bytes]:
    """Return what gives an archive of Keras other files of these names."""

    def change(data):
        file = io.BytesIO()
        with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as new:
            for name in old.namelist():
                new.writestr(name, changes.get(Path(name).stem.replace(".", "_"), old.read(name)))
        return file.getvalue()

    return change


def _object(module, named, **config):
    return json.dumps({"module": module, "class_name": named, "config": config, "registered_name": None}).encode()


MODELS = {
    "nothing": lambda data: b"",
    "words": lambda data: b"a model of words" * 50,
    "junk in an archive": archive(config=b"\xff\xfe junk"),
    "half an archive": lambda data: data[: len(data) // 2],
    "an archive of nothing": lambda data: b"PK\5\6" + bytes(18),
    "an HDF5 file of junk": lambda data: b"\x89HDF\r\n\x1a\n" + bytes(3000),
    "weights of junk": archive(model_weights=b"junk"),
    "weights of nothing": archive(model_weights=b"\x89HDF\r\n\x1a\n" + bytes(3000)),
    "100000 levels of JSON": archive(config=b"[" * 100_000),
    "no layer": archive(config=b"{}"),
    "a list": archive(config=b"[1, 2]"),
    "a program to start": archive(config=_object("subprocess", "Popen", args=["touch", "/tmp/started"])),
    "code to evaluate": archive(config=_object("builtins", "eval", source="1/0")),
    "a pickle": lambda data: b"cos\nsystem\n(S'true'\ntR.",
}


class Shelf:
    """A store with one small untrained model, whose files can be changed while their sums are made to fit."""

    def __init__(self, folder: Path):
        from brainlib.models.build import build_network

        data = SimpleNamespace(fingerprint="0" * 16, classes=("no", "yes"))
        trial = final_trial(data)
        phase = trial.phases[-1].name
        self.table = self.made_up(phase)
        history = pd.DataFrame({"phase": [phase], "epoch": [1], "loss": [0.5], "seconds": [1.0]})
        epochs = self.table[self.table["part"] == "test"].drop(columns=["part", "phase", "group"]).assign(epoch=1)
        model = build_network(trial.model, trial.size, 1, trial.weights).model
        self.folder, self.trial, self.key = folder, trial, trial.key
        facts = FACTS | {"trial": json.loads(json.dumps(dataclasses.asdict(trial)))}
        store.save(folder, trial.key, facts, {"predictions": self.table, "history": history, "epochs": epochs}, model)
        self.files = {path.name: path.read_bytes() for path in self.place.iterdir()}
        self.facts = json.loads(self.files[store.FACTS])

    @staticmethod
    def made_up(phase: str = "training") -> pd.DataFrame:
        """Predictions of twenty test images, and of sixteen that were trained on."""
        return pd.concat([predictions("test", 8, 2, 2, 8), predictions("train", 8, 0, 0, 8)]).assign(phase=phase)

    @property
    def place(self) -> Path:
        return self.folder / "trials" / self.key

    def put(self, **changes) -> None:
        """Write the result again, with other facts, other bytes for its files, or both."""
        facts = changes.pop("facts", self.facts)
        files = self.files | {name.replace("_", "."): data for name, data in changes.items()}
        if isinstance(facts, dict) and isinstance(facts.get("sha256"), dict):
            facts = facts | {"sha256": {n: hashlib.sha256(b).hexdigest() for n, b in files.items() if n != store.FACTS}}
        for name, data in (files | {store.FACTS: json.dumps(facts).encode()}).items():
            (self.place / name).write_bytes(data)

    def read(self) -> None:
        """Do with the model what the program and `brainlib export` do, but for loading it."""
        from brainlib.app import html
        from brainlib.app.viewer import Viewer
        from brainlib.report.model_cards import card_text, model_card
        from brainlib.trials.stored import find_model, read_model

        viewer = Viewer(self.folder, find_model(self.folder, self.key), "phantoms")
        html.model_label(viewer), html.parts.about(viewer), html.examples(viewer)
        with store.expecting("facts for a card", self.key):
            card_text(model_card(*read_model(self.folder, self.key)))


def attack_images(rng: random.Random, folder: Path) -> Callable[[], None]:
    """Upload a file to the program, or decode it as one of a data set."""
    from brainlib.app.viewer import open_upload
    from brainlib.data import images
    from brainlib.data.thumbnails import thumbnail

    files = list(image_files().items())

    def attack():
        (name, data), (_, other) = rng.choice(files), rng.choice(files)
        data = mutated(data, rng, other) if rng.random() < 0.95 else data
        if rng.random() < 0.5:
            open_upload(rng.choice((*NAMES, name)), data, rng.choice((None, None, None, len(data), 0, -1, 2**70)))
        else:
            image, _ = images.decode_bytes(data, name)
            images.pixel_hash(image), thumbnail(image), images.to_array(image, 16, rng.choice((1, 3)))

    return attack


def attack_predictions(rng: random.Random, folder: Path) -> Callable[[], None]:
    """Score a file of predictions."""
    from brainlib.study.prediction_files import read_predictions

    good = predictions("test", 3, 1, 1, 3).assign(group=lambda table: table["group"].astype(str))
    every = list(tables(good).values())
    file = folder / "predictions.csv"

    def attack():
        table = rng.choice(every) if rng.random() < 0.5 else good
        data = parquet(table) if rng.random() < 0.5 else table.to_csv(index=False).encode()
        file.write_bytes(mutated(data, rng, rng.choice((b"\xef\xbb\xbf", b'"', b"\0\n,", b"PAR1"))))
        read_predictions(file)

    return attack


def attack_results(rng: random.Random, folder: Path) -> Callable[[], None]:
    """Show a stored model in the program, and write its card."""
    from brainlib.app import viewer
    from brainlib.papers.loading import load_paper
    from brainlib.report import model_cards
    from brainlib.trials import stored

    shelf, jardim = Shelf(folder), load_paper("jardim")
    every = list(tables(shelf.table).values())
    for module in (viewer, model_cards, stored):  # it is the same paper each time
        module.load_paper = lambda paper: jardim if paper == "jardim" else load_paper(paper)

    def attack():
        changes = {}
        if rng.random() < 0.7:
            changes["facts"] = edited(shelf.facts, rng)
        if rng.random() < 0.4:
            data = parquet(rng.choice(every) if rng.random() < 0.5 else shelf.table)
            changes["predictions_parquet"] = mutated(data, rng) if rng.random() < 0.5 else data
        shelf.put(**changes)
        shelf.read()

    return attack


def attack_models(rng: random.Random, folder: Path) -> Callable[[], None]:
    """Load a stored model."""
    shelf = Shelf(folder)
    whole = shelf.files[store.MODEL]
    with zipfile.ZipFile(io.BytesIO(whole)) as opened:
        config, weights = json.loads(opened.read("config.json")), opened.read("model.weights.h5")

    def attack():
        match rng.randrange(4):
            case 0:
                data = mutated(whole, rng)
            case 1:
                data = archive(model_weights=mutated(weights, rng))(whole)
            case 2:
                data = archive(config=json.dumps(edited(config, rng)).encode())(whole)
            case _:
                data = rng.choice(list(MODELS.values()))(whole)
        shelf.put(model_keras=data)
        store.load_model(folder, shelf.key)

    return attack


ATTACKS = {
    "images": attack_images,
    "predictions": attack_predictions,
    "results": attack_results,
    "models": attack_models,
}


def main(kind: str, count: int) -> dict[str, float]:
    rng, refused, slowest = random.Random(f"{SEED} {kind}"), 0, 0.0
    with tempfile.TemporaryDirectory() as folder:
        attack = ATTACKS[kind](rng, Path(folder))
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        for number in range(count):
            faulthandler.dump_traceback_later(HANGS, exit=True)
            started = time.perf_counter()
            try:
                attack()
            except BrainlibError as error:
                refused += 1
                assert str(error).isprintable() or "\n" not in str(error), repr(str(error))
            except BaseException:
                print(f"{kind} {number} of seed {SEED}", file=sys.stderr)
                raise
            slowest = max(slowest, time.perf_counter() - started)
        faulthandler.cancel_dump_traceback_later()
        grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    return {"given": count, "refused": refused, "grown_mib": round(grown), "slowest_s": round(slowest, 2)}


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1], int(sys.argv[2]))))
