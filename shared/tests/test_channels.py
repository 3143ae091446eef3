"""Channel names and their routing keys."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from warren_shared.contracts.channels import (
    ChannelNameError,
    channel_of,
    check_channel,
    check_pattern,
    is_pattern,
    is_private,
    namespace_of,
    namespace_pattern,
    routing_key_of,
    users_of,
)

ANYTHING = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1, max_size=253)
NEAR = st.text(st.sampled_from("$.:ab_"), min_size=1, max_size=12)
"""Where a namespace, a private prefix and the words of a key are likely, and likely to be confused."""
PRINTABLE = ANYTHING | NEAR


def legal(channel: str) -> bool:
    try:
        check_channel(channel)
    except ChannelNameError:
        return False
    return True


@given(PRINTABLE.filter(legal))
def test_every_legal_channel_is_found_again_from_its_routing_key(channel: str) -> None:
    assert channel_of(routing_key_of(channel)) == channel


@given(PRINTABLE.filter(legal), PRINTABLE.filter(legal))
def test_different_channels_have_different_routing_keys(one: str, other: str) -> None:
    assert (routing_key_of(one) == routing_key_of(other)) == (one == other)


@given(NEAR.filter(lambda key: not key.startswith(".")))
def test_every_routing_key_that_is_a_legal_channels_is_found_again_from_it(key: str) -> None:
    try:
        channel = channel_of(key)
    except ChannelNameError:
        return
    assert routing_key_of(channel) == key


@given(PRINTABLE.filter(legal))
def test_the_binding_of_a_namespace_matches_all_its_channels(channel: str) -> None:
    assert routing_key_of(channel).startswith(namespace_pattern(namespace_of(channel)).removesuffix("#"))


@given(PRINTABLE.filter(legal))
def test_no_legal_channel_binds_anything_but_itself(channel: str) -> None:
    assert not {"*", "#"} & set(routing_key_of(channel).split("."))


@given(st.text(max_size=300))
def test_any_text_is_either_a_legal_channel_or_refused_with_a_reason(text: str) -> None:
    try:
        check_channel(text)
    except ChannelNameError as error:
        assert str(error)
    else:
        assert len(routing_key_of(text).encode()) <= 255


@pytest.mark.parametrize(
    ("channel", "reason"),
    [
        ("", "empty"),
        ("*", "wildcard"),
        ("#", "wildcard"),
        ("chat:#", "wildcard"),
        ("chat:*", "wildcard"),
        ("chat:a.*.b", "wildcard"),
        ("a:#", "wildcard"),
        ("chat:caf\u00e9", "ASCII"),
        ("chat:a\nb", "ASCII"),
        ("chat:" + "x" * 251, "longer"),
        ("x" * 254, "longer"),
        ("a:b", "namespace"),
        ("a.b:c", "namespace"),
        (":c", "namespace"),
        ("$:c", "namespace"),
        ("$a:c", "namespace"),
        ("$$chat:c", "namespace"),
        ("chat:$.c", r"\$chat:c"),
        ("$chat:" + "x" * 249, "routing key"),
        ("$chat:#", "wildcard"),
    ],
)
def test_an_illegal_name_is_refused_with_its_reason(channel: str, reason: str) -> None:
    with pytest.raises(ChannelNameError, match=reason):
        check_channel(channel)


@pytest.mark.parametrize(
    "channel", ["chat:#42", "dialog#42,43", "chat:", "news", "a..b", "chat:a:b", "$private", "$chat:a", "chat:$"]
)
def test_a_name_with_boundary_characters_inside_words_is_legal(channel: str) -> None:
    check_channel(channel)


@pytest.mark.parametrize("key", ["", "news", "a.b", "_.chat:x", "x y.z"])
def test_a_routing_key_that_no_channel_maps_to_is_refused(key: str) -> None:
    with pytest.raises(ChannelNameError):
        channel_of(key)


def test_the_namespace_is_the_part_before_the_first_colon() -> None:
    assert [namespace_of(c) for c in ("chat:a:b", "news", "chat:")] == ["chat", "", "chat"]
    assert [namespace_pattern(n) for n in ("chat", "")] == ["chat.#", "_.#"]


def test_a_private_channel_is_of_the_namespace_behind_its_dollar_and_has_a_key_of_its_own() -> None:
    private = ("$chat:a", "chat:$a", "$chat:$a", "$lobby", "$chat:")
    assert [routing_key_of(c) for c in private] == ["chat.$.a", "chat.$a", "chat.$.$a", "_.$lobby", "chat.$."]
    assert [namespace_of(c) for c in private] == ["chat", "chat", "chat", "", "chat"]
    assert all(map(is_private, private))
    assert not any(map(is_private, ("chat:a", "chat:a$", "lobby$", "chat:a:$b")))


def test_the_users_of_a_limited_channel_stand_behind_the_hash() -> None:
    assert users_of("dialog#42,43") == frozenset({"42", "43"})
    assert users_of("inbox:#42") == frozenset({"42"})
    assert users_of("chat:room") is None


@pytest.mark.parametrize(
    "pattern", ["chat:*", "chat:#", "chat:a.*.b", "chat:a.#", "chat:#.b", "*", "a.*", "chat:*.*.#"]
)
def test_a_pattern_has_a_word_that_is_a_wildcard(pattern: str) -> None:
    assert is_pattern(pattern)
    check_pattern(pattern)


@pytest.mark.parametrize("channel", ["chat:a", "chat:a*", "chat:#42", "chat:a#42.b", "**", "chat:a.*b", ""])
def test_a_wildcard_within_a_word_makes_no_pattern(channel: str) -> None:
    assert not is_pattern(channel)


@pytest.mark.parametrize(
    ("pattern", "reason"),
    [
        ("chat:#.#", "more than one"),
        ("chat:#.a.#", "more than one"),
        ("$chat:*", "private"),
        ("chat:$.*", "private"),
        ("chat:$x.*", "private"),
        ("chat:*.a#42", "limited to users"),
        ("*:a", "namespace"),
        ("#:a", "namespace"),
        ("chat:*\n", "ASCII"),
        ("chat:*" + "x" * 255, "longer"),
    ],
)
def test_an_illegal_pattern_is_refused_with_its_reason(pattern: str, reason: str) -> None:
    with pytest.raises(ChannelNameError, match=reason):
        check_pattern(pattern)


@given(st.text(st.sampled_from("*#.:$ab"), min_size=1, max_size=14))
def test_any_text_is_either_a_legal_pattern_or_refused_with_a_reason(text: str) -> None:
    try:
        check_pattern(text)
    except ChannelNameError as error:
        assert str(error)
    else:
        assert routing_key_of(text).split(".").count("#") <= 1
