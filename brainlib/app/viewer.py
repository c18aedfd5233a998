"""One image and one trained model: probabilities, Grad-CAM, novelty and the nearest training images.

What `widgets` shows is computed here. Uploaded files are read here too: one that is not a single image of a
supported format raises an error of one sentence.
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
from brainlib.data.own import asked
from brainlib.data.registry import REGISTRY
from brainlib.data.scan import File, files_of, scan_files
from brainlib.data.thumbnails import quality_flag, thumbnail
from brainlib.errors import BrainlibError, DataError, ModelError
from brainlib.models import gradcam
from brainlib.models.backbones import Weights
from brainlib.papers.loading import load_paper
from brainlib.report import model_cards
from brainlib.stats.estimates import estimate
from brainlib.study.options import KAGGLE, PHANTOMS
from brainlib.trials import store
from brainlib.trials.stored import Stored, read_model

#: A slice has less than a megabyte; the web socket to a notebook's kernel takes ten at once.
MAX_UPLOAD_BYTES = 8 * 2**20
#: Images from which a rate is shown: one of fewer would say little.
FEWEST = 20
_LONGEST_NAME = 80
_ADVICE = "open it in the program it comes from and save the slice as a PNG or JPEG file of 8 bits"
_STRETCHED = 1.2  # ratio of the sides from which a note says that the image is stretched
_DARK = 64  # of 255: if no pixel is brighter, the image was saved in the wrong range


class InputImage(NamedTuple):
    """An image to classify, grey or colour of 8 bits.

    ``notes`` are sentences about how the file was read, ``kind`` the part and class of an image of a known set, such as
    "test: tumour", and ``label`` its class as the set names it. ``seen`` says whether the model was trained on the
    image or a duplicate, as far as the audit of its set knows.
    """

    name: str
    image: Image.Image
    notes: tuple[str, ...] = ()
    kind: str = ""
    label: str = ""
    seen: bool = False

    @property
    def small(self) -> Image.Image:
        """The image, at most 512 pixels high and wide."""
        small = self.image.copy()
        small.thumbnail((512, 512))
        return small


def open_upload(name: str, data: bytes, size: int | None = None) -> InputImage:
    """Read an uploaded file of `size` bytes, of which fewer may have arrived: nothing is sent of one that is too large.

    `DataError`, in one sentence that names the file: too large, incomplete, DICOM, an animation, no image, or damaged.
    """
    name = printable(name)
    size = len(data) if size is None else size
    if size > MAX_UPLOAD_BYTES:
        most = f"expected an image of at most {MAX_UPLOAD_BYTES // 2**20} MB"
        raise DataError(f"{name}: {most}, received one of {size / 2**20:.1f} MB; {_ADVICE}")
    if len(data) != size:
        raise DataError(f"{name}: expected {size} bytes, received {len(data)}; choose it again")
    if data[128:132] == b"DICM":
        raise DataError(f"{name}: expected an image, received a DICOM file; {_ADVICE}")
    bits = _checked(name, data)
    image, (width, height, _, _) = images.decode_bytes(data, name, _ADVICE)
    notes = []
    if bits > 8:
        notes.append(f"The file has {bits} bits a pixel and channel: its values were reduced to 0 to 255.")
        if np.asarray(image).max() < _DARK:
            notes.append("It is nearly black then; save it as displayed, in 8 bits.")
    if max(width, height) > _STRETCHED * min(width, height):
        notes.append(f"{width} by {height} pixels are stretched to a square, as the papers' code does.")
    if why := quality_flag(image):
        notes.append(f"This may not be an MRI slice: {why}.")
    return InputImage(name, image, tuple(notes))


def printable(name: str) -> str:
    """Return a file's name without control characters and of at most 80 characters."""
    clean = "".join(letter if letter.isprintable() else "?" for letter in name) or "the file"
    return clean if len(clean) <= _LONGEST_NAME else f"{clean[: _LONGEST_NAME - 12]}…{clean[-11:]}"


