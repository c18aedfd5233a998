"""Write the tables and figures of docs/performance.md and docs/audit.md from benchmarks/results/*.json.

    python benchmarks/page.py

Run it after `bench.py`, `growth.py` or `side_by_side.py` has written results that are to be kept: ``before.json`` and
``after.json``, ``growth_before.json`` and ``growth.json``, ``side_by_side.json``. A table stands between ``<!-- table:
NAME -->`` and ``<!-- end -->``, where NAME is a function of this file. A test compares the committed pages with what
this command writes.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results"
PAGE, AUDIT = ROOT / "docs" / "performance.md", ROOT / "docs" / "audit.md"
FIGURE, FOUND = ROOT / "docs" / "img" / "growth.svg", ROOT / "docs" / "img" / "side_by_side.svg"
TABLE = re.compile(r"(<!-- table: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)
NONE = "–"


def read(name: str) -> dict:
    """Read stored results; none where the file is missing."""
    path = RESULTS / f"{name}.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {"rows": []}


def number(value: float | None) -> str:
    """Write a number with three significant digits, and no exponent."""
    if value is None:
        return NONE
    return f"{value:.0f}" if abs(value) >= 99.5 else f"{value:.3g}"


def judged(row: dict) -> str:
    """Say whether a row meets its target."""
    if "error" in row:
        return "failed"
    return {True: "met", False: "not met", None: NONE}[row["met"]]


def shown(row: dict | None) -> str:
    """Write what a row measured, with the seconds of ours and of the other."""
    if row is None or "error" in row:
        return NONE if row is None else "failed"
    seconds = [f"{number(value)} s" for value in (row["ours"], row["other"]) if value is not None]
    return " ".join([f"{number(row['value'])} {row['unit']}", *([f"({' / '.join(seconds)})"] if seconds else [])])


def measured(rows: list[dict]) -> tuple[list[str], list[list[str]]]:
    """List one run's rows."""
    head = ["", "value (seconds, ours / other)", "target", ""]
    return head, [[row["what"], shown(row), row["target"] or NONE, judged(row)] for row in rows]


def performance() -> tuple[list[str], list[list[str]]]:
    """Compare the rows of the runs before and after."""
    before, after = ({row["what"]: row for row in read(name)["rows"]} for name in ("before", "after"))
    if not before:
        return measured(list(after.values()))
    rows = []
    for what in {**after, **before}:
        row = after.get(what)
        target = (row or before[what])["target"] or NONE
        rows.append([what, target, shown(before.get(what)), shown(row), judged(row) if row else NONE])
    return ["", "target", "before (seconds, ours / other)", "after", ""], rows


def machine() -> tuple[list[str], list[list[str]]]:
    """Describe the machine of each run."""
    runs = {name: read(name) for name in ("before", "after", "growth_before", "growth")}
    runs = {name: run for name, run in runs.items() if run["rows"]}
    facts = list(dict.fromkeys(fact for run in runs.values() for fact in run["machine"]))
    rows = [[fact, *(str(run["machine"].get(fact, NONE)) for run in runs.values())] for fact in facts]
    rows.append(["seconds of the whole run", *(f"{run['seconds']:.0f}" for run in runs.values())])
    return ["", *(name.replace("_", ", ") for name in runs)], rows


def growth() -> tuple[list[str], list[list[str]]]:
    """List the seconds of runs as they grow, with the fitted exponents."""
    before = {row["what"]: row for row in read("growth_before")["rows"]}
    if not before:
        rows = [[row["what"], row["of"], _course(row)] for row in read("growth")["rows"]]
        return ["what grows", "the run", "seconds, exponent"], rows
    rows = []
    for row in read("growth")["rows"]:
        old = before.get(row["what"])
        rows.append([row["what"], row["of"], *(_course(each) for each in (old, row))])
    return ["what grows", "the run", "before: seconds, exponent", "after: seconds, exponent"], rows


def _course(row):
    if row is None or "error" in row:
        return NONE
    course = ", ".join(f"{n}: {number(seconds)}" for n, seconds in zip(row["sizes"], row["seconds"], strict=True))
    return f"{course}; {row['exponent']:.2f}"


def compared() -> list[dict]:
    """Read the rows of the tools that were installed."""
    return [row for row in read("side_by_side")["rows"] if "missing" not in row]


