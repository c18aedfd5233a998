"""The command line: ``brainlib run``, ``brainlib claims`` and ``brainlib check``.

Exit status: 0 all well; 1 a notebook failed, the others ran, and the index says which and why;
2 bad usage or bad input, said in one line, with nothing written; 130 interrupted.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import sys
from pathlib import Path

from brainlib import progress
from brainlib.errors import BrainlibError, UsageError

_DATA = """folder that holds one folder a data set (br35h, navoneel, ...), 'kaggle' to download
them, or 'phantoms'; by default the folder in BRAINLIB_DATA, else phantoms"""
_WEIGHTS = """'imagenet' (downloaded), 'random', or a folder of Keras' weight files; by default
random on phantoms, else the folder in BRAINLIB_WEIGHTS, else imagenet"""
_PROFILE = """how much of a protocol: smoke (seconds a notebook), demo (minutes; the default), full
(the paper's protocol whole)"""


def main(argv: list[str] | None = None) -> int:
    """Run a command.

    Parameters
    ----------
    argv : list of str, optional
        Arguments; by default the program's.

    Returns
    -------
    int
        Exit status.
    """
    try:
        arguments = _parser().parse_args(argv)
        return arguments.command(arguments)
    except BrainlibError as error:
        print(f"brainlib: error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("brainlib: interrupted; what was finished is kept, run again to go on", file=sys.stderr)
        return 130


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one line, without the usage before it."""

    def error(self, message):
        raise UsageError(f"{message}; see {self.prog} --help")


def _parser():
    parser = _Parser(prog="brainlib", description="Reproduces and audits brain-tumour MRI papers.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    run = commands.add_parser("run", help="run the papers' notebooks and render the report")
    run.set_defaults(command=_run)
    run.add_argument("--papers", default="", metavar="A,B", help="papers to run; all by default")
    run.add_argument("--profile", default="demo", metavar="NAME", help=_PROFILE)
    run.add_argument("--data", default="", metavar="DIR", help=_DATA)
    run.add_argument("--weights", default="", metavar="DIR", help=_WEIGHTS)
    run.add_argument(
        "--backbone",
        default=[],
        action="append",
        metavar="A=B",
        help="train backbone B in the place of A, and say so wherever the arm is named",
    )
    run.add_argument(
        "--arms",
        default="",
        metavar="A,B",
        help="arms to run, of the papers that have them, or 'all'; by default those that a paper names for the profile",
    )
    run.add_argument("--scenarios", default="", metavar="A,B", help="scenarios to run, likewise")
    run.add_argument("--seed", default=0, type=int, help="of splits and training; 0 by default")
    run.add_argument("--seeds", default=1, type=int, metavar="N", help="repeat everything by so many seeds")
    run.add_argument("--retrain", action="store_true", help="train again with copies kept together, as well")
    run.add_argument(
        "--controls",
        action="store_true",
        help="also train where nothing can be learned, and plant copies for the audit to find",
    )
    run.add_argument("--jobs", default=1, type=int, metavar="N", help="models trained at a time")
    run.add_argument("--scheduler", default="", metavar="ADDRESS", help="a Dask scheduler to use")
    run.add_argument("--out", default="reports", metavar="DIR", help="where the report goes")
    run.add_argument("--fresh", action="store_true", help="train again what was trained before")

    claims = commands.add_parser("claims", help="print every printed number of a paper")
    claims.set_defaults(command=_claims)
    claims.add_argument("paper", nargs="?", default="", metavar="PAPER", help="all by default")
    claims.add_argument("--json", default="", metavar="FILE", help="write JSON instead of a table")

    check = commands.add_parser("check", help="say whether the printed numbers are possible")
    check.set_defaults(command=_check_printed)
    check.add_argument("paper", nargs="?", default="", metavar="PAPER", help="all by default")
    check.add_argument("--json", default="", metavar="FILE", help="write every check as JSON")
    check.add_argument("--html", default="", metavar="FILE", help="write them as a page")

    audit = commands.add_parser("audit", help="find copies, leaks and contradictions in images")
    audit.set_defaults(command=_audit)
    audit.add_argument("target", metavar="SET|DIR", help="a registered set, or any folder of classes")
    audit.add_argument("--data", default="", metavar="DIR", help="folder that holds one folder a set")
    audit.add_argument("--json", default="", metavar="FILE", help="write every finding as JSON")

    export = commands.add_parser("export", help="write a trained model and its card to a folder")
    export.set_defaults(command=_export)
    export.add_argument("trial", metavar="TRIAL", help="key of a stored model, its first digits, or its name")
    export.add_argument("folder", metavar="DIR", help="a new or empty folder")
    export.add_argument("--out", default="reports", metavar="DIR", help="whose store has the model")

    app = commands.add_parser("app", help="show images to trained models, in a browser")
    app.set_defaults(command=_app)
    app.add_argument("--out", default="reports", metavar="DIR", help="whose store has the models")
    app.add_argument("--data", default="", metavar="DIR", help="folder that holds one folder a data set")
    app.add_argument("--port", default=8866, type=int, metavar="N", help="8866 or one near it by default")
    app.add_argument("--no-browser", action="store_true", help="only say the address")
    return parser


def _run(arguments):
    from brainlib import io
    from brainlib.audit import overview
    from brainlib.models.backbones import IMAGENET, RANDOM
    from brainlib.report import index, notebook
    from brainlib.study.options import KAGGLE, PHANTOMS, Options
    from brainlib.trials import workers

    arms, scenarios = _names(arguments.arms), _names(arguments.scenarios)
    papers = _papers(arguments.papers, arms, scenarios)
    if arguments.jobs < 1:
        raise UsageError(f"--jobs: expected 1 or more, received {arguments.jobs}")
    options = Options.of(
        {
            "profile": arguments.profile,
            # Workers and a reader of the executed notebook may stand in another folder.
            "data": _absolute(arguments.data, KAGGLE, PHANTOMS),
            "weights": _absolute(arguments.weights, IMAGENET, RANDOM),
            "backbone": dict(map(_substitution, arguments.backbone)),
            "arms": arms,
            "scenarios": scenarios,
            "seed": arguments.seed,
            "seeds": arguments.seeds,
            "retrain": arguments.retrain,
            "controls": arguments.controls,
            "scheduler": arguments.scheduler,
            "out": _absolute(arguments.out),
            "fresh": arguments.fresh,
        }
    )
    notebooks = [_notebook(paper) for paper in (overview.NAME, *papers)][1:]
    out = Path(options.out)
    with _leaving_nothing(out):
        _check(papers, options)
        if options.scheduler:
            with workers.connected(options.scheduler):
                pass  # answers, or says in one line that it does not
    io.sweep(out)
    cluster = contextlib.nullcontext(options.scheduler) if options.scheduler else workers.local_cluster(arguments.jobs)
    with cluster as address:
        parameters = {**options.model_dump(), "scheduler": address}
        progress.log(f"{overview.NAME}: looking for copies in the images")
        audited = {name: parameters[name] for name in ("profile", "data", "controls", "out")}
        first = notebook.run_notebook(_notebook(overview.NAME), audited, out)
        outcomes = []
        for paper, path in zip(papers, notebooks, strict=True):
            progress.log(f"{paper}: running {path.name}")
            outcomes.append(notebook.run_notebook(path, parameters, out))
    results = index.write_results(out, outcomes, first)
    index = index.write_index(out, results)
    entries = {overview.NAME: results.audit, **results.papers}
    for name, entry in entries.items():
        state = f"FAILED: {entry.error}" if entry.error else "ran"
        print(f"{name}: {state} ({entry.seconds:.0f} s)")
    print(f"report: {index}")
    return 1 if any(entry.error for entry in entries.values()) else 0


def _papers(text, arms, scenarios):
    from brainlib.papers.schema import load_paper, paper_ids
    from brainlib.study.selection import papers_with

    papers = _names(text) or papers_with(arms, scenarios)
    for paper in papers:
        if paper not in paper_ids():
            load_paper(paper)  # says which papers there are
            raise UsageError(f"--papers: expected names of papers, received '{paper}'")
    return papers


def _names(text):
    return list(dict.fromkeys(filter(None, map(str.strip, text.split(",")))))


def _absolute(path, *words):
    return path if path in ("", *words) else str(Path(path).expanduser().absolute())


def _substitution(text):
    stated, found, used = text.partition("=")
    if not (stated and found and used):
        raise UsageError(f"--backbone: expected A=B, such as resnet50v2=mobilenet_v2; got '{text}'")
    return stated, used


def _notebook(paper):
    path = Path(__file__).parents[1] / "notebooks" / f"{paper}.ipynb"
    if not path.is_file():
        raise UsageError(f"{paper}: its notebook is not beside the package; run from a checkout of the project")
    return path


def _check(papers, options):
    """Find what would fail later: data, images, weights, and an output that cannot be written."""
    from brainlib.data import datasets
    from brainlib.io import writing
    from brainlib.study.options import KAGGLE, PHANTOMS
    from brainlib.study.study import Study

    studies = [Study(paper, **options.model_dump()) for paper in papers]
    with writing(Path(options.out) / ".writable") as file:
        file.write(b"")
    # Another run with the same folder may have been faster.
    (Path(options.out) / ".writable").unlink(missing_ok=True)
    if options.source == PHANTOMS:
        return
    if options.source != KAGGLE:
        for study in studies:
            datasets.locate(study.paper.data.set.value, Path(options.source))
    for study in studies:
        _ = study.indexed  # decodes every image that was not decoded before


@contextlib.contextmanager
def _leaving_nothing(out):
    """Remove what a check wrote below `out` when it fails, and the folders made for it.

    A check stores nothing but the index of a data set. Whatever else appears meanwhile belongs to
    another run with the same `out`, and stays.
    """
    index = out / "store" / "index"
    # Path.exists raises where a folder may not be looked into; os.path.exists says no.
    absent = [folder for folder in (index, *index.parents) if not os.path.exists(folder)]
    before = set() if index in absent else set(index.glob("*.json"))
    try:
        yield
    except BaseException:
        with contextlib.suppress(OSError):
            for path in set(index.glob("*.json")) - before:
                path.unlink(missing_ok=True)
        for folder in absent:  # the deepest first
            with contextlib.suppress(OSError):  # not made, or not empty
                folder.rmdir()
        raise


def _check_printed(arguments):
    from brainlib.papers import consistency
    from brainlib.papers.schema import load_paper, paper_ids

    papers = [arguments.paper] if arguments.paper else paper_ids()
    loaded = {paper: load_paper(paper) for paper in papers}
    found = {name: consistency.check_paper(paper) for name, paper in loaded.items()}
    if arguments.json:
        consistency.write_json(Path(arguments.json), found)
    if arguments.html:
        titles = {name: paper.citation.title for name, paper in loaded.items()}
        consistency.write_page(Path(arguments.html), found, titles)
    if arguments.json or arguments.html:
        return 0
    return _printed(consistency.lines(found))


def _audit(arguments):
    from brainlib.audit import findings
    from brainlib.io import writing

    data = arguments.data or os.environ.get("BRAINLIB_DATA", "")
    found = findings.audit(arguments.target, data, log=progress.log)
    if arguments.json:
        with writing(Path(arguments.json)) as file:
            file.write(json.dumps(found.as_dict(), indent=1, ensure_ascii=False).encode())
    return _printed(found.lines())


def _export(arguments):
    from brainlib.report.exporting import export

    print(export(Path(arguments.out) / "store", arguments.trial, Path(arguments.folder)))
    return 0


def _app(arguments):
    try:
        from brainlib.app.server import serve
    except ModuleNotFoundError as error:  # the extra that has it was not installed
        raise UsageError(
            f"app: expected the package {error.name}, found none; pip install 'brainlib[notebook]'"
        ) from None
    if not 0 < arguments.port < 65536:
        raise UsageError(f"--port: expected 1 to 65535, received {arguments.port}")
    data = _absolute(arguments.data)
    if data and not Path(data).is_dir():
        raise UsageError(f"--data: expected a folder with one folder a data set, received {arguments.data}")
    serve(Path(_absolute(arguments.out)), data, port=arguments.port, browser=not arguments.no_browser)
    return 0


def _claims(arguments):
    from brainlib.io import writing
    from brainlib.papers.schema import load_paper, paper_ids

    papers = [arguments.paper] if arguments.paper else paper_ids()
    rows = []
    for paper in map(load_paper, papers):
        for claim in paper.claims:
            rows.append({"paper": paper.id, **claim.model_dump(mode="json")})
    if arguments.json:
        with writing(Path(arguments.json)) as file:
            file.write(json.dumps(rows, indent=1, ensure_ascii=False).encode())
        return 0
    lines = []
    for row in rows:
        n = "" if row["n"] is None else f"n={row['n']}"
        lines.append(f"{row['paper']:12}{row['id']:40} {row['printed']:14}{row['unit']:12}{n:8}{row['where']}")
    return _printed(lines)


def _printed(lines):
    """Print lines, to a reader who may go before the last one; return the exit status."""
    with contextlib.suppress(BrokenPipeError):
        for line in lines:
            print(line)
        sys.stdout.flush()
        return 0
    # The reader of a pipe has gone; Python would complain of it once more on leaving.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0