def _checked(name, data):
    """Bits of a pixel and channel; DataError for several images, before any is decoded."""
    try:
        with Image.open(io.BytesIO(data), formats=images.FORMATS) as image:
            several = getattr(image, "is_animated", False)
            # Pillow's mode does not tell: it reads colour of 16 bits as RGB of 8.
            in_tags = image.tag_v2.get(258, 8) if image.format == "TIFF" else 8  # BitsPerSample
            bits = data[24] if image.format == "PNG" else int(np.max(in_tags))
    except Exception:  # `decode_bytes` raises it again, in a sentence
        return 8
    if several:
        raise DataError(f"{name}: expected one image, received several in one file; {_ADVICE}")
    return bits


class Collection(NamedTuple):
    """Images of a set: its title, its folder, and a table of path, kind, label and seen (see `InputImage`)."""

    title: str
    root: Path
    table: pd.DataFrame

    def open(self, path: str) -> InputImage:
        """Open one of the images, with the errors of `open_upload`."""
        row = self.table.set_index("path").loc[path]
        image = open_upload(path, images.read(self.root / path))
        return image._replace(kind=row["kind"], label=row["label"], seen=bool(row["seen"]))


def other_sets(source: str, store: Path) -> list[Collection]:
    """List the registered sets that a folder holds; the kind of an image is its class. See `datasets.locate`."""
    found = []
    for name, info in REGISTRY.items() if source not in (PHANTOMS, KAGGLE) else ():
        try:
            root = datasets.locate(name, Path(source), store)
        except DataError:
            continue
        files, _ = files_of(name, root)
        rows = [(file.path, " ".join(filter(None, [file.part, file.label])), file.label, False) for file in files]
        found.append(Collection(info.title, root, pd.DataFrame(rows, columns=["path", "kind", "label", "seen"])))
    return found


