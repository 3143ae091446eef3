"""Which database URLs are refused before anything connects, and what is said of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from warren_history.store_url import check_store_url


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://u:p@h/d",
        "postgres://u@h:5433/d?sslmode=require",
        "postgresql://u:p%40%2F@[::1]:5432/d",
        "postgresql://u:p@h1:5432,h2,h3:6000/d?target_session_attrs=primary",
    ],
)
def test_urls_a_connection_can_be_made_with_are_taken(url: str) -> None:
    check_store_url(url)


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("nonsense", "is no URL"),
        ("mysql://u:hidden@h/d", "is no URL"),
        ("postgresql://u:hid den@h/d", "is no URL"),
        ("postgresql://u:hid/den@h/d", "unencoded character"),
        ("postgresql://u:hid@den@h/d", "unencoded character"),
        ("postgresql://u:hid#den@h/d", "unencoded character"),
        ("postgresql://u:hidden@h:99999/d", "host and port"),
        ("postgresql://u:hidden@h:port/d", "host and port"),
        ("postgresql://u:hidden@h1,,h2/d", "host and port"),
        ("postgresql://u:hidden@/d", "host and port"),
        ("postgresql://u:hidden@h", "names no database"),
        ("postgresql://u:hidden@h/", "names no database"),
        ("postgresql://u:hidden@[h/d", "is no URL"),
    ],
)
def test_others_are_refused_in_one_line_that_repeats_no_password(url: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason) as caught:
        check_store_url(url)
    assert "\n" not in str(caught.value)
    assert "hid" not in str(caught.value)


@pytest.mark.parametrize("name", ["sslrootcert", "sslcert", "sslkey", "sslcrl"])
def test_a_tls_file_that_cannot_be_read_is_named(tmp_path: Path, name: str) -> None:
    file = tmp_path / "file.pem"
    with pytest.raises(ValueError, match=rf"has a {name} that cannot be read \(.*file\.pem: No such file"):
        check_store_url(f"postgresql://u:p@h/d?sslmode=verify-full&{name}={file}")
    file.write_text("")
    check_store_url(f"postgresql://u:p@h/d?sslmode=verify-full&{name}={file}")
