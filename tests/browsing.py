"""A page in a browser, with what it asked for and what went wrong; and what its images lack."""

from __future__ import annotations

import re
from html.parser import HTMLParser


class Watched:
    """A new page of a browser, as a context manager that gives Playwright's page.

    Afterwards the page has ``left``, the addresses that it asked for outside of this machine, and
    ``errors``, what its scripts and the browser complained of.
    """

    def __init__(self, browser, width: int, scheme: str):
        self.context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme, offline=False)

    def __enter__(self):
        page = self.context.new_page()
        page.left, page.errors = [], []
        here = ("file:", "data:", "blob:", "http://127.0.0.1", "ws://127.0.0.1")
        page.on("request", lambda asked: None if asked.url.startswith(here) else page.left.append(asked.url))
        page.on("pageerror", lambda error: page.errors.append(str(error)))
        page.on("console", lambda line: page.errors.append(line.text) if line.type == "error" else None)
        return page

    def __exit__(self, *exception):
        self.context.close()


def violations(page) -> list[str]:
    """What axe-core finds: the rule and the first elements that break it."""
    from axe_playwright_python.sync_playwright import Axe

    # axe-core is put into the page from outside, past the page's own policy.
    found = Axe().run(page).response["violations"]
    return [f"{rule['id']}: {[node['html'][:120] for node in rule['nodes'][:3]]}" for rule in found]


class Page(HTMLParser):
    """What a page loads or links to, its elements, and its images without an alternative text of their own."""

    def __init__(self, html: str):
        super().__init__()
        self.tags, self.loads, self.links, self.without_alt, self.lang = set(), [], [], [], None
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.tags.add(tag)
        self.lang = attrs.get("lang") or self.lang
        if tag == "a":
            self.links += filter(None, [attrs.get("href")])
            return
        self.loads += [attrs[key] for key in ("src", "href", "srcset", "data") if key in attrs]
        alt = (attrs.get("alt") or "").strip()
        if tag == "img" and (not alt or alt.startswith("No description")):  # nbconvert's own text
            self.without_alt.append((attrs.get("src") or "")[:60])


def assert_whole_by_itself(html: str):
    """A page loads nothing from elsewhere and runs nothing."""
    page = Page(html)
    assert all(source.startswith("data:") for source in page.loads), page.loads
    assert not page.tags & {"script", "iframe", "object", "link"}
    assert not re.search(r"@import|url\((?!data:)", html)
    assert not any(link.startswith(("http", "//")) for link in page.links)
