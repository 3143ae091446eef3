"""A partition of presence: what its queue's deliveries mean, in their order.

The gateways are the truth; this is their index. Everything a partition concludes it concludes from
deliveries, in the order of its queue. Time alone makes it send probes and give up waiting: see
``probes`` for why.

Joins and leaves are announced when they become known, not more than once to this process's knowledge.
When another process has had the partition before, the last of its announcements may be repeated.

A channel need not keep its partition: a broker that restarts may deal the channels anew, and says so to
nobody. So whenever deliveries may have been missed, what the gateways' answers add to the index may
have been announced by another partition, and what they do not confirm may be another's now. Neither is
announced. Who joined or left meanwhile is announced all the same, because its gateway repeats each
change until it is confirmed, and to the partition that has the channel by then.

That a channel has its first occupant, or lost its last, is told in the same way. What changes while the index is
filled is told when it is whole: only then is it known who else is there.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator
from typing import assert_never

from warren_presence.domain.departures import Departures
from warren_presence.domain.effects import Announce, Effect, Note, SendProbe, Turned
from warren_presence.domain.filling import Filling
from warren_presence.domain.occupancy import Occupancy, Removed
from warren_presence.domain.occupants import Occupant, client_info, occupant_of
from warren_presence.domain.probes import Return, Tenure
from warren_presence.domain.questions import Desk, Question
from warren_presence.domain.roster import ANSWER_DUE, ASK_AGAIN, REMEMBERED, SILENCE, Incarnation, Life, Roster, is_void
from warren_presence.domain.syncs import Syncs
from warren_shared.contracts.presence import Heartbeat, Joined, Left, Member, Probe, Snapshot, Stopped, Synced
from warren_shared.contracts.publication import DeliverType

Report = Heartbeat | Joined | Left | Snapshot | Synced
Input = Report | Stopped | Question | Probe
_Steps = Iterator[Effect]


class Partition:
    """One partition, sans I/O: ``feed`` it each delivery, ``tick`` it a few times a second.

    Times are seconds of one monotonic clock. Effects are to be carried out in their order.
    """

    def __init__(self, process: str, syncs: Syncs, *, max_members: int, max_held: int) -> None:
        """``process`` must differ between all processes that ever share the queue."""
        self._tenure, self._syncs = Tenure(process), syncs
        self.occupancy, self._roster = Occupancy(), Roster()
        self.desk = Desk(self.occupancy, max_members=max_members, max_held=max_held)
        self._departures = Departures()
        self._turned: dict[str, None] = {}
        """Channels that were occupied or vacated while the index was being filled, in order."""
        self._filling: Filling | None = None
        self.void = self.expired = self.taken_over = self.resumed = 0

    @property
    def active(self) -> bool:
        """Whether this process is the partition's consumer, as far as it knows."""
        return self._tenure.active

    @property
    def filling(self) -> bool:
        """Whether the index is being filled and queries wait."""
        return self._filling is not None

    @property
    def num_gateways(self) -> int:
        """How many gateways live."""
        return sum(1 for _ in self._roster.live())

    def feed(self, message: Input, now: float) -> list[Effect]:
        """Take one delivery."""
        return list(self._feed(message, now))

    def reconnected(self, now: float) -> list[Effect]:
        """Take note, before the first delivery, that the consumer is a new one: between it and the one
        before somebody else may have read.
        """
        return list(self._reconnected(now))

    def tick(self, now: float) -> list[Effect]:
        """Take note of the time."""
        return list(self._tick(now))

    def _feed(self, message: Input, now: float) -> _Steps:
        if self._tenure.delivered(now):
            yield from self._take_over(now)
        match message:
            case Question():
                yield from self._asked(message, now)
            case Probe():
                yield from self._probed(message, now)
            case Stopped():
                yield from self._stopped(message, now)
            case Heartbeat() | Joined() | Left() | Snapshot() | Synced():
                yield from self._reported(message, now)
            case _:
                assert_never(message)
        yield from self._turns()
        yield from self._complete(now)

    def _tick(self, now: float) -> _Steps:
        if self._tenure.lapsed(now):
            yield from self._give_up()
        probe = self._tenure.due(now)
        if probe is not None:
            yield SendProbe(probe)
        if self._tenure.prompt(now):
            for incarnation in self._roster.live():
                self._ask_unless_synced(incarnation, now)
        yield from self._complete(now)
        yield from self.desk.fail_late(now)

    # Whose partition it is

    def _take_over(self, now: float) -> _Steps:
        self.taken_over += 1
        self._filling = Filling(self._syncs.want(None), now)
        yield Note("partition_taken_over")

    def _reconnected(self, now: float) -> _Steps:
        if self._tenure.active:
            self._tenure.begin(now)
            self._spare_gateways(now)
            yield from self._resume(now)

    def _give_up(self) -> _Steps:
        yield Note("partition_given_up", {"members": self.occupancy.size}, alarming=True)
        self._tenure.end()
        self.occupancy.clear()
        self._departures.clear()
        self._turned.clear()
        self._roster, self._filling = Roster(), None
        yield from self.desk.fail_all()

    def _probed(self, probe: Probe, now: float) -> _Steps:
        proof = self._tenure.returned(probe, now)
        if proof is Return.NOTHING:
            return
        if proof is Return.ALL_READ:
            for incarnation in self._roster.silent_since(probe.sent_at - SILENCE):
                self.expired += 1
                yield from self._end(incarnation, Life.EXPIRED, Note("gateway_expired", alarming=True))
        else:
            self._spare_gateways(now)
        if proof is Return.SOME_MISSED:
            yield from self._resume(now)
        if self._filling is not None and self._filling.caught_up is None:
            self._filling.caught_up = now
        self._roster.forget(now - REMEMBERED)

    def _spare_gateways(self, now: float) -> None:
        """Count their silence anew: they may have been as unable to beat as this process was to read."""
        for incarnation in self._roster.live():
            incarnation.heard = now

    def _resume(self, now: float) -> _Steps:
        """Ask everyone again, keeping what is known."""
        self.resumed += 1
        self._filling = Filling(self._syncs.want(None), now)
        for incarnation in self._roster.live():
            # All that one had told was announced, if only by the partition that had the channel before.
            incarnation.silent |= incarnation.synced
            incarnation.ask(self._filling.sync, now)
        yield Note("partition_resumed", {"members": self.occupancy.size}, alarming=True)

    def _complete(self, now: float) -> _Steps:
        if self._filling is not None and self._filling.is_complete(now, self._roster.live()):
            self._filling = None
            self._departures.clear()  # whatever was delivered or reported again has been read
            yield Note("partition_filled", {"members": self.occupancy.size, "gateways": self.num_gateways})
            yield from self.desk.answer_held()
            turned, self._turned = self._turned, {}
            for channel in turned:
                yield Turned(channel, self.occupancy.is_occupied(channel))

    def _turns(self) -> _Steps:
        """Tell which channels are occupied now, or vacated; while the index is being filled, keep them."""
        for channel, occupied in self.occupancy.take_turns():
            if self._filling is None:
                yield Turned(channel, occupied)
            else:
                self._turned[channel] = None

    # Gateways

    def _reported(self, report: Report, now: float) -> _Steps:
        sender = yield from self._sender(report, now)
        if sender is None:
            return
        match report:
            case Heartbeat():
                pass
            case Joined():
                yield from self._joined(report, sender)
            case Left():
                yield from self._left(report, sender)
            case Snapshot():
                yield from self._snapshot(report, sender, now)
            case Synced():
                self._synced(report, sender)
            case _:
                assert_never(report)

    def _sender(self, report: Report, now: float) -> Generator[Effect, None, Incarnation | None]:
        """Return the incarnation that reports, asked for all it holds if it is not known; None if it is over."""
        known = self._roster.find(report.gateway)
        if is_void(report, known):
            self.void += 1
            return None
        if known is None or known.name != report.incarnation:
            if known is not None and known.life is Life.LIVE:
                yield from self._end(known, Life.EXPIRED, Note("gateway_replaced"))
            known = self._enter(report, now)
        elif known.life is Life.EXPIRED:
            known.life, known.returned, known.silent = Life.LIVE, True, False
            known.asked = float("-inf")
            yield Note("gateway_returned", {"gateway": known.gateway, "incarnation": known.name})
        known.heard = now
        self._ask_unless_synced(known, now)
        return known

    def _ask_unless_synced(self, incarnation: Incarnation, now: float) -> None:
        if not incarnation.synced and now - incarnation.asked >= ASK_AGAIN:
            incarnation.ask(self._syncs.want(incarnation.gateway), now)

    def _enter(self, report: Report | Stopped, now: float) -> Incarnation:
        incarnation = Incarnation(report.gateway, report.incarnation, report.started, heard=now)
        self._roster.enter(incarnation)
        if self._filling is not None:
            # Whoever had the partition before knew it, and the request to all may have reached it.
            incarnation.ask(self._filling.sync, now - ASK_AGAIN + ANSWER_DUE)
            incarnation.silent = True
        return incarnation

    def _stopped(self, report: Stopped, now: float) -> _Steps:
        known = self._roster.find(report.gateway)
        if is_void(report, known):
            self.void += 1
            return
        if known is not None and known.life is Life.LIVE:
            yield from self._end(known, Life.EXPIRED, Note("gateway_stopped"))
        if known is None or known.name != report.incarnation:
            known = self._enter(report, now)
        known.life, known.heard = Life.STOPPED, now

    def _end(self, incarnation: Incarnation, life: Life, note: Note) -> _Steps:
        """Take out everyone of an incarnation that is no more."""
        removed = self.occupancy.drop(incarnation.gateway)
        incarnation.life, incarnation.synced = life, False
        incarnation.asks.clear()
        fields = {"gateway": incarnation.gateway, "incarnation": incarnation.name, "members": len(removed)}
        yield Note(note.event, fields, note.alarming)
        yield from _leaves(removed)

    # Members

    def _joined(self, report: Joined, sender: Incarnation) -> _Steps:
        occupant = occupant_of(report.member, announce=report.announce, generation=sender.generation)
        new = self.occupancy.enter(sender.gateway, report.channel, occupant)
        self._departures.discard(report.channel, report.member.client)
        if new and report.announce:
            yield _announce(DeliverType.JOIN, report.channel, report.member)

    def _left(self, report: Left, sender: Incarnation) -> _Steps:
        known = self.occupancy.leave(sender.gateway, report.channel, report.member.client)
        new = self._departures.add(report.channel, report.member.client)
        # Who is not known may have been to whoever had the partition before, and was announced by it.
        stranger = known is None and new and not sender.returned
        if report.announce and (known is not None or stranger):
            yield _announce(DeliverType.LEAVE, report.channel, report.member)

    def _snapshot(self, report: Snapshot, sender: Incarnation, now: float) -> _Steps:
        if report.sync in sender.asks:
            sender.asked = now
            if self._filling is not None:
                self._filling.progress = now
        occupants = [
            occupant_of(member, announce=report.announce, generation=sender.generation) for member in report.members
        ]
        joined, left = self.occupancy.replace(sender.gateway, report.channel, occupants)
        yield from _leaves((report.channel, occupant) for occupant in left)
        for occupant in joined:
            back = self._departures.discard(report.channel, occupant.client)
            if report.announce and (back or not sender.silent):
                yield _announce(DeliverType.JOIN, report.channel, occupant)
        if sender.silent:
            self.occupancy.take_turns()  # told by whoever had the channel before

    def _synced(self, report: Synced, sender: Incarnation) -> None:
        generation = sender.answered(report.sync)
        if generation is not None:
            self.occupancy.drop_unconfirmed(sender.gateway, generation)
            self.occupancy.take_turns()  # these channels may be another partition's now

    # Queries

    def _asked(self, question: Question, now: float) -> _Steps:
        if self._filling is None:
            yield self.desk.answer(question)
        else:
            yield from self.desk.hold(question, now)


def _leaves(removed: Iterable[Removed]) -> _Steps:
    for channel, occupant in removed:
        if occupant.announce:
            yield _announce(DeliverType.LEAVE, channel, occupant)


def _announce(kind: DeliverType, channel: str, who: Member | Occupant) -> Announce:
    return Announce(kind, channel, client_info(who))
