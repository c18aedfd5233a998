"""Tables of the audits of data sets."""

from __future__ import annotations

import math

from brainlib.audit.findings import KINDS, Audit
from brainlib.audit.overview import Overview
from brainlib.report.table import PERCENT0, PERCENT1, Table

_KINDS = dict(zip(KINDS, ("same bytes", "same pixels", "near-duplicates"), strict=True))
_INSIDE = 0.9  # share of a set's images from which the text says that it is within another one: a choice
_NO_SETS = "No set is on this machine: each paper's notebook downloads its own."


def audits(overview: Overview) -> Table:
    """Duplicates of each kind in each set."""
    rows = []
    for name, each in overview.record.sets.items():
        for kind, title in _KINDS.items():
            found = each.duplicates[kind]
            row = {"set": name, "images": each.images, "kind": title, "groups": found.groups}
            row |= {"with a duplicate": found.images, "share": _share(found.images, each.images)}
            if found.leaked_test_images is not None:
                row["published test images"] = each.test_images
                row["leaked test images"] = sum(found.leaked_test_images.values())
            rows.append(row)
    caption = (
        f"{_prefix(overview)}Images that have a duplicate in the same set. Near-duplicates are the same slice "
        "re-encoded, resized, brightened, mirrored, or rotated or cropped a little; they include the exact ones. "
        "Leaked test images are published test images with a duplicate among the published training images."
    )
    return _table(rows, caption, overview)


def audit_by_class(overview: Overview) -> Table:
    """Images and duplicates of each class and published part of each set."""
    rows, parts = [], any(audit.table["part"].any() for audit in overview.audits.values())
    for name, audit in overview.audits.items():
        group = audit.table.groupby("near")
        table = audit.table.assign(
            duplicate=group["path"].transform("size") > 1, contradictory=group["label"].transform("nunique") > 1
        )
        for (part, label), own in table.groupby(["part", "label"]):
            rows.append(
                {
                    "set": name,
                    **({"part": part} if parts else {}),
                    "class": label,
                    "images": len(own),
                    "with a duplicate": int(own["duplicate"].sum()),
                    "in groups of several classes": int(own["contradictory"].sum()),
                }
            )
    return _table(rows, f"{_prefix(overview)}Images of each class that have a near-duplicate in the set.", overview)


def contradictions(overview: Overview) -> Table:
    """Pairs of duplicates with different labels, by file name."""
    rows = [
        {"set": name, "file": first, "duplicate": second}
        for name, each in overview.record.sets.items()
        for first, second in each.contradictions
    ]
    caption = f"{_prefix(overview)}Pairs of duplicates with different labels: {len(rows) or 'none'}."
    return _table(rows, f"{caption} One label of each pair must be wrong." if rows else caption, overview)


def quality_flags(overview: Overview) -> Table:
    """Files that cannot be read or may be no slices, with the reason."""
    rows = []
    for name, each in overview.record.sets.items():
        rows += [{"set": name, "file": path, "reason": f"unreadable: {why}"} for path, why in each.unreadable]
        rows += [{"set": name, "file": path, "reason": f"perhaps no slice: {why}"} for path, why in each.flagged]
    caption = f"{_prefix(overview)}Files that cannot be read or may be no slices: {len(rows) or 'none'}."
    return _table(rows, caption, overview)


def planted(overview: Overview) -> Table:
    """Recall of planted duplicates, by set and alteration."""
    record, rows = overview.record, []
    if not record.planted:
        return Table([], "Not run: duplicates are planted with --controls (controls = True).")
    for among in dict.fromkeys(each.among for each in record.planted):
        own = [each for each in record.planted if each.among == among]
        total, recovered = (sum(getattr(each, name) for each in own) for name in ("planted", "recovered"))
        by_kind = {each.alteration: each.recovered for each in own}
        rows.append({"among": among, **by_kind, "planted": total, "recall": PERCENT1.share(recovered, total)})
    caption = (
        f"{_prefix(overview)}Duplicates planted among the images: how many of each alteration the audit "
        "assigns to the group of their original, and the recall with its 95 % interval."
    )
    if pairs := record.phantom_pairs:
        caption += (
            f" Of {pairs.grouped} pairs of phantoms in one group, {pairs.wrong} are not duplicates of one image, of "
            f"which {pairs.neighbours} are neighbouring slices of one patient."
        )
    return Table(rows, caption)


def overlaps(overview: Overview) -> Table:
    """Share of the images of each set that have a duplicate in another set, and the share of mirror images in these."""
    record, rows = overview.record, []
    for name, others in record.overlaps.items():
        for other, count in others.items():
            share, mirrored = record.share(name, other)
            row = {"set": name, "in": other, "images": record.sets[name].images, "with a duplicate": count}
            rows.append(row | {"share": PERCENT1(share), "of these mirrored": PERCENT1(mirrored)})
    inside = [f"{row['set']} in {row['in']}" for row in rows if row["share"].value >= _INSIDE]
    caption = (
        "Images of a set that have a duplicate, exact or near, in another set. A model that is trained on one set and "
        "tested on the other has seen these images."
    )
    if inside:
        caption += f" At least {PERCENT0.text(_INSIDE)} of a set: {', '.join(inside)}."
    if not rows:
        caption = "No overlap: fewer than two sets were audited."
    if record.phantoms:
        caption = "No overlap: the phantoms of each set are of other patients."
    return _table(rows, caption, overview)


def lines(audit: Audit) -> list[str]:
    """Write the findings of one audit as lines for a terminal."""
    record = audit.record()
    out = [f"{record.name}: {record.images} images, {len(record.unreadable)} unreadable"]
    out += [f"  unreadable: {path}: {reason}" for path, reason in record.unreadable]
    for kind, title in _KINDS.items():
        found = record.duplicates[kind]
        line = f"  {title}: {found.groups} groups, {found.images} images"
        if found.leaked_test_images is not None:
            line += f"; {sum(found.leaked_test_images.values())} of {record.test_images} test images are leaked"
        out.append(line)
    out += [f"  contradiction: {first} and {second}" for first, second in record.contradictions]
    return out + [f"  perhaps no slice: {path}: {reason}" for path, reason in record.flagged]


def _prefix(overview):
    return "Phantoms in place of the published images. " if overview.record.phantoms else ""


def _share(k, n):
    return PERCENT1(k / n if n else math.nan)


def _table(rows, caption, overview):
    return Table(rows, caption if overview.record.sets else _NO_SETS)
