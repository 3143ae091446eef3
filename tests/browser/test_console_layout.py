"""The page at the widths of phones, tablets and desks, in light and dark."""

from __future__ import annotations

import pytest
from browser.console_page import Open
from browser.from_outside import post_trace, publish_from_backend
from playwright.sync_api import expect
from staging.suite import Suite

pytestmark = [pytest.mark.browser, pytest.mark.broker]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 390, 768, 1024, 1280, 1440])
def test_nothing_sticks_out_or_overlaps_at_any_width(
    window: Open, suite: Suite, channel: str, width: int, scheme: str
) -> None:
    post_trace(suite)
    console = window(width, 800, color_scheme=scheme)
    assert (console.overflow(), console.overlaps()) == (0, [])
    console.connected("a-user-whose-name-has-no-end-" + "x" * 60).subscribed(channel + "-" + "y" * 80)
    publish_from_backend(suite, f"{channel}-{'y' * 80}", [{"text": "z" * 300}])
    expect(console.rows).to_have_count(1)
    console.rows.first.locator("summary").click()
    console.page.locator("#waterfall summary").first.click()
    expect(console.page.locator("#waterfall dl")).to_be_visible()
    assert (console.overflow(), console.overlaps()) == (0, [])


def test_the_legend_of_the_chart_is_one_line_on_a_desk(window: Open) -> None:
    keys = [key.bounding_box() for key in window(1280, 860).page.locator("figcaption > .key").all()]
    assert len({box["y"] for box in keys if box}) == 1
    assert {box["height"] < 20 for box in keys if box} == {True}


def test_a_page_that_is_not_connected_says_so_and_nothing_else(window: Open) -> None:
    console = window()
    assert console.page.locator("#link").inner_text().split() == ["Disconnected"]
    assert console.page.locator("#link-gateway").bounding_box() is None
