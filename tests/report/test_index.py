"""From the files that notebooks leave to results.json and the index: whole, valid, escaped."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from html import unescape
from pathlib import Path
from urllib.parse import unquote

import pytest
from browsing import Page, assert_whole_by_itself
from stored import CONDITION, TRAINED, audited, check, claim, result

from brainlib.report.index import write_index, write_results
from brainlib.report.notebook import SECTIONS, Outcome
from brainlib.study import records
from brainlib.study.records import Run

HOSTILE = "<img src=x onerror=alert(1)>\"'&{{ 77*77 }}"


def control(finding, **changes):
    place = dict(arm="cnn", scenario="", control="shuffled labels", split="duplicates kept apart", n=60)
    return place | dict(value=0.7, low=0.6, high=0.8, chance=0.5, finding=finding, expected="at chance") | changes


def test_controls_stand_on_the_index_and_one_that_fails_stands_out(run):
    _, html = run(result())
    assert "Controls The scores of the papers' protocols" not in text_of(html) and 'href="#controls"' not in html
    _, html = run(result(controls=[control("above chance"), control("at chance", value=0.5, collapsed=True)]))
    text = text_of(html)
    assert "shuffled labels duplicates kept apart 60 70.00 (60.00 to 80.00) 50.00 above chance; expected" in text
    assert "shuffled labels duplicates kept apart 60 50.00 (60.00 to 80.00) 50.00 at chance collapsed" in text
    assert html.count('class="not-reproduced">above chance; expected at chance') == 1


def test_the_index_shows_what_the_papers_of_a_run_report(run):
    _, html = run(result(), failed=[("lu", "ValueError: no"), ("mine", "ValueError: no")])
    figure = re.search(r'<figure id="figure-2">.*?</figure>', html, re.DOTALL)[0]
    assert 'alt="Items of CLAIM 2024' in figure and "lu 10 and 13 of 41; jardim 8 and 16 of 39." in figure
    assert "Figure 2. The items of CLAIM 2024" in text_of(f"</style>{figure}") and 'href="#reporting"' in html


def test_an_index_of_own_images_says_so_and_none_is_called_impossible_where_none_is(run):
    _, html = run(result(data=result()["data"] | {"set": "own", "title": "My scans", "source": "folder"}))
    text = text_of(html)
    assert "Your own images, other images than the papers'" in text and "neither confirms" not in text
    assert "No printed number is impossible. 1 check was made" in text


@pytest.fixture
def run(tmp_path):
    """Write results of papers (a dict, or the text of a file) and make the answers of a run."""

    def made(*papers, failed=()):
        outcomes = [Outcome(name, False, error, 1.0, tmp_path / f"{name}.html") for name, error in failed]
        (tmp_path / "results").mkdir(exist_ok=True)
        for paper in papers:
            name, content = ("jardim", paper) if isinstance(paper, str) else (paper["paper"], paper)
            path = tmp_path / "results" / f"{name}.json"
            text = content if isinstance(content, str) else json.dumps(content)
            path.write_text(text, errors="surrogateescape")
            (tmp_path / f"{name}.html").touch()
            outcomes.append(Outcome(name, True, None, 2.0, tmp_path / f"{name}.html"))
        (tmp_path / "results" / "00_data_audit.json").write_text(json.dumps(audited()))
        answers = write_results(tmp_path, outcomes, Outcome("00_data_audit", True, None, 3.0, tmp_path / "none.html"))
        index = write_index(tmp_path, answers)
        return json.loads((tmp_path / "results.json").read_text()), index.read_text()

    return made


def test_of_phantoms_the_index_says_first_what_the_reader_has_seen(run):
    def score(value, low, high, n):
        return {"value": value, "low": low, "high": high, "n": n, "method": "Wilson"}

    place = {"arm": "cnn", "scenario": "", "score": "accuracy", "retrained": None}
    effect = place | {"published": score(0.94, 0.9, 0.97, 100), "without_duplicates": score(0.85, 0.7, 0.9, 40)}
    effect |= {"leaked": score(1.0, 0.94, 1.0, 60), "difference": -0.09, "low": -0.15, "high": -0.03}
    at_chance = effect | {"arm": "transfer", "published": score(0.5, 0.4, 0.6, 100), "difference": 0.0, "high": 0.1}
    pointing = {"arm": "cnn", "scenario": "", "score": "hottest pixel in the lesion", "reference": 0.02}
    arms = result()["arms"]
    arms |= {"transfer": arms["cnn"] | {"collapsed": {"": "yes"}}}
    found = result(
        arms=arms,
        duplicates=[effect, at_chance],
        heat_maps=[
            pointing | {"value": 0.8, "low": 0.6, "high": 0.9, "n": 40},
            pointing | {"value": 0.1, "low": 0.0, "high": 0.2, "n": 40, "method": "HiResCAM"},
        ],
    )
    _, html = run(found)
    text = text_of(html)
    first = text.index("Nothing here judges a paper.")
    assert text.index("This run used synthetic images: nothing in it judges a paper.") < first
    assert first < text.index("1 of 2 models classify more than 90 % of their test images correctly (all: 50 to 94 %).")
    assert "The hottest pixel of heat maps lies in the lesion in 80 % of the test images that have one." in text
    assert "accuracy changes by -9 to 0 points; for 1 of 2 models the whole 95 % interval lies below zero: part" in text
    assert "neither confirms nor refutes" not in text and "stands in" not in text
    assert "94.00 (90.00 to 97.00) 85.00 (70.00 to 90.00) -9.00 (-15.00 to -3.00) 80.00 (60.00 to 90.00)" in text
    assert "transfer collapsed 50.00" in text and "cnn collapsed" not in text
    # Where no image is left without duplicates, a difference is not defined.
    nothing = dict.fromkeys(("difference", "low", "high"))
    _, html = run(found | {"duplicates": [effect, effect | nothing]})
    assert "accuracy changes by -9 points; for 1 of 2 models" in text_of(html)
    # Of real images no such thing is said, whatever the scores.
    _, html = run(found | {"data": found["data"] | {"source": "folder"}})
    assert "phantoms, slices" not in text_of(html) and "What is seen on phantoms" not in text_of(html)


def refuse(constant):
    raise AssertionError(f"{constant} is no JSON")


def text_of(html):
    return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]*>", " ", html.split("</style>")[1])))


def test_results_hold_the_papers_of_this_run_with_status_and_report(run):
    content, html = run(result(), failed=[("lu", "ValueError: no")])
    assert "1 notebook failed. lu : ValueError: no" in text_of(html)
    assert "Synthetic images: phantoms" in re.search(r'<p class="banner">(.*?)</p>', html, re.DOTALL)[1]
    assert content["audit"]["result"]["sets"]["sartaj"]["contradictions"] == [["a.png", "b.png"]]
    assert "sartaj 3264 0 10 5 5 1" in text_of(html)
    assert content["brainlib"] and re.fullmatch(r"[-\dT:]+(Z|\+00:00)", content["created"])
    assert list(content["papers"]) == ["lu", "jardim"]
    jardim, lu = content["papers"]["jardim"], content["papers"]["lu"]
    assert (jardim["status"], jardim["error"], jardim["seconds"]) == ("ran", None, 2.0)
    assert (jardim["report"], jardim["result"]) == ("jardim.html", result())
    assert (lu["status"], lu["error"], lu["result"], lu["report"]) == ("failed", "ValueError: no", None, None)


def test_results_of_an_earlier_run_stay_out(run, tmp_path):
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "yim.json").write_text(json.dumps(result("yim")))
    content, html = run(result())
    assert list(content["papers"]) == ["jardim"] and "yim.html" not in html


def test_numbers_that_are_not_finite_become_null(run, tmp_path):
    nothing = {"value": float("nan"), "low": float("-inf"), "high": float("inf"), "n": 60, "method": "none"}
    content, html = run(result(claims=[claim(reproduced=nothing)]))
    read = content["papers"]["jardim"]["result"]["claims"][0]["reproduced"]
    assert (read["value"], read["low"], read["high"]) == (None, None, None)
    json.loads((tmp_path / "results.json").read_text(), parse_constant=refuse)
    assert "undefined" in text_of(html)


@pytest.mark.parametrize(
    ("damaged", "said"),
    [
        ("", "expected JSON"),
        ("\udcff\udcfe", "expected JSON"),
        ("[" * 100_000, "expected JSON"),
        ("[]", "the whole"),
        ("{}", "paper: Field required"),
        (json.dumps(result(extra=1)), "extra: Extra inputs"),
        (json.dumps(result("lu")), "paper: expected 'jardim', received 'lu'"),
        (json.dumps(result(claims=[claim(verdict="confirmed")])), "claims.0.verdict"),
        (json.dumps(result(claims=[claim(n="600")])), "claims.0.n"),
        (json.dumps(result(claims=[claim(printed="a 1 b")])), "claims.0: Value error, printed number"),
        (json.dumps(result(schema_version=1)), "schema_version"),
        (json.dumps(result(checks=[check("odd")])), "checks.0.finding"),
    ],
    ids=lambda value: value[:12],
)
@pytest.mark.fault(
    "9i",
    "results of a notebook are no JSON, of another schema, or another paper's",
    "that paper has failed, in one line; the others stand",
)
def test_a_damaged_result_is_that_papers_failure_and_no_crash(run, damaged, said):
    content, html = run(damaged, result("lu"))
    entry = content["papers"]["jardim"]
    assert entry["status"] == "failed" and entry["result"] is None
    assert entry["error"].startswith("results/jardim.json: ") and said in entry["error"]
    assert "\n" not in entry["error"]
    assert content["papers"]["lu"]["status"] == "ran"
    assert "1 notebook failed" in text_of(html)


def test_a_notebook_that_left_no_result_has_failed_and_a_failed_audit_stands_at_the_top(tmp_path):
    failed = Outcome("00_data_audit", False, "DataError: no", 1.0, tmp_path / "00_data_audit.html")
    failed.html.touch()
    ran = [Outcome("yim", True, None, 1.0, tmp_path / "yim.html")]
    answers = write_results(tmp_path, ran, failed)
    assert (answers.audit.status, answers.audit.error) == ("failed", "DataError: no")
    assert answers.papers["yim"].error == "results/yim.json: expected the notebook to write this file, it did not"
    html = write_index(tmp_path, answers).read_text()
    top = html[html.index("<h1>") : html.index("<h2")]
    assert "2 notebooks failed." in top and "the audit of the data" in top and "DataError: no" in top
    assert 'href="00_data_audit.html"' in top


def test_a_users_folder_is_named_folder(run):
    content, html = run(result(options=result()["options"] | {"data": "/home/ann/mri", "weights": {"cnn": "C:\\w"}}))
    kept = content["papers"]["jardim"]["result"]["options"]
    assert (kept["data"], kept["weights"]) == ("folder", {"cnn": "folder"}) and "/home/ann" not in html


def test_the_index_says_the_answer_first_and_counts_each_verdict(run):
    verdicts = ["reproduced"] * 3 + ["not reproduced"] * 2 + ["inconclusive", "not computed"]
    claims = [claim(f"c{i}", v, reasons=[v]) for i, v in enumerate(verdicts)]
    real = result()["data"] | {"source": "folder"}
    _, html = run(result(claims=claims, conditions=[], data=real))
    text = text_of(html)
    assert "This run used real images: 3 reproduced, 2 not reproduced, 1 inconclusive." in text
    assert (
        "Of 7 numbers printed in 1 paper, 3 are reproduced , 2 are not reproduced , "
        "1 is inconclusive , 1 is not computed ."
    ) in text
    assert "neither confirms nor refutes" not in text
    # A row a paper: as published, and without duplicates, where every one of them has another verdict.
    assert "CNN 3 reproduced , 2 not reproduced , 1 inconclusive , 1 not computed 7 not reproduced 0.2" in text
    _, html = run(result(data=real))
    assert "This run neither confirms nor refutes any printed number." in text_of(html)


def test_a_condition_that_papers_share_is_said_once_with_the_models_it_is_about(run):
    arms = result()["arms"] | {"vgg": {"title": "VGG16", "weights": "none", "conditions": []}}
    claims = [claim(f"c{i}", reasons=[CONDITION, "a subset of 60"]) for i in range(9)]
    _, html = run(result(claims=claims), result("lu", arms=arms))
    text = text_of(html)
    assert f"{CONDITION} jardim, lu" in text
    assert f"{TRAINED} jardim, lu (cnn)" in text
    assert text.count("a subset of 60") == 1 and text.count("All for reasons 1 of jardim , 2 of jardim .") == 1
    # Verdict and reasons stand once above the nine numbers, not beside each.
    assert text.count("9 not comparable") == 2 and ">Reasons</th>" not in html
    claims[0]["reasons"] = ["another"]
    _, html = run(result(claims=claims))
    assert ">Reasons</th>" in html and text_of(html).count("1 of jardim") == 1
    assert text_of(html).count("2 of jardim") == 8


def test_numbers_are_shown_in_the_unit_in_which_they_are_printed(run):
    spread, minutes = (
        dict(value=value, low=low, high=high, n=60, method="bootstrap")
        for value, low, high in ((0.0001, 0.00005, 0.0004), (120.0, 90.0, 150.0))
    )
    claims = [
        claim("accuracy"),
        claim("variance", printed="1.10%", unit="percent^2", reproduced=spread),
        claim("time", printed="3", unit="min", reproduced=minutes),
    ]
    text = text_of(run(result(claims=claims))[1])
    for shown in ("99,67% 95.83 % (86.00 to 98.85)", "1.10 %² 1 (0.5 to 4)", "3 min 2 (1.5 to 2.5)"):
        assert shown in text


def test_numbers_that_are_not_computed_are_summed_up_by_reason_outside_the_table(run):
    left = [
        claim(f"layers.{i}", "not computed", reproduced=None, printed=f"{i}", reasons=["a setting"]) for i in range(3)
    ]
    _, html = run(result(claims=[claim(), *left]))
    assert "a setting" not in re.search(r'class="claims".*?</table>', html, re.DOTALL)[0]
    assert "a setting: layers.0 (0), layers.1 (1), layers.2 (2)" in text_of(html)


def test_before_this_run_stands_what_the_stored_runs_found_and_how_many_numbers_are_impossible(run):
    checks = [
        check("impossible", suspect=["a", "b"]),
        check("impossible", suspect=["b"]),
        check(),
        check("conditional"),
    ]
    _, html = run(result(checks=checks), result("lu", checks=[check("impossible", suspect=["a"])]))
    text = text_of(html)
    places = [
        "576 of 600 test images of Br35H have a duplicate in training",
        "Figure 1.",
        # Two checks of jardim name two numbers, and one of lu one.
        "3 numbers in 3 checks are impossible",
        "5 checks were made",
        "Synthetic images",
    ]
    assert [text.index(each) for each in places] == sorted(text.index(each) for each in places)
    assert 'href="consistency.html"' in re.search(r"<a [^>]*>", html)[0]
    # A shortcut that was not run has its place all the same.
    assert "jardim MobileNet 0.25 for ResNet50V2 Br35H, 600 98 98.67" in text
    assert re.search(r"95\.50 \(93\.42 to 97\.07\) 76\.97 \(64\.82 to 87\.59\) not comparable", text)
    assert "not run not run" in text[text.index("lu MobileNet, four classes") :]


def test_the_page_of_the_checks_counts_findings_and_shows_what_is_wrong_open(run, tmp_path):
    odd = check("impossible", sentence="<b>784</b> of 800 is not 97.94%.", suspect=["a"])
    run(result(checks=[check(), check(), odd]))
    html = (tmp_path / "consistency.html").read_text()
    assert "&lt;b&gt;784&lt;/b&gt; of 800" in html and "<b>784" not in html
    assert "1 number in 1 check is impossible" in text_of(html) and "jardim 1 0 2 3 1" in text_of(html)
    # What is consistent is a click away.
    assert html.index("784") < html.index("<details>") < html.index("598 of 600")


def without_own_script(html):
    """The index without the one script that its policy names, checked to be that one."""
    (script,) = re.findall(r"<script>(.*?)</script>", html, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in html
    return html.replace(f"<script>{script}</script>", "")


@pytest.mark.fault("8b", "HTML and scripts in the title, the authors and the claims of a paper", "shown as text")
def test_hostile_text_from_files_stays_text(run):
    arms = {HOSTILE: {"title": HOSTILE, "weights": HOSTILE, "conditions": [HOSTILE], "collapsed": {}}}
    data = result()["data"] | {"title": HOSTILE, "fingerprint": HOSTILE, "differences": [HOSTILE]}
    texts = dict(where=HOSTILE, unit=HOSTILE, arm=HOSTILE, reasons=[HOSTILE], collapsed=HOSTILE)
    claims = [claim(printed="99", metric="sensitivity", **texts)] * 2
    about = dict(title=HOSTILE, authors=[HOSTILE], conditions=[HOSTILE], environment={HOSTILE: HOSTILE})
    _, html = run(result(arms=arms, data=data, claims=claims, **about), failed=[("lu", HOSTILE)])
    html, figures = re.subn(r'<img alt="[^"<>]*" width="\d+" src="data:image/svg.xml;base64,[\w+/=]+">', "", html)
    assert figures == 2 and "<img" not in html and "5929" not in text_of(html).replace("{{ 77*77 }}", "")
    assert html.count("&lt;img src=x onerror=alert(1)&gt;") > 10
    assert_whole_by_itself(without_own_script(html))


def assert_links_lead_somewhere(index):
    """Every link of a page is to a file that is there, and to an id that this has."""
    for link in Page(index.read_text()).links:
        file, _, fragment = link.partition("#")
        target = index.with_name(unquote(file)) if file else index
        assert target.is_file(), link
        assert not fragment or f'id="{unquote(fragment)}"' in target.read_text(), link


def links_of(html, paper):
    """Where the first links of a paper's part of the index lead, by what they are called."""
    part = html[html.index(f'id="paper-{paper}"') :]
    part = part[: part.index("</dl>")]
    pairs = re.findall(r'<a href="([^"]*)">(.*?)</a>', part, re.DOTALL)
    return {text_of("</style>" + words).strip(): link for link, words in pairs}


