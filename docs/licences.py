"""Print the licence of every installed package, as the package itself states it.

    python docs/licences.py

The table has one row a package: its name, its version and its licence. What states none is listed as "not stated".
"""

from __future__ import annotations

from importlib.metadata import Distribution, distributions


def licence(package: Distribution) -> str:
    """Return the SPDX expression, else the classifiers, else the first line of the licence field, of a package."""
    facts = package.metadata
    if expression := facts.get("License-Expression"):
        return expression
    classifiers = [each for each in facts.get_all("Classifier", []) if each.startswith("License :: ")]
    if named := [each.rpartition(" :: ")[2] for each in classifiers]:
        return ", ".join(named)
    first = (facts.get("License") or "").strip().partition("\n")[0]
    return first if first not in ("", "UNKNOWN") else "not stated"


def table() -> str:
    """Return the licences as a table in Markdown, in the order of the packages' names."""
    found = {each.name.lower(): each for each in distributions()}
    rows = [f"| {each.name} | {each.version} | {licence(each)} |" for _, each in sorted(found.items())]
    return "\n".join(["| package | version | licence |", "|---|---|---|", *rows])


if __name__ == "__main__":
    print(table())
