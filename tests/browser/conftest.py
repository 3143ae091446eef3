"""The browser, and windows on the console in it."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Iterator
from typing import Any, Final

import pytest
from browser.console_page import ConsolePage, Open, closing
from playwright.sync_api import Browser, expect, sync_playwright
from staging.suite import Suite

_FLAGS: Final = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
_PATIENCE_MS: Final = 10_000


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """Headless Chromium. Without one the tests are skipped, except where nothing may be skipped."""
    executable = os.environ.get("CHROMIUM") or shutil.which("chromium")
    if not executable:
        if os.environ.get("CI"):
            pytest.fail("no Chromium: install the package chromium")
        pytest.skip("no Chromium: install the package chromium, or name one in CHROMIUM")
    expect.set_options(timeout=_PATIENCE_MS)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=list(_FLAGS))
        yield browser
        browser.close()


@pytest.fixture
def window(chromium: Browser, suite: Suite) -> Iterator[Open]:
    """Open the console in windows of their own; afterwards nothing may have gone wrong in any."""
    pages: list[ConsolePage] = []
    contexts = []

    def open_window(width: int = 1280, height: int = 860, **options: Any) -> ConsolePage:
        context = chromium.new_context(viewport={"width": width, "height": height}, **options)
        context.set_default_timeout(_PATIENCE_MS)
        contexts.append(context)
        pages.append(ConsolePage(context, suite.console_url))
        return pages[-1]

    yield open_window
    problems = list(closing(pages))
    for context in contexts:
        context.close()
    assert problems == []


@pytest.fixture
def channel() -> str:
    """A durable channel no other test uses."""
    return f"chat:{secrets.token_hex(4)}"
