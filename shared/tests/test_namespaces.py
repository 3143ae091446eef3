"""The namespace file and the messages it answers mistakes with."""

from __future__ import annotations

import pytest

from warren_shared.contracts.namespaces import NamespaceFileError, parse_namespaces

STORED = "history_size: 1, history_ttl: 1h"
CACHE = "force_recovery_mode: cache"


def test_options_and_durations_are_read() -> None:
    namespaces = parse_namespaces(
        """
        without_namespace: {allow_subscribe_for_client: true}
        namespaces:
          - {name: chat, history_size: 10, history_ttl: 1h30m, force_recovery: true}
          - {name: live}
        """
    )

    chat = namespaces.by_name["chat"]
    assert (chat.history_ttl, chat.durable, chat.force_recovery) == (5400.0, True, True)
    assert not namespaces.by_name["live"].durable
    assert namespaces.of_channel("news") is namespaces.by_name[""]
    assert namespaces.of_channel("chat:a:b") is chat
    assert namespaces.of_channel("nope:a") is None


def test_recovery_gives_everything_unless_the_file_says_that_the_latest_is_enough() -> None:
    namespaces = parse_namespaces(
        f"namespaces: [{{name: plain, {STORED}, force_recovery_mode: stream}}, {{name: quiet, {STORED}}},"
        f"{{name: asks, {STORED}, allow_recovery: true, {CACHE}}},"
        f"{{name: given, {STORED}, force_recovery: true, {CACHE}, auto_cache_recover: true}}]"
    )
    said = {name: (options.latest_only, options.auto_cache_recover) for name, options in namespaces.by_name.items()}
    assert said == {"plain": (False, False), "quiet": (False, False), "asks": (True, False), "given": (True, True)}


def test_a_file_may_name_no_namespaces_if_it_says_so() -> None:
    assert list(parse_namespaces("namespaces: []")) == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("namespaces: [{name: chat, history_sizes: 3}]", r"namespaces\[chat\]\.history_sizes: is no known option"),
        ("namespaces: [{name: chat, history_size: many}]", r"namespaces\[chat\]\.history_size: .*integer"),
        ("namespaces: [{name: chat, history_size: 3}]", r"namespaces\[chat\]: history_size needs a history_ttl"),
        ("namespaces: [{name: chat, force_recovery: true}]", r"\[chat\]: force_recovery needs history_size"),
        ("namespaces: [{name: chat, history_size: 1, history_ttl: soon}]", r"history_ttl: is no duration"),
        ("namespaces: [{name: chat, history_size: 1, history_ttl: .inf}]", r"\[chat\]\.history_ttl: .*315360000"),
        ("namespaces: [{name: chat, history_size: 1, history_ttl: 1.0e+20}]", r"\.history_ttl: .*315360000"),
        ("namespaces: [{name: chat, history_meta_ttl: .inf}]", r"\[chat\]\.history_meta_ttl: .*315360000"),
        ("namespaces: [{name: chat, history_meta_ttl: .nan}]", r"\[chat\]\.history_meta_ttl: "),
        ("namespaces: [{name: chat, history_meta_ttl: 3651d}]", r"\[chat\]\.history_meta_ttl: .*315360000"),
        ("namespaces: [{name: chat, history_size: 1000001}]", r"\[chat\]\.history_size: .*1000000"),
        ("namespaces: [{name: x}]", r"name 'x' must be"),
        ("namespaces: [{name: chat}, {name: chat}]", r"'chat' is given twice"),
        ("{namespaces: [], namespace: []}", r"namespace: is no known option"),
        ("namespaces: [", r"is no YAML"),
        (
            "namespaces:\n  - {name: chat, presence: true, presence: false}",
            r"^line 2: the key 'presence' is given twice$",
        ),
        ("namespaces: []\nnamespaces: []", r"^line 2: the key 'namespaces' is given twice$"),
        ("namespaces: [{name: 2024-13-45}]", r"is no YAML: month"),
        ("[" * 5000, r"is no YAML"),
        ("namespaces: [{name: " + "x" * 65 + "}]", r"must be 2 to 64"),
        ("", r"is empty"),
        ("# nothing but a comment", r"is empty"),
        ("without_namespace: {}", r"namespaces: Field required"),
        ("- chat", r"must be a mapping"),
        ("namespaces: [{}]", r"name: Field required"),
        ("namespaces: [{name: ab, force_recovery_mode: cache}]", r"force_recovery_mode cache needs history_size"),
        ("namespaces: [{name: ab, force_recovery_mode: no}]", r"\[ab\]\.force_recovery_mode: .*'stream' or 'cache'"),
        ("namespaces: [{name: ab, auto_cache_recover: true}]", r"\[ab\]: auto_cache_recover needs force_recovery and"),
        (f"namespaces: [{{name: ab, {STORED}, force_recovery: true, auto_cache_recover: true}}]", r"_mode cache$"),
        (f"namespaces: [{{name: ab, {STORED}, {CACHE}, auto_cache_recover: true}}]", r"needs force_recovery and"),
        ("namespaces: [{name: ab, force_push_join_leave: true}]", r"force_push_join_leave needs join_leave"),
    ],
)
def test_a_mistake_is_one_line_that_names_the_key(text: str, message: str) -> None:
    with pytest.raises(NamespaceFileError, match=message) as caught:
        parse_namespaces(text)
    assert "\n" not in str(caught.value)


def test_what_a_merged_mapping_brings_may_be_overridden() -> None:
    namespaces = parse_namespaces(
        "namespaces:\n"
        "  - &a {name: first, presence: true}\n"
        "  - &b {<<: *a, name: second, presence: false}\n"
        "  - {<<: *b, name: third, presence: true}\n"
    )
    assert [namespaces.by_name[name].presence for name in namespaces] == [True, False, True]


@pytest.mark.parametrize(
    ("expression", "channel", "may"),
    [
        ("", "rooms:anything", True),
        ("^[a-z]+$", "rooms:abc", True),
        ("^[a-z]+$", "rooms:a1", False),
        ("^[a-z]+$", "$rooms:abc", True),
        ("b", "rooms:abc", True),
        ("^a:b$", "rooms:a:b", True),
        ("^$", "rooms:", True),
        ("(x+x+)+y", "rooms:" + "x" * 240, False),
    ],
)
def test_a_channels_name_must_match_its_namespaces_expression(expression: str, channel: str, may: bool) -> None:
    namespaces = parse_namespaces(f"namespaces: [{{name: rooms, channel_regex: '{expression}'}}]")
    options = namespaces.of_channel(channel)
    assert options is not None
    assert options.names(channel) is may


def test_a_channel_without_a_namespace_must_match_as_a_whole() -> None:
    options = parse_namespaces("{without_namespace: {channel_regex: ^news$}, namespaces: []}").by_name[""]
    assert (options.names("news"), options.names("newspaper")) == (True, False)


@pytest.mark.parametrize("expression", ["(", "(?=a)", r"(a)\\1", "a{1000}{1000}", "x" * 1025])
def test_an_expression_that_cannot_be_used_is_refused_by_name(expression: str) -> None:
    with pytest.raises(NamespaceFileError, match=r"^namespaces\[rooms\]\.channel_regex: is "):
        parse_namespaces(f'namespaces: [{{name: rooms, channel_regex: "{expression}"}}]')


def test_the_namespaces_with_a_channel_for_each_user_are_known() -> None:
    text = "namespaces: [{name: inbox, personal_channel: true}, {name: chat}, {name: tasks, personal_channel: true}]"
    assert parse_namespaces(text).personal == ("inbox", "tasks")
