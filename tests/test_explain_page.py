"""
The page of `store explain --html`: the plan is in it, what draws it is pinned, and what stands in a query does nothing.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from html.parser import HTMLParser

import pytest

from store.contract import page
from tests.test_cli import store

PINNED = re.compile(r"[a-z0-9]+@\d+\.\d+\.\d+/dist/\S+\.(?:js|css)")
HOSTILE = "SELECT '</script><script>alert(1)</script><!-- <img src=x onerror=alert(1)> &lt; \u2028' AS a"
VOID = {"link", "meta"}


class Page(HTMLParser):
    """
    The tags of a page with their attributes and texts. Raises AssertionError where one is not closed, or another one is.
    """

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[tuple[str, str]] = []
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self._open += [tag] * (tag not in VOID)

    def handle_endtag(self, tag):
        assert self._open.pop() == tag

    def handle_data(self, data):
        if data.strip():
            self.texts.append((self._open[-1], data))

    def held(self) -> dict[str, str]:
        (found,) = [text for tag, text in self.texts if tag == "script" and text.startswith("{")]
        return json.loads(found)


@pytest.mark.serverless
def test_a_page_holds_the_plan_twice_and_runs_pinned_scripts_alone():
    made = Page(page.render("orders.get", "SELECT 1 AS a", "Result  (cost=0.00..0.01 rows=1 width=4)"))
    loaded = [found for tag, found in made.tags if (tag == "script" and "src" in found) or tag == "link"]
    (policy,) = [str(found["content"]) for tag, found in made.tags if found.get("http-equiv") == "Content-Security-Policy"]
    drawn = made.texts[-1][1]

    assert ("pre", "Result  (cost=0.00..0.01 rows=1 width=4)") in made.texts
    assert made.held() == {"query": "SELECT 1 AS a", "plan": "Result  (cost=0.00..0.01 rows=1 width=4)"}
    assert len(loaded) == 4
    for found in loaded:
        address = str(found.get("src") or found.get("href"))

        assert PINNED.fullmatch(address.removeprefix(page.HOST)), address
        assert len(base64.b64decode(str(found["integrity"]).removeprefix("sha384-"))) == 48
        assert found["crossorigin"] == "anonymous"
    own = base64.b64encode(hashlib.sha256(drawn.encode()).digest()).decode()

    assert f"script-src {page.HOST} 'sha256-{own}';" in policy  # what is written into the page is not run, but for this
    assert policy.startswith("default-src 'none';")


@pytest.mark.serverless
@pytest.mark.parametrize("place", ["title", "query", "plan"])
def test_what_stands_in_a_query_does_nothing(place):
    given = {"title": "a", "query": "b", "plan": "c"}
    plain, hostile = (Page(page.render(**made)) for made in (given, given | {place: HOSTILE}))

    assert hostile.tags == plain.tags
    assert hostile.held().get(place, HOSTILE) == HOSTILE


def test_the_command_writes_a_page(admin_dsn, tmp_path):
    where = dict(part.split("=") for part in admin_dsn.split())
    dsn = f"postgresql://{where['user']}@/{where['dbname']}?host={where['host']}&port={where['port']}"
    made = tmp_path / "plan.html"
    done = store("explain", "orders.get_orders", "--html", str(made), "--dsn", dsn, cwd=tmp_path)
    lost = store("explain", "orders.get_orders", "--html", str(tmp_path / "no" / "plan.html"), "--dsn", dsn, cwd=tmp_path)
    held = Page(made.read_text(encoding="utf-8")).held()

    assert (done.returncode, done.stdout) == (0, f"wrote {made}\n"), done.stderr
    assert "on store.orders o" in held["plan"]
    assert held["query"].startswith("/* store:orders.get_orders */")
    assert lost.returncode == 2
    assert "plan.html cannot be written (No such file or directory)" in lost.stderr
