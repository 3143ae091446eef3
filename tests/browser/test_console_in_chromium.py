"""The console in a real browser against the real suite: what its user sees."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

import pytest
from browser.console_page import ROWS_KEPT, Open
from browser.from_outside import publish_from_backend
from playwright.sync_api import expect
from staging.suite import Suite

pytestmark = [pytest.mark.browser, pytest.mark.broker]


def test_connecting_shows_transport_and_gateway(window: Open, suite: Suite) -> None:
    console = window().connected("alice")
    link = console.page.locator("#link")
    expect(link).to_contain_text("websocket")
    expect(link).to_contain_text(urlsplit(suite.gateway_urls[0]).netloc)
    expect(console.page.locator("#identity")).to_contain_text("alice is client")


def test_the_round_trip_is_that_of_commands_that_succeed_and_none_is_sent_only_to_measure(
    window: Open, channel: str
) -> None:
    console = window().connected("alice").subscribed(channel)
    shown = console.page.locator("#link-rtt")
    expect(shown).to_have_text(re.compile(r"rtt [\d.]+ ms"))
    expect(shown).to_have_attribute("title", re.compile("presence"))
    console.publish('{"text": "timed"}')
    expect(shown).to_have_attribute("title", re.compile("publish"))
    assert set(console.commands) == {"connect", "subscribe", "presence", "publish"}


def test_a_token_of_ones_own_says_who_one_is(window: Open, suite: Suite, channel: str) -> None:
    console = window().connected("whoever", token=suite.token("carla")).subscribed(channel)
    expect(console.member("carla")).to_be_visible()


def test_a_bad_token_is_explained(window: Open) -> None:
    console = window()
    console.connect("alice", token="no token at all")
    expect(console.page.locator("#connect-problem")).to_contain_text("3500 invalid token")
    console.expect_state("Disconnected")


def test_a_publication_comes_back_numbered_with_its_publisher_and_latency(window: Open, channel: str) -> None:
    console = window().connected("alice").subscribed(channel)
    console.publish('{"text": "first"}')
    console.expect_status(re.compile(r"Confirmed in [\d.]+ ms"))
    row = console.row('"first"')
    expect(row).to_contain_text("#1")
    expect(row).to_contain_text("alice")
    expect(row).to_contain_text("you")
    expect(row.locator(".pub-latency")).to_have_text(re.compile(r"\d ms"))


def test_two_users_on_two_gateways_see_each_others_messages_and_presence(
    window: Open, suite: Suite, channel: str
) -> None:
    alice = window().connected("alice", gateway=suite.gateway_urls[0]).subscribed(channel)
    bruno = window().connected("bruno", gateway=suite.gateway_urls[1]).subscribed(channel)
    alice.publish('{"text": "from alice"}')
    bruno.publish('{"text": "from bruno"}')
    for console in (alice, bruno):
        for user in ("alice", "bruno"):
            expect(console.row(f"from {user}")).to_contain_text(user)
            expect(console.member(user)).to_be_visible()
        expect(console.page.locator("#presence-count")).to_have_text("2 clients, 2 users")
    bruno.disconnect()
    expect(alice.page.locator("#feed li.leave").first).to_contain_text("bruno left")
    expect(alice.member("bruno")).to_have_count(0)


def test_what_was_missed_is_recovered_and_marked_even_on_the_other_gateway(
    window: Open, suite: Suite, channel: str
) -> None:
    console = window().connected("alice", gateway=suite.gateway_urls[0]).subscribed(channel)
    publish_from_backend(suite, channel, [{"n": n} for n in range(5)])
    expect(console.rows).to_have_count(5)

    console.disconnect()
    publish_from_backend(suite, channel, [{"n": n} for n in range(5, 25)])
    console.page.get_by_label("Gateway").select_option(suite.gateway_urls[1])
    console.reconnect()

    expect(console.remarks.first).to_contain_text("Recovered 20 publications, nothing lost")
    expect(console.page.locator(".pub.is-recovered")).to_have_count(20)
    expect(console.tile("Recovered")).to_have_text("20")
    expect(console.tile("In order")).to_have_text("Yes")
    assert console.offsets() == list(range(1, 26))
    expect(console.page.locator("#announcer")).to_have_text(f"Recovered 20 publications on {channel}")


def test_a_short_absence_by_button_ends_by_itself(window: Open, suite: Suite, channel: str) -> None:
    console = window().connected("alice").subscribed(channel)
    console.page.clock.install()
    console.page.get_by_role("button", name="Away 10 s").click()
    console.expect_state("Disconnected")
    publish_from_backend(suite, channel, [{"n": 1}])
    console.page.clock.run_for(11_000)
    console.expect_state("Connected")
    expect(console.remarks.first).to_contain_text("Recovered 1 publication, nothing lost")


def test_a_burst_is_confirmed_as_a_whole(window: Open, channel: str) -> None:
    console = window().connected("alice").subscribed(channel)
    console.page.get_by_role("button", name="Burst of 20").click()
    console.expect_status(re.compile(r"All 20 confirmed in .*"))
    expect(console.rows).to_have_count(20)


@pytest.mark.parametrize(
    ("channel", "said"), [("nowhere:x", "102 unknown channel"), ("closed:x", "103 permission denied")]
)
def test_a_refused_subscription_names_the_code(window: Open, channel: str, said: str) -> None:
    console = window().connected("alice")
    console.subscribe(channel)
    expect(console.item(channel)).to_contain_text(said)


def test_a_refused_publication_names_the_code(window: Open) -> None:
    console = window().connected("alice").subscribed("readonly:x")
    console.expect_status("Namespace readonly does not let subscribers publish.")
    console.publish('{"text": "no"}')
    console.expect_status(re.compile("103 permission denied"))


def test_what_is_no_json_is_not_sent(window: Open, channel: str) -> None:
    console = window().connected("alice").subscribed(channel)
    console.publish('{"text": }')
    console.expect_status(re.compile("Not JSON"))
    expect(console.page.locator("#payload")).to_have_attribute("aria-invalid", "true")
    console.publish("[1, null]")
    expect(console.rows).to_have_count(1)


def test_a_flood_is_bounded_and_the_page_stays_usable(window: Open, suite: Suite, channel: str) -> None:
    console = window().connected("alice").subscribed(channel)
    publish_from_backend(suite, channel, [{"n": n} for n in range(ROWS_KEPT + 200)])
    expect(console.row(f'"n":{ROWS_KEPT + 199}')).to_be_attached()
    assert console.page.locator("#publications > li").count() == ROWS_KEPT
    expect(console.tile("In order")).to_have_text("Yes")
    console.publish('{"text": "still here"}')
    expect(console.row("still here")).to_be_attached()


def test_pausing_holds_the_list_and_resuming_shows_what_came(window: Open, suite: Suite, channel: str) -> None:
    console = window().connected("alice").subscribed(channel)
    console.page.get_by_role("button", name="Pause").click()
    publish_from_backend(suite, channel, [{"n": 1}])
    expect(console.tile("Received")).not_to_have_text("0.0/s")
    expect(console.rows).to_have_count(0)
    console.page.get_by_role("button", name="Resume").click()
    expect(console.rows).to_have_count(1)


def test_the_rows_are_walked_and_opened_by_keyboard(window: Open, suite: Suite, channel: str) -> None:
    console = window().connected("alice").subscribed(channel)
    publish_from_backend(suite, channel, [{"n": n} for n in range(3)])
    expect(console.rows).to_have_count(3)
    console.rows.first.locator("summary").focus()
    console.page.keyboard.press("ArrowDown")
    console.page.keyboard.press("End")
    console.page.keyboard.press("Enter")
    expect(console.rows.last.locator("pre")).to_have_text(re.compile(r'"n": 0'))
    assert console.page.locator('#publications summary[tabindex="0"]').count() == 1


def test_the_page_talks_to_the_console_and_the_gateways_alone(window: Open, suite: Suite, channel: str) -> None:
    console = window().connected("alice").subscribed(channel)
    gateway = urlsplit(suite.gateway_urls[0])
    assert console.requested == {console.origin, f"{gateway.scheme}://{gateway.netloc}"}
