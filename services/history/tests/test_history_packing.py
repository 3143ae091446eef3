"""What leaves together, in what order, and what becomes of it if the broker refuses it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from warren_history.domain.publications import Appended, Content
from warren_history.handlers.delivering import Delivering
from warren_history.handlers.dispatch import Dispatch
from warren_history.handlers.egress import Leaving, numbered
from warren_history.handlers.packing import Packing, Parcel
from warren_history.handlers.patience import Patience
from warren_history.metrics import Counts
from warren_shared.contracts.namespaces import parse_namespaces
from warren_shared.contracts.pack import MAX_PACK_BYTES, MAX_PACK_PUBLICATIONS
from warren_shared.messaging.port import Delivery, Outgoing
from warren_shared.observability.bounded_log import BoundedLog

from .fakes import FakeClock, FakePublisher, apart

NAMESPACES = parse_namespaces(
    """
    without_namespace: {history_size: 100, history_ttl: 1h, bind_namespace: true}
    namespaces:
      - {name: chat, history_size: 100, history_ttl: 1h}
      - {name: mine, history_size: 100, history_ttl: 1h, bind_namespace: true}
    """
)
QUEUE = "warren.history.0"


def leaving(
    key: str, offset: int, data: bytes = b"1", *, tags: dict[str, str] | None = None, content_type: str | None = None
) -> Leaving:
    content = Content(data, content_type=content_type, tags=tags or {})
    return Leaving(Delivery("warren.publish", key, data, message_id="m"), Appended("e1", offset, 7, content), {})


def parcels(*batch: Leaving, enabled: bool = True) -> list[Parcel]:
    return Packing(NAMESPACES, enabled=enabled).parcels(batch)


def sent(made: Sequence[Parcel]) -> list[tuple[str, int]]:
    """Routing keys, and how many publications each message has."""
    return [(parcel.message.routing_key, len(parcel.inside)) for parcel in made]


def test_publications_of_a_channel_leave_in_one_message_under_its_key() -> None:
    made = parcels(leaving("chat.a", 1), leaving("chat.b", 1), leaving("chat.a", 2))
    assert sent(made) == [("chat.a", 2), ("chat.b", 1)]
    assert [parcel.message.type for parcel in made] == ["pack", None]
    assert made[0].message.exchange == "warren.deliver"


def test_a_publication_that_has_nothing_to_go_with_is_the_message_it_always_was() -> None:
    for key in ("chat.a", "mine.a", "_.a"):
        alone = leaving(key, 1, tags={"k": "v"})
        assert [parcel.message for parcel in parcels(alone)] == [numbered(alone)]


def test_publications_of_a_namespace_that_is_bound_whole_leave_together_under_its_name() -> None:
    made = parcels(
        leaving("mine.a", 1), leaving("_.x", 1), leaving("mine.$.b", 1), leaving("_.y", 1), leaving("mine.a", 2)
    )
    assert sent(made) == [("mine", 3), ("_", 2)]


def test_switched_off_every_publication_is_a_message_of_its_own_in_the_batchs_order() -> None:
    batch = [leaving("chat.a", 1), leaving("mine.b", 1), leaving("chat.a", 2)]
    assert [parcel.message for parcel in parcels(*batch, enabled=False)] == [numbered(each) for each in batch]


def test_a_pack_holds_a_bounded_number_of_publications() -> None:
    made = parcels(*(leaving("chat.a", number + 1) for number in range(2 * MAX_PACK_PUBLICATIONS + 1)))
    assert sent(made) == [("chat.a", MAX_PACK_PUBLICATIONS)] * 2 + [("chat.a", 1)]
    assert made[-1].message.type is None


def test_a_pack_holds_bounded_bytes_and_what_is_larger_leaves_alone_in_its_turn() -> None:
    half, large = b"1" * (MAX_PACK_BYTES // 2 - 100), b"1" * (MAX_PACK_BYTES + 1)
    sizes = [half, half, half, large, b"1", b"1"]
    made = parcels(*(leaving("chat.a", number + 1, data) for number, data in enumerate(sizes)))
    assert sent(made) == [("chat.a", 2), ("chat.a", 1), ("chat.a", 1), ("chat.a", 2)]
    assert [parcel.message.type for parcel in made] == ["pack", None, None, "pack"]
    assert all(len(parcel.message.body) <= MAX_PACK_BYTES for parcel in made if parcel.is_pack)


def test_the_names_of_many_channels_count_in_a_packs_bytes() -> None:
    made = parcels(*(leaving(f"mine.{'k' * 240}{number}", 1, b"x" * 950) for number in range(MAX_PACK_PUBLICATIONS)))
    assert len(made) == 2
    assert all(len(parcel.message.body) <= MAX_PACK_BYTES for parcel in made)


def test_what_no_pack_can_carry_leaves_alone_in_its_turn() -> None:
    unfit = leaving("chat.a", 3, tags={"k": "\ud83d"})
    made = parcels(leaving("chat.a", 1), leaving("chat.a", 2), unfit, leaving("chat.a", 4), leaving("chat.a", 5))
    assert sent(made) == [("chat.a", 2), ("chat.a", 1), ("chat.a", 2)]
    assert made[1].message == numbered(unfit)


batches = st.lists(
    st.tuples(
        st.sampled_from(["chat.a", "chat.b", "mine.a", "mine.$.a", "_.a", "_.b"]),
        st.sampled_from([b"1", b'"' + b"x" * 60_000 + b'"', b'"' + b"x" * (MAX_PACK_BYTES + 1) + b'"']),
        st.sampled_from([None, {"k": "v"}, {"k": "\ud83d"}]),
        st.sampled_from([None, "text/x"]),
    ),
    max_size=20,
)


@settings(max_examples=60, deadline=None)
@given(batches)
def test_every_channel_gets_its_publications_in_order_and_each_says_what_it_would_say_alone(
    batch: list[tuple[str, bytes, dict[str, str] | None, str | None]],
) -> None:
    leave = [
        leaving(key, offset + 1, data, tags=tags, content_type=content_type)
        for offset, (key, data, tags, content_type) in enumerate(batch)
    ]
    arrived = apart(parcel.message for parcel in parcels(*leave))
    assert len(arrived) == len(leave)
    for key in {key for key, *_ in batch}:
        assert [message for message in arrived if message.routing_key == key] == [
            numbered(each) for each in leave if each.delivery.routing_key == key
        ]


class Rig:
    def __init__(self) -> None:
        self.publisher, self.counts = FakePublisher(), Counts()
        dispatch = Dispatch(self.publisher, Patience(seconds=0), 5.0, lambda: None)
        log = BoundedLog(FakeClock().monotonic)
        self.delivering = Delivering(dispatch, NAMESPACES, pack=True, counts=self.counts, log=log)

    def offsets(self, *keys: str) -> list[object]:
        return [each.headers["offset"] for each in apart(self.publisher.published) if each.routing_key in keys]


def holds(data: bytes) -> Callable[[Outgoing], bool]:
    """Whether a message, or a pack, holds a payload."""
    return lambda message: any(each.body == data for each in apart([message]))


@pytest.mark.parametrize("namespace", ["chat", "mine"])
async def test_of_a_pack_that_is_refused_only_what_is_refused_alone_is_missing_and_the_order_is_kept(
    namespace: str,
) -> None:
    rig, channel = Rig(), f"{namespace}.a"
    rig.publisher.refuses = holds(b"poison")
    batch = [leaving(channel, number + 1, b"poison" if number == 300 else b"1") for number in range(600)]
    with capture_logs() as logs:
        await rig.delivering.deliver(QUEUE, [*batch, leaving("chat.other", 1), leaving("chat.other", 2)])
    assert rig.offsets(channel) == [number + 1 for number in range(600) if number != 300]
    assert rig.offsets("chat.other") == [1, 2]
    assert rig.counts.unsent == 1
    (entry,) = logs
    assert (entry["event"], entry["key"], entry["offset"]) == ("publication_not_sent", channel, 301)


async def test_a_pack_that_is_refused_though_each_of_its_publications_is_taken_loses_none() -> None:
    rig = Rig()
    rig.publisher.refuses = lambda message: message.type == "pack"
    with capture_logs() as logs:
        await rig.delivering.deliver(QUEUE, [leaving("chat.a", 1), leaving("chat.a", 2)])
    assert rig.offsets("chat.a") == [1, 2]
    assert (rig.counts.unsent, logs) == (0, [])


async def test_packs_are_counted_by_how_much_they_hold_and_what_leaves_alone_is_not() -> None:
    rig = Rig()
    await rig.delivering.deliver(QUEUE, [leaving("chat.a", 1), leaving("chat.a", 2), leaving("chat.b", 1)])
    assert (rig.counts.packs.total, sum(rig.counts.packs.counts)) == (2, 1)


async def test_a_namespace_is_packed_under_new_options_from_the_next_batch_on() -> None:
    rig = Rig()
    batch = [leaving("chat.a", 1), leaving("chat.b", 1)]
    await rig.delivering.deliver(QUEUE, batch)
    rig.delivering.use(
        parse_namespaces("namespaces: [{name: chat, history_size: 1, history_ttl: 1h, bind_namespace: true}]")
    )
    await rig.delivering.deliver(QUEUE, batch)
    assert [message.routing_key for message in rig.publisher.published] == ["chat.a", "chat.b", "chat"]
