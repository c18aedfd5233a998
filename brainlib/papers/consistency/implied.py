"""What printed scores imply of the test set and of the averaging, by arithmetic alone.

An accuracy is a whole number of images over another one, so a table of accuracies of one test set
tells how many images it can have had (`fitting_sizes`). A model that gives every image the same
class has scores that follow from that one accuracy, each average over the classes in its own way:
such a row tells which average was printed (`is_collapsed`, `collapse_rows`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from brainlib.errors import UsageError
from brainlib.papers.printed import Printed

# A choice: towards 1 the formulas of a collapsed model (a, a^2 ...) all run into 1, where a good
# model's scores lie as well. A test set of which nine tenths are one class is none of the papers'.
HIGHEST_COLLAPSE = 0.9


@dataclass(frozen=True)
class Sizes:
    """Numbers of images that admit every printed proportion, in ascending order.

    Attributes
    ----------
    rounded : tuple of int
        Where each proportion is taken as rounded.
    truncated : tuple of int
        Where each may be rounded or cut off after the printed digits: holds all of ``rounded``.
    """

    rounded: tuple[int, ...]
    truncated: tuple[int, ...]


def fitting_sizes(printed: Sequence[Printed], most: int, least: int = 1) -> Sizes:
    """Which numbers of images n admit, for every printed proportion p, a count k with k/n = p.

    Let u be one unit of the last printed digit. Rounded, k/n lies within p - u/2 to p + u/2, both
    ends included, since a half may have gone up or to the even digit; cut off, it lies from p to
    below p + u. With p = d u and u = 1/U that is in whole numbers

        (2d - 1) n <= 2 U k <= (2d + 1) n        d n <= U k < (d + 1) n,

    so n fits where a multiple of 2U (of U) lies between the ends; nothing is left to floats. Each
    multiple of a fitting n fits, too, and from n = U on every n does: see ``most``.

    Parameters
    ----------
    printed : sequence of Printed
        Proportions of one set of images, in [0, 1]; one that comes twice says nothing new.
    most, least : int
        The largest and the smallest n to try. Percentages with two digits behind the point rule
        out no n from 10 000 on, so a large ``most`` adds sizes that nothing speaks for.

    Raises
    ------
    UsageError
        No number, one that is no exactly printed proportion, or ``least`` and ``most`` that are
        not 1 <= least <= most.
    """
    if not 1 <= least <= most:
        raise UsageError(f"expected 1 <= least <= most, received least {least} and most {most}")
    if not printed:
        raise UsageError("expected one printed proportion or more, received none")
    for one in printed:
        if not (0 <= one.value <= 1 and one.operator == "="):
            raise UsageError(f"expected a printed proportion in [0, 1], received {one}")
    n = np.arange(least, most + 1)
    rounded, either = np.ones(len(n), dtype=bool), np.ones(len(n), dtype=bool)
    for one in set(printed):
        per_unit = round(10**one.decimals / one.scale)
        d = round(one.value * per_unit)
        k_from, k_to = -((1 - 2 * d) * n // (2 * per_unit)), (2 * d + 1) * n // (2 * per_unit)
        fits = np.maximum(k_from, 0) <= np.minimum(k_to, n)
        k_cut = -(-d * n // per_unit)  # the smallest k that is not below
        rounded &= fits
        either &= fits | (k_cut * per_unit < (d + 1) * n)
    return Sizes(tuple(n[rounded].tolist()), tuple(n[either].tolist()))


def is_collapsed(accuracy: Printed, precision: Printed, sensitivity: Printed, f1: Printed) -> bool:
    """Whether a printed row fits a model that gives every image one class, weighted averages.

    The row fits if some share a of that class, 0 <= a < 0.9, gives all four within rounding:
    accuracy a, precision a^2, sensitivity a, F1 2a^2/(1+a). From 0.9 on nothing is said: there the
    formulas come close to the scores of an ordinary good model, and at 1 are those of a perfect
    one.
    """
    if accuracy.value >= HIGHEST_COLLAPSE:
        return False
    inverses = ((accuracy, float), (precision, math.sqrt), (sensitivity, float), (f1, _share_of_f1))
    # Each printed number leaves a range of a, since each formula rises with a.
    lows = [inverse(max(one.value - one.tolerance, 0.0)) for one, inverse in inverses]
    highs = [inverse(one.value + one.tolerance) for one, inverse in inverses]
    return max(lows) <= min(highs) + 1e-12  # a rounding of floats must not decide


def _share_of_f1(f1: float) -> float:
    """The positive root a of 2a^2 = f1 (1 + a)."""
    return (f1 + math.sqrt(f1**2 + 8 * f1)) / 4


def collapse_rows(
    accuracy: Printed,
    precision: Printed,
    sensitivity: Printed,
    f1: Printed,
    n: int,
    classes: int,
) -> pd.DataFrame:
    """A printed row beside what a model that gives every image one class would print.

    Of n images k = round(accuracy n) are of that class, a = k/n. It has precision a, sensitivity 1
    and F1 2a/(1+a); each other class is never predicted and counts 0. So weighted by the images of
    each class the averages are a^2, a and 2a^2/(1+a); the macro averages over C classes are a/C,
    1/C and 2a/((1+a)C).

    Parameters
    ----------
    accuracy, precision, sensitivity, f1 : Printed
        As fractions, in natural units.
    n : int
        Images of the test set, for instance of `fitting_sizes`.
    classes : int
        C, the classes that have images.

    Returns
    -------
    DataFrame
        Rows "printed", "weighted", "macro"; columns accuracy, precision, sensitivity, f1, as
        fractions.

    Raises
    ------
    UsageError
        No image, or fewer than two classes.
    """
    if n < 1 or classes < 2:
        raise UsageError(f"expected images of two or more classes, received {n} of {classes}")
    a = round(accuracy.value * n) / n
    f1_of_class = 2 * a / (1 + a)
    rows = {
        "printed": [one.value for one in (accuracy, precision, sensitivity, f1)],
        "weighted": [a, a**2, a, a * f1_of_class],
        "macro": [a, a / classes, 1 / classes, f1_of_class / classes],
    }
    columns = ["accuracy", "precision", "sensitivity", "f1"]
    return pd.DataFrame.from_dict(rows, orient="index", columns=columns)
