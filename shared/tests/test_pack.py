"""Packs: several publications in one message, read strictly and with room for what comes later."""

from __future__ import annotations

import struct
from contextlib import suppress
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from warren_shared.contracts.channels import channel_of, namespace_key
from warren_shared.contracts.envelope import ContractError, UnknownMessageError
from warren_shared.contracts.pack import (
    MAX_PACK_BYTES,
    MAX_PACK_PUBLICATIONS,
    Packed,
    PackWriter,
    pack_publication,
    read_pack,
)

Content = list[tuple[str, str, Packed]]
"""Key, epoch and publication, in the order of writing."""

INT64: Final = 2**63 - 1
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
names = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=20)
publications = st.builds(
    Packed,
    st.integers(1, INT64),
    st.integers(-INT64, INT64),
    st.binary(max_size=64),
    st.dictionaries(texts, texts, max_size=3),
    texts,
    texts,
)
contents = st.lists(st.tuples(names, st.sampled_from(["e1", "e2"]), publications), min_size=1, max_size=12)


def body_of(content: Content) -> bytes:
    writer = PackWriter()
    for key, epoch, publication in content:
        assert writer.add(key, epoch, pack_publication(publication))
    return writer.body()


def read(body: bytes) -> Content:
    return [(run.key, run.epoch, each) for run in read_pack(body) for each in run.publications()]


def of_channel(content: Content, channel: tuple[str, str]) -> list[Packed]:
    return [publication for key, epoch, publication in content if (key, epoch) == channel]


@given(contents)
def test_what_is_written_is_read_and_every_channel_keeps_its_order(content: Content) -> None:
    again = read(body_of(content))
    channels = {(key, epoch) for key, epoch, _ in content}
    assert len(again) == len(content)
    for channel in channels:
        assert of_channel(again, channel) == of_channel(content, channel)


@given(contents)
def test_a_channels_run_says_how_many_publications_it_has_before_they_are_read(content: Content) -> None:
    for run in read_pack(body_of(content)):
        assert run.size == len(of_channel(content, (run.key, run.epoch)))


@given(contents, st.data())
def test_bytes_that_changed_are_read_or_refused_and_never_anything_else(content: Content, data: st.DataObject) -> None:
    body = bytearray(body_of(content))
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(body) - 1))
        body[place] = data.draw(st.sampled_from([0, 1, 0x7F, 0x80, 0xFF]) | st.integers(0, 255))
    try:
        found = read(bytes(body))
    except ContractError:
        return
    # Whatever it says, it cannot say more than there is.
    assert sum(len(each.data) for _, _, each in found) <= len(body)
    assert all(each.offset >= 1 for _, _, each in found)


@given(contents, st.data())
def test_a_pack_that_was_cut_is_refused_wherever_it_was_cut(content: Content, data: st.DataObject) -> None:
    body = body_of(content)
    cut = body[: data.draw(st.integers(0, len(body) - 1))]
    try:
        found = read(cut)
    except ContractError as error:
        assert str(error).startswith("pack: ")
    else:
        assert len(found) < len(content)  # cut between two runs


@given(st.binary(max_size=200))
def test_rubbish_is_refused_or_read_and_never_anything_else(body: bytes) -> None:
    for candidate in (body, b"\x01\x00\x00" + body):
        with suppress(ContractError):
            read(candidate)


RUN: Final = struct.Struct(">IIHBB")
PUBLICATION: Final = struct.Struct(">IqqIIBB")


def pack(*runs: bytes, version: int = 1, more: bytes = b"") -> bytes:
    return struct.pack(">BH", version, len(more)) + more + b"".join(runs)


def run(*inside: bytes, size: int = 0, count: int | None = None, key: bytes = b"ab.c", epoch: bytes = b"e") -> bytes:
    content, head = b"".join(inside), key + epoch
    announced = len(inside) if count is None else count
    return RUN.pack(len(head + content) + size, announced, len(head), len(key), len(epoch)) + head + content


def publication(
    data: bytes = b"1",
    *,
    offset: int = 1,
    size: int = 0,
    data_size: int = 0,
    message_id: bytes = b"",
    content_type: bytes = b"",
    headers: bytes = b"",
    more: bytes = b"",
) -> bytes:
    rest = data + message_id + content_type + headers + more
    fixed = PUBLICATION.pack(
        len(rest) + size, offset, 7, len(data) + data_size, len(headers), len(message_id), len(content_type)
    )
    return fixed + rest


