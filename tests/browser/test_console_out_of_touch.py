"""The page while it is cut off, from everything or from a channel: nothing old passes for new."""

from __future__ import annotations

import re

import pytest
from browser.console_page import ConsolePage, Open
from playwright.sync_api import expect

pytestmark = [pytest.mark.browser, pytest.mark.broker]

_NOTE = "#presence-note"
_COUNT = "#presence-count"


def expect_publishing(console: ConsolePage, *, possible: bool) -> None:
    for button in ("#publish", "#burst"):
        expect(console.page.locator(button)).to_be_enabled(enabled=possible)


def test_presence_is_marked_as_of_before_while_disconnected_and_fresh_afterwards(window: Open, channel: str) -> None:
    console = window().connected("alice").subscribed(channel)
    expect(console.member("alice")).to_contain_text("you")
    console.disconnect()
    expect(console.page.locator("#members")).to_have_class(re.compile("stale"))
    expect(console.page.locator(_NOTE)).to_have_text("Not connected. Here before:")
    expect(console.page.locator(_COUNT)).to_have_text("was 1 client, 1 user")
    expect(console.member("alice")).not_to_contain_text("you")
    console.reconnect()
    expect(console.member("alice")).to_contain_text("you")
    expect(console.page.locator("#members")).not_to_have_class(re.compile("stale"))
    expect(console.page.locator(_COUNT)).to_have_text("1 client, 1 user")
    expect(console.page.locator(_NOTE)).to_be_hidden()


def test_publishing_is_possible_only_while_subscribed_and_the_page_says_why(window: Open, channel: str) -> None:
    console = window()
    console.subscribe(channel)
    console.expect_status("Not connected.")
    expect_publishing(console, possible=False)
    console.connected("alice")
    console.expect_status("")
    expect_publishing(console, possible=True)
    console.disconnect()
    console.expect_status("Not connected.")
    console.page.locator("#payload").press("Control+Enter")
    console.expect_status("Not connected")
    expect_publishing(console, possible=False)
    assert "publish" not in console.commands


@pytest.mark.parametrize(
    ("channel", "said"), [("nowhere:x", "102 unknown channel"), ("inbox:alice#bruno", "103 permission denied")]
)
def test_a_refused_channel_takes_no_publications_and_does_not_seem_empty(window: Open, channel: str, said: str) -> None:
    console = window().connected("alice")
    console.subscribe(channel)
    console.expect_status(re.compile(f"Not subscribed: {said}"))
    expect_publishing(console, possible=False)
    expect(console.page.locator(_NOTE)).not_to_contain_text("Nobody is here")


def test_a_channel_with_presence_that_is_refused_says_so_there(window: Open) -> None:
    console = window().connected("alice")
    console.subscribe("chat:not ascii \u00e9")
    expect(console.page.locator(_NOTE)).to_contain_text("Not subscribed: 107")


def test_the_chart_marks_an_absence_as_one_piece(window: Open, channel: str) -> None:
    console = window().connected("alice").subscribed(channel)
    console.page.clock.install()
    console.disconnect()
    console.page.clock.run_for(10_000)
    console.reconnect()
    console.page.clock.run_for(1_000)
    console.expect_away_pieces(1)
