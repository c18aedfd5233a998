"""A paper's protocol for readers: every value with where it comes from."""

from __future__ import annotations

import re

from brainlib.papers.schema import Paper
from brainlib.report.table import Table


def protocol_table(paper: Paper) -> Table:
    """Every value of a paper's protocol, stated or assumed, with place or reason."""
    frame = paper.settings_table()
    frame["setting"] = frame["setting"].map(setting_name)
    frame["value"] = frame["value"].map(plain)
    frame["alternatives"] = ["; ".join(map(plain, given)) for given in frame["alternatives"]]
    assumed = int((frame["provenance"] == "assumed").sum())
    caption = f"The protocol: {len(frame) - assumed} values stated, {assumed} assumed."
    likes = {arm.like for arm in paper.arms.values() if arm.like}
    for like in sorted(likes):
        same = [name for name, arm in paper.arms.items() if arm.like == like]
        caption += f" In all but the backbone, {', '.join(same)} are as {like}."
    return Table(frame, caption)


def plain(value: object) -> str:
    """Write a setting without the marks of Python."""
    if isinstance(value, dict):
        return ", ".join(f"{key} {each}" for key, each in value.items()) or "none"
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value)) or "none"
    return {"True": "yes", "False": "no"}.get(str(value), str(value))


def setting_name(path: str) -> str:
    """Turn the key path of a setting into words: arms.cnn.phases[0].epochs."""
    found = re.fullmatch(r"(?:arms\.(?P<arm>[^.]+)\.)?(?:phases\[(?P<phase>\d+)\]|\w+)\.(.+)", path)
    phase = found["phase"] and f"phase {int(found['phase']) + 1}"
    place = ", ".join(filter(None, [found["arm"], phase]))
    name = found[3].replace("_", " ")
    return f"{place}: {name}" if place else name
