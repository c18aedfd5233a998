"""A page in a browser, with what it asked for and what went wrong; and what its images lack."""

from __future__ import annotations

from html.parser import HTMLParser


class Watched:
    """A new page of a browser, as a context manager that gives Playwright's page.

    Afterwards the page has ``left``, the addresses that it asked for outside of this machine, and
    ``errors``, what its scripts and the browser complained of.
    """

    def __init__(self, browser, width: int, scheme: str):
        self.context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme, offline=False)
        self.page = self.context.new_page()
        self.page.left, self.page.errors = [], []
        self.page.on("request", self._asked)
        self.page.on("pageerror", lambda error: self.page.errors.append(str(error)))
        self.page.on("console", self._said)

    def _asked(self, request):
        if not request.url.startswith(("file:", "data:", "blob:", "http://127.0.0.1", "ws://127.0.0.1")):
            self.page.left.append(request.url)

    def _said(self, message):
        if message.type == "error":
            self.page.errors.append(message.text)

    def __enter__(self):
        return self.page

    def __exit__(self, *exception):
        self.context.close()


def violations(page) -> list[str]:
    """What axe-core finds: the rule and the first elements that break it."""
    from axe_playwright_python.sync_playwright import Axe

    # axe-core is put into the page from outside, past the page's own policy.
    found = Axe().run(page).response["violations"]
    return [f"{rule['id']}: {[node['html'][:120] for node in rule['nodes'][:3]]}" for rule in found]


def images_without_alt(html: str) -> list[str]:
    """The beginning of the source of each image that lacks an alternative text of its own."""
    found = []

    class Images(HTMLParser):
        def handle_starttag(self, tag, attrs):
            alt = (dict(attrs).get("alt") or "").strip()
            if tag == "img" and (not alt or alt.startswith("No description")):  # nbconvert's own text
                found.append((dict(attrs).get("src") or "")[:60])

    Images().feed(html)
    return found
