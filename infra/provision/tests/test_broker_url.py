from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from warren_provision.broker_url import BrokerUrl

words = st.text(st.characters(min_codepoint=33, max_codepoint=0x2FF), min_size=1, max_size=20)


@given(words, words, words)
def test_a_url_survives_being_written_and_read(user: str, password: str, vhost: str) -> None:
    url = BrokerUrl("amqps", user, password, "broker.example", 5671, vhost)
    assert BrokerUrl.parse(url.secret()) == url


@given(st.from_regex(r"[A-Za-z0-9]{12,20}", fullmatch=True))
def test_showing_a_url_keeps_its_password_back(password: str) -> None:
    assert password not in str(BrokerUrl.parse(f"amqp://user:{password}@host/vhost"))


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("amqp://localhost", BrokerUrl("amqp", "guest", "guest", "localhost", 5672, "/")),
        ("amqps://u:p@host/", BrokerUrl("amqps", "u", "p", "host", 5671, "/")),
        ("amqp://u:p@[::1]:1/%2F?heartbeat=5", BrokerUrl("amqp", "u", "p", "::1", 1, "/", "heartbeat=5")),
        ("amqp://u:p%40ss@host:5673/a%2Fb", BrokerUrl("amqp", "u", "p@ss", "host", 5673, "a/b")),
    ],
)
def test_what_is_left_out_has_rabbitmqs_defaults(url: str, expected: BrokerUrl) -> None:
    assert BrokerUrl.parse(url) == expected
    assert BrokerUrl.parse(expected.secret()) == expected


@pytest.mark.parametrize("url", ["", "localhost:5672", "http://host", "amqp://", "amqp://u:hidden@host:99999"])
def test_what_is_no_amqp_url_is_refused_without_repeating_it(url: str) -> None:
    with pytest.raises(ValueError, match=r"^(is no URL like|has no legal port|names no host)") as caught:
        BrokerUrl.parse(url)
    assert "hidden" not in str(caught.value)


def test_another_users_url_differs_in_nothing_else() -> None:
    url = BrokerUrl.parse("amqps://admin:a@host:1/vhost?heartbeat=5")
    assert url.login("backend", "b").secret() == "amqps://backend:b@host:1/vhost?heartbeat=5"
