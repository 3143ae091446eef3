"""Text of others in the page: it is text, and it moves nothing but itself."""

from __future__ import annotations

import re
from itertools import pairwise

import pytest
from browser.console_page import Open
from browser.from_outside import publish_from_backend
from playwright.sync_api import expect
from staging.suite import Suite

pytestmark = [pytest.mark.browser, pytest.mark.broker]

_OVERRIDE = "\u202e"
_HEBREW = "\u05e9\u05dc\u05d5\u05dd"


def test_markup_from_the_network_stays_text(window: Open, suite: Suite, channel: str) -> None:
    markup = '<img src=x onerror="document.title=1"><script>document.title=2</script>'
    console = window().connected(markup).subscribed(channel)
    publish_from_backend(suite, channel, [{"text": markup}, markup, {markup: 1}])
    console.subscribed(f"live:{markup}")
    console.item(channel).get_by_role("button").first.click()
    expect(console.rows).to_have_count(3)
    for row in console.rows.all():
        row.locator("summary").click()
    expect(console.page.locator(".pub-body")).to_have_count(3)
    expect(console.member(markup)).to_be_visible()
    assert console.page.title() == "Warren console"
    assert console.page.locator("main img, main script").count() == 0


def test_controls_in_names_and_data_are_written_out(window: Open, suite: Suite, channel: str) -> None:
    name = f"gpj{_OVERRIDE}.exe"
    written = "gpj\\u202e.exe"
    console = window().connected("whoever", token=suite.token(name)).subscribed(channel)
    console.publish(f'{{"text": "{name}"}}')
    publish_from_backend(suite, channel, [{name: f"\u2066{name}"}, name])
    expect(console.rows).to_have_count(3)
    for row in console.rows.all():
        row.locator("summary").click()
        expect(row.locator(".pub-data")).to_contain_text(written)
        expect(row.locator("pre")).to_contain_text(written)
    expect(console.rows.last.locator(".pub-user")).to_have_text(written)
    expect(console.member(written)).to_be_visible()
    expect(console.page.locator("#feed li").first).to_contain_text(f"{written} joined")
    assert not re.search(r"[\u202a-\u202e\u2066-\u2069]", console.page.locator("body").inner_text())


def test_text_written_from_right_to_left_leaves_what_follows_in_its_place(
    window: Open, suite: Suite, channel: str
) -> None:
    console = window().connected("alice").subscribed(channel)
    publish_from_backend(suite, channel, [[_HEBREW, 1, 22]])
    tokens = console.rows.first.locator(".pub-data > span")
    expect(tokens).to_have_count(3)
    boxes = [box for token in tokens.all() if (box := token.bounding_box())]
    assert all(before["x"] + before["width"] <= after["x"] for before, after in pairwise(boxes))
