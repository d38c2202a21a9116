"""Faults of Redis, brought about: failovers, evictions, rights taken, ids ahead of its clock."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import TYPE_CHECKING

import trio
import trio.lowlevel

from store.memory.streams import parse_id
from tests.simulation.faults import Fault
from tests.simulation.fields import id_ahead
from tests.simulation.links import DEMOTED
from tests.simulation.verdicts import require

if TYPE_CHECKING:
    from tests.simulation.world import World

#: From the new primary's first write to a decision (seconds), while nothing else goes wrong.
_DECIDED_WITHIN_SEC = 3.0
_BETWEEN_FAILOVERS_SEC = 6.0
#: One failover in so many loses the last second.
_LOSES = 3
_NOPERM = "NOPERM User p33 has no permissions to run the '{}' command"
_REFUSALS = (
    _NOPERM,
    _NOPERM,
    "NOPERM No permissions to access a key",
    "ERR unknown command '{}', with args beginning with: ",
)
#: Commands whose rights are taken together; without those of the first two nothing can be decided.
_RIGHTS: tuple[tuple[str, ...], ...] = (
    ("evalsha",),
    ("xreadgroup",),
    ("evalsha", "xreadgroup", "info", "time", "xgroup|create", "hmget", "hget", "get", "hgetall"),
    ("info",),
    ("time",),
    ("xgroup|create", "exists"),
    ("hmget", "hget"),
    ("get", "hgetall", "xrange", "xrevrange"),
)
_NEEDED = ("evalsha", "xreadgroup")
_STANDS_BACK_WITHIN_SEC = 15.0
_UNREADY_WITHIN_SEC = 9.0
_AHEAD_MS = (30 * 60_000, 2 * 3_600_000, 30 * 60_000, 20_000)


class RedisFaults:
    """The faults of Redis that `striking.Striker` does not bring about itself."""

    def __init__(self, world: World) -> None:
        self._world = world
        #: What may be evicted, by the name that its keys have in common.
        keys = world.keys
        self._evicted: tuple[Callable[[str], bool], ...] = (
            _begins(keys.open_permits("")),
            _begins(keys.plan_mark("")),
            _begins(keys.open_permits(""), keys.plan_mark("")),
            _begins(keys.permit("")),
            _begins(keys.ledger("")),
            _begins(keys.snapshot("")),
            _begins(keys.cooldown("")),
            _begins(keys.lease),
            _begins(
                keys.open_permits(""), keys.plan_mark(""), keys.permit(""), keys.ledger(""),
                keys.snapshot(""), keys.cooldown(""), keys.lease,
            ),
        )  # fmt: skip

    async def do_demotion(self, fault: Fault) -> None:
        """Fail over behind one address: the former primary lives on, and keeps its connections."""
        await self._fail_over(fault.which, fault.for_sec)

    async def do_failovers(self, fault: Fault) -> None:
        """Several in a row, with nothing else beside them. Raises ViolationError."""
        world, neighbours = self._world, self._world.neighbours
        until_sec = trio.current_time() + fault.for_sec
        number = 0
        while trio.current_time() < until_sec - _BETWEEN_FAILOVERS_SEC:
            await self._fail_over(fault.which + number, fault.size)
            number += 1
            plan = neighbours.publisher.new_plan(
                world.scene.symbols[0], neighbours.plans.stop_loss_update(world.scene.symbols[0])
            )
            neighbours.publisher.publish(plan)
            await trio.sleep(_DECIDED_WITHIN_SEC)
            decided = plan.plan_id in world.books.kept.decided
            require(decided, "f", f"no decision {_DECIDED_WITHIN_SEC} s after failover {number}")
            await trio.sleep(_BETWEEN_FAILOVERS_SEC - _DECIDED_WITHIN_SEC)

    async def _fail_over(self, which: int, without_primary_sec: float) -> None:
        world = self._world
        loses = which % _LOSES == 0
        before, kept = (world.redis.copy(), world.books.copy_kept()) if loses else (None, None)
        world.servers.demote(DEMOTED[which // _LOSES % len(DEMOTED)], world.redis.runs)
        world.redis.wake_readers()
        await trio.sleep(without_primary_sec)
        world.servers.promote()
        world.restart_redis(kept, before)

    async def do_eviction(self, fault: Fault) -> None:
        """Redis has no memory left for a while, and evicts some keys of a kind again and again."""
        rng = Random(fault.which)
        wanted = self._evicted[fault.which % len(self._evicted)]
        until_sec = trio.current_time() + fault.for_sec
        while True:
            self._propose_exits(rng.choice(self._world.scene.symbols))
            await trio.sleep(rng.uniform(0.0, 0.2))
            keys = [key for key in sorted(self._world.redis.keys()) if wanted(key)]
            self._world.evict([key for key in keys if rng.random() < fault.size + 0.3])
            for symbol in self._world.scene.symbols:
                self._propose_exits(symbol, beside_others=True)
            if trio.current_time() >= until_sec:
                break
            await trio.sleep(rng.uniform(0.3, 2.0))

    def _propose_exits(self, symbol: str, *, beside_others: bool = False) -> None:
        """Publish a close of each leg that has a position; `beside_others`: and a close that may go on."""
        world, neighbours = self._world, self._world.neighbours
        for leg in world.venue.legs_of(symbol):
            wanted = not beside_others or world.books.live_closes(symbol, leg)
            if wanted and world.venue.amount(symbol, leg):
                neighbours.propose(symbol, neighbours.plans.full_exit(symbol, leg))

    async def do_rights_taken(self, fault: Fault) -> None:
        """Commands are refused for a while: an ACL that was loaded anew, or commands that were renamed."""
        commands = _RIGHTS[fault.which % len(_RIGHTS)]
        refusal = _REFUSALS[fault.which // len(_RIGHTS) % len(_REFUSALS)]
        with self._world.servers.without_rights(commands, refusal):
            self._world.redis.wake_readers()
            await trio.sleep(fault.for_sec)
            if fault.for_sec > _UNREADY_WITHIN_SEC and set(commands) & set(_NEEDED):
                for process in list(self._world.processes.values()):
                    why_not = await process.readiness()
                    require(why_not, "f", f"{process.name} is ready without the rights to {commands}")

    async def do_same_name(self, fault: Fault) -> None:
        """Two hosts run an instance of one name. Raises ViolationError."""
        world = self._world
        async with world.namesake():
            await trio.sleep(_STANDS_BACK_WITHIN_SEC)
            before = world.takeovers
            await trio.sleep(fault.for_sec - _STANDS_BACK_WITHIN_SEC)
            count = world.takeovers - before
            require(count <= 1, "f", f"two of one name took the lease from each other {count} times")

    async def do_entry_ahead(self, fault: Fault) -> None:
        """Publish an entry with an explicit id far ahead: all later ids follow it."""
        world, neighbours = self._world, self._world.neighbours
        ahead_ms = _AHEAD_MS[fault.which // 8 % len(_AHEAD_MS)]
        symbol = world.scene.symbols[fault.which % len(world.scene.symbols)]
        key = (world.keys.plans, world.keys.plans, world.keys.results, world.keys.intents)[fault.which % 4]
        stream = world.redis.keyspace.make_stream(key)
        if stream.last_id >= parse_id(id_ahead(world.redis, ahead_ms)):
            # Redis would refuse it.
            return
        match fault.which % 4:
            case 0 | 1:
                fields = neighbours.plans.stop_loss_update(symbol)
                neighbours.publisher.publish(neighbours.publisher.new_plan(symbol, fields), ahead_ms=ahead_ms)
            case 2:
                neighbours.consumers.report_refusal("nobody", symbol, "order rejected", ahead_ms=ahead_ms)
            case _:
                neighbours.publisher.publish_intent({"symbol": symbol}, ahead_ms=ahead_ms)
        await trio.lowlevel.checkpoint()

    async def do_unknown_outcomes(self, fault: Fault) -> None:
        """Executors lose the answers of the exchange, and say that they do not know what became of orders."""
        consumers = self._world.neighbours.consumers
        consumers.unknown_share = self._world.orders.way.wrong_share = 0.2 + 0.6 * fault.size
        await trio.sleep(fault.for_sec)
        consumers.unknown_share = self._world.orders.way.wrong_share = 0.0


def _begins(*prefixes: str) -> Callable[[str], bool]:
    return lambda key: key.startswith(prefixes)
