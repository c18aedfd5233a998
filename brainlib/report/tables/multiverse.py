"""Tables of the multiverse: what is reached in which share of universes, and what each alternative adds."""

from __future__ import annotations

from brainlib.report.table import COUNT, NUMBER, P_VALUE, PERCENT1, POINTS, Table
from brainlib.report.tables.captions import caption
from brainlib.study.multiverse import of_arm
from brainlib.study.results import Results


def multiverse(results: Results, arm: str) -> Table:
    """Show each printed number of an arm, and in what share of the universes asked for it is reached."""
    found, rows = of_arm(results, arm), []
    for each in found.reached if found else ():
        how = PERCENT1 if each.scores else P_VALUE
        rows.append(
            {
                "claim": each.claim,
                "printed": each.printed,
                "reached in universes": PERCENT1(each.universes / each.n),
                "n": COUNT(each.n),
                "lowest": how(each.low),
                "median": how(each.median),
                "highest": how(each.high),
                "SD of seeds": POINTS(each.deviation) if each.scores else NUMBER(each.deviation),
                "reached in readings": PERCENT1(each.readings / each.m),
                "readings": COUNT(each.m),
            }
        )
    return Table(rows, caption("multiverse", found=found))


def multiverse_effects(results: Results, arm: str) -> Table:
    """Show what each alternative adds to the first printed score on the test images."""
    found = of_arm(results, arm)
    rows = [
        {
            "setting": each.setting,
            "alternative": each.alternative,
            "effect": POINTS(each.effect, each.low, each.high),
            "specifications": COUNT(each.n),
        }
        for each in (found.effects if found else ())
    ]
    return Table(rows, caption("multiverse_effects", found=found))
