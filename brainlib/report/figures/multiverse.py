"""The specification curve: a score in every reading of the paper, and the choices behind each."""

from __future__ import annotations

from matplotlib.ticker import PercentFormatter

from brainlib.report.figures import style
from brainlib.report.figures.style import WIDTH, Plot
from brainlib.report.table import PERCENT1
from brainlib.study.multiverse import AVERAGE, Multiverse

_MOST = 200  # specifications that are drawn: every k-th of more, the ends and what is assumed included


def specification_curve(found: Multiverse) -> Plot:
    """Draw the first printed score of an arm in every specification, from the lowest to the highest.

    Below it (Simonsohn, Simmons and Nelson, Nature Human Behaviour 2020, 4:1208) a mark shows which alternative each
    specification has in place of the assumed value.
    """
    style.expect(found.curve, "a specification")
    every = sorted(found.curve, key=lambda each: each.value)
    step, last = max(1, -(-len(every) // _MOST)), len(every) - 1
    drawn = [each for i, each in enumerate(every) if i % step == 0 or i == last or not each.choices]
    kinds = [(key, value) for key, values in found.alternatives.items() for value in values]
    kinds += sorted({pair for each in every for pair in each.choices.items() if pair[0] == AVERAGE})
    rows = [f"{key.rpartition('.')[2].replace('_', ' ')}: {value}" for key, value in kinds]
    figure = style.figure(WIDTH, min(style.HEIGHT, 3.4 + 0.2 * len(rows)))
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(2.6, 0.2 * len(rows) + 0.1))
    look = {"color": style.COLOURS[0], "marker": "o", "ms": 3, "ls": ""}
    for axes in (above, below):
        style.tidy(axes)
    above.axhspan(found.printed - found.margin, min(1, found.printed + found.margin), color="0.9", zorder=0)
    above.axhline(found.printed, color=style.COLOURS[1], lw=1.5)
    above.plot([each.value for each in drawn], **look)
    assumed = [i for i, each in enumerate(drawn) if not each.choices]
    above.plot(assumed, [drawn[i].value for i in assumed], color="0.1", marker="D", ms=7, mfc="none", ls="")
    above.yaxis.set_major_formatter(PercentFormatter(1, 0, symbol=""))
    above.set_ylabel("Score (%)")
    for y, (key, value) in enumerate(kinds):
        places = [i for i, each in enumerate(drawn) if each.choices.get(key) == value]
        below.plot(places, [y] * len(places), color="0.25", marker="|", ms=5, ls="")
    below.set(ylim=(len(rows) - 0.5, -0.5), xlabel="Specification, by score")
    below.set_yticks(range(len(rows)), [style.wrapped(row, 48) for row in rows], fontsize=7)
    below.grid(visible=False)
    legend = {
        f"printed, {PERCENT1.text(found.printed)}, and the margin": {"color": style.COLOURS[1], "lw": 1.5},
        "a specification": look,
        "as assumed": {"color": "0.1", "marker": "D", "mfc": "none", "ms": 7, "ls": ""},
    }
    style.legend(figure, legend)
    low, high = every[0].value, every[-1].value
    reached = sum(each.reached for each in every)
    return Plot(
        figure,
        f"{found.title}, {found.claim}: {len(every)} specifications of {found.universes} universes give "
        f"{PERCENT1.text(low)} to {PERCENT1.text(high)}; {reached} reach the printed {PERCENT1.text(found.printed)}.",
    )
