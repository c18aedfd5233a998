"""One image and one trained model: what the model says of it, where it looks, and what it knows like it.

What `app` shows is computed here, without a widget. Whatever a person may open is read here too: a
file that is no slice ends in a sentence.
"""

from __future__ import annotations

import io
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from PIL import Image

from brainlib.audit.novelty import Neighbour, NoveltyDetector
from brainlib.data import datasets, images
from brainlib.data.registry import REGISTRY, info_of
from brainlib.data.scan import File, files_of, scan_files
from brainlib.data.thumbnails import quality_flag, thumbnail
from brainlib.errors import BrainlibError, DataError, ModelError, StoreError
from brainlib.papers.loading import load_paper
from brainlib.report import model_cards
from brainlib.report.exporting import Stored
from brainlib.study.options import KAGGLE, PHANTOMS
from brainlib.trials import store

#: A slice has less than a megabyte; the web socket to a notebook's kernel takes ten at once.
MAX_UPLOAD_BYTES = 8 * 2**20
_MOST_PIXELS = 25_000_000  # a few hundred megabytes while they are decoded
_LONGEST_NAME = 80
_ADVICE = "open it in the program it comes from and save the slice as a PNG or JPEG file of 8 bits"
_STRETCHED = 1.2  # sides of a picture that differ by more are worth a word
_DARK = 64  # of 255: the brightest pixel of a picture that was saved in the wrong range


class Picture(NamedTuple):
    """A picture that was opened: grey or colour of 8 bits, sentences to tell of it, and its kind on a shelf."""

    name: str
    image: Image.Image
    notes: tuple[str, ...] = ()
    kind: str = ""


def open_upload(name: str, data: bytes) -> Picture:
    """Read a file that a person chose.

    Parameters
    ----------
    name : str
        The file's name, for messages.
    data : bytes

    Raises
    ------
    DataError
        One sentence: too large, DICOM, an animation, no image, or a damaged one.
    """
    name = printable(name)
    if len(data) > MAX_UPLOAD_BYTES:
        raise too_large(name, len(data))
    if data[128:132] == b"DICM":
        raise DataError(f"{name}: expected a picture, received a DICOM file; {_ADVICE}")
    bits = _looked_into(name, data)
    image, (width, height, _, _) = images.decode_bytes(data, name, _ADVICE)
    notes = []
    if bits > 8:
        notes.append(f"The file has {bits} bits a pixel and channel: its values were reduced to 0 to 255.")
        if np.asarray(image).max() < _DARK:
            notes.append("It is nearly black then; save it with the window that you see on your screen, in 8 bits.")
    if max(width, height) > _STRETCHED * min(width, height):
        notes.append(f"{width} by {height} pixels are stretched to a square, as the papers' code does.")
    if why := quality_flag(image):
        notes.append(f"This may be no MRI slice: {why}.")
    return Picture(name, image, tuple(notes))


def printable(name: str) -> str:
    """A file's name as a sentence can hold it: no control characters, and not too long."""
    clean = "".join(letter if letter.isprintable() else "?" for letter in name) or "the file"
    return clean if len(clean) <= _LONGEST_NAME else f"{clean[: _LONGEST_NAME - 12]}…{clean[-11:]}"


def too_large(name: str, size: int) -> DataError:
    """The error of a file of so many bytes."""
    return DataError(
        f"{printable(name)}: expected an image of at most {MAX_UPLOAD_BYTES // 2**20} MB, received one of "
        f"{size / 2**20:.1f} MB; {_ADVICE}"
    )


def _looked_into(name, data):
    """Bits of a pixel and channel; DataError for several pictures or too many pixels, before any is decoded."""
    try:
        with Image.open(io.BytesIO(data), formats=images.FORMATS) as image:
            pixels, bits = image.width * image.height, _bits(image, data)
            moving = pixels <= _MOST_PIXELS and _has_another(image)
    except Exception:  # whatever Pillow raises, `decode_bytes` meets again, and says
        return 8
    if pixels > _MOST_PIXELS:
        raise DataError(
            f"{name}: expected at most {_MOST_PIXELS // 10**6} million pixels, received an image that announces "
            f"{pixels / 1e6:.0f} million; {_ADVICE}"
        )
    if moving:
        raise DataError(f"{name}: expected one picture, received several in one file; {_ADVICE}")
    return bits


