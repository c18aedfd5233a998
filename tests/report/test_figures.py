"""Figures draw the numbers they are given, and their alternative texts state them."""

from __future__ import annotations

import base64
import io
import math

import matplotlib
import nbformat
import numpy as np
import pandas as pd
import PIL.Image
import pytest
from IPython.core.formatters import DisplayFormatter
from matplotlib.figure import Figure
from matplotlib.text import Text

from brainlib.errors import UsageError
from brainlib.papers import load_paper
from brainlib.papers.printed import printed_number
from brainlib.papers.reporting import reporting_of
from brainlib.report import figures
from brainlib.report.figures import style
from brainlib.stats.calibration import Calibration
from brainlib.stats.estimates import Estimate
from brainlib.stats.intervals import Interval
from brainlib.study.saliency import Explained
from brainlib.study.study import Study

pytestmark = pytest.mark.filterwarnings("error")

LONG = "ResNet50V2 with transfer learning of all layers, in place of a block"
NINETY_NINE = printed_number("99%")
ARMS = [arm.title for arm in load_paper("yim").arms.values()]


def history(losses, val_losses, accuracies, val_accuracies, phases=None) -> pd.DataFrame:
    curves = {"loss": losses, "accuracy": accuracies, "val_loss": val_losses, "val_accuracy": val_accuracies}
    return pd.DataFrame({"phase": phases or "head", "epoch": np.arange(1, len(losses) + 1), **curves, "seconds": 1.0})


FOLDS = {
    "fold 1": history([0.7, 0.4, 0.2], [0.8, 0.6, 0.5], [0.5, 0.7, 0.9], [0.5, 0.6, 0.75]),
    "fold 2": history([0.6, 0.5, 0.3], [0.9, 0.7, 0.4], [0.6, 0.8, 0.95], [0.4, 0.7, 0.875]),
}


def predictions(scores, positive) -> pd.DataFrame:
    scores = np.asarray(scores)
    about = {"path": [f"{i}.png" for i in range(len(scores))], "label": np.where(positive, "yes", "no"), "part": "test"}
    return pd.DataFrame(about | {"group": range(len(scores)), "p_no": 1 - scores, "p_yes": scores})


# Of the four pairs of a positive and a negative image three are in order.
THREE_OF_FOUR = predictions([0.9, 0.4, 0.6, 0.1], [True, True, False, False])


def table(cells, classes) -> pd.DataFrame:
    return pd.DataFrame(cells, pd.Index(classes, name="true"), pd.Index(classes, name="predicted"))


def overlays(shade) -> np.ndarray:
    return np.full((4, 4, 3), shade, dtype=np.uint8)


def calibrated(error=0.13) -> Calibration:
    curve = pd.DataFrame(
        {"images": [6, 4], "confidence": [0.65, 0.85], "accuracy": [0.5, 0.75], "low": [0.2, 0.3], "high": [0.8, 0.9]}
    )
    limits = Interval(0.05, 0.2, "group bootstrap")
    return Calibration(error, limits, 0.4, limits, curve)


def explained(titles, kinds=("True positive", "True negative"), lesion=None) -> list[Explained]:
    return [
        Explained(
            kind, "yes", overlays(7)[..., :1], lesion, {t: overlays(9) for t in titles}, dict.fromkeys(titles, 0.98)
        )
        for kind in kinds
    ]


def every_plot(titles=(LONG,)) -> dict[str, figures.Plot]:
    estimate = Estimate(0.9, 0.8, 0.95, 60, "Wilson")
    lesion = np.eye(4, dtype=bool)
    return {
        "learning_curves": figures.learning_curves(dict.fromkeys(titles, FOLDS["fold 1"]), "CNN", order=ARMS),
        "roc": figures.roc(dict.fromkeys(titles, THREE_OF_FOUR), ("no", "yes"), "yes", ARMS),
        "metrics": figures.metrics(
            {title: {"auc": estimate} for title in titles}, {titles[0]: {"auc": NINETY_NINE}}, ARMS
        ),
        "confusion": figures.confusion(dict.fromkeys(titles, table([[3, 1], [0, 0]], ["no", "yes"]))),
        "reliability": figures.reliability(dict.fromkeys(titles, calibrated()), "a paper", ARMS),
        "grad_cam_panel": figures.grad_cam_panel(explained(titles, lesion=lesion)),
        "one row of heat maps": figures.grad_cam_panel(explained(titles, lesion=lesion)[:1]),
    }


