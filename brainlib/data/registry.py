"""What was published of each data set: its source, folders, classes, counts and licence.

Counts are those of the published archives; `datasets` holds what it finds against them.
"""

from __future__ import annotations

from dataclasses import dataclass

from brainlib.errors import DataError


@dataclass(frozen=True)
class Folder:
    """A folder of a published set: where it lies, what its images are, how many there must be.

    `part` is ``"train"``, ``"test"`` or ``""`` (the set is published undivided).
    """

    path: str
    label: str
    part: str
    count: int


@dataclass(frozen=True)
class DataSetInfo:
    """What was published of a data set; `licence` is "not stated" where not known for sure."""

    name: str
    title: str
    handle: str
    licence: str
    folders: tuple[Folder, ...]

    @property
    def url(self) -> str:
        """Where a reader finds the set; empty for the phantom."""
        return f"https://www.kaggle.com/datasets/{self.handle}" if self.handle else ""

    @property
    def total(self) -> int:
        """Number of images published."""
        return sum(folder.count for folder in self.folders)

    @property
    def classes(self) -> tuple[str, ...]:
        """Labels in alphabetical order, which is also the order that Keras gives them."""
        return tuple(sorted({folder.label for folder in self.folders}))


def _flat(**counts: int) -> tuple[Folder, ...]:
    return tuple(Folder(label, label, "", count) for label, count in counts.items())


def _divided(**counts: tuple[int, int]) -> tuple[Folder, ...]:
    return tuple(
        Folder(f"{name}/{label}", label, part, both[column])
        for column, (name, part) in enumerate([("Training", "train"), ("Testing", "test")])
        for label, both in counts.items()
    )


REGISTRY: dict[str, DataSetInfo] = {
    info.name: info
    for info in (
        DataSetInfo(
            name="br35h",
            title="Br35H :: Brain Tumor Detection 2020",
            handle="ahmedhamada0/brain-tumor-detection",
            licence="not stated",
            folders=_flat(no=1500, yes=1500),
        ),
        DataSetInfo(
            name="navoneel",
            title="Brain MRI Images for Brain Tumor Detection",
            handle="navoneel/brain-mri-images-for-brain-tumor-detection",
            licence="not stated",
            folders=_flat(no=98, yes=155),
        ),
        DataSetInfo(
            name="sartaj",
            title="Brain Tumor Classification (MRI)",
            handle="sartajbhuvaji/brain-tumor-classification-mri",
            licence="MIT, by the author's copy on Hugging Face (sartajbhuvaji/Brain-Tumor-Classification)",
            folders=_divided(
                glioma_tumor=(826, 100),
                meningioma_tumor=(822, 115),
                no_tumor=(395, 105),
                pituitary_tumor=(827, 74),
            ),
        ),
        DataSetInfo(
            name="dubail",
            title="Brain Tumors 256x256",
            handle="thomasdubail/brain-tumors-256x256",
            licence="not stated",
            folders=_flat(glioma_tumor=901, meningioma_tumor=913, normal=438, pituitary_tumor=844),
        ),
        DataSetInfo(
            name="nickparvar",
            title="Brain Tumor MRI Dataset",
            handle="masoudnickparvar/brain-tumor-mri-dataset",
            licence="CC0: Public Domain, as cited by the JunoBench data set card on Hugging Face",
            folders=_divided(
                glioma=(1321, 300),
                meningioma=(1339, 306),
                notumor=(1595, 405),
                pituitary=(1457, 300),
            ),
        ),
        DataSetInfo(
            name="phantom",
            title="Synthetic slices of brainlib.data.phantoms.draw",
            handle="",
            licence="made by this program",
            folders=_flat(glioma=0, meningioma=0, none=0, pituitary=0),
        ),
    )
}


def info_of(name: str) -> DataSetInfo:
    """Return the registry's entry.

    Raises
    ------
    DataError
        No set has that name.
    """
    if name not in REGISTRY:
        raise DataError(f"expected a data set out of {', '.join(REGISTRY)}, received {name!r}")
    return REGISTRY[name]
