"""The documentation as a site: it builds without a complaint, and a reader's browser fetches nothing from elsewhere."""

import os
import re
import subprocess
import sys

import pytest

from tests.docs.pages import ROOT

FETCHED = re.compile(r'<(?:script|link|img|iframe|source)\b[^>]*?\b(?:src|href)="?((?:https?:)?//[^\s">]+)')
STYLES = re.compile(r"""(?:url\(|@import\s*)["']?((?:https?:)?//[^\s"')]+)""")


pytestmark = pytest.mark.xdist_group("site")  # one worker builds it for all


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    place = tmp_path_factory.mktemp("site") / "site"
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(place)],
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return place


def test_pages_fetch_nothing_from_elsewhere(site):
    pages = list(site.rglob("*.html"))
    assert len(pages) > 20
    for page in pages:
        text = page.read_text(encoding="utf-8")
        assert not FETCHED.findall(text), page
        assert 'class="mermaid"' not in text, f"{page}: the theme would fetch what draws it"
    for style in site.rglob("*.css"):
        assert not STYLES.findall(style.read_text(encoding="utf-8")), style


def test_the_reference_has_the_names_that_others_rely_on(site):
    for room, name in (
        ("api", "autoprune.api.pruning.prune"),
        ("config", "autoprune.config.load_config"),
        ("evaluation", "autoprune.evaluation.compare.compare"),
        ("pruning", "autoprune.pruning.scores.wanda"),
        ("sandbox", "autoprune.pruning.layers.Session.scores"),
        ("agents", "autoprune.gcot.graph.GCoT.path_to"),
        ("runs", "autoprune.runs.events.read_events"),
    ):
        assert f'id="{name}"' in (site / "reference" / f"{room}.html").read_text(encoding="utf-8"), name


def test_every_page_is_in_the_search_index(site):
    index = (site / "search" / "search_index.json").read_text(encoding="utf-8")
    for page in (ROOT / "docs").rglob("*.md"):
        assert str(page.relative_to(ROOT / "docs").with_suffix(".html")) in index


def test_what_is_for_other_agents_is_in_the_site_and_leads_to_every_page(site):
    text = (site / "llms.txt").read_text(encoding="utf-8")
    title, _, summary = text.splitlines()[:3]
    assert title == "# AutoPrune"
    assert summary.startswith("> ")
    listed = re.findall(r"^- \[[^]]+\]\(([\w/-]+\.html)\): \S", text, flags=re.MULTILINE)
    pages = {str(page.relative_to(site)) for page in site.rglob("*.html")} - {"404.html"}
    assert set(listed) == pages
    assert len(listed) == len(set(listed))