def line(axes, label):
    return next(line for line in axes.get_lines() if line.get_label() == label)


def legend(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.legends[0].get_texts()]


def test_learning_curves_draw_each_fold_and_say_the_range_after_the_last_epoch():
    plot = figures.learning_curves(FOLDS, "CNN", "test")
    panels = dict(zip(plot.figure.axes, [(fold, c) for c in ("loss", "accuracy") for fold in FOLDS], strict=True))
    for axes, (fold, column) in panels.items():
        for label, prefix in {"training": "", "test": "val_"}.items():
            assert line(axes, label).get_xdata().tolist() == [1, 2, 3]
            assert line(axes, label).get_ydata().tolist() == FOLDS[fold][prefix + column].tolist()
    assert [axes.get_title() for axes in plot.figure.axes] == [*FOLDS, "", ""]
    assert legend(plot.figure) == ["training", "test"]
    assert plot.alt == (
        "Learning curves of CNN, fold 1, fold 2, over 3 epochs. After the last epoch: training loss "
        "0.200 to 0.300; test loss 0.400 to 0.500; training accuracy 0.900 to 0.950; "
        "test accuracy 0.750 to 0.875."
    )


@pytest.mark.parametrize("scale", [10.0, 1.0, 1e-6, 0.0])
def test_no_loss_lies_outside_its_panel(scale):
    plot = figures.learning_curves({"only": history([0.6 * scale], [0.9 * scale], [0.5], [0.5])}, "CNN")
    low, high = plot.figure.axes[0].get_ylim()
    assert low <= 0.6 * scale and 0.9 * scale < high


def test_the_axis_of_the_loss_shows_where_the_curves_are_and_no_rounding_as_a_curve():
    axes = figures.learning_curves({"a": history([2.0, 1.8], [2.1, 1.9], [0.5] * 2, [0.5] * 2)}, "CNN").figure.axes[0]
    assert axes.get_ylim()[0] > 1.7
    flat = figures.learning_curves({"a": history([0.693, 0.69301], [0.693] * 2, [0.5] * 2, [0.5] * 2)}, "CNN")
    assert np.ptp(flat.figure.axes[0].get_ylim()) > 0.06


def test_a_single_epoch_is_drawn_as_a_marker_and_one_that_is_undefined_is_not():
    plot = figures.learning_curves({"fold 1": history([0.6], [0.9], [0.5], [0.5])}, "CNN")
    for axes in plot.figure.axes:
        assert line(axes, "training").get_marker() not in ("", "None", None)
        assert [t for t in axes.get_xticks() if 0.5 <= t <= 1.5] == [1]
    assert "over 1 epoch. After the last epoch: training loss 0.600; validation" in plot.alt
    # A loss of nan leaves a gap.
    given = history([0.7, math.nan, math.nan], [0.8, 0.6, math.nan], [0.5] * 3, [0.5] * 3)
    plot = figures.learning_curves({"a": given}, "CNN")
    assert np.isnan(line(plot.figure.axes[0], "training").get_ydata()).tolist() == [False, True, True]
    assert "training loss undefined; validation loss undefined" in plot.alt


def test_a_second_phase_is_marked_where_it_begins_and_a_single_one_is_not():
    phases = ["head", "head", "fine-tuning"]
    given = history([0.7, 0.4, 0.2], [0.8, 0.6, 0.5], [0.5] * 3, [0.5] * 3, phases)
    plot = figures.learning_curves({"a": given, "b": FOLDS["fold 1"]}, "CNN")
    above, other, *_ = plot.figure.axes
    assert above.get_lines()[2].get_xdata() == [2.5, 2.5] and len(other.get_lines()) == 2
    assert " Phase 'fine-tuning' begins at epoch 3." in plot.alt
    assert legend(plot.figure) == ["training", "validation", "next phase"]


