"""What an idle connection weighs, and what subscribing many personal channels costs."""

from __future__ import annotations

from benchmarks.load import Worker, worker
from benchmarks.suite import Suite, settled
from benchmarks.table import Result

CONNECTIONS = 5_000
AT_ONCE = 500
PERSONAL_CONNECTIONS = 1_000
PERSONAL_EACH = 20


async def connect_all(generator: Worker, suite: Suite, count: int, *, already: int) -> None:
    """Connect so many clients more, some at a time, for none may go stale."""
    for opened in range(0, count, AT_ONCE):
        await generator.order("open", url=suite.gateway_url, count=min(AT_ONCE, count - opened))
        await generator.order("command", template='{"id":1,"connect":{}}', replies=1, skip=already + opened)


async def memory_row(suite: Suite) -> Result:
    """Measure resident memory per connection that is connected and subscribed to nothing."""
    async with worker("generator", suite.cores.load) as generator:
        await connect_all(generator, suite, 500, already=0)
        await settled()
        before = suite.memory("gateway")
        await connect_all(generator, suite, CONNECTIONS, already=500)
        await settled()
        each = (suite.memory("gateway") - before) / CONNECTIONS / 1024
    return Result(
        f"memory per idle connection, {CONNECTIONS} of them", "<= 16 KiB (target 10)", f"{each:.1f} KiB", each <= 16
    )


async def personal_row(suite: Suite) -> Result:
    """Subscribe 20,000 personal channels and count the gateway's broker bindings."""
    total = PERSONAL_CONNECTIONS * PERSONAL_EACH
    lines = [
        '{"id":%d,"subscribe":{"channel":"personal:u{i}.%d"}}' % (number + 2, number) for number in range(PERSONAL_EACH)
    ]
    async with worker("generator", suite.cores.load) as generator:
        await connect_all(generator, suite, PERSONAL_CONNECTIONS, already=0)
        answer = await generator.order("command", template="\n".join(lines), replies=PERSONAL_EACH)
        bindings = await suite.metric("gateway", "warren_gateway_bound_keys")
    rate = total / answer["seconds"]
    allowed = 4 + 256
    return Result(
        f"subscribing {total} personal channels",
        f">= 3000/s, <= {allowed} bindings",
        f"{rate:.0f}/s, {bindings:.0f} bindings",
        rate >= 3000 and bindings <= allowed,
        f"generator CPU {answer['cpu'] / answer['seconds']:.0%}",
    )


async def rows(suite: Suite) -> list[Result]:
    """Measure both."""
    return [await memory_row(suite), await personal_row(suite)]