def test_each_part_of_a_papers_report_is_a_click_away(run, tmp_path):
    run(result(), failed=[("lu", "no such luck")])
    page = "".join(f'<h2 id="{each.replace(" ", "-")}">{each}</h2>' for each in SECTIONS if each != "Controls")
    (tmp_path / "jardim.html").write_text(page)
    answers = Run.model_validate_json((tmp_path / "results.json").read_text())
    html = write_index(tmp_path, answers).read_text()
    assert links_of(html, "jardim") == {
        "Read the page on jardim": "jardim.html",
        "possible or not of jardim": "jardim.html#Are-the-printed-numbers-possible?",
        "reporting checklist of jardim": "jardim.html#Reporting-checklist",
        "without duplicates of jardim": "jardim.html#Without-duplicates",
        "shortcuts of jardim": "jardim.html#Shortcuts",
        "t-test of jardim": "jardim.html#The-t-test",
        "intervals and calibration of jardim": "jardim.html#Uncertainty-and-calibration",
        "several seeds of jardim": "jardim.html#Several-seeds",
        "learning curves of jardim": "jardim.html#Learning-curves",
        "heat maps of jardim": "jardim.html#Grad-CAM",
        "verdicts of jardim": "jardim.html#Verdict",
        "0 checks with impossible numbers of jardim": "consistency.html#jardim",
    }
    assert "lu failed" in text_of(html)
    assert_links_lead_somewhere(tmp_path / "index.html")


