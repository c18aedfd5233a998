"""What readers see: tables, figures, the pages of notebooks, the index of a run, and model cards.

`table` formats numbers, at one place; `tables` and `figures` show the results of a study. `notebook` runs a notebook
and writes its page, `index` writes ``results.json`` and the page that joins all papers, `crate` describes the run for
programs, `consistency` writes the page of the printed numbers, `pages` fills templates. `model_cards` describes a
stored model. In a notebook, importing this package also makes studies, results, papers, trials and audits display
themselves as tables (`display`).
"""

import lazy_loader as lazy

from brainlib.report.display import register

__getattr__, __dir__, __all__ = lazy.attach(
    __name__,
    submodules=["figures", "tables"],
    submod_attrs={
        "crate": ["write_crate"],
        "display": ["counterpart"],
        "index": ["write_index", "write_results"],
        "notebook": ["run_notebook"],
        "table": ["Format", "Table"],
    },
)

register()
