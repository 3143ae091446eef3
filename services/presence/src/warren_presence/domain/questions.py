"""Queries: answering them, and holding them while the index is being filled."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from itertools import islice
from typing import Final

from warren_presence.domain.effects import Answer
from warren_presence.domain.occupancy import Occupancy
from warren_presence.domain.occupants import encode_members
from warren_shared.contracts.codes import ErrorCode, Errors
from warren_shared.contracts.rpc import Failed

HELD_SECONDS: Final = 4.0
"""How long a query waits for the index at most. Askers give up after 5 s."""


@dataclass(frozen=True, slots=True)
class Question:
    """A query, and where its answer goes."""

    channel: str
    stats: bool
    reply_to: str
    correlation_id: str | None


class Result(StrEnum):
    """How a query ended; the label of its counter."""

    ANSWERED = "answered"
    TOO_LARGE = "too_large"
    TOO_MANY = "too_many"
    TOO_EARLY = "too_early"


class Desk:
    """Answers questions from the index, at once or when it is complete."""

    def __init__(self, occupancy: Occupancy, *, max_members: int, max_held: int) -> None:
        self._occupancy, self._max_members, self._max_held = occupancy, max_members, max_held
        self._held: deque[tuple[float, Question]] = deque()
        self.results: Counter[Result] = Counter()

    @property
    def num_held(self) -> int:
        """How many questions wait."""
        return len(self._held)

    def answer(self, question: Question) -> Answer:
        """Answer from the index as it is.

        A channel with more members than ``max_members`` is answered with error 106 rather than with a
        part of them that looks like all; its numbers can be asked for.
        """
        if question.stats:
            self.results[Result.ANSWERED] += 1
            return _reply(question, self._occupancy.stats(question.channel).encode())
        occupants = list(islice(self._occupancy.occupants(question.channel), self._max_members + 1))
        if len(occupants) > self._max_members:
            return self._fail(question, Errors.LIMIT_EXCEEDED, Result.TOO_LARGE)
        self.results[Result.ANSWERED] += 1
        return _reply(question, encode_members(occupants))

    def hold(self, question: Question, now: float) -> list[Answer]:
        """Keep a question until the index is complete; with too many waiting it fails at once."""
        if len(self._held) >= self._max_held:
            return [self._fail(question, Errors.INTERNAL, Result.TOO_MANY)]
        self._held.append((now + HELD_SECONDS, question))
        return []

    def answer_held(self) -> list[Answer]:
        """Answer all that wait: the index is complete."""
        return self._release(self.answer, lambda _: True)

    def fail_late(self, now: float) -> list[Answer]:
        """Answer those that have waited long enough with error 100, which is temporary."""
        return self._release(self._too_early, lambda until: until <= now)

    def fail_all(self) -> list[Answer]:
        """Answer all that wait with error 100."""
        return self._release(self._too_early, lambda _: True)

    def _release(self, answer: Callable[[Question], Answer], ready: Callable[[float], bool]) -> list[Answer]:
        answers: list[Answer] = []
        while self._held and ready(self._held[0][0]):
            answers.append(answer(self._held.popleft()[1]))
        return answers

    def _too_early(self, question: Question) -> Answer:
        return self._fail(question, Errors.INTERNAL, Result.TOO_EARLY)

    def _fail(self, question: Question, error: ErrorCode, result: Result) -> Answer:
        self.results[result] += 1
        return _reply(question, Failed(code=error.code, reason=error.message, temporary=error.temporary).encode())


def _reply(question: Question, body: bytes) -> Answer:
    return Answer(question.reply_to, question.correlation_id, body)
