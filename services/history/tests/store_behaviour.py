"""What every store promises; a test module subclasses StoreBehaviour and makes the store."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from warren_history.domain.publications import Appended, Content, NewPublication, ReadPlan, Retention, StreamPage
from warren_history.ports import Store, StoreUnavailableError

T0 = 1_700_000_000_000
HOUR = 3_600_000
DAY = 24 * HOUR
KEEP = Retention(size=100, ttl=HOUR, meta_ttl=DAY)
WINDOW = HOUR
"""The idempotency window of the stores under test."""


def new(
    text: str, *, channel: str = "chat:room", message_id: str | None = None, keep: Retention = KEEP
) -> NewPublication:
    return NewPublication(channel, Content(f'"{text}"'.encode()), keep, message_id)


def plan(
    channel: str = "chat:room",
    *,
    limit: int = 1000,
    since: int | None = None,
    reverse: bool = False,
    keep: Retention = KEEP,
    max_bytes: int = 1_000_000,
) -> ReadPlan:
    return ReadPlan(channel, keep, limit, max_bytes, since, reverse)


def offsets(page: StreamPage) -> list[int]:
    return [stored.offset for stored in page.publications]


def texts(page: StreamPage) -> list[str]:
    return [stored.content.data.decode().strip('"') for stored in page.publications]


async def append_texts(
    store: Store, *items: str, now: int = T0, channel: str = "chat:room", keep: Retention = KEEP
) -> Sequence[Appended]:
    return await store.append([new(item, channel=channel, keep=keep) for item in items], now=now)


async def use_until(store: Store, start: int, end: int) -> None:
    """Let time pass for a store that is in use: its sweep comes by at least every minute."""
    for now in range(start, end, 60_000):
        await store.trim(now=now, limit=1000)
    await store.trim(now=end, limit=1000)


class Appending:
    async def test_offsets_count_from_one_by_one_within_one_epoch(self, store: Store) -> None:
        first = await append_texts(store, "a", "b")
        second = await append_texts(store, "c")
        assert [item.offset for item in (*first, *second)] == [1, 2, 3]
        assert len({item.epoch for item in (*first, *second)}) == 1

    async def test_results_carry_time_and_content_in_the_order_of_the_batch(self, store: Store) -> None:
        results = await store.append([new("a"), new("b", channel="chat:other"), new("c")], now=T0 + 5)
        assert [(item.offset, item.time, item.content.data, item.duplicate) for item in results] == [
            (1, T0 + 5, b'"a"', False),
            (1, T0 + 5, b'"b"', False),
            (2, T0 + 5, b'"c"', False),
        ]

    async def test_channels_have_streams_and_epochs_of_their_own(self, store: Store) -> None:
        first, second = await store.append([new("a"), new("b", channel="chat:other")], now=T0)
        assert first.offset == second.offset == 1
        assert first.epoch != second.epoch

    async def test_content_is_read_back_as_it_was_given(self, store: Store) -> None:
        content = Content(b"\x00\xff\n", True, "application/x-custom", '{"user":"alice"}', {"kind": "grün", "": ""})
        await store.append([NewPublication("chat:room", content, KEEP), new("plain")], now=T0)
        first, second = (await store.read(plan(), now=T0)).publications
        assert first.content == content
        assert (second.content, second.time) == (new("plain").content, T0)

    async def test_an_empty_batch_changes_nothing(self, store: Store) -> None:
        assert list(await store.append([], now=T0)) == []
        assert store.size().streams == 0

    async def test_size_trimming_keeps_the_newest(self, store: Store) -> None:
        keep = Retention(size=3, ttl=HOUR, meta_ttl=DAY)
        await append_texts(store, *"abcde", keep=keep)
        page = await store.read(plan(keep=keep), now=T0)
        assert (texts(page), offsets(page), page.top) == (["c", "d", "e"], [3, 4, 5], 5)
        assert store.size().publications == 3

    async def test_a_lowered_size_hides_at_once_what_is_over_it(self, store: Store) -> None:
        await append_texts(store, *"abcde")
        page = await store.read(plan(keep=Retention(2, HOUR, DAY)), now=T0)
        assert offsets(page) == [4, 5]


class Recognising:
    async def test_a_known_message_id_keeps_its_offset_time_and_content(self, store: Store) -> None:
        (first,) = await store.append([new("a", message_id="m1")], now=T0)
        again, other = await store.append([new("changed", message_id="m1"), new("b", message_id="m2")], now=T0 + 9)
        assert (again.offset, again.epoch, again.time) == (first.offset, first.epoch, T0)
        assert (again.content.data, again.duplicate) == (b'"a"', True)
        assert (other.offset, other.duplicate) == (2, False)

    async def test_a_message_id_twice_in_one_batch_is_stored_once(self, store: Store) -> None:
        results = await store.append([new(text, message_id="m1") for text in "abc"], now=T0)
        assert [(item.offset, item.duplicate, item.content.data) for item in results] == [
            (1, False, b'"a"'),
            (1, True, b'"a"'),
            (1, True, b'"a"'),
        ]
        assert offsets(await store.read(plan(), now=T0)) == [1]

    async def test_a_message_id_in_two_batches_at_the_same_time_is_stored_once(self, store: Store) -> None:
        batches = [[new(f"{turn}-first"), new(f"{turn}", message_id="m1"), new(f"{turn}-last")] for turn in range(8)]
        results = await asyncio.gather(*(store.append(batch, now=T0) for batch in batches))
        one, *others = sorted((result[1] for result in results), key=lambda item: item.duplicate)
        assert [one.duplicate, *(item.duplicate for item in others)] == [False] + [True] * 7
        assert {(item.offset, item.content.data) for item in others} == {(one.offset, one.content.data)}
        assert offsets(await store.read(plan(), now=T0)) == list(range(1, 18))

    async def test_message_ids_are_per_channel(self, store: Store) -> None:
        await store.append([new("a", message_id="m1")], now=T0)
        (other,) = await store.append([new("a", message_id="m1", channel="chat:other")], now=T0)
        assert not other.duplicate

    async def test_publications_without_message_id_are_stored_whenever_they_come(self, store: Store) -> None:
        await append_texts(store, "same", "same")
        assert offsets(await store.read(plan(), now=T0)) == [1, 2]

    async def test_a_duplicate_that_left_the_window_is_what_it_was_given_now(self, store: Store) -> None:
        keep = Retention(size=1, ttl=HOUR, meta_ttl=DAY)
        await store.append([new("a", message_id="m1", keep=keep), new("b", keep=keep)], now=T0)
        (again,) = await store.append([new("a", message_id="m1", keep=keep)], now=T0 + 1)
        assert (again.offset, again.time, again.content.data, again.duplicate) == (1, T0, b'"a"', True)
        assert offsets(await store.read(plan(keep=keep), now=T0 + 1)) == [2]

    async def test_a_message_id_is_forgotten_after_the_window(self, store: Store) -> None:
        await store.append([new("a", message_id="m1")], now=T0)
        await use_until(store, T0, T0 + WINDOW - 1)
        (just_inside,) = await store.append([new("a", message_id="m1")], now=T0 + WINDOW - 1)
        (outside,) = await store.append([new("a", message_id="m1")], now=T0 + WINDOW)
        assert (just_inside.offset, just_inside.duplicate) == (1, True)
        assert (outside.offset, outside.duplicate) == (2, False)

    async def test_a_message_id_outlives_any_time_the_store_was_not_used(self, store: Store) -> None:
        await store.append([new("a", message_id="m1")], now=T0)
        (again,) = await store.append([new("a", message_id="m1")], now=T0 + 10 * WINDOW)
        assert again.duplicate

    async def test_a_message_id_stored_anew_counts_from_then(self, store: Store) -> None:
        await store.append([new("a", message_id="m1")], now=T0)
        await use_until(store, T0, T0 + WINDOW - 1)
        await store.append([new("b", message_id="m1")], now=T0 + WINDOW)
        (again,) = await store.append([new("c", message_id="m1")], now=T0 + WINDOW + 1)
        assert (again.offset, again.duplicate, again.content.data) == (2, True, b'"b"')

    async def test_a_stream_that_began_anew_knows_no_message_ids(self, store: Store) -> None:
        keep = Retention(size=10, ttl=1000, meta_ttl=2000)
        (first,) = await store.append([new("a", message_id="m1", keep=keep)], now=T0)
        (again,) = await store.append([new("a", message_id="m1", keep=keep)], now=T0 + 2000)
        assert (again.offset, again.duplicate) == (1, False)
        assert again.epoch != first.epoch


class Reading:
    async def test_an_unknown_channel_gets_an_epoch_that_stays(self, store: Store) -> None:
        first = await store.read(plan("chat:quiet"), now=T0)
        assert (first.top, first.publications) == (0, ())
        assert first.epoch
        assert (await store.read(plan("chat:quiet"), now=T0 + HOUR)).epoch == first.epoch
        (appended,) = await append_texts(store, "a", channel="chat:quiet", now=T0 + 2 * HOUR)
        assert (appended.epoch, appended.offset) == (first.epoch, 1)

    async def test_limit_zero_returns_the_position_alone(self, store: Store) -> None:
        (appended, *_) = await append_texts(store, *"abc")
        assert await store.read(plan(limit=0), now=T0) == StreamPage(appended.epoch, 3, ())

    @pytest.mark.parametrize(
        ("since", "limit", "reverse", "expected"),
        [
            (None, 1000, False, [1, 2, 3, 4, 5]),
            (None, 2, False, [1, 2]),
            (0, 1000, False, [1, 2, 3, 4, 5]),
            (2, 1000, False, [3, 4, 5]),
            (2, 2, False, [3, 4]),
            (4, 1000, False, [5]),
            (5, 1000, False, []),
            (99, 1000, False, []),
            (2**63 - 1, 1000, False, []),
            (None, 1000, True, [5, 4, 3, 2, 1]),
            (None, 2, True, [5, 4]),
            (4, 1000, True, [3, 2, 1]),
            (4, 2, True, [3, 2]),
            (1, 1000, True, []),
            (0, 1000, True, []),
            (99, 2, True, [5, 4]),
        ],
    )
    async def test_since_is_exclusive_in_both_directions(
        self, store: Store, since: int | None, limit: int, reverse: bool, expected: list[int]
    ) -> None:
        await append_texts(store, *"abcde")
        page = await store.read(plan(since=since, limit=limit, reverse=reverse), now=T0)
        assert (offsets(page), page.top) == (expected, 5)

    async def test_since_older_than_the_window_reads_from_its_oldest(self, store: Store) -> None:
        keep = Retention(size=2, ttl=HOUR, meta_ttl=DAY)
        await append_texts(store, *"abcde", keep=keep)
        assert offsets(await store.read(plan(since=1, keep=keep), now=T0)) == [4, 5]

    async def test_a_page_ends_at_its_bytes_but_holds_one_publication(self, store: Store) -> None:
        await append_texts(store, "x" * 48, "y" * 48, "z" * 48)  # 50 bytes each
        assert offsets(await store.read(plan(max_bytes=100), now=T0)) == [1, 2]
        assert offsets(await store.read(plan(max_bytes=99), now=T0)) == [1]
        assert offsets(await store.read(plan(max_bytes=1, reverse=True), now=T0)) == [3]

    async def test_what_has_expired_is_not_read_though_not_yet_trimmed(self, store: Store) -> None:
        await append_texts(store, "a", now=T0)
        await append_texts(store, "b", now=T0 + 10)
        assert offsets(await store.read(plan(), now=T0 + HOUR - 1)) == [1, 2]
        page = await store.read(plan(), now=T0 + HOUR)
        assert (offsets(page), page.top) == ([2], 2)

    async def test_offsets_continue_after_everything_expired(self, store: Store) -> None:
        (first,) = await append_texts(store, "a")
        await store.trim(now=T0 + HOUR, limit=100)
        (second,) = await append_texts(store, "b", now=T0 + HOUR)
        assert (second.epoch, second.offset) == (first.epoch, 2)

    async def test_a_shortened_ttl_makes_no_gaps(self, store: Store) -> None:
        await append_texts(store, "a", now=T0)
        await append_texts(store, "b", now=T0, keep=Retention(100, 1000, DAY))
        await append_texts(store, "c", now=T0 + 2000)
        await store.trim(now=T0 + 2000, limit=100)
        assert offsets(await store.read(plan(), now=T0 + 2000)) == [1, 2, 3]

    async def test_a_clock_that_steps_back_makes_no_gaps(self, store: Store) -> None:
        await append_texts(store, "a", now=T0)
        await append_texts(store, "b", now=T0 - DAY)
        assert offsets(await store.read(plan(), now=T0 - DAY + HOUR)) == [1, 2]


class Ending:
    async def test_after_meta_ttl_a_stream_begins_anew_when_read(self, store: Store) -> None:
        (old,) = await append_texts(store, "a")
        page = await store.read(plan(), now=T0 + DAY)
        assert page.epoch != old.epoch
        assert (page.top, page.publications) == (0, ())

    async def test_after_meta_ttl_a_stream_begins_anew_when_appended_to(self, store: Store) -> None:
        (old,) = await append_texts(store, "a")
        (new_one,) = await append_texts(store, "b", now=T0 + DAY)
        assert new_one.epoch != old.epoch
        page = await store.read(plan(), now=T0 + DAY)
        assert (texts(page), offsets(page), page.epoch) == (["b"], [1], new_one.epoch)

    async def test_an_append_prolongs_the_life_of_its_stream(self, store: Store) -> None:
        (first,) = await append_texts(store, "a", now=T0)
        await append_texts(store, "b", now=T0 + DAY - 1)
        assert (await store.read(plan(), now=T0 + 2 * DAY - 2)).epoch == first.epoch

    async def test_a_read_in_the_second_half_prolongs_the_life_of_its_stream(self, store: Store) -> None:
        first = await store.read(plan(), now=T0)
        await store.read(plan(), now=T0 + DAY - 1)
        assert (await store.read(plan(), now=T0 + 2 * DAY - 2)).epoch == first.epoch

    async def test_trimming_removes_what_expired_and_says_how_much(self, store: Store) -> None:
        await store.append([new("a", message_id="m1"), new("b")], now=T0)
        await use_until(store, T0, T0 + HOUR - 1)
        await append_texts(store, "c", now=T0 + HOUR - 1)
        trimmed = await store.trim(now=T0 + HOUR, limit=100)
        assert (trimmed.publications, trimmed.message_ids, trimmed.streams, trimmed.more) == (2, 1, 0, False)
        size = store.size()
        assert (size.streams, size.publications, size.message_ids) == (1, 1, 0)
        trimmed = await store.trim(now=T0 + 2 * DAY, limit=100)
        assert (trimmed.publications, trimmed.streams) == (1, 1)
        assert store.size().streams == 0

    async def test_a_closed_store_says_it_is_unavailable(self, store: Store) -> None:
        assert store.healthy
        await store.close()
        assert not store.healthy
        with pytest.raises(StoreUnavailableError):
            await store.append([new("a")], now=T0)
        with pytest.raises(StoreUnavailableError):
            await store.read(plan(), now=T0)
        with pytest.raises(StoreUnavailableError):
            await store.trim(now=T0, limit=1)
        with pytest.raises(StoreUnavailableError):
            await store.remove("chat:room")
        with pytest.raises(StoreUnavailableError):
            await store.renew_epochs()
        with pytest.raises(StoreUnavailableError):
            await store.begin_trial("q.0", "a")
        await store.close()


class Removing:
    async def test_what_is_removed_is_gone_while_epoch_and_offsets_go_on(self, store: Store) -> None:
        (first, *_) = await append_texts(store, *"abc")
        assert await store.remove("chat:room") == 3
        assert await store.read(plan(), now=T0) == StreamPage(first.epoch, 3, ())
        assert store.size().publications == 0
        (after,) = await append_texts(store, "d")
        assert (after.epoch, after.offset) == (first.epoch, 4)
        page = await store.read(plan(since=0), now=T0)
        assert (texts(page), offsets(page)) == (["d"], [4])

    async def test_other_channels_keep_what_they_have(self, store: Store) -> None:
        await store.append([new("a"), new("b", channel="chat:other")], now=T0)
        await store.remove("chat:room")
        assert texts(await store.read(plan("chat:other"), now=T0)) == ["b"]

    async def test_what_was_removed_is_recognised_when_it_comes_again(self, store: Store) -> None:
        await store.append([new("a", message_id="m1")], now=T0)
        await store.remove("chat:room")
        again, other = await store.append([new("a", message_id="m1"), new("b", message_id="m2")], now=T0 + 1)
        assert (again.offset, again.time, again.duplicate) == (1, T0, True)
        assert (other.offset, other.duplicate) == (2, False)
        assert offsets(await store.read(plan(), now=T0 + 1)) == [2]

    async def test_removing_again_or_what_was_never_there_removes_nothing(self, store: Store) -> None:
        await append_texts(store, "a")
        await store.remove("chat:room")
        assert await store.remove("chat:room") == 0
        assert await store.remove("chat:never") == 0
        assert store.size().streams == 1

    async def test_what_is_published_while_much_is_removed_stays(self, store: Store) -> None:
        keep = Retention(size=10_000, ttl=HOUR, meta_ttl=DAY)
        await store.append([new(str(number), keep=keep) for number in range(3500)], now=T0)
        removing = asyncio.ensure_future(store.remove("chat:room"))
        appended = [(await append_texts(store, "x", keep=keep))[0].offset for _ in range(20)]
        removed = await removing
        left = offsets(await store.read(plan(keep=keep), now=T0))
        assert removed + len(left) == 3520
        assert left == appended[-len(left) :] if left else removed == 3520

    async def test_new_epochs_are_no_streams_old_one_while_everything_else_stays(self, store: Store) -> None:
        old = {item.epoch for item in await store.append([new("a"), new("b", channel="chat:other")], now=T0)}
        await store.append([new("c", message_id="m1")], now=T0)
        assert await store.renew_epochs() == 2
        page, other = await store.read(plan(), now=T0), await store.read(plan("chat:other"), now=T0)
        assert len({page.epoch, other.epoch} | old) == 4
        assert (texts(page), page.top, texts(other)) == (["a", "c"], 2, ["b"])
        again, after = await store.append([new("c", message_id="m1"), new("d")], now=T0)
        assert (again.offset, again.duplicate, again.epoch) == (2, True, page.epoch)
        assert (after.offset, after.epoch) == (3, page.epoch)


class Trimming:
    """For stores whose trimming is bounded; the subclass gives a fixture ``store``, empty."""

    async def test_trimming_goes_in_slices_from_the_oldest(self, store: Store) -> None:
        keep = Retention(size=1000, ttl=1000, meta_ttl=DAY)
        await append_texts(store, *"abcdefg", keep=keep)
        counts = []
        for _ in range(4):
            trimmed = await store.trim(now=T0 + 1000, limit=3)
            counts.append((trimmed.publications, trimmed.more))
            # Even seen from a clock that stepped back, what is left has no gap.
            left = offsets(await store.read(plan(keep=keep), now=T0))
            assert left == list(range(8 - len(left), 8))
        assert counts == [(3, True), (3, True), (1, False), (0, False)]

    async def test_a_much_lowered_size_is_trimmed_a_bounded_part_at_a_time(self, store: Store) -> None:
        wide, narrow = Retention(10_000, HOUR, DAY), Retention(1, HOUR, DAY)
        await store.append([new(str(number), keep=wide) for number in range(1000)], now=T0)
        await append_texts(store, "x", keep=narrow)
        assert 700 < store.size().publications < 1000
        for _ in range(4):
            await append_texts(store, "x", keep=narrow)
        assert store.size().publications == 1


class Trying:
    async def test_trials_of_a_delivery_that_do_not_end_are_counted(self, store: Store) -> None:
        assert [await store.begin_trial("q.0", "a") for _ in range(3)] == [1, 2, 3]
        assert await store.begin_trial("q.1", "a") == 1
        await store.end_trial("q.0")
        await store.end_trial("q.0")
        assert [await store.begin_trial(queue, "a") for queue in ("q.0", "q.1")] == [1, 2]

    async def test_a_trial_of_another_delivery_begins_the_count_anew(self, store: Store) -> None:
        counts = [await store.begin_trial("q.0", delivery) for delivery in ("a", "a", "b", "a")]
        assert counts == [1, 2, 1, 1]


class StoreBehaviour(Appending, Recognising, Reading, Ending, Removing, Trying):
    """All of it; the subclass gives a fixture ``store``, empty, with WINDOW as idempotency window."""
