"""Which part of a paper a run does: its arms and scenarios, by the user's choice or the profile's.

A user names arms and scenarios once for several papers, so a name must be known to one of them.
"""

from __future__ import annotations

from collections.abc import Sequence

from brainlib.errors import UsageError
from brainlib.paper import Paper, load_paper, paper_ids

EVERY = "all"


def select(
    paper: Paper, profile: str, arms: Sequence[str], scenarios: Sequence[str]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Choose arms and scenarios of a paper.

    Parameters
    ----------
    paper : Paper
    profile : {"smoke", "demo", "full"}
        Decides where nothing is named: see `Paper.profiles`; what is not there runs whole.
    arms, scenarios : sequence of str
        Names, of which those of other papers are passed over; "all" for every one.

    Returns
    -------
    arms, scenarios : tuple of str
        In the order of the paper; a paper without scenarios has one of the name "".

    Raises
    ------
    UsageError
        A name that no paper has, or none that this paper has.
    """
    usual = paper.profiles.get(profile)
    chosen_arms = _chosen(paper, "arms", arms, usual.arms if usual else ())
    if not paper.scenarios:
        return chosen_arms, ("",)
    return chosen_arms, _chosen(paper, "scenarios", scenarios, usual.scenarios if usual else ())


def _chosen(paper, kind, named, usual):
    own = tuple(getattr(paper, kind))
    if not named:
        return tuple(name for name in own if name in usual) if usual else own
    if EVERY in named:
        return own
    known = {name for other in map(load_paper, paper_ids()) for name in getattr(other, kind)}
    known.update(own)  # a paper that brainlib does not hold
    for name in named:
        if name not in known:
            raise UsageError(
                f"--{kind}: no paper has '{name}'; the {kind} of {paper.id} are {', '.join(own)}"
            )
    chosen = tuple(name for name in own if name in named)
    if not chosen:
        raise UsageError(
            f"--{kind}: {paper.id} has none of {', '.join(named)}; its {kind} are "
            f"{', '.join(own)}; name the papers to run with --papers"
        )
    return chosen
