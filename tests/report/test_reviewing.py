"""The page of pairs of duplicates: what is confirmed and rejected there comes back as decisions."""

from __future__ import annotations

import numpy as np
import pytest
from browsing import Watched, violations
from pngs import write_image

from brainlib import cli
from brainlib.audit.findings import audit_folder
from brainlib.data.phantoms.draw import make_phantoms

NAMES = ['a,"b".png', "<b>c</b>".replace("/", "") + ".png", "d.png", "e.jpg"]  # of files, which a page and a CSV quote


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two slices and a duplicate of each, of which the second pair is mirrored."""
    root = tmp_path_factory.mktemp("page") / "my <images>"
    for number, pixels in enumerate(make_phantoms(2, slices_per_patient=1, seed=2).images):
        write_image(root / "x" / NAMES[2 * number], pixels)
        other = np.uint8(255 * (pixels / 255) ** 0.9)
        write_image(root / "x" / NAMES[2 * number + 1], other[:, ::-1] if number else other)
    return root


@pytest.mark.parametrize("width", [400, 1600])
def test_what_is_rejected_on_the_page_is_honoured_by_the_next_audit(browser, folder, tmp_path, width):
    page_file, file = tmp_path / "page.html", tmp_path / "decisions.csv"
    audit = ["audit", str(folder), "--html", str(page_file)]
    assert cli.main(audit) == 0
    first, second = ([f"x/{name}" for name in sorted(names)] for names in (NAMES[:2], NAMES[2:]))
    for answer, groups in {"different": [second], "duplicates": [second, first]}.items():
        with Watched(browser, width, "dark") as page:
            page.goto(page_file.as_uri())
            assert violations(page) == [] and page.evaluate("document.documentElement.scrollWidth") <= width
            asked = page.locator("fieldset").filter(has_text="<b>c<b>.png")
            asked.get_by_label(answer).check()
            page.locator("fieldset").filter(has_text="mirrored").get_by_label("duplicates").check()
            with page.expect_download() as download:
                page.get_by_role("button", name="Save 2 of 2 decisions").click()
            download.value.save_as(file)
        assert page.left == [] and page.errors == []
        assert audit_folder(str(folder), decisions=file).groups("near") == sorted(groups)
        # The next page begins with what was decided.
        assert cli.main([*audit, "--decisions", str(file)]) == 0