def _has_another(image):
    try:
        image.seek(1)  # counting all of them may take very long
    except EOFError:
        return False
    return True


def _bits(image, data):
    # Pillow's mode does not tell: it reads colour of 16 bits as RGB of 8.
    if image.format == "PNG":
        return data[24]
    if image.format == "TIFF":
        stated = image.tag_v2.get(258, 8)  # BitsPerSample
        return max(stated) if isinstance(stated, tuple) else stated
    return 8


class Shelf(NamedTuple):
    """Images of a set that can be opened: its title, its folder, and a table of path and kind."""

    title: str
    root: Path
    table: pd.DataFrame

    def open(self, path: str) -> Picture:
        """Open one of its images, as `open_upload` does."""
        kind = self.table.loc[self.table["path"] == path, "kind"].iloc[0]
        return open_upload(path, images.read(self.root / path))._replace(kind=kind)


def other_shelves(source: str) -> list[Shelf]:
    """The registered sets in a folder, whichever are there; their kinds are their classes."""
    found = []
    for name, info in REGISTRY.items() if source not in (PHANTOMS, KAGGLE) else ():
        try:
            root = datasets.locate(name, Path(source))
        except DataError:
            continue
        files, _ = files_of(name, root)
        rows = [(file.path, " ".join(filter(None, [file.part, file.label]))) for file in files]
        found.append(Shelf(info.title, root, pd.DataFrame(rows, columns=["path", "kind"])))
    return found


