"""A soak of the whole chain: intents of every lane under faults, then quiet, then everything is added up."""

from __future__ import annotations

import signal
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from random import Random

import trio

from tests.integration.chain_books import ChainBooks, chain_books
from tests.integration.waiting import until_async
from tests.soak.chain_faults import KILLS, OTHERS, Fault, drawn
from tests.soak.chain_report import PLANS_REMEMBERED, ChainReport
from tests.soak.chain_rig import PATIENCE_SEC, ChainRig, chain_rig
from tests.soak.gauges import course_of, resident_mb, slope_per_hour

FAULT_EVERY_SEC = 20.0
_SAMPLE_SEC = 0.5
#: Daemons are killed in the first part of a run; then one of them lives on.
_KILLED_SHARE = 1 / 3
#: So long a process is looked at, at least, once it remembers all that it ever does (seconds).
_FULL_SEC = 600.0
#: Undecided orders and open cases are settled by then, on a machine that is busy, too.
_QUIET_SEC = 120.0

Shown = Callable[[float, str], None]


class ChainSoak:
    """One run: faults, and the memory of the daemon that lives through the last two thirds.

    Daemons are killed in the first third alone. Then the standby is stopped: of processes that others take
    over from, none lives long enough for a comparison.
    """

    def __init__(self, rig: ChainRig, seed: int, lasts_sec: float, fault_every_sec: float) -> None:
        self._rig = rig
        self._random = Random(seed)  # noqa: S311 - the same faults for the same seed
        self._lasts_sec = lasts_sec
        self._fault_every_sec = fault_every_sec
        self._began_sec = trio.current_time()
        self._alone = False
        self._executed_before = 0
        self.faults: Counter[str] = Counter()
        self.slowest_recovery_sec = 0.0
        self.memory_mb: list[float] = []
        #: The first sample of a process that remembers all that it ever does.
        self._full_from: int | None = None

    async def run(self, shown: Shown) -> None:
        """Until the time is over."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._watch, shown)
            await self._strike(self._lasts_sec * _KILLED_SHARE, KILLS + OTHERS)
            await self._leave_one()
            await self._strike(self._lasts_sec, OTHERS)
            nursery.cancel_scope.cancel()

    @property
    def executed(self) -> int:
        """Return how many plans were executed since one process lives on."""
        return self._rig.load.executed - self._executed_before if self._alone else 0

    @property
    def full_memory_mb(self) -> list[float]:
        """Return the samples since it remembers all that it ever does; none where they are too few."""
        samples = [] if self._full_from is None else self.memory_mb[self._full_from :]
        return samples if len(samples) * _SAMPLE_SEC >= _FULL_SEC else []

    @property
    def _elapsed_sec(self) -> float:
        return trio.current_time() - self._began_sec

    async def _watch(self, shown: Shown) -> None:
        load = self._rig.load
        while True:
            await trio.sleep(_SAMPLE_SEC)
            self._rig.assert_all_live()
            memory_mb = [resident_mb(each.process.pid) for each in self._rig.daemons.values()]
            if self._alone:
                self.memory_mb += memory_mb
                if self._full_from is None and self.executed >= PLANS_REMEMBERED:
                    self._full_from = len(self.memory_mb)
            sizes = " ".join(f"{each:.1f}" for each in memory_mb)
            done = f"{len(load.intents)} intents  {load.executed} fills  {self.faults.total()} faults"
            shown(self._elapsed_sec, f"{done}  {sizes} MB")

    async def _strike(self, until_sec: float, kinds: tuple[Fault, ...]) -> None:
        """Let a fault come at each interval; the chain trades again before the next one."""
        due_sec = self._elapsed_sec
        for fault in drawn(self._random, kinds):
            due_sec = max(due_sec + self._fault_every_sec, self._elapsed_sec)
            if due_sec > until_sec:
                break
            await trio.sleep_until(self._began_sec + due_sec)
            await fault(self._rig, self._random)
            self.faults[fault.__name__] += 1
            struck_sec = self._elapsed_sec
            await self._rig.load.more_is_executed(1, PATIENCE_SEC)
            self.slowest_recovery_sec = max(self.slowest_recovery_sec, self._elapsed_sec - struck_sec)
        await trio.sleep_until(self._began_sec + until_sec)

    async def _leave_one(self) -> None:
        await self._rig.standby_is_warm()
        leader = await self._rig.leader()
        for instance in self._rig.daemons.keys() - {leader}:
            await self._rig.stop(instance, signal.SIGTERM)
        self._alone = True
        self._executed_before = self._rig.load.executed


async def soak_chain(seed: int, lasts_sec: float, shown: Shown, fault_every_sec: float) -> ChainReport:
    """Run the chain under load and faults, let it come to rest, and report. AssertionError: it stopped."""
    async with chain_rig(seed) as rig:
        soak = ChainSoak(rig, seed, lasts_sec, fault_every_sec)
        try:
            await soak.run(shown)
        except* AssertionError:
            print(soak.faults, rig.load.reasons, *rig.latest_lines(), sep="\n")
            raise
        await rig.load.ends()
        rest_began_sec = trio.current_time()
        books = await _at_rest(rig)
        return ChainReport(
            lasted_sec=lasts_sec,
            books=books,
            faults=dict(soak.faults),
            left_out=rig.load.left_out,
            slowest_recovery_sec=soak.slowest_recovery_sec,
            rest_sec=trio.current_time() - rest_began_sec,
            memory=course_of(soak.full_memory_mb or soak.memory_mb),
            memory_is_full=bool(soak.full_memory_mb),
            memory_lasted_sec=len(soak.full_memory_mb or soak.memory_mb) * _SAMPLE_SEC,
            memory_executed=soak.executed,
            memory_slope=slope_per_hour(soak.full_memory_mb or soak.memory_mb, _SAMPLE_SEC),
            failures=tuple(rig.failures()),
        )


async def _at_rest(rig: ChainRig) -> ChainBooks:
    """Add everything up again and again until it is right, or the time for that is over."""
    load, exchange = rig.load, rig.simulator.exchange
    books = chain_books(rig.pipeline, exchange, load)

    async def right() -> bool:
        nonlocal books
        await trio.sleep(_SAMPLE_SEC)
        await load.reads()
        books = chain_books(rig.pipeline, exchange, load)
        return not books.wrong()

    with suppress(AssertionError):
        await until_async(right, "everything adds up", _QUIET_SEC)
    return books
