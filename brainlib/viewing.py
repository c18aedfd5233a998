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
from PIL import Image, UnidentifiedImageError

from brainlib import datasets, images, modelcards, nearcopies, store
from brainlib.errors import BrainlibError, DataError
from brainlib.exporting import Stored
from brainlib.familiar import Familiar, Neighbour
from brainlib.looking import File, doubt, files_of, look
from brainlib.options import KAGGLE, PHANTOMS
from brainlib.paper import load_paper
from brainlib.registry import REGISTRY, info_of

#: A slice has less than a megabyte; the web socket to a notebook's kernel takes ten at once.
MAX_UPLOAD_BYTES = 8 * 2**20
_ADVICE = "open it in the program it comes from and save the slice as a PNG or JPEG file of 8 bits"
_STRETCHED = 1.2  # sides of a picture that differ by more are worth a word
_DARK = 64  # of 255: the brightest pixel of a picture that was saved in the wrong range


class Picture(NamedTuple):
    """A picture that was opened: its name, grey or colour of 8 bits, and sentences to tell of it."""

    name: str
    image: Image.Image
    notes: tuple[str, ...] = ()


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
    if len(data) > MAX_UPLOAD_BYTES:
        raise too_large(name, len(data))
    if data[128:132] == b"DICM":
        raise DataError(f"{name}: expected a picture, received a DICOM file; {_ADVICE}")
    if (frames := _frames(data)) > 1:
        raise DataError(f"{name}: expected one picture, received {frames} in one file; {_ADVICE}")
    image, (width, height, mode, _) = images.decode_bytes(data, name, _ADVICE)
    notes = []
    if mode == "F" or mode.startswith("I"):
        notes.append(
            "The file has more than 8 bits a pixel: its grey values were reduced to 0 to 255 by the "
            "range of the format."
        )
        if np.asarray(image).max() < _DARK:
            notes.append(
                "It is nearly black then; save it with the window that you see on your screen, in 8 bits."
            )
    if max(width, height) > _STRETCHED * min(width, height):
        notes.append(f"{width} by {height} pixels are stretched to a square, as the papers' code does.")
    if why := doubt(image):
        notes.append(f"This may be no MRI slice: {why}.")
    return Picture(name, image, tuple(notes))


def too_large(name: str, size: int) -> DataError:
    """The error of a file of so many bytes."""
    return DataError(
        f"{name}: expected an image of at most {MAX_UPLOAD_BYTES // 2**20} MB, received one of "
        f"{size / 2**20:.1f} MB; {_ADVICE}"
    )


def _frames(data):
    """Pictures in a file; 1 where that cannot be told, which `decode_bytes` then says."""
    try:
        with Image.open(io.BytesIO(data), formats=images.FORMATS) as image:
            return getattr(image, "n_frames", 1)
    except (UnidentifiedImageError, Image.DecompressionBombError, OSError, ValueError, SyntaxError):
        return 1


class Shelf(NamedTuple):
    """Images of a set that can be opened: its title, its folder, and a table of path and kind."""

    title: str
    root: Path
    table: pd.DataFrame

    def open(self, path: str) -> Picture:
        """Open one of its images; DataError where it cannot be decoded."""
        return Picture(path, images.decode(self.root / path))