class Viewer:
    """A trained model of the store that classifies and explains images.

    Parameters
    ----------
    folder : Path
        The store.
    source : str
        Where the images of data sets lie: a folder, "kaggle" or "phantoms".

    Raises
    ------
    BrainlibError
        The stored result cannot be read.

    Notes
    -----
    Attributes are its `classes` in the order of the probabilities; the `predictions` of its own images
    (`final_predictions`); its `accuracy` on all test images and without duplicates, where there are any
    (`model_cards.decisions`); `label`, its name in a list; `collapsed`, the class that it predicts for every test
    image, None if it predicts several; and `missing`, why `dataset` is None, "" where it is not or was not asked for.
    """

    def __init__(self, folder: Path, stored: Stored, source: str):
        self.folder, self.source, self.missing = Path(folder), source, ""
        self.stored, self.predictions = read_model(self.folder, stored.key)
        self.trial = self.stored.trial
        with store.expecting("facts of a trial", stored.key):
            self.classes = list(self.trial["classes"])
            self.paper = load_paper(self.trial["paper"])
            decided = model_cards.decisions(self.trial, self.predictions)
            self.accuracy = {which: estimate("accuracy", each) for which, each in decided.items()}
            self.collapsed = decided[model_cards.ALL].collapsed if decided else None
            self.arm, self.weights = stored.arm, Weights(**self.trial["weights"]).label
            apart = ", duplicates kept apart" if self.trial["split"]["by"] == "group" else ""
            self.label = f"{stored.name.removesuffix(' final')}, {stored.trained_on}{apart}"

    def class_name(self, label: str) -> str:
        """Name a class in words: "no tumour" for the paper's normal one, "tumour" for the other of two."""
        normal = self.paper.data.normal
        if label == normal:
            return "no tumour"
        # In one of several scenarios, the other class is one kind of tumour.
        of_two = set(self.classes) == {normal, label} and not self.trial["scenario"]
        return "tumour" if of_two else label.replace("_", " ").replace("tumor", "tumour")

    @property
    def score(self) -> float | None:
        """Its accuracy on all test images; None where they are fewer than `FEWEST`."""
        found = self.accuracy.get(model_cards.ALL)
        return found.value if found and found.n >= FEWEST else None

    @cached_property
    def model(self):
        """The model, a keras.Model."""
        return store.load_model(self.folder, self.stored.key)

    @cached_property
    def dataset(self) -> datasets.DataSet | None:
        """The data set that it was trained and tested on; None where it is not available, see `missing`."""
        name, why, places = self.stored.info.name, [], []
        if not self.stored.phantom and self.source not in (PHANTOMS, KAGGLE):
            places.append(lambda: datasets.load_dataset(asked(name, self.source), self.source, self.folder))
        if self.stored.phantom:
            roots = sorted(each for each in (self.folder / "phantoms").glob("*") if each.name.startswith(f"{name}-"))
            places += [lambda root=root: datasets.index(name, root, self.folder) for root in roots]
        for load in places:
            try:
                found = load()
                if found.fingerprint == self.trial["data"]:
                    return found
                why.append(f"{found.root.name}: expected the images of the training, received others")
            except BrainlibError as error:
                why.append(str(error))
        self.missing = "; ".join(why) or "no folder of data sets was given"
        return None

    @cached_property
    def own_images(self) -> Collection | None:
        """Images of the model's own set, test images first; None where they are not available."""
        if self.dataset is None:
            return None
        last = self.predictions
        names = {"train": "training", "validation": "validation", "test": "test, duplicate of a training image"}
        part = last["part"].map(names).where((last["part"] != "test") | last["leaked"], "test")
        table = last[["path", "label"]].assign(
            part=pd.Categorical(part, ["test", *names.values()]),
            kind=part + ": " + last["label"].map(self.class_name),
            seen=last["leaked"] | (last["part"] == "train"),
        )
        table = table.sort_values(["part", "label"], kind="stable", ignore_index=True)
        return Collection(f"{self.stored.trained_on}, the model's own", self.dataset.root, table)

    @cached_property
    def _scanned(self):
        """Its images: a table with the groups that a split must not divide, thumbnails, and which were trained on."""
        last = self.predictions
        files = [File(path, label, "") for path, label in zip(last["path"], last["label"], strict=True)]
        scan = scan_files(self.dataset.name, self.dataset.root, files, store=self.folder)
        table = scan.table[["path", "label"]].merge(last[["path", "part", "group"]], on="path")
        # Where patients are known, as of phantoms, their slices belong together.
        table["together"] = self.dataset.together(table["path"], table["group"].to_numpy())
        return table, scan.thumbnails, (table["part"] == "train").to_numpy()

    @cached_property
    def detector(self) -> NoveltyDetector | None:
        """Novelty detector of its training images; None where they are not available, or of one group."""
        if self.dataset is None:
            return None
        table, thumbnails, train = self._scanned
        groups = table.loc[train, "together"].to_numpy()
        return NoveltyDetector(thumbnails[train], groups) if len(np.unique(groups)) > 1 else None

    @cached_property
    def false_alarms(self) -> tuple[int, int]:
        """How many test images count as novel, and of how many: those without a duplicate or patient in training."""
        table, thumbnails, train = self._scanned
        unseen = (table["part"] == "test") & ~table["together"].isin(table.loc[train, "together"])
        if not unseen.any():
            return 0, 0
        return int((self.detector.novelty(thumbnails[unseen.to_numpy()]) > 1).sum()), int(unseen.sum())

    def pixels(self, image: InputImage) -> np.ndarray:
        """Return an image as the model takes it: uint8 (1, size, size, channels)."""
        _, size, _, channels = self.model.input_shape
        return images.to_array(image.image, size, channels)[None]

    def probabilities(self, pixels: np.ndarray) -> np.ndarray:
        """Return the probability of each class; they sum to 1."""
        found = self.model(pixels, training=False).numpy()[0].astype(float)
        if not np.isfinite(found).all():
            raise ModelError(f"{self.stored.name}: expected probabilities, received {found}; train it again")
        return np.array([1 - found[0], found[0]]) if len(found) == 1 else found

    def heat_map(self, pixels: np.ndarray, target: int) -> np.ndarray:
        """Return the Grad-CAM map for a class: float32 (1, size, size), 0 to 1."""
        return gradcam.grad_cam(self.model, pixels, target=target)

    def neighbours(self, image: InputImage, count: int) -> tuple[float | None, list[tuple[Path, str, Neighbour]]]:
        """Return the novelty score of an image (above 1: novel), and file and class of the nearest training images.

        Without a `detector`, there is neither.
        """
        if self.detector is None:
            return None, []
        table, _, train = self._scanned
        found = self.detector.nearest(thumbnail(image.image), int(train.sum()))
        rows = table[train].iloc[[each.row for each in found[:count]]]
        paths = [self.dataset.root / path for path in rows["path"]]
        return min(each.novelty for each in found), list(zip(paths, rows["label"], found, strict=False))
