"""Which broker URLs are refused before anything connects, and what is said of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from warren_shared.messaging.broker_url import check_broker_url


@pytest.mark.parametrize(
    "url",
    [
        "amqp://guest:guest@localhost:5672/",
        "amqps://broker",
        "amqp://u:p%2Fq%40r@[::1]:5672/warren?heartbeat=5",
        "amqps://broker.example:5671/warren?auth=EXTERNAL",
        "amqp://u:p@ss@broker/v",
    ],
)
def test_a_url_the_client_can_use_is_let_through(url: str) -> None:
    check_broker_url(url)


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("nonsense-hidden", "is no URL like"),
        ("hidden:5672", "is no URL like"),
        ("http://u:hidden@h/v", "is no URL like"),
        ("amqp:///hidden", "names no host"),
        ("amqp://u:hidden@/v", "names no host"),
        ("amqp://u:hidden@h:port/v", "has no legal port number"),
        ("amqp://u:hidden@h:70000/v", "has no legal port number"),
        ("amqp://u:hidden@h:0/v", "has no legal port number"),
        ("amqp://u:hid/den@h/v", r"has no legal port number; write / as %2F"),
        ("amqp://u:12/hidden@h/v", "has an unencoded character"),
        ("amqp://u:12#hidden@h/v", "has an unencoded character"),
        ("amqp://u:12?hidden@h/v", "has an unencoded character"),
        ("amqp://u:hidden[@h/v", "is no URL like"),
        ("amqp://u:hidden@h/v\n", "is no URL like"),
        ("amqp://u:hidden@h/v?auth=kerberos", "has an unknown auth"),
        ("amqps://u:hidden@h/v?cafile=/no/such.pem", r"has a cafile that cannot be used \(/no/such.pem: No such file"),
        ("amqps://u:hidden@h/v?certfile=/no/such.pem", r"has a certfile that cannot be used \(/no/such.pem: No such"),
        ("amqps://u:hidden@h/v?keyfile=/no/such.pem", "has a keyfile and no certfile"),
    ],
)
def test_a_url_nothing_can_be_reached_by_is_refused_without_its_password(url: str, reason: str) -> None:
    with pytest.raises(ValueError, match=f"^{reason}") as caught:
        check_broker_url(url)

    assert "hid" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_that_holds_no_certificate_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "ca.pem"
    file.write_text("no certificate")

    with pytest.raises(ValueError, match=r"^has a cafile that cannot be used \(.*ca.pem: no usable PEM"):
        check_broker_url(f"amqps://h/v?cafile={file}")