@pytest.mark.parametrize(("smallest", "scale"), [(0.5, "linear"), (0.0, "linear"), (0.1, "log")])
def test_losses_far_apart_get_an_axis_that_says_it_is_logarithmic(smallest, scale):
    given = history([5.0, smallest], [5.0, 0.9], [0.5, 0.5], [0.5, 0.5])
    axes = figures.learning_curves({"A": given}, "CNN").figure.axes[0]
    assert axes.get_yscale() == scale
    assert axes.get_ylabel().endswith("log scale") == (scale == "log")


def test_an_arm_looks_the_same_in_every_figure_and_no_two_of_fourteen_are_alike():
    looks = style.looks(ARMS)
    assert len(ARMS) == 14 and len({str(look) for look in looks.values()}) == 14
    some = style.looks(["VGG16, four classes (collapsed)", "MobileNetV2", "of no paper"], ARMS)
    assert list(some.values()) == [looks["VGG16"], looks["MobileNetV2"], looks[ARMS[2]]]
    folds = figures.learning_curves(FOLDS, "VGG16 (collapsed)", order=ARMS).figure.axes[:2]
    assert {axes.get_lines()[0].get_color() for axes in folds} == {looks["VGG16"]["color"]}


def test_the_roc_curve_of_four_images_is_the_one_drawn_by_hand_and_undefined_without_a_negative_one():
    plot = figures.roc({"CNN": THREE_OF_FOUR, LONG: THREE_OF_FOUR.query("label == 'yes'")}, ("no", "yes"), "yes")
    drawn = line(plot.figure.axes[0], "CNN: AUC\N{NO-BREAK SPACE}0.750")
    assert drawn.get_xdata().tolist() == [0, 0, 0.5, 0.5, 1]
    assert drawn.get_ydata().tolist() == [0, 0.5, 0.5, 1, 1]
    assert "CNN: AUC 0.750 (2 of 4 images positive)" in plot.alt
    # Two images with a tumour: of none, one and both of them, Wilson's interval.
    limits = plot.figure.axes[0].collections[0].get_paths()[0].vertices[:, 1]
    assert {0.658, 0.095, 0.905, 0.342} <= {round(float(y), 3) for y in limits}
    undefined = plot.figure.axes[0].get_lines()[1]
    assert undefined.get_label().endswith("AUC\N{NO-BREAK SPACE}undefined")
    assert len(undefined.get_xdata()) == 0
    assert f"{LONG}: AUC undefined (2 of 2 images positive)" in plot.alt


def test_the_roc_curve_belongs_to_the_class_named_positive():
    # Two classes' scores mirror each other: only the label can tell, so use a third.
    given = THREE_OF_FOUR.assign(p_other=0.0)
    given.loc[3, ["p_no", "p_other"]] = [0.0, 0.9]
    plot = figures.roc({"CNN": given}, ("no", "yes", "other"), "no")
    # p_no is 0.1, 0.6 for the two others and 0.4, 0.0 for the two "no": one pair of four.
    assert "positive class no. CNN: AUC 0.250" in plot.alt


def test_the_reliability_curve_is_described_by_its_numbers():
    plot = figures.reliability({"a model": calibrated()}, "a paper")
    assert plot.figure.axes[0].get_title() == "a model\nerror 13.0 %"
    assert "a model: expected calibration error 13.0 %" in plot.alt
    assert "of 4 images predicted with a mean confidence of 0.85, 75 % are correct" in plot.alt