def header(name: bytes, value: bytes, *, name_size: int = 0, value_size: int = 0) -> bytes:
    return struct.pack(">BI", len(name) + name_size, len(value) + value_size) + name + value


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "shorter than its head"),
        (b"\x01\x00", "shorter than its head"),
        (pack(), "nothing in it"),
        (pack()[:-1] + b"\xff" + run(publication()), "nothing in it"),
        (pack(run(publication())[:11]), "the run at byte 3 is cut off"),
        (pack(run(publication()), b"\x00"), "the run at byte 51 is cut off"),
        (pack(run(publication(), size=1)), "the run at byte 3 is longer than its place"),
        (pack(run(publication(), size=2**32 - 37)), "the run at byte 3 is longer than its place"),
        (pack(RUN.pack(4, 1, 5, 4, 1) + b"abcde"), "the run at byte 3 is longer than its place"),
        (pack(RUN.pack(5, 1, 4, 4, 1) + b"abcde"), "the run at byte 3 is longer than its place"),
        (pack(run(publication(), key=b"")), "names no channel, epoch or number"),
        (pack(run(publication(), epoch=b"")), "names no channel, epoch or number"),
        (pack(run()), "names no channel, epoch or number"),
        (pack(run(publication(), count=2)), "names no channel, epoch or number"),
        (pack(run(publication(), count=2**32 - 1)), "names no channel, epoch or number"),
        (pack(run(publication(), key=b"\xff\xff.a")), "channel or epoch that is no UTF-8"),
        (pack(run(publication(), publication(), count=1)), "2 publications of 'ab.c' where 1 were announced"),
        (pack(run(publication(b"1" * 40), count=2)), "1 publications of 'ab.c' where 2 were announced"),
        (pack(run(publication(), b"\x00" * 29, count=2)), "the publication at byte 51 is cut off"),
        (pack(run(publication(size=1))), "the publication at byte 20 is longer than its place"),
        (pack(run(publication(size=2**32 - 2))), "the publication at byte 20 is longer than its place"),
        (pack(run(publication(data_size=1))), "the publication at byte 20 is longer than its place"),
        (pack(run(publication(data_size=2**32 - 2))), "the publication at byte 20 is longer than its place"),
        (pack(run(publication(offset=0))), "the publication at byte 20 carries no position"),
        (pack(run(publication(offset=-1))), "the publication at byte 20 carries no position"),
        (pack(run(publication(message_id=b"\xff"))), "a text of 'ab.c' is no UTF-8"),
        (pack(run(publication(content_type=b"\xff"))), "a text of 'ab.c' is no UTF-8"),
        (pack(run(publication(headers=header(b"\xff", b"v")))), "a text of 'ab.c' is no UTF-8"),
        (pack(run(publication(headers=b"\x00"))), "the header at byte 51 is cut off"),
        (pack(run(publication(headers=header(b"n", b"v", value_size=1)))), "the header at byte 51 is longer"),
        (pack(run(publication(headers=header(b"n", b"v", name_size=9)))), "the header at byte 51 is longer"),
        (pack(run(publication(headers=header(b"n", b"v", value_size=1), more=b"12"))), "the header at byte 51 is lon"),
    ],
)
def test_a_malformed_pack_is_refused_with_what_is_wrong(body: bytes, reason: str) -> None:
    with pytest.raises(ContractError, match=reason):
        read(body)


def test_a_newer_version_is_said_to_be_unknown() -> None:
    with pytest.raises(UnknownMessageError, match="version 2 of a pack is not known here"):
        read_pack(pack(run(publication()), version=2))


def test_what_is_added_later_to_packs_runs_publications_and_headers_is_skipped() -> None:
    later = run(
        publication(b"1", more=b"new field of a publication", headers=header(b"later", b"x")),
        publication(b"2", offset=2, message_id=b"m2", more=b"\xff\xff\xff\xff"),
    )
    size, count, head, key, epoch = RUN.unpack_from(later)
    grown = b"new field of a run"
    later = (
        RUN.pack(size + len(grown), count, head + len(grown), key, epoch)
        + later[RUN.size : RUN.size + head]
        + grown
        + later[RUN.size + head :]
    )
    assert read(pack(later, run(publication(b"3"), key=b"ab.d"), more=b"new field of a pack")) == [
        ("ab.c", "e", Packed(1, 7, b"1", {"later": "x"})),
        ("ab.c", "e", Packed(2, 7, b"2", message_id="m2")),
        ("ab.d", "e", Packed(1, 7, b"3")),
    ]


RECORDED_FROM_A_LATER_VERSION: Final = bytes.fromhex(
    # A pack, a run and a publication, each with some bytes of something behind what is known.
    "01 0003 aabbcc"
    "0000004b 00000002 0007 04 01 61622e63 65 beef"
    "00000007 0000000000000001 0000000000000007 00000001 00000000 02 00 31 6d31 deadbeef"
    "00000001 0000000000000002 0000000000000008 00000001 00000000 00 00 32"
)


def test_recorded_bytes_with_fields_from_a_later_version_are_read() -> None:
    assert read(RECORDED_FROM_A_LATER_VERSION) == [
        ("ab.c", "e", Packed(1, 7, b"1", message_id="m1")),
        ("ab.c", "e", Packed(2, 8, b"2")),
    ]


def test_a_pack_is_full_at_its_publications_or_its_bytes_but_takes_any_first_one() -> None:
    writer = PackWriter()
    small = pack_publication(Packed(1, 7, b"1"))
    assert [writer.add("ab.c", "e", small) for _ in range(MAX_PACK_PUBLICATIONS + 1)].index(False) == (
        MAX_PACK_PUBLICATIONS
    )
    writer = PackWriter()
    large = pack_publication(Packed(1, 7, b"1" * MAX_PACK_BYTES))
    assert writer.add("ab.c", "e", large)
    assert not writer.add("ab.d", "e", small)
    assert len(read(writer.body())) == 1


@pytest.mark.parametrize(
    "unfit",
    [
        Packed(1, 7, b"1", message_id="m" * 256),
        Packed(1, 7, b"1", content_type="t" * 256),
        Packed(1, 7, b"1", {"n" * 256: "v"}),
        Packed(1, 7, b"1", {"n": "\ud83d"}),
        Packed(2**63, 7, b"1"),
    ],
)
def test_what_fits_no_pack_is_refused_before_it_is_in_one(unfit: Packed) -> None:
    with pytest.raises(ContractError, match="fits no pack"):
        pack_publication(unfit)


@pytest.mark.parametrize("namespace", ["chat", ""])
def test_the_key_of_a_whole_namespace_is_no_channels(namespace: str) -> None:
    with pytest.raises(ValueError, match="no namespace word"):
        channel_of(namespace_key(namespace))