def test_an_index_of_results_alone_links_to_no_page_that_is_not_there(run, tmp_path):
    run(result())
    answers = Run.model_validate_json((tmp_path / "results.json").read_text())
    index = write_index(tmp_path / "elsewhere", answers)
    html = index.read_text()
    assert answers.papers["jardim"].report == "jardim.html" and "jardim.html" not in html
    assert links_of(html, "jardim") == {"0 checks with impossible numbers of jardim": "consistency.html#jardim"}
    assert "python 3.11.2, tensorflow 2.21.0" in text_of(html)
    assert_links_lead_somewhere(index)


def test_the_printed_numbers_of_a_failed_paper_are_checked_all_the_same(run, tmp_path):
    _, html = run(failed=[("hajhashem", "no such luck")])
    assert "No notebook ran to its end." in text_of(html)
    assert 'id="hajhashem"' in (tmp_path / "consistency.html").read_text()


def test_printed_numbers_keep_their_digits(run):
    found = {"value": 0.9, "low": 0.8, "high": 0.95, "n": 60, "method": "Wilson"}
    claims = [claim(f"c{i}", printed=p, phase=p, reproduced=found) for i, p in enumerate(("98%", "97.90%", "0,95"))]
    claims[2]["unit"] = "1"
    html = run(result(claims=claims))[1]
    assert re.findall(r'<td class="n">(9[^<]*)</td><td class="n">\s*90', html) == ["98", "97.90", "95"]


REFERENCES = sorted((Path(__file__).parents[2] / "reports" / "reference").glob("*/results.json"))


@pytest.mark.parametrize("path", REFERENCES, ids=lambda path: path.parent.name)
def test_the_stored_runs_are_in_the_format_of_today(path):
    stored = records.read(path, Run)
    assert stored.papers or path.parent.name == "audit"
    assert all(entry.result.claims for entry in stored.papers.values())
    assert stored.model_dump_json(indent=1) + "\n" == path.read_text()
    assert stored.audit.result.sets and not stored.audit.result.phantoms
