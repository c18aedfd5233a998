"""Write the table of docs/faults.md from the marks of the tests.

    python docs/make_faults.py

A test that proves what happens at a fault carries ``@pytest.mark.fault("4a", "what is done", "what happens")``; one
test may carry several. Rows stand between ``<!-- faults -->`` and ``<!-- end -->``; a test compares the page with them.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "faults.md"
TABLE = re.compile(r"(<!-- faults -->\n).*?(<!-- end -->)", re.DOTALL)

#: The number of a fault names its kind, its letter the fault.
KINDS = {
    1: "The run is killed",
    2: "A part of it is killed, or it is interrupted",
    3: "The disk is full",
    4: "A file of the store or of a cache is damaged",
    5: "Two runs at once",
    6: "Folders, network and environment",
    7: "Hostile images",
    8: "Hostile or impossible papers",
    9: "Hostile stored results and predictions",
    10: "Downloads",
    11: "The program",
    12: "Memory",
    13: "A long training is cut off",
    14: "Several machines",
    15: "Locale and versions",
    16: "Options",
}


def faults() -> Iterator[tuple[int, str, str, str, str]]:
    """Yield the kind, letter, fault and outcome of each mark, and the test that carries it, as path::name."""
    for path in sorted(ROOT.glob("tests/**/test_*.py")):
        for test in ast.parse(path.read_text(encoding="utf-8")).body:
            for mark in getattr(test, "decorator_list", ()):
                if isinstance(mark, ast.Call) and ast.unparse(mark.func) == "pytest.mark.fault":
                    number, fault, outcome = map(ast.literal_eval, mark.args)
                    kind, letter = re.fullmatch(r"(\d+)([a-z]+)", number).groups()
                    yield int(kind), letter, fault, outcome, f"{path.relative_to(ROOT).as_posix()}::{test.name}"


def table() -> str:
    """Write the faults, in a table for each kind, with a link to the file of each test."""
    lines, last = [], 0
    for kind, letter, fault, outcome, test in sorted(faults(), key=lambda row: (row[0], len(row[1]), row[1])):
        if kind != last:
            lines += ["", f"### {KINDS[kind]}", "", "| | fault | what happens | test |", "|---|---|---|---|"]
            last = kind
        path, name = test.split("::")
        lines.append(f"| {kind}{letter} | {fault} | {outcome} | [{name.removeprefix('test_')}](../{path}) |")
    return "\n".join([*lines[1:], ""])


def filled(page: str) -> str:
    """Return the page with its table made anew."""
    return TABLE.sub(lambda found: found[1] + table() + found[2], page)


if __name__ == "__main__":
    PAGE.write_text(filled(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