class Viewer:
    """A trained model of the store, ready to be shown images.

    Parameters
    ----------
    folder : Path
        The store.
    stored : Stored
    source : str
        Where the images of data sets lie: a folder, "kaggle" or "phantoms".

    Attributes
    ----------
    trial : dict
        As stored.
    classes : list of str
        In the order of the probabilities.
    paper : Paper
    differences : list of str
        How the model differs from the paper's own.
    accuracy : dict of dict
        Accuracy on the test images, "as published" and "without copies of training images", if any is left.

    Raises
    ------
    BrainlibError
        What was stored of it cannot be read.
    """

    def __init__(self, folder: Path, stored: Stored, source: str):
        self.folder, self.stored, self.source = Path(folder), stored, source
        self.trial = stored.trial
        try:
            self.classes = list(self.trial["classes"])
            self.paper = load_paper(self.trial["paper"])
            data = stored.facts.get("data") or {}
            self.set, self.phantom = data.get("set") or self.paper.data.set.value, data.get("phantom")
            self.differences = model_cards.differences(self.trial, self.paper, self.phantom)
            self.accuracy = self._accuracy()
        except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
            raise StoreError(
                f"{stored.key}: expected the facts of a trial, received others ({type(error).__name__}: {error}); "
                "it may be of another version: run again"
            ) from error

    @cached_property
    def predictions(self) -> pd.DataFrame:
        """What the model said of every image of its set."""
        return store.read(self.folder, self.stored.key)[1]["predictions"]

    def _accuracy(self):
        found = model_cards.scores(self.trial, self.predictions, ["accuracy"])
        return {name: each["accuracy"] for name, each in found.items() if "accuracy" in each}

    @property
    def trained_on(self) -> str:
        """What the model was trained on, in a few words."""
        title = info_of(self.set).title
        return f"phantoms in the layout of {title}" if self.phantom else title

    @cached_property
    def model(self):
        """The model itself: a keras.Model."""
        return store.load_model(self.folder, self.stored.key)

    @cached_property
    def _found(self):
        """Its images, or a sentence that says why they are not at hand."""
        why = []
        for look_for in self._places():
            try:
                found = datasets.index(self.set, look_for(), self.folder)
            except BrainlibError as error:
                why.append(str(error))
                continue
            if found.fingerprint == self.trial["data"]:
                return found, ""
            why.append(f"{found.root.name}: expected the images of the training, received others")
        return None, "; ".join(why) or "no folder of data sets was given"

    def _places(self):
        """Functions that give a folder where they may lie."""
        if not self.phantom and self.source not in (PHANTOMS, KAGGLE):
            yield lambda: datasets.locate(self.set, Path(self.source))
        if self.phantom is not False:
            for root in sorted((self.folder / "phantoms").glob(f"{self.set}-*")):
                yield lambda root=root: root

    @property
    def dataset(self) -> datasets.DataSet | None:
        """The images that it was trained and judged on; None where they are not at hand, see `missing`."""
        return self._found[0]

    @property
    def missing(self) -> str:
        """Why the images are not at hand; "" where they are."""
        return self._found[1]

    @cached_property
    def own_shelf(self) -> Shelf | None:
        """Images of the model's own set, held out ones first; None where they are not at hand."""
        if self.dataset is None:
            return None
        last = model_cards.last_phase(self.trial, self.predictions)
        clean = last["path"].isin(model_cards.held_out(self.trial, last)[1]["path"])
        said = {"train": "trained on", "validation": "validation", "test": "held out, a copy trained on"}
        part = pd.Categorical(last["part"].map(said).mask(clean, "held out"), ["held out", *said.values()])
        table = pd.DataFrame({"path": last["path"], "part": part, "label": last["label"]})
        table = table.sort_values(["part", "label"], kind="stable", ignore_index=True)
        table["kind"] = table["part"].astype(str) + ": " + table["label"]
        return Shelf(f"{self.trained_on}, the model's own", self.dataset.root, table)

    @cached_property
    def _looked(self):
        """Its images: a table with what belongs together, and thumbnails."""
        last = model_cards.last_phase(self.trial, self.predictions)
        files = [File(path, label, "") for path, label in zip(last["path"], last["label"], strict=True)]
        looked = scan_files(self.set, self.dataset.root, files, store=self.folder)
        table = looked.table[["path", "label"]].merge(last[["path", "part", "group"]], on="path")
        # Where patients are known, as of phantoms, their slices are no strangers to each other.
        table["together"] = self.dataset.together(table["path"], table["group"].to_numpy())
        return table, looked.thumbnails

    @cached_property
    def _training(self):
        """The training images of `_looked`."""
        table, thumbnails = self._looked
        train = (table["part"] == "train").to_numpy()
        return table[train], thumbnails[train]

    @cached_property
    def familiar(self) -> NoveltyDetector | None:
        """What it was trained on, to hold pictures against; None where it is not at hand, or of one group."""
        if self.dataset is None:
            return None
        table, thumbnails = self._training
        return NoveltyDetector(thumbnails, table["together"].to_numpy()) if table["together"].nunique() > 1 else None

    @cached_property
    def false_alarms(self) -> tuple[int, int]:
        """How many of its test images count as unlike, and of how many: none whose copy or known patient trained it."""
        table, thumbnails = self._looked
        strange = (table["part"] == "test") & ~table["together"].isin(self._training[0]["together"])
        if not strange.any():
            return 0, 0
        return int((self.familiar.novelty(thumbnails[strange.to_numpy()]) > 1).sum()), int(strange.sum())

    def pixels(self, picture: Picture) -> np.ndarray:
        """A picture as the model takes it: uint8 (1, size, size, channels)."""
        return images.to_array(picture.image, self.trial["size"], self.trial["model"]["channels"])[None]

    def probabilities(self, pixels: np.ndarray) -> np.ndarray:
        """What the model says: one probability a class, which sum to 1."""
        said = self.model(pixels, training=False).numpy()[0].astype(float)
        if not np.isfinite(said).all():
            raise ModelError(f"{self.stored.name}: expected probabilities, received {said}; train it again")
        return np.array([1 - said[0], said[0]]) if len(said) == 1 else said

    def heat_map(self, pixels: np.ndarray, target: int) -> np.ndarray:
        """Grad-CAM for a class: float32 (1, size, size), 0 to 1."""
        from brainlib.models import gradcam

        return gradcam.grad_cam(self.model, pixels, target=target)

    def neighbours(self, picture: Picture, count: int = 6) -> tuple[float, list[tuple[Path, str, Neighbour]]]:
        """How unlike the training images a picture is (above 1: unlike), and the nearest of them.

        Returns
        -------
        float
        list of (Path, str, Neighbour)
            File and class of each; needs `familiar`.
        """
        table, _ = self._training
        found = self.familiar.nearest(thumbnail(picture.image), len(table))
        shown = [
            (self.dataset.root / table["path"].iloc[each.row], table["label"].iloc[each.row], each)
            for each in found[:count]
        ]
        return min(each.novelty for each in found), shown
