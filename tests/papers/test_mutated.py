"""Whatever is changed in a paper's YAML, it is read and checked, or refused in one line."""

from __future__ import annotations

import copy
import math
import re
from datetime import timedelta
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from brainlib.errors import BrainlibError
from brainlib.papers.consistency import check_paper
from brainlib.papers.loading import load_paper, paper_ids

ROOT = Path(__file__).parents[2]
GUIDE = re.search(r"```yaml\n(.*?)\n```", (ROOT / "docs" / "new_paper.md").read_text("utf-8"), re.DOTALL)[1]
TEXTS = [(ROOT / "brainlib" / "papers" / f"{paper}.yaml").read_text("utf-8") for paper in paper_ids()]
PAPERS = [yaml.load(text, Loader=yaml.CSafeLoader) for text in (*TEXTS, GUIDE)]

# Of these, several are right somewhere: the most is learnt from a paper that is nearly right.
NUMBERS = [0, -1, 1, 2, 3, 7, 10, 51, 99, 327, 2400, 7023, 10**5, 10**6, 2 * 10**9, 10**20, 0.0, -0.0, 0.5, 0.2, 0.99]
NUMBERS += [1e-300, 1e300, math.inf, math.nan, True, False]
PRINTED = "0 1 0% 100% 101% -5 97.94% 0,95 0.9 3,264 1e9 999999999999 99.9999999999% 12min 98±1".split()
PRINTED += ["p < 0.05", "p > 0.05", "T ≈ 3.2", "above 97%", "all above 0.9", "٣٤%", "9" * 90]
WORDS = ["", " ", "a b", "no", "yes", "test", "validation", "folds", "fold 1", "fold 99", "published", "group", "all"]
WORDS += ["image", "last", "adam", "os:system", "navoneel", "br35h", "../x", "glioma_tumor", "%", "1", "percent^2"]
WORDS += [
    "images",
    "accuracy",
    "f1",
    "images",
    "count",
    "errors",
    "loss",
    "t_test.t",
    "mean",
    "sd",
    "variance",
    "macro",
]
WORDS += ["weighted", "comparison", "epochs", "cnn", "mobilenet", "\x00", "\x1b[2J", "a\nb", "\u202e", "x" * 300]
VALUES = (
    st.sampled_from([*NUMBERS, *PRINTED, *WORDS, None, [], {}, [1], [[]], {"value": 1, "stated": "x"}]) | st.integers()
)
VALUES |= st.floats() | st.text(max_size=20)


def places(part, path=()):
    """Yield the path of every part of a paper."""
    for key, value in part.items() if isinstance(part, dict) else enumerate(part) if isinstance(part, list) else ():
        yield (*path, key)
        yield from places(value, (*path, key))


@st.composite
def mutated(draw):
    """Draw the text of a paper with some claims left out and up to four changes of what is left."""
    paper = copy.deepcopy(draw(st.sampled_from(PAPERS)))
    claims = paper["claims"]
    first = draw(st.integers(0, max(0, len(claims) - 12)))
    paper["claims"] = claims[first : first + 12]
    for _ in range(draw(st.integers(1, 4))):
        within = draw(st.sampled_from(["claims", "protocol", "arms", "data", None]))
        known = [path for path in places(paper) if within in (None, path[0])]
        if not known:
            continue
        *parents, last = draw(st.sampled_from(known))
        part = paper
        for key in parents:
            part = part[key]
        change = draw(st.sampled_from(["set", "set", "set", "delete", "add", "take", "repeat"]))
        if change == "delete":
            del part[last]
        elif change == "add" and isinstance(part, dict):
            part[draw(st.sampled_from(WORDS) | st.text(max_size=9))] = draw(VALUES)
        elif change == "repeat" and isinstance(part, list):
            part *= draw(st.sampled_from([2, 30]))
        elif change == "take":  # what stands elsewhere in a place of the same name
            same = [path for path in known if path[-1] == last]
            other = paper
            for key in draw(st.sampled_from(same)):
                other = other[key]
            part[last] = copy.deepcopy(other)
        else:
            part[last] = draw(VALUES)
    text = yaml.dump(paper, Dumper=yaml.CSafeDumper, allow_unicode=True, sort_keys=False)
    if draw(st.integers(0, 9)) == 0:  # the text itself is spoilt
        at = draw(st.integers(0, len(text)))
        text = text[:at] + draw(st.text(max_size=4)) + text[at + draw(st.integers(0, 9)) :]
    return str(paper.get("id")), text


@pytest.mark.slow
@pytest.mark.fault("8g", "1 to 4 changes at random in a paper, 150 times", "each is checked, or refused in one line")
@settings(
    max_examples=150,
    derandomize=True,
    database=None,
    phases=[Phase.generate],  # to make an example smaller takes minutes
    deadline=timedelta(seconds=60),
    suppress_health_check=list(HealthCheck),
)
@given(drawn=mutated())
def test_a_changed_paper_is_checked_or_refused_in_one_line(tmp_path_factory, drawn):
    name, text = drawn
    folder = tmp_path_factory.mktemp("paper")
    path = folder / (f"{name}.yaml" if re.fullmatch(r"[\w.-]{1,99}", name) else "paper.yaml")
    path.write_text(text, "utf-8", errors="replace")
    try:
        check_paper(load_paper(path))
    except BrainlibError as error:
        said = str(error)
        assert said and len(said) <= 400 and not re.search(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]", said)