def test_dots_intervals_and_diamonds_stand_at_the_numbers_given():
    estimates = {
        "CNN": {"accuracy": Estimate(0.9, 0.85, 0.93, 60, "Wilson"), "auc": Estimate(0.95, 0.9, 0.99, 60, "DeLong")},
        "ResNet": {"accuracy": Estimate(0.8, 0.7, 0.88, 60, "Wilson")},
    }
    # A printed value counts also where the run has none.
    plot = figures.metrics(
        estimates, {"CNN": {"accuracy": printed_number("97.94%")}, "ResNet": {"auc": printed_number("0,97")}}
    )
    panels = plot.figure.axes
    assert [axes.get_title() for axes in panels] == ["Accuracy", "AUC"]
    at = [{mark: drawn(axes, mark) for mark in ("o", "D", "None")} for axes in panels]
    assert at[0] == {"o": [(0.9, 0), (0.8, 1)], "D": [(0.9794, 0)], "None": [(0.85, 0, 0.93, 0), (0.7, 1, 0.88, 1)]}
    assert at[1] == {"o": [(0.95, 0)], "D": [(0.97, 1)], "None": [(0.9, 0, 0.99, 0)]}
    assert panels[0].get_xlim() == (0.7, 1)
    assert [label.get_text() for label in panels[0].get_yticklabels()] == ["CNN", "ResNet"]
    assert legend(plot.figure) == ["printed in the paper"]
    assert plot.alt == (
        "Scores with 95 % intervals. CNN: accuracy 0.900 (0.850 to 0.930), printed 0.9794; "
        "AUC 0.950 (0.900 to 0.990). ResNet: accuracy 0.800 (0.700 to 0.880); AUC printed 0.97."
    )


def drawn(axes, marker):
    """Points of the lines with a marker, each as x, y, x, y, ..."""
    found = (np.stack(each.get_data(), axis=1) for each in axes.get_lines() if each.get_marker() == marker)
    return [tuple(points.ravel().tolist()) for points in found if not np.isnan(points).any()]


def test_an_undefined_score_is_not_shown_as_zero_nor_an_interval_beside_its_value_moved():
    nan = math.nan
    estimates = {
        "precision": Estimate(nan, nan, nan, 0, "no positive prediction"),
        "f1": Estimate(1.0, 0.9, 0.98, 60, "bootstrap"),
        "auc": Estimate(1.0, nan, nan, 3, "all agree"),
    }
    plot = figures.metrics({"CNN": estimates})
    assert [[text.get_text() for text in axes.texts] for axes in plot.figure.axes] == [["undefined"], [], []]
    assert [drawn(axes, "o") for axes in plot.figure.axes] == [[], [(1, 0)], [(1, 0)]]
    assert [drawn(axes, "None") for axes in plot.figure.axes] == [[], [(0.9, 0, 0.98, 0)], []]
    assert "CNN: precision undefined" in plot.alt and plot.alt.endswith("AUC 1.000.")


@pytest.mark.parametrize(
    ("arm", "printed", "error"),
    [("CNN", "97.94", "received 97.94; give fractions"), ("cnn", "0.9", "expected arms of CNN, received cnn")],
)
def test_percentages_and_printed_values_of_an_unknown_arm_are_refused(arm, printed, error):
    estimates = {"CNN": {"accuracy": Estimate(0.9, 0.85, 0.93, 60, "Wilson")}}
    with pytest.raises(UsageError, match=error):
        figures.metrics(estimates, {arm: {"accuracy": printed_number(printed)}})


def test_confusion_matrices_show_counts_and_shares_of_each_true_class_that_has_an_image():
    empty = table([[3, 1], [0, 0]], ["no", "yes"])
    plot = figures.confusion({"CNN": table([[3, 1], [0, 5]], ["no", "yes"]), "ResNet": empty})
    first, second, _ = plot.figure.axes
    assert [text.get_text() for text in first.texts] == ["3\n75.0 %", "1\n25.0 %", "0\n0.0 %", "5\n100.0 %"]
    assert first.collections[0].get_array().ravel().tolist() == [75, 25, 0, 100]
    assert [label.get_text() for label in first.get_yticklabels()] == ["no", "yes"]
    assert first.get_ylim() == (2, 0)  # the first class is at the top
    assert [text.get_text() for text in second.texts][2:] == ["0\n-"] * 2
    assert plot.alt == (
        "Confusion matrices. CNN: of 4 no, 3 predicted no, 1 predicted yes; of 5 yes, 0 predicted no, 5 predicted yes. "
        "ResNet: of 4 no, 3 predicted no, 1 predicted yes; of 0 yes, 0 predicted no, 0 predicted yes."
    )


