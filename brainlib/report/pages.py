"""Pages that the program writes from its templates, whatever the values hold taken for text."""

from __future__ import annotations

import base64
import hashlib
import io as memory
from collections.abc import Callable, Mapping
from pathlib import Path

import jinja2
import numpy as np
from markupsafe import Markup
from PIL import Image

from brainlib import io
from brainlib.data import images
from brainlib.errors import DataError

_TEMPLATES = Path(__file__).parent / "templates"
_THUMBNAIL = 136, 136  # pixels


def image_url(pixels: np.ndarray | Image.Image, kind: str = "png") -> str:
    """Return an image, or one as uint8 (height, width) or (height, width, 1 or 3), as a data URL of a kind of file."""
    file = memory.BytesIO()
    if isinstance(pixels, np.ndarray):
        pixels = Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels)
    pixels.save(file, kind)
    return f"data:image/{kind};base64,{base64.b64encode(file.getvalue()).decode()}"


def thumbnail_url(path: Path) -> str:
    """Return a file as a small square image, black where it cannot be read."""
    try:
        image = images.decode(path).convert("RGB").resize(_THUMBNAIL)
    except DataError:
        image = Image.new("RGB", _THUMBNAIL)
    return image_url(image)


def templates(folder: Path = _TEMPLATES, **options: object) -> jinja2.Environment:
    """Return the templates of a folder; a value that one asks for and does not get is an error."""
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(folder),
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
        **options,
    )


def write(
    path: Path,
    template: str,
    filters: Mapping[str, Callable] | None = None,
    script: str = "sort.js",
    **values: object,
) -> None:
    """Fill a template with values, which are escaped, and write the page, whole or not at all."""
    environment = templates(autoescape=True)
    environment.filters.update({"base64": lambda data: base64.b64encode(data).decode()} | dict(filters or {}))
    # The one script that a page may have is named by its hash, so that no other runs.
    code = environment.get_template(script).render()
    digest = base64.b64encode(hashlib.sha256(code.encode()).digest()).decode()
    html = environment.get_template(template).render(values, script=Markup(code), digest=digest)
    with io.writing(path) as file:
        file.write(html.encode())
