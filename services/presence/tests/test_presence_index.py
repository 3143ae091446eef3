"""The index against sets, the answers it gives, and the requests that fill it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from warren_presence.domain.departures import KEPT, Departures
from warren_presence.domain.occupancy import Occupancy
from warren_presence.domain.occupants import Occupant, encode_members, occupant_of
from warren_presence.domain.syncs import SyncRequest, Syncs
from warren_shared.contracts.presence import Member, Members, Stats
from warren_shared.contracts.rpc import Failed

from .presence_driver import Driver, Reports

gateways = st.sampled_from(["g1", "g2"])
channels = st.sampled_from(["room", "hall"])
clients = st.sampled_from(["c1", "c2", "c3"])
generations = st.integers(0, 2)
steps = st.one_of(
    st.tuples(st.just("enter"), gateways, channels, clients, generations),
    st.tuples(st.just("leave"), gateways, channels, clients, st.none()),
    st.tuples(st.just("replace"), gateways, channels, st.sets(clients), generations),
    st.tuples(st.just("drop"), gateways, st.none(), st.none(), st.none()),
    st.tuples(st.just("drop_unconfirmed"), gateways, st.none(), st.none(), generations),
)


def occupant(client: str, generation: int = 0) -> Occupant:
    return Occupant(client, f"user of {client}", None, None, True, generation)


@given(st.lists(steps, max_size=40))
def test_the_index_holds_what_a_set_of_facts_would(actions: list[tuple[str, str, str, str, int]]) -> None:
    occupancy = Occupancy()
    facts: dict[tuple[str, str, str], int] = {}
    for action, gateway, channel, who, generation in actions:
        if action == "enter":
            new = occupancy.enter(gateway, channel, occupant(who, generation))
            assert new == ((gateway, channel, who) not in facts)
            facts[gateway, channel, who] = generation
        elif action == "leave":
            gone = occupancy.leave(gateway, channel, who)
            assert (gone is None) == (facts.pop((gateway, channel, who), None) is None)
        elif action == "replace":
            joined, left = occupancy.replace(gateway, channel, [occupant(client, generation) for client in who])
            before = {client for there, room, client in facts if (there, room) == (gateway, channel)}
            assert {each.client for each in joined} == set(who) - before
            assert {each.client for each in left} == before - set(who)
            facts = {fact: age for fact, age in facts.items() if fact[:2] != (gateway, channel)}
            facts |= {(gateway, channel, client): generation for client in who}
        else:
            kept = {
                fact: age
                for fact, age in facts.items()
                if fact[0] != gateway or (action == "drop_unconfirmed" and age >= generation)
            }
            removed = occupancy.drop(gateway) if action == "drop" else occupancy.drop_unconfirmed(gateway, generation)
            assert {(gateway, room, each.client) for room, each in removed} == facts.keys() - kept.keys()
            facts = kept
        check(occupancy, facts)


def check(occupancy: Occupancy, facts: dict[tuple[str, str, str], int]) -> None:
    assert occupancy.size == len(facts)
    assert occupancy.num_channels == len({channel for _, channel, _ in facts})
    for channel in ("room", "hall"):
        there = sorted(client for _, room, client in facts if room == channel)
        assert sorted(each.client for each in occupancy.occupants(channel)) == there
        assert occupancy.stats(channel) == Stats(clients=len(there), users=len(set(there)))


def test_nothing_is_kept_of_channels_and_gateways_that_nobody_is_in_or_on() -> None:
    occupancy = Occupancy()
    occupancy.enter("g1", "room", occupant("c1"))
    occupancy.leave("g1", "room", "c1")
    occupancy.replace("g2", "hall", [occupant("c2")])
    occupancy.drop("g2")

    assert (occupancy._channels, occupancy._gateways) == ({}, {})


def test_a_channel_too_large_to_be_listed_is_refused_and_can_still_be_counted() -> None:
    driver, gateway = Driver(max_members=2), Reports()
    driver.settled(gateway)
    driver.feed(*[gateway.joined(f"c{number}") for number in range(3)])

    driver.ask()
    driver.ask(stats=True)
    assert driver.answers() == [
        Failed(code=106, reason="limit exceeded"),
        Stats(clients=3, users=1),
    ]

    driver.feed(gateway.left("c0"))
    driver.ask()
    (answer,) = driver.answers()
    assert isinstance(answer, Members)
    assert len(answer.members) == 2


@given(
    st.lists(
        st.builds(
            Member,
            client=st.text(),
            user=st.text(),
            conn_info=st.none() | st.just("") | st.just('{"a":1}'),
            chan_info=st.none() | st.just("2"),
        )
    )
)
def test_members_are_encoded_as_the_contract_has_it(members: list[Member]) -> None:
    body = encode_members([occupant_of(member, announce=True, generation=5) for member in members])

    assert Members.decode(body).members == tuple(members)


def test_one_request_serves_all_partitions_that_want_it_before_it_is_sent() -> None:
    syncs = Syncs("p")

    assert syncs.want("g1") == syncs.want("g1") != syncs.want("g2")
    everyone = syncs.want(None)
    assert syncs.want("g1") == everyone
    assert [request.gateway for request in syncs.take()] == ["g1", "g2", None]


def test_who_wants_it_later_gets_a_new_request() -> None:
    syncs = Syncs("p")
    first = syncs.want(None)
    syncs.take()

    assert syncs.want(None) != first


def test_a_request_that_could_not_be_sent_is_taken_again() -> None:
    syncs = Syncs("p")
    syncs.want("g1")
    (request,) = syncs.take()
    syncs.put_back(request)

    assert syncs.want("g1") == request.sync
    assert syncs.take() == [SyncRequest(request.sync, "g1")]
    assert syncs.take() == []


def test_no_more_leaves_are_remembered_than_can_be_delivered_again() -> None:
    departures = Departures()
    for number in range(KEPT + 1):
        assert departures.add("room", f"c{number}")

    assert not departures.add("room", f"c{KEPT}")
    assert departures.add("room", "c0")
