"""One run: load, faults by plan, quiet, judgement."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from clients.js_sdk import JsClient, Node
from clients.raw import RawClient
from clients.sdk import connected
from staging.programs import GATEWAYS
from staging.stage import Stage

from chaos.breaker import Breaker, Done, disturbances, upheavals
from chaos.checker import check
from chaos.evidence import Diary, Evidence, Finding, History, Received, Subscribed
from chaos.followers import GONE
from chaos.layout import Layout
from chaos.plan import draw
from chaos.town import WINDOWS, Town, standing

_OWED_SECONDS: Final = 90.0
"""In which publishers must get their confirms once all is mended."""
_WHOLE_SECONDS: Final = 90.0
"""In which followers must have everything once all is published."""
_BEFORE_SECONDS: Final = 90.0
_LOOK_SECONDS: Final = 1.0
_CALM_LOOKS: Final = 3
_PAGE: Final = 300
_LIVE_HEALING: Final = 20.0
"""Seconds after which live publications flow again, once what they need is mended."""

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a run."""

    seed: int
    seconds: float
    layout: Layout
    done: Sequence[Done]
    left_out: Sequence[str]
    evidence: Evidence
    findings: Sequence[Finding]

    def __str__(self) -> str:
        faults = Counter(str(each.fault.kind) for each in self.done)
        named = ", ".join(f"{count} {kind}" for kind, count in sorted(faults.items()))
        durable = [each for each in self.evidence.publications if each.channel in WINDOWS]
        confirmed = sum(each.confirmed is not None for each in durable)
        entries = [entry for diary in self.evidence.diaries if diary.channel in WINDOWS for entry in diary.entries]
        received = sum(isinstance(entry, Received) for entry in entries)
        back = [entry for entry in entries if isinstance(entry, Subscribed) and entry.was_recovering]
        recovered = sum(entry.recovered for entry in back)
        verdict = ", ".join(f"{n} {kind}" for kind, n in Counter(str(f.kind) for f in self.findings).items()) or "kept"
        return (
            f"seed {self.seed}{self.layout.options}: {self.seconds:.0f} s, {len(self.done)} faults ({named}), "
            f"{len(durable)} published, {confirmed} confirmed, {received} received, {recovered} recovered, "
            f"{len(back) - recovered} told that they are not: {verdict}"
        )


async def run(
    seed: int, seconds: float, storm_size: int, folder: Path, node_modules: Path, say: Say, layout: Layout
) -> Outcome:
    """Run a seed on a layout.

    Raises AssertionError, TimeoutError or an ExceptionGroup if it does not come to a judgement.
    """
    chance = random.Random(seed)  # noqa: S311 - to be repeated, not to be secret
    loop = asyncio.get_running_loop()
    with Stage.open() as stage:
        async with (
            standing(stage, folder, chance, storm_size, layout) as town,
            _clients(town, node_modules) as clients,
        ):
            plan = draw(seed, seconds, layout)
            say("\n".join([f"seed {seed}: the plan", *map(str, plan)]))
            breaker = Breaker(town.suite, town.links, say, town.storm, town.resolve, town.keeping)
            began = loop.time()
            town.publish(clients)
            await breaker.carry_out(plan, seconds)
            await asyncio.sleep(max(0.0, began + seconds - loop.time()))
            took = loop.time() - began
            histories = await _quiet(town, say)
            late = town.lateness.disturbances(_LIVE_HEALING)
            disturbed = {each: [*disturbances(breaker.done, each, _LIVE_HEALING), *late] for each in GATEWAYS}
            if late:
                say(f"this process itself was late by {town.lateness.seconds:.1f} s in all")
            diaries = town.diaries(disturbed)
    evidence = Evidence(WINDOWS, town.book.publications, diaries, histories, upheavals(breaker.done))
    return Outcome(seed, took, layout, breaker.done, breaker.left_out, evidence, check(evidence))


@asynccontextmanager
async def _clients(town: Town, node_modules: Path) -> AsyncIterator[list[JsClient]]:
    """Have followers and publishing clients there, and end them."""
    async with AsyncExitStack() as ends:
        node = await Node.start(node_modules)
        ends.push_async_callback(node.close)
        async with asyncio.timeout(_BEFORE_SECONDS):
            await town.gather(node, ends)
            clients = [await node.open(town.url(each), token=town.suite.token(f"client-{each}")) for each in GATEWAYS]
            for client in clients:
                await connected(client)
        try:
            yield clients
        finally:
            await town.leave()


async def _quiet(town: Town, say: Say) -> dict[str, History]:
    """Wait until all publishers have their confirms and, if that comes, all followers everything that is stored."""
    town.stop.set()
    town.hurry()
    async with asyncio.timeout(_OWED_SECONDS):
        await asyncio.gather(*town.publishers)
    say("everything is published")
    confirmed = Counter(each.channel for each in town.book.publications if each.confirmed is not None)
    loop = asyncio.get_running_loop()
    deadline = loop.time() + _WHOLE_SECONDS
    calm, before = 0, dict[str, int]()
    while calm < _CALM_LOOKS and loop.time() < deadline:
        await asyncio.sleep(_LOOK_SECONDS)
        tops = await _tops(town)
        whole = all(top >= confirmed[channel] for channel, top in tops.items()) and _all_at(town, tops)
        calm = calm + 1 if whole and tops == before else 0
        before = tops
    return {channel: await _history(town, channel) for channel in WINDOWS}


async def _tops(town: Town) -> dict[str, int]:
    """Return the last offsets, 0 where they cannot be had now."""
    try:
        async with _reader(town) as reader:
            return {channel: (await _page(reader, channel, 0)).get("offset", 0) for channel in WINDOWS}
    except* (*GONE, AssertionError):
        pass
    return dict.fromkeys(WINDOWS, 0)


def _all_at(town: Town, tops: dict[str, int]) -> bool:
    return all(
        _last(diary) == tops[diary.channel]
        for diary in town.diaries(dict.fromkeys(GATEWAYS, ()))
        if diary.to_the_end and diary.channel in WINDOWS
    )


def _last(diary: Diary) -> int:
    """Return the last offset a follower knows of."""
    for entry in reversed(diary.entries):
        if isinstance(entry, Received) or (isinstance(entry, Subscribed) and not entry.recovered):
            return entry.offset
    return 0


async def _history(town: Town, channel: str) -> History:
    """Read all that is stored of a channel, past all links."""
    stored: list[tuple[int, str, str]] = []
    async with _reader(town) as reader:
        page = await _page(reader, channel, _PAGE)
        while page.get("publications"):
            stored += [(each["offset"], each["data"]["id"], each["data"]["text"]) for each in page["publications"]]
            page = await _page(reader, channel, _PAGE, since={"offset": stored[-1][0], "epoch": page["epoch"]})
    return History(page["epoch"], page.get("offset", 0), stored)


@asynccontextmanager
async def _reader(town: Town) -> AsyncIterator[RawClient]:
    async with RawClient.open(town.suite.gateway_urls[0]) as reader:
        await reader.connect(town.suite.token("reader"))
        yield reader


async def _page(reader: RawClient, channel: str, limit: int, **options: object) -> dict[str, Any]:
    reply = await reader.call(history={"channel": channel, "limit": limit, **options})
    assert "history" in reply, reply
    page: dict[str, Any] = reply["history"]
    return page
