"""The trace panel: the way of a publication, and the choice among traces."""

from __future__ import annotations

import pytest
from browser.console_page import Open
from browser.from_outside import ATTRIBUTES, UNKNOWN_PARENT, post_trace
from playwright.sync_api import expect
from staging.suite import Suite

pytestmark = [pytest.mark.browser, pytest.mark.broker]

_READABLE_PX = 200


def test_the_way_of_the_last_publication_is_a_waterfall(window: Open, suite: Suite) -> None:
    post_trace(suite)
    page = window().page
    rows = page.locator("#waterfall > li")
    expect(rows).to_have_count(4)
    expect(rows.nth(0)).to_contain_text(f"parent {UNKNOWN_PARENT}, not received")
    for index, (service, name) in enumerate(
        [("gateway", "publish warren.publish"), ("history", "process warren.history"), ("gateway", "deliver")], 1
    ):
        expect(rows.nth(index)).to_contain_text(service)
        expect(rows.nth(index)).to_contain_text(name)
    boxes = [row.locator(".span-bar").bounding_box() for row in rows.all()[1:]]
    lefts = [box["x"] for box in boxes if box]
    assert lefts == sorted(lefts)
    assert len(set(lefts)) == 3
    rows.nth(2).locator("summary").click()
    expect(rows.nth(2)).to_contain_text(ATTRIBUTES["warren.channel"])


@pytest.mark.parametrize("width", [375, 768, 1280, 1440])
def test_the_details_of_a_span_have_room_to_be_read(window: Open, suite: Suite, width: int) -> None:
    post_trace(suite)
    page = window(width, 800).page
    page.locator("#waterfall summary").first.click()
    values = page.locator("#waterfall dd")
    expect(values.filter(has_text=ATTRIBUTES["warren.channel"])).to_be_visible()
    widths = [box["width"] for value in values.all() if (box := value.bounding_box())]
    assert min(widths) >= _READABLE_PX