def test_names_with_dollars_are_shown_as_they_are():
    names = ["a $\\frac$", "$5 or $6"]
    plot = figures.confusion({names[0]: table([[3, 1], [0, 5]], names)})
    assert shown(plot)[0] == "image/svg+xml"  # a formula that Matplotlib cannot read would be an error
    assert {text.get_text() for text in plot.figure.findobj(Text) if not text.get_parse_math()} == set(names)


def test_the_grad_cam_panel_puts_each_overlay_under_its_model_beside_its_image_and_outlines_lesions():
    first, second, third = (overlays(shade) for shade in (1, 2, 3))
    image, lesion = np.arange(16, dtype=np.uint8).reshape(4, 4, 1), np.eye(4, dtype=bool)
    rows = [
        Explained(
            "True positive", "yes", image, lesion, {"CNN": first, "ResNet": second}, {"CNN": 0.98, "ResNet": 0.9}
        ),
        Explained("True negative", "yes", 9 + image, None, {"ResNet": third}, {"ResNet": 0.02}),
    ]
    plot = figures.grad_cam_panel(rows)
    *cells, bar = plot.figure.axes
    grid = np.reshape(cells, (2, 3))
    assert [axes.get_title() for axes in grid[0]] == ["Image", "CNN", "ResNet"]
    assert [axes.get_ylabel() for axes in grid[:, 0]] == ["True positive\n(p of yes)", "True negative\n(p of yes)"]
    assert [axes.get_xlabel() for axes in grid.flat] == ["", "p(yes) = 0.98", "p(yes) = 0.90", "", "", "p(yes) = 0.02"]
    drawn = [[i.get_array().ravel().tolist() for i in axes.images] for axes in grid.flat]
    expected = [[image], [first], [second], [9 + image], [], [third]]
    assert drawn == [[a.ravel().tolist() for a in cell] for cell in expected]
    assert [len(axes.collections) for axes in grid.flat] == [1, 1, 1, 0, 0, 0]
    assert legend(plot.figure) == ["outline of the lesion"] and "maximum" in bar.get_ylabel()
    # A dark image must look dark: the grey scale is that of 8 bits, not the image's own range.
    assert grid[0, 0].images[0].get_clim() == (0, 255)
    assert plot.alt == (
        "Grad-CAM heat maps of 2 images with outlined lesions, by CNN, ResNet. True positive, p(yes) CNN 0.98, ResNet "
        "0.90; True negative, p(yes) ResNet 0.02."
    )


@pytest.mark.parametrize("titles", [(LONG,), tuple(ARMS)], ids=["one arm", "all arms of yim"])
def test_every_figure_fits_on_a_screen_whole_and_can_be_read(titles):
    for name, plot in every_plot(titles).items():
        figure = plot.figure
        figure.draw_without_rendering()  # Matplotlib warns if a panel collapses
        outer, inner = figure.bbox, figure.get_tightbbox().transformed(figure.dpi_scale_trans)
        assert inner.x0 >= outer.x0 - 1 and inner.x1 <= outer.x1 + 1, name
        assert inner.y0 >= outer.y0 - 1 and inner.y1 <= outer.y1 + 1, name
        assert plot.width <= 900 and figure.get_figheight() * style.CSS_DPI <= 900, name
        assert min(text.get_fontsize() for text in figure.findobj(Text) if text.get_text()) >= 7, name
        boxes = [a.get_window_extent() for a in figure.axes if a.get_visible()]
        assert min(min(box.width, box.height) for box in boxes) > 0.1 * figure.dpi, name


