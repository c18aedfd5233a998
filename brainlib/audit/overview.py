"""The audits of every set that a run has, and the overlap between them: what `00_data_audit` shows.

"External validation" on a set that holds the same pictures is none, so pictures are sought across
sets as well.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from brainlib import progress
from brainlib.audit import findings, planted
from brainlib.audit.findings import KINDS, Audit
from brainlib.audit.planted import Planted, Truth
from brainlib.data import datasets, images, splits
from brainlib.data.registry import REGISTRY, info_of
from brainlib.data.scan import Scan, files_of, scan_files
from brainlib.errors import DataError
from brainlib.io import writing
from brainlib.report.figures import style
from brainlib.report.figures.style import Plot
from brainlib.report.table import Table
from brainlib.study.options import KAGGLE, PHANTOMS, PROFILES, Options

NAME = "00_data_audit"  # of the notebook and of what it stores
_MOST_ROWS = 8  # of a montage
_MOST_COPIES = 10  # of a group that a montage shows
_SIDE = 96  # pixels of a picture in a montage
_WIDEST = 1.4  # inches that it is given: more show its pixels, and no more of the picture
_TITLE = 4.0  # inches that the words above it need


class SetAudits:
    """Audits of the registered sets that are there.

    Parameters
    ----------
    sets : sequence of str
        By default those that papers use and the source has; of Kaggle, none is downloaded for this
        alone.
    **options
        Those of `Options` that say where images come from and where things are kept.
    """

    def __init__(self, sets: Sequence[str] = (), **options):
        self.options = Options.of(options)
        self.sets = tuple(sets) or self._present()

    def _present(self):
        known = [name for name, info in REGISTRY.items() if info.handle]
        if self.options.source in (PHANTOMS, KAGGLE):
            return tuple(known) if self.options.source == PHANTOMS else ()
        found = []
        for name in known:
            try:
                datasets.locate(name, Path(self.options.source))
            except DataError:
                continue
            found.append(name)
        return tuple(found)

    @cached_property
    def roots(self) -> dict[str, Path]:
        """Where each set lies; phantoms are drawn if need be."""
        options = self.options
        if options.source != PHANTOMS:
            return {name: datasets.locate(name, Path(options.source)) for name in self.sets}
        return {
            name: datasets.load(name, PHANTOMS, options.store, phantoms=self._most or info_of(name).total).root
            for name in self.sets
        }

    @cached_property
    def looked(self) -> dict[str, Scan]:
        """The images, decoded once: all of them, or as many of each set as the profile uses."""
        store, found = self.options.store, {}
        for name, root in self.roots.items():
            files, failed = files_of(name, root)
            chosen = splits.choose_images([file.label for file in files], self._most, seed=0)
            found[name] = scan_files(name, root, [files[row] for row in chosen], failed, store=store)
        return found

    @cached_property
    def audits(self) -> dict[str, Audit]:
        """What was found in each set."""
        n, found = len(self.sets), {}
        with progress.shown(f"{n} sets to audit") as on_progress:
            on_progress(0, "looking at the images")
            for number, (name, each) in enumerate(self.looked.items(), 1):
                on_progress(number / (n + 1), f"comparing those of {name}")
                found[name] = findings.find(each, store=self.options.store)
        return found

    def table(self) -> Table:
        """Copies, contradictions and unreadable files of each set."""
        if not self.sets:
            caption = "No set is on this machine: each paper's notebook downloads its own."
            return Table(pd.DataFrame(), caption)
        rows = []
        for name, each in self.audits.items():
            row = {"set": name, "images": len(each.table), "unreadable": len(each.unreadable)}
            for kind, said in zip(KINDS, ("same bytes", "same pixels", "near copies"), strict=True):
                groups = each.groups(kind)
                row[said] = f"{sum(map(len, groups))} in {len(groups)} groups"
                row[f"test images with a copy in training ({kind})"] = (
                    f"{len(each.leaked_test_images(kind))} of {(each.table['part'] == 'test').sum()}"
                    if each.divided
                    else "–"
                )
            row["contradictory pairs"] = len(each.contradictions)
            row["perhaps no slice"] = int((each.table["quality_flag"] != "").sum())
            rows.append(row)
        caption = (
            f"{self._what()}Images that have a copy in the same set. Near copies are the same picture "
            "re-encoded, resized, brighter, mirrored, or turned and cropped a little; they include the "
            "exact ones. Of a set that is published in two parts, test images with a copy in training."
        )
        frame = pd.DataFrame(rows).set_index("set").T.rename_axis("found").rename_axis(None, axis=1)
        return Table(frame.reset_index(), caption)

    def by_class(self, name: str) -> Table:
        """Images, and those with a copy, of each class and published part of a set."""
        table = self.audits[name].table
        size = table.groupby("near")["path"].transform("size")
        labels = table.groupby("near")["label"].transform("nunique")
        said = table.assign(copied=size > 1, contradictory=labels > 1)
        grouped = said.groupby(["part", "label"])
        frame = grouped.agg(
            images=("path", "size"), with_a_copy=("copied", "sum"), in_groups_of_two_labels=("contradictory", "sum")
        ).reset_index()
        frame.columns = [column.replace("_", " ") for column in frame.columns]
        return Table(frame, f"{self._what()}{info_of(name).title} ({name}).")

    def contradictions_table(self) -> Table:
        """Pairs of copies with different labels, by file name."""
        rows = [
            {"set": name, "file": first, "and": second}
            for name, each in self.audits.items()
            for first, second in each.contradictions
        ]
        caption = f"{self._what()}Copies under two labels: one of the two must be wrong."
        return Table(pd.DataFrame(rows, columns=["set", "file", "and"]), caption)

    def doubts_table(self) -> Table:
        """Files that cannot be read or may be no slice, with the reason."""
        rows = []
        for name, each in self.audits.items():
            rows += [{"set": name, "file": p, "why": f"unreadable: {w}"} for p, w in each.unreadable]
            doubted = each.table[each.table["quality_flag"] != ""]
            rows += [
                {"set": name, "file": path, "why": f"perhaps no slice: {why}"}
                for path, why in zip(doubted["path"], doubted["quality_flag"], strict=True)
            ]
        caption = f"{self._what()}{len(rows)} files."
        return Table(pd.DataFrame(rows, columns=["set", "file", "why"]), caption)

    @cached_property
    def planted(self) -> tuple[tuple[Planted, ...], Truth] | None:
        """Planted copies and what the audit found of them; None unless the options ask for controls."""
        if not self.options.controls:
            return None
        n, found = len(self.sets), []
        with progress.shown(f"{n} sets to plant duplicates in") as on_progress:
            on_progress(0, "phantoms")
            known = planted.truth(self.options.seed)
            for number, (name, each) in enumerate(self.looked.items(), 1):
                on_progress(number / (n + 1), name)
                found += planted.plant(each, self.roots[name])
        return (*found, *known.planted), known

    def planted_table(self) -> Table:
        """How many planted copies the audit finds."""
        if self.planted is None:
            return Table(pd.DataFrame(), "Not run: --controls (controls = True) plants them.")
        table = planted.planted_table(*self.planted)
        return Table(table.frame, f"{self._what()}{table.caption}")

    @cached_property
    def overlaps(self) -> pd.DataFrame:
        """How many images of one set (rows) have a copy in another (columns)."""
        every = list(self.looked.values())
        if not every:
            return pd.DataFrame()
        names = np.repeat([each.name for each in every], [len(each.table) for each in every])
        table = pd.concat(
            [each.table.assign(path=each.name + "/" + each.table["path"]) for each in every], ignore_index=True
        )
        thumbnails = np.concatenate([each.thumbnails for each in every])
        union = findings.find(Scan("all", table, (), thumbnails), store=self.options.store)
        group = union.table["near"].to_numpy()
        return pd.DataFrame(
            {
                other: {name: int(np.isin(group[names == name], group[names == other]).sum()) for name in self.looked}
                for other in self.looked
            }
        )

    def overlap_table(self) -> Table:
        """How many images of one set have a copy, exact or near, in another."""
        frame = self.overlaps.astype(object)
        for name in frame.index:
            n = len(self.looked[name].table)
            frame.loc[name] = [
                "–" if name == other else f"{count} ({100 * count / n:.0f} %)"
                for other, count in frame.loc[name].items()
            ]
        caption = (
            f"{self._what()}Images of the set on the left that also stand in the set above. A model "
            "trained on one and tested on the other has seen these."
        )
        return Table(frame.rename_axis("set").reset_index(), caption)

    def montage(self, name: str, contradictory: bool = False) -> Plot | None:
        """The largest groups of near copies of a set, or its contradictions; None without any.

        It shows images of the set: for the local report alone.
        """
        each, root = self.audits[name], self.roots[name]
        groups = sorted(each.groups("near"), key=len, reverse=True)
        if contradictory:
            label = each.table.set_index("path")["label"]
            groups = [group for group in groups if label[group].nunique() > 1]
        groups = groups[:_MOST_ROWS]
        if not groups:
            return None
        wide = min(_MOST_COPIES, max(map(len, groups)))
        side = min(style.WIDTH / wide, _WIDEST)
        figure = style.figure(max(side * wide, _TITLE), side * len(groups) * 1.15 + 0.4)
        axes = figure.subplots(len(groups), wide, squeeze=False)
        for row, group in zip(axes, groups, strict=True):
            for cell in row:
                cell.axis("off")
            for cell, path in zip(row, group, strict=False):
                grey = images.decode(root / path).convert("L")
                small = grey.resize((_SIDE, _SIDE), Image.Resampling.BILINEAR)
                # Its own pixels: interpolated ones say no more and double the file.
                cell.imshow(np.asarray(small), cmap="gray", vmin=0, vmax=255, interpolation="none")
                if contradictory:
                    cell.set_title(path.split("/")[-2][:12], fontsize=6)
        kind = "copies under two labels" if contradictory else "the largest groups of near copies"
        figure.suptitle(f"{name}: {kind}", fontsize=10)
        sizes = ", ".join(map(str, map(len, groups)))
        return Plot(figure, f"{name}: {len(groups)} groups of near copies, one a row, of {sizes} images.")

    def save(self) -> None:
        """Write ``results/00_data_audit.json``: counts and file names, no pictures."""
        record = {name: _summary(each.as_dict()) for name, each in self.audits.items()}
        for name, found in record.items():
            found["copies_in_other_sets"] = {
                other: int(count) for other, count in self.overlaps.loc[name].items() if other != name
            }
        found = {
            "phantoms": self.options.source == PHANTOMS,
            "most": self._most,
            "sets": record,
            "planted": [asdict(each) for each in self.planted[0]] if self.planted else [],
        }
        path = self.options.store.parent / "results" / f"{NAME}.json"
        with writing(path) as file:
            file.write(json.dumps(found, indent=1).encode())

    @property
    def _most(self):
        """Images of each set that the profile looks at; 0 for all of them."""
        return PROFILES[self.options.profile].images

    def _what(self):
        if self.options.source == PHANTOMS:
            return "Phantoms, not the sets. "
        return f"At most {self._most} images of each set. " if self._most else ""


def _summary(found):
    """Counts in place of the lists of groups, which can be long."""
    for kind in KINDS:
        groups = found.pop(f"{kind}_groups")
        found[f"{kind}_groups"] = len(groups)
        found[f"images_in_{kind}_groups"] = sum(map(len, groups))
    return found
