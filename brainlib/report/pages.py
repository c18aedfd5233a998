"""Pages that the program writes from its templates, whatever the values hold taken for text."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path

import jinja2
from markupsafe import Markup

from brainlib import io

_TEMPLATES = Path(__file__).parent / "templates"


def write(path: Path, template: str, filters: Mapping[str, Callable] | None = None, **values: object) -> None:
    """Fill a file of ``templates/`` and write the page, whole or not at all; `StoreError` where that fails.

    Values are escaped where the template shows them; one that it asks for and does not get is an error. Filters are
    those that it has besides Jinja's own.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters.update(filters or {})
    # The one script that a page may have is named by its hash, so that no other runs.
    script = environment.get_template("sort.js").render()
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    html = environment.get_template(template).render(values, sort_script=Markup(script), sort_digest=digest)
    with io.writing(path) as file:
        file.write(html.encode())
