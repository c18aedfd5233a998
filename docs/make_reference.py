"""Make a reference run: run the notebooks, and keep the predictions with the records that follow from them.

    python docs/make_reference.py NAME --papers jardim --profile full --data DIR ...

NAME is that of a folder in reports/reference; the other arguments are those of ``brainlib run``, with one paper. What
is in the store of --out is not trained again. `brainlib.study.kept` says what is kept; `brainlib verify` computes the
records again from it.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from brainlib import cli
from brainlib.study import Study, kept

REFERENCE = Path(__file__).resolve().parents[1] / "reports" / "reference"


def main() -> int:
    """Run what the arguments say, and replace the folder of the reference run."""
    name, *given = sys.argv[1:] or ["--help"]
    arguments = cli.parser().parse_args(["run", *given])
    if status := cli.main(["run", *given]):
        return status
    (paper,) = arguments.papers
    options = cli.options_of(arguments)
    shutil.rmtree(REFERENCE / name, ignore_errors=True)
    kept.keep(Study(paper, **options.model_dump()), Path(options.out) / kept.RECORDS, REFERENCE / name)
    return 0


if __name__ == "__main__":
    sys.exit(main())