@pytest.mark.parametrize(
    "draw",
    [
        lambda: figures.learning_curves({}, "CNN"),
        lambda: figures.learning_curves({"fold 1": FOLDS["fold 1"].iloc[:0]}, "CNN"),
        lambda: figures.roc({}, ("no", "yes"), "yes"),
        lambda: figures.metrics({}),
        lambda: figures.metrics({"CNN": {}}),
        lambda: figures.confusion({}),
        lambda: figures.grad_cam_panel([]),
        lambda: figures.forest([]),
        lambda: figures.reliability({}, "a paper"),
        lambda: figures.Plot(Figure(), " \n"),
    ],
)
def test_nothing_to_draw_or_to_say_of_it_is_an_error_not_an_empty_figure(draw):
    with pytest.raises(UsageError, match="to draw, received none|alternative text"):
        draw()


def test_drawing_and_showing_leave_no_open_figure_and_no_changed_style():
    import matplotlib.pyplot as plt

    opened, style = plt.get_fignums(), dict(matplotlib.rcParams)
    for plot in every_plot().values():
        plot._repr_mimebundle_()
    assert plt.get_fignums() == opened
    assert dict(matplotlib.rcParams) == style


def shown(plot):
    """What a notebook keeps of a figure: its only picture and the metadata."""
    data, metadata = DisplayFormatter().format(plot)
    output = nbformat.v4.new_output("display_data", data, metadata=metadata)
    nbformat.validate(nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("plot", outputs=[output])]))
    ((kind, described),) = metadata.items()
    assert set(data) == {kind, "text/plain"}
    assert described == {"alt": plot.alt, "width": round(96 * plot.figure.get_figwidth())}
    return kind, data[kind]


def test_a_figure_of_lines_is_a_drawing_that_repeats_and_names_no_font_or_date():
    plot = figures.confusion({'CNN "small" <1 MB> & fast': table([[3, 1], [0, 5]], ["no", "yes"])})
    kind, drawn = shown(plot)
    assert kind == "image/svg+xml" and drawn == shown(plot)[1] and "<svg" in drawn
    assert "<text" not in drawn and "dc:date" not in drawn


def test_a_figure_of_images_is_a_sharp_picture_and_a_grey_one_has_no_colours():
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (100, 100, 1), dtype=np.uint8)
    figure = style.figure(4, 3)
    for axes in figure.subplots(4, 5).ravel():
        axes.axis("off")
        axes.imshow(noise, cmap="gray", interpolation="none")
    kind, data = shown(figures.Plot(figure, "Noise."))
    with PIL.Image.open(io.BytesIO(base64.b64decode(data))) as image:
        assert kind == "image/png" and image.mode == "L"
        assert image.width == 2 * 4 * 96  # sharp on a screen of double density
        assert np.asarray(image).std() > 30


def test_samples_are_of_each_class_and_no_two_of_one_duplicate_group(tmp_path):
    study = Study("hajhashem", profile="smoke", data="phantoms", out=str(tmp_path))
    plot = figures.samples(study)
    shown = [axes.images[0].get_array().data.tobytes() for axes in plot.figure.axes if axes.images]
    assert len(shown) == len(set(shown)) == 12
    assert plot.alt.startswith("Phantoms of each class") and plot.alt.endswith("6 of 30 no, 6 of 30 yes.")


def test_a_checklist_has_a_dot_an_item_and_its_sums():
    plot = figures.reporting({paper: reporting_of(paper) for paper in ("lu", "yim")})
    axes = plot.figure.axes[0]
    dots = {}
    for line in axes.get_lines():
        look = (line.get_marker(), line.get_fillstyle(), line.get_markerfacecolor() == "white")
        dots[look] = dots.get(look, 0) + len(line.get_xdata())
    # Reported, in part, not reported (hollow), not applicable; by hand from the two files.
    assert dots == {
        ("o", "full", False): 12,
        ("o", "left", False): 32,
        ("o", "full", True): 36,
        ("_", "full", False): 8,
    }
    assert [text.get_text() for text in axes.texts] == ["10 + 13 of 41", "2 + 19 of 39"]
    assert "lu 10 and 13 of 41; yim 2 and 19 of 39" in plot.alt and "Methods: data (7 to 13) 2, 1" in plot.alt
    assert plot.figure.get_figwidth() <= style.WIDTH
    with pytest.raises(UsageError, match="a paper"):
        figures.reporting({"mine": ()})
