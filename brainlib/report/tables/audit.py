"""Tables of the audits of data sets."""

from __future__ import annotations

import math

from brainlib.audit.findings import KINDS, Audit
from brainlib.audit.overview import Overview
from brainlib.report import pages
from brainlib.report.table import PERCENT0, PERCENT1, Table
from brainlib.report.tables.captions import caption

_KINDS = dict(zip(KINDS, ("same bytes", "same pixels", "near-duplicates"), strict=True))
_INSIDE = 0.9  # share of a set's images from which the text says that it is within another one: a choice


def audits(overview: Overview) -> Table:
    """Duplicates of each kind in each set."""
    rows = []
    for name, each in overview.record.sets.items():
        for kind, title in _KINDS.items():
            found = each.duplicates[kind]
            share = found.images / each.images if each.images else math.nan
            row = {"set": name, "images": each.images, "kind": title, "groups": found.groups}
            row |= {"with a duplicate": found.images, "share": PERCENT1(share)}
            if found.leaked_test_images is not None:
                row["published test images"] = each.test_images
                row["leaked test images"] = sum(found.leaked_test_images.values())
            rows.append(row)
    return _table("audits", rows, overview)


def audit_by_class(overview: Overview) -> Table:
    """Images and duplicates of each class and published part of each set."""
    rows, parts = [], any(audit.table["part"].any() for audit in overview.audits.values())
    for name, audit in overview.audits.items():
        near = audit.table.groupby("near")
        counted = {"images": 1, "with a duplicate": near["path"].transform("size") > 1}
        counted["in groups of several classes"] = near["label"].transform("nunique") > 1
        table = audit.table.rename(columns={"label": "class"}).assign(set=name, **counted)
        sums = table.groupby(["set", *(["part"] if parts else []), "class"])[list(counted)].sum()
        rows += sums.reset_index().to_dict("records")
    return _table("audit_by_class", rows, overview)


def contradictions(overview: Overview) -> Table:
    """Pairs of duplicates with different labels, by file name."""
    rows = [
        {"set": name, "file": first, "duplicate": second}
        for name, each in overview.record.sets.items()
        for first, second in each.contradictions
    ]
    return _table("contradictions", rows, overview)


def quality_flags(overview: Overview) -> Table:
    """Files that cannot be read or may be no slices, with the reason."""
    rows = []
    for name, each in overview.record.sets.items():
        rows += [{"set": name, "file": path, "reason": f"unreadable: {why}"} for path, why in each.unreadable]
        rows += [{"set": name, "file": path, "reason": f"perhaps no slice: {why}"} for path, why in each.flagged]
    return _table("quality_flags", rows, overview)


def planted(overview: Overview) -> Table:
    """Recall of planted duplicates, by set and alteration."""
    record, rows = overview.record, []
    for among in dict.fromkeys(each.among for each in record.planted):
        own = [each for each in record.planted if each.among == among]
        total, recovered = (sum(getattr(each, name) for each in own) for name in ("planted", "recovered"))
        by_kind = {each.alteration: each.recovered for each in own}
        rows.append({"among": among, **by_kind, "planted": total, "recall": PERCENT1.share(recovered, total)})
    return Table(rows, caption("planted", record=record))


def overlaps(overview: Overview) -> Table:
    """Share of the images of each set that have a duplicate in another set, and the share of mirror images in these."""
    record, rows = overview.record, []
    for name, others in record.overlaps.items():
        for other, count in others.items():
            share, mirrored = record.share(name, other)
            row = {"set": name, "in": other, "images": record.sets[name].images, "with a duplicate": count}
            rows.append(row | {"share": PERCENT1(share), "of these mirrored": PERCENT1(mirrored)})
    inside = [f"{row['set']} in {row['in']}" for row in rows if row["share"].value >= _INSIDE]
    return _table("overlaps", rows, overview, inside=inside, at_least=PERCENT0.text(_INSIDE))


def audit_shortcuts(overview: Overview) -> Table:
    """Balanced accuracy of classifiers without a network in each set."""
    rows = []
    for name, each in overview.record.sets.items():
        for split, found in each.shortcuts.items():
            n = next(iter(found.values())).n
            row = {"set": name, "split": split, "n": n, "chance": PERCENT1(1 / len(each.images_by_class))}
            rows.append(row | {what: PERCENT1.score(score) for what, score in found.items()})
    return _table("audit_shortcuts", rows, overview)


def lines(audit: Audit) -> list[str]:
    """Write the findings of one audit as lines for a terminal."""
    template = pages.templates().get_template("audit.txt.j2")
    score = lambda found: PERCENT1.text(found.value, found.low, found.high)  # noqa: E731
    return template.render(audit=audit, record=audit.record(), kinds=_KINDS, score=score).rstrip("\n").split("\n")


def _table(name, rows, overview, **values):
    return Table(rows, caption(name, record=overview.record, rows=rows, **values))
