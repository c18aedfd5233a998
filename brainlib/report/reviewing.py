"""The page on which a reader looks at pairs of duplicates, and confirms or rejects them."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from brainlib.audit.findings import Audit
from brainlib.report import pages


def write_page(path: Path, audit: Audit) -> None:
    """Write the pairs of an audit with their thumbnails, as a page that makes a file of decisions.

    Groups come in order of their lowest correlation, those that were decided on last. The page holds the images: it is
    for the local reader alone. Errors as in `io.writing`.
    """
    table = audit.table.set_index("path")
    pairs = _decided(audit, list(table.index)).assign(group=lambda rows: table.loc[rows["first"], "near"].to_numpy())
    pairs["together"] = pairs["group"] == table.loc[pairs["second"], "near"].to_numpy()
    shown = sorted({*pairs["first"], *pairs["second"]})
    twins = table["pixel_hash"].map(table["pixel_hash"].value_counts()) - 1
    thumbnails = audit.thumbnails[table.index.get_indexer(shown)]
    urls = [pages.image_url(pixels, "jpeg") for pixels in thumbnails]
    about = table.loc[shown, ["label", "part"]].assign(twins=twins[shown], src=urls)
    groups = [rows.to_dict("records") for _, rows in pairs[pairs["together"]].groupby("group")]
    groups.sort(key=_doubt)
    pages.write(
        path,
        "reviewing.html.j2",
        script="reviewing.js",
        name=audit.name,
        groups=groups,
        apart=pairs[~pairs["together"]].to_dict("records"),
        images=about.to_dict("index"),
        sizes=table["near"].value_counts().to_dict(),
    )


def _doubt(rows):
    """Order of a group: what is undecided first, then by the lowest correlation of its pairs."""
    return all(row["decision"] for row in rows), np.nanmin([1, *(row["correlation"] for row in rows)])


def _decided(audit, paths):
    """Pairs that were found and those that were decided on: `Audit.pairs` with the column decision, "" for none."""
    position = {path: row for row, path in enumerate(paths)}
    given = audit.decisions.copy()
    turned = [position[row.first] > position[row.second] for row in given.itertuples()]
    given.loc[turned, ["first", "second"]] = given.loc[turned, ["second", "first"]].to_numpy()
    pairs = audit.pairs.merge(given.drop_duplicates(["first", "second"]), on=["first", "second"], how="outer")
    return pairs.fillna({"decision": "", "mirrored": False, "turned": 0, "inverted": False})
