"""axe-core, which finds what a screen reader or a weak eye stumbles over: npm's package, fetched once and kept."""

from __future__ import annotations

import tarfile
from functools import lru_cache
from typing import Any

from playwright.sync_api import Page

from tests.binaries import from_npm

_VERSION = "4.14.1"
_INTEGRITY = "sha512-FHfa+lmNjQZfJz1q8wKqIDwC6DExcHt/pkjNQb09a3NPjCKg2rhu5qb2S4r76ASyFNNtuFooJpZe37OgudVGtQ=="

EXCEPTED = {
    "list": '[data-testid="stSidebarNavItems"]',
    "listitem": '[data-testid="stSidebarNavItems"] li',
    "svg-img-alt": '[data-testid="stMetricChart"] *',
    "color-contrast": '[data-testid="stCode"] .token',
}
"""What is Streamlit's own and no setting changes: its menu's list, the line in a card, the colours of words in SQL."""

_RUN = """
async ([excepted, rules]) => {
    const within = document.querySelector('[role="dialog"]') ?? document;  // below a dialog is out of reach, and dimmed
    // by element: what is drawn anew meanwhile is not found again by its path
    const found = await axe.run(within, {resultTypes: ["violations"], elementRef: true, ...rules});
    return found.violations.flatMap((one) => one.nodes
        .filter((node) => !(excepted[one.id] && node.element.matches(excepted[one.id])))
        .map((node) => `${one.id}: ${node.html.slice(0, 200)}: ${node.failureSummary}`));
}
"""


@lru_cache(maxsize=1)
def script() -> str:
    """The program. Raises NotHere."""
    with tarfile.open(from_npm("axe-core", _VERSION, _INTEGRITY)) as packed:
        read = packed.extractfile("package/axe.min.js")
        assert read is not None
        return read.read().decode()


def violations(page: Page, *rules: str) -> list[str]:
    """What is wrong with the page as it is now, a line each; of these rules only, where some are named."""
    page.evaluate(script())
    only: dict[str, Any] = {"runOnly": {"type": "rule", "values": list(rules)}} if rules else {}
    found: list[str] = page.evaluate(_RUN, [EXCEPTED, only])
    return found