def tools() -> tuple[list[str], list[list[str]]]:
    """Compare tools that find duplicates: at the limits that they recommend, and at the widest with no false pair."""
    at_limit, without = ["limit", "mean recall", "false pairs", "precision"], ["limit without any", "mean recall"]
    head = ["", *at_limit, *without, "seconds", "MiB"]
    rows = []
    for row in compared():
        name = " ".join([row["tool"], *([row["version"]] if "version" in row else [])])
        at, none = row["at"], row["no false pair"]
        exact = [_limit(row, none["limit"]), f"{_mean(none):.3f}"] if none else [NONE, NONE]
        found = [_limit(row, at["limit"]), f"{_mean(at):.3f}", str(at["false"]), f"{at['precision']:.3f}", *exact]
        rows.append([name, *found, number(row["seconds"]), number(row["memory"])])
    return head, rows


def alterations() -> tuple[list[str], list[list[str]]]:
    """List the recall of each alteration, at the recommended limit and at the widest with no false pair."""
    names = list(compared()[0]["at"]["recall"])
    pairs = [(row["at"], row["no false pair"]) for row in compared()]
    rows = [[name, *(" / ".join(_recall(each, name) for each in pair) for pair in pairs)] for name in names]
    return ["", *(row["tool"] for row in compared())], rows


def _limit(row, limit):
    return NONE if row["recommended"] is None else str(limit)


def _recall(point, name):
    return f"{point['recall'][name]:.2f}" if point else NONE


def _mean(point):
    return sum(point["recall"].values()) / len(point["recall"])


def found():
    """Draw the mean recall over the number of false pairs: a line for each hash, a point at the recommended limit."""
    from matplotlib.figure import Figure

    drawn = Figure(figsize=(6.5, 3.6), layout="constrained")
    axes = drawn.subplots()
    for i, row in enumerate(compared()):
        _, false, recall = zip(*row["curve"], strict=True)
        marker = "*" if row["recommended"] is None and not i else "o"
        axes.plot(false, recall, "-", lw=1.2, color=f"C{i}")
        at, size = row["at"], 14 if marker == "*" else 6
        axes.plot(at["false"], _mean(at), marker, markersize=size, color=f"C{i}", label=row["tool"], clip_on=False)
    axes.set(xscale="symlog", xlim=(0, None), ylim=(0, 1.02), xlabel="False pairs of slices")
    axes.set_ylabel("Mean recall of the alterations")
    axes.spines[["top", "right"]].set_visible(False)
    drawn.legend(fontsize=7, frameon=False, loc="outside right upper")
    return drawn


def figure():
    """Draw seconds over size on logarithmic axes, one panel for each quantity that grows."""
    from matplotlib.figure import Figure

    rows = [row for row in read("growth")["rows"] if "error" not in row]
    before = {row["what"]: row for row in read("growth_before")["rows"] if "error" not in row}
    drawn = Figure(figsize=(2.3 * max(1, len(rows)), 2.6), layout="constrained")
    for axes, row in zip(drawn.subplots(1, max(1, len(rows)), squeeze=False)[0], rows, strict=False):
        for name, each, style in (("before", before.get(row["what"]), "o--"), ("after", row, "o-")):
            if each:
                label = f"{name}, " * bool(before) + f"exponent {each['exponent']:.2f}"
                colour = "#888888" if name == "before" else "#1f5fa8"
                axes.loglog(each["sizes"], each["seconds"], style, markersize=4, label=label, color=colour)
        axes.set_xticks(row["sizes"], [str(n) for n in row["sizes"]], minor=False)
        axes.minorticks_off()
        low, high = axes.get_ylim()
        ticks = [n for n in (1, 2, 5, 10, 20, 50, 100, 200, 500) if low / 1.3 < n < high * 1.3]
        axes.set_yticks(ticks, [str(n) for n in ticks])
        axes.set_ylim(min(low, ticks[0]), max(high, ticks[-1]) * 1.6)
        axes.set_xlabel(row["what"])
        axes.legend(fontsize=7, frameon=False, loc="upper left")
        axes.spines[["top", "right"]].set_visible(False)
    drawn.axes[0].set_ylabel("seconds")
    return drawn


def markdown(head: list[str], rows: list[list[str]]) -> str:
    """Write a table in Markdown."""
    return "".join(f"| {' | '.join(cells)} |\n" for cells in (head, ["---"] * len(head), *rows))


def filled(page: str) -> str:
    """Return a page with its tables made anew."""
    return TABLE.sub(lambda found: found[1] + markdown(*globals()[found[2]]()) + found[3], page)


def main() -> None:
    """Write the tables and the figures."""
    import matplotlib

    matplotlib.rcParams["svg.hashsalt"] = "brainlib"  # the same bytes from the same numbers
    for page in (PAGE, AUDIT):
        page.write_text(filled(page.read_text(encoding="utf-8")), encoding="utf-8")
    for path, draw, table in ((FIGURE, figure, growth), (FOUND, found, tools)):
        draw().savefig(path, facecolor="white", metadata={"Date": None, "Description": markdown(*table())})


if __name__ == "__main__":
    main()
