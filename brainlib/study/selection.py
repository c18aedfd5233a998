"""Which part of a paper a run does: its arms and scenarios, by the user's choice or the profile's.

A user names arms and scenarios once for several papers, so a name must be known to one of them.
"""

from __future__ import annotations

from collections.abc import Sequence

from brainlib.errors import UsageError
from brainlib.papers.loading import load_paper, paper_ids
from brainlib.papers.schema import Paper

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


def papers_with(arms: Sequence[str], scenarios: Sequence[str]) -> list[str]:
    """Find the papers that have any of the named arms and any of the named scenarios.

    Parameters
    ----------
    arms, scenarios : sequence of str
        Names; "all" and nothing at all stand for every one, of papers without scenarios too.

    Returns
    -------
    papers : list of str

    Raises
    ------
    UsageError
        A name that no paper has, or names that no paper has together.
    """
    _refuse_unknown("arms", arms)
    _refuse_unknown("scenarios", scenarios)
    found = [
        paper.id
        for paper in map(load_paper, paper_ids())
        for kinds in [((paper.arms, arms), (paper.scenarios, scenarios))]
        if all(not named or EVERY in named or set(own) & set(named) for own, named in kinds)
    ]
    if not found:
        raise UsageError(
            f"--arms {','.join(arms)} --scenarios {','.join(scenarios)}: expected names of one "
            "paper, received names that no paper has together; see --papers"
        )
    return found


def _refuse_unknown(kind, named, own=()):
    known = {name for paper in map(load_paper, paper_ids()) for name in getattr(paper, kind)}
    known |= {EVERY, *own}  # own: of a paper that brainlib does not hold
    for name in named:
        if name not in known:
            raise UsageError(f"--{kind}: expected any of {', '.join(sorted(known))}; received '{name}'")


def _chosen(paper, kind, named, usual):
    own = tuple(getattr(paper, kind))
    if not named:
        return tuple(name for name in own if name in usual) if usual else own
    if EVERY in named:
        return own
    _refuse_unknown(kind, named, own)
    chosen = tuple(name for name in own if name in named)
    if not chosen:
        raise UsageError(
            f"--{kind}: expected any of {', '.join(own)} for {paper.id}, "
            f"received {', '.join(named)}; name the papers to run with --papers"
        )
    return chosen