def other_shelves(source: str) -> list[Shelf]:
    """The registered sets in a folder, whichever are there; their kinds are their classes."""
    found = []
    for name, info in REGISTRY.items():
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
    """

    def __init__(self, folder: Path, stored: Stored, source: str):
        self.folder, self.stored, self.source = Path(folder), stored, source
        self.trial, self.classes = stored.trial, list(stored.trial["classes"])
        self.paper = load_paper(self.trial["paper"])
        data = stored.facts.get("data") or {}
        self.set, self.phantom = data.get("set") or self.paper.data.set.value, data.get("phantom")

    @cached_property
    def predictions(self) -> pd.DataFrame:
        """What the model said of every image of its set."""
        return store.read(self.folder, self.stored.key)[1]["predictions"]

    @cached_property
    def accuracy(self) -> dict[str, dict]:
        """Accuracy on the test images, "as published" and "without copies of training images"."""
        found = modelcards.scores(self.trial, self.predictions, ["accuracy"])
        return {name: each["accuracy"] for name, each in found.items() if "accuracy" in each}

    @property
    def trained_on(self) -> str:
        """What the model was trained on, in a few words."""
        title = info_of(self.set).title
        return f"phantoms in the layout of {title}" if self.phantom else title

    @property
    def differences(self) -> list[str]:
        """How the model differs from the paper's own."""
        return modelcards.differences(self.trial, self.paper, self.phantom)

    @cached_property
    def model(self):
        """The model itself: a keras.Model."""
        return store.load_model(self.folder, self.stored.key)

    @cached_property
    def dataset(self) -> datasets.DataSet | None:
        """The images that it was trained and judged on; None where they are not at hand."""
        for root in self._roots():
            try:
                found = datasets.index(self.set, root(), self.folder)
            except BrainlibError:
                continue
            if found.fingerprint == self.trial["data"]:
                return found
        return None

    def _roots(self):
        """Where they may lie, each to be called, since looking may download them."""
        if not self.phantom and self.source == KAGGLE:
            yield lambda: datasets.download(self.set)
        elif not self.phantom and self.source != PHANTOMS:
            yield lambda: datasets.locate(self.set, Path(self.source))
        if self.phantom is not False:
            for root in sorted((self.folder / "phantoms").glob(f"{self.set}-*")):
                yield lambda root=root: root

    @cached_property
    def own_shelf(self) -> Shelf | None:
        """Images of the model's own set, held out ones first; None where they are not at hand."""
        if self.dataset is None:
            return None
        last = modelcards.last_phase(self.trial, self.predictions)
        clean = set(modelcards.held_out(self.trial, last)[1]["path"])
        said = {"train": "trained on", "validation": "validation", "test": "held out, a copy trained on"}
        parts = ["held out" if path in clean else said[part]
                 for path, part in zip(last["path"], last["part"], strict=True)]
        table = pd.DataFrame({"path": last["path"], "kind": [f"{part}: {label}" for part, label in
                                                             zip(parts, last["label"], strict=True)]})
        order = ["held out", *said.values()]
        key = [(order.index(part), label) for part, label in zip(parts, last["label"], strict=True)]
        table = table.iloc[sorted(range(len(table)), key=lambda row: key[row])].reset_index(drop=True)
        return Shelf(f"{self.trained_on}, the model's own", self.dataset.root, table)

    @cached_property
    def _looked(self):
        """Its images with thumbnails, as (training images, test images without a copy)."""
        last = modelcards.last_phase(self.trial, self.predictions)
        files = [File(path, label, "") for path, label in zip(last["path"], last["label"], strict=True)]
        looked = look(self.set, self.dataset.root, files, store=self.folder)
        table = looked.table.merge(last[["path", "part", "group"]], on="path", suffixes=("_", ""))
        clean = table["path"].isin(modelcards.held_out(self.trial, last)[1]["path"])
        train = (table["part"] == "train").to_numpy()
        return (table[train], looked.thumbnails[train]), (table[clean], looked.thumbnails[clean.to_numpy()])

    @cached_property
    def familiar(self) -> Familiar | None:
        """What it was trained on, to hold pictures against; None where that is not at hand."""
        if self.dataset is None or self._looked[0][0]["group"].nunique() < 2:
            return None
        table, thumbnails = self._looked[0]
        return Familiar(thumbnails, table["group"].to_numpy())

    @cached_property
    def false_alarms(self) -> tuple[int, int]:
        """How many of the model's own held-out images, without copies, count as unlike; and of how many."""
        table, thumbnails = self._looked[1]
        alarms = self.familiar.unlikeness(thumbnails) > 1 if len(table) else np.zeros(0, bool)
        return int(alarms.sum()), len(table)

    def pixels(self, picture: Picture) -> np.ndarray:
        """A picture as the model takes it: uint8 (1, size, size, channels)."""
        return images.to_array(picture.image, self.trial["size"], self.trial["model"]["channels"])[None]

    def probabilities(self, pixels: np.ndarray) -> np.ndarray:
        """What the model says: one probability a class, which sum to 1."""
        said = self.model(pixels, training=False).numpy()[0].astype(float)
        return np.array([1 - said[0], said[0]]) if len(said) == 1 else said

    def heat_map(self, pixels: np.ndarray, target: int) -> np.ndarray:
        """Grad-CAM for a class: float32 (1, size, size), 0 to 1."""
        from brainlib import gradcam

        return gradcam.grad_cam(self.model, pixels, target=target)

    def neighbours(self, picture: Picture, count: int = 6) -> tuple[float, list[tuple[Path, str, Neighbour]]]:
        """How unlike the training images a picture is (above 1: unlike), and the nearest of them.

        Returns
        -------
        float
        list of (Path, str, Neighbour)
            File and class of each; needs `familiar`.
        """
        thumbnail = nearcopies.thumbnail(picture.image)
        table, _ = self._looked[0]
        found = [
            (self.dataset.root / table["path"].iloc[each.row], table["label"].iloc[each.row], each)
            for each in self.familiar.nearest(thumbnail, count)
        ]
        return float(self.familiar.unlikeness(thumbnail[None])[0]), found
