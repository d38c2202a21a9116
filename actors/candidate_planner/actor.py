"""Plans the symbols: those that the exchange trades, that may be opened, and that are kept warm."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from contextlib import nullcontext
from typing import TypeVar

import trio
from structlog.typing import FilteringBoundLogger

from actors.candidate_planner.recent_intents import RecentIntents
from actors.candidate_planner.rules import PlannerRules
from brain.moment import Moment
from brain.symbols.allowlist import Allowlist, choose_allowlist
from brain.symbols.candidates import (
    Candidates,
    budget_cap,
    choose_candidates,
    newest_first,
    rank,
    snapshot_line,
    top_k,
)
from brain.symbols.symbol_rules import SymbolRules
from channels import (
    RULES_AT_MOST_EVERY_SEC,
    Conflating,
    DropOldest,
    LatestValue,
    ListingFailed,
    ListingRead,
    MetricEvent,
    RulesWanted,
    SetGauge,
    SnapshotBook,
    UniverseChannels,
    UniverseState,
    VolumesRead,
)
from clocks.clocks import Clocks
from clocks.growing_delay import GrowingDelay
from exchange.errors import AskLater, ExchangeError
from exchange.protocol import Exchange
from exchange.read_latency import ReadLatency
from store.errors import StoreError
from store.protocol import UniverseStore
from supervision import Heartbeat

#: The position mode costs a weight of 30, exchangeInfo 1.
_MODE_REFRESH_SEC = 600.0
_CANDIDATES_REFRESH_SEC = 5.0
#: While intents wait to be read.
_CATCH_UP_SEC = 0.25
_LINE_SEC = 60.0
_RETRIES = GrowingDelay(initial_sec=0.5, maximum_sec=60.0)
#: Redis is asked again within 2 s, however long it was away: decisions rest on the list of symbols.
_REDIS_RETRIES = GrowingDelay(initial_sec=0.5, maximum_sec=2.0)
#: An answer may take so many times the average without a snapshot growing stale.
_ANSWER_MARGIN = 2.0
_LEDGERS_REFRESH_SEC = 60.0

V = TypeVar("V")


class CandidatePlanner:
    """Reads the exchange's symbols and mode, the universe keys and recent intents, and publishes the plan.

    Each is read in a task of its own, so that an exchange that is away delays no allowlist, nor Redis the
    symbols.
    """

    def __init__(
        self,
        store: UniverseStore,
        exchange: Exchange,
        book: SnapshotBook,
        latency: ReadLatency,
        *,
        symbol_rules: LatestValue[Mapping[str, SymbolRules]],
        unreadable_rules: LatestValue[Mapping[str, str]],
        rules_wanted: Conflating[RulesWanted],
        rules_asked_at: LatestValue[Moment],
        hedge_mode: LatestValue[bool],
        allowlist: LatestValue[Allowlist],
        candidates: LatestValue[Candidates],
        metrics: DropOldest[MetricEvent],
        clocks: Clocks,
        rules: PlannerRules,
        weight_per_read: Callable[[], int],
        log: FilteringBoundLogger,
        universe: UniverseChannels | None = None,
    ) -> None:
        """`universe`: gets each read of exchangeInfo and of the volumes, so that none is repeated.

        What is published of them is read again at once.
        """
        self._store = store
        self._exchange = exchange
        self._book = book
        self._latency = latency
        self._symbol_rules = symbol_rules
        self._unreadable_rules = unreadable_rules
        self._rules_wanted = rules_wanted
        self._rules_asked_at = rules_asked_at
        self._hedge_mode = hedge_mode
        self._allowlist = allowlist
        self._candidates = candidates
        self._metrics = metrics
        self._clocks = clocks
        self._rules = rules
        self._weight_per_read = weight_per_read
        self._redis = f"Redis at {store.address}"
        self._log = log
        self._universe = universe
        #: What the publisher of this process had published when the keys were last asked for.
        self._universe_read: UniverseState | None = None
        self._intents = RecentIntents(store, rules.intent_window_sec)
        self._reading_intents = trio.Lock()
        self._ranked: list[str] = []
        self._with_ledger: list[str] = []

    async def run(self, heartbeat: Heartbeat) -> None:
        """Keep the plan current until cancelled."""
        # This line of work is its tasks, each with a heartbeat of its own.
        with heartbeat.idle():
            await self._run_all(heartbeat)

    async def _run_all(self, heartbeat: Heartbeat) -> None:
        async with trio.open_nursery() as nursery:
            for refresh, every_sec, dependency in (
                (self._refresh_mode, _MODE_REFRESH_SEC, "the account's position mode"),
                (self._refresh_rules, self._rules.rules_refresh_sec, "the exchange's exchangeInfo"),
                (self._refresh_allowlist, self._rules.allowlist_refresh_sec, self._redis),
                (self._refresh_volumes, self._rules.volumes_refresh_sec, None),
                (self._refresh_ledgers, _LEDGERS_REFRESH_SEC, None),
                (self._refresh_candidates, _CANDIDATES_REFRESH_SEC, None),
                (self._log_progress, _LINE_SEC, None),
            ):
                nursery.start_soon(self._repeat, refresh, every_sec, dependency, heartbeat)

    async def _repeat(
        self,
        refresh: Callable[[], Awaitable[None]],
        every_sec: float,
        dependency: str | None,
        heartbeat: Heartbeat,
    ) -> None:
        """Run `refresh` now and every so often; after a failure again soon.

        `dependency` names what the service is not ready without; where it is None, old values will do.
        """
        failures = 0
        # Redis answers soon or fails; a read of the exchange, or a wait for another actor, may take long.
        soon_over = refresh in (self._refresh_allowlist, self._refresh_candidates)
        retries = _REDIS_RETRIES if soon_over else _RETRIES
        with heartbeat.task() as task:
            while True:
                problem: Exception | None = None
                pause_sec = every_sec
                try:
                    with nullcontext() if soon_over else task.idle():
                        await refresh()
                except AskLater as error:
                    problem = error
                    pause_sec = max(error.until.monotonic_sec - trio.current_time(), retries.initial_sec)
                except (ExchangeError, StoreError) as error:
                    problem = error
                    pause_sec = retries.after(failures + 1)
                if problem is None:
                    failures = 0
                    if refresh == self._refresh_candidates and self._intents.behind:
                        pause_sec = _CATCH_UP_SEC
                else:
                    if failures == 0:
                        self._log.warning("Refresh failed", of=refresh.__name__, error=str(problem))
                    failures += 1
                waits = problem is not None and dependency is not None
                with task.waiting_for(f"{dependency}: {problem}") if waits else task.idle():
                    await self._pause(pause_sec, refresh)

    async def _pause(self, pause_sec: float, refresh: Callable[[], Awaitable[None]]) -> None:
        """Wait `pause_sec`; for exchangeInfo less where it is wanted, but 5 s at least.

        So a flood of unknown symbols costs a weight of 12 a minute. A ban is kept by the exchange's client.
        The wait for the allowlist is over when this process publishes the universe.
        """
        if refresh == self._refresh_allowlist and self._universe is not None:
            with trio.move_on_after(pause_sec):
                while self._universe.state.value is self._universe_read:
                    await self._universe.state.changed()
            return
        if refresh != self._refresh_rules:
            await trio.sleep(pause_sec)
            return
        shortest_sec = min(pause_sec, RULES_AT_MOST_EVERY_SEC)
        await trio.sleep(shortest_sec)
        with trio.move_on_after(pause_sec - shortest_sec):
            wishes = await self._rules_wanted.receive_all()
            self._log.info("Reading exchangeInfo early", why=wishes[-1].why)

    async def _refresh_mode(self) -> None:
        """Read the account's position mode, which can change while all positions are flat."""
        mode = await self._exchange.hedge_mode()
        if self._hedge_mode.value is not None and mode != self._hedge_mode.value:
            self._log.warning("The account's position mode has changed", hedge_mode=mode)
        self._hedge_mode.send(mode)

    async def _refresh_rules(self) -> None:
        asked = self._clocks.now()
        try:
            read = await self._exchange.symbol_rules()
            self._share(ListingRead(read.contracts, frozenset(read.unreadable), asked))
            _send_if_new(self._unreadable_rules, read.unreadable)
            _send_if_new(self._symbol_rules, read.rules)
        except ExchangeError as error:
            self._share(ListingFailed(str(error), asked))
            raise
        finally:
            self._rules_asked_at.send(self._clocks.now())
        await self._refresh_candidates()

    def _share(self, listing: ListingRead | ListingFailed) -> None:
        if self._universe is not None:
            self._universe.listing.send(listing)

    async def _refresh_allowlist(self) -> None:
        # Before the read: after a failure the next one waits as usual.
        self._universe_read = None if self._universe is None else self._universe.state.value
        keys = await self._store.universe()
        allowlist = choose_allowlist(
            source=self._rules.allowlist_source,
            env_symbols=self._rules.allowlist,
            active=keys.active,
            meta=keys.meta,
            last_ok=keys.last_ok,
            now_sec=await self._clocks.ask_redis(self._store) / 1000,
            max_age_sec=self._rules.universe_max_age_sec,
            last_ok_max_age_sec=self._rules.last_ok_max_age_sec,
            mode=self._rules.universe_mode,
        )
        self._allowlist.send(allowlist)
        self._log.info(allowlist.log_line())
        for note in allowlist.notes:
            self._log.warning("Allowlist", note=note)

    async def _refresh_volumes(self) -> None:
        asked = self._clocks.now()
        volumes = await self._exchange.quote_volumes()
        if self._universe is not None and volumes:
            self._universe.volumes.send(VolumesRead(volumes, asked))
        self._ranked = rank(volumes)
        await self._refresh_candidates()

    async def _refresh_ledgers(self) -> None:
        """Read the symbols that have a position by our ledger."""
        symbols = list(await self._symbol_rules.get())
        stored = await self._store.ledger_amounts(symbols)
        self._with_ledger = [symbol for symbol, amount in stored.items() if amount != "0"]
        await self._refresh_candidates()

    async def _refresh_candidates(self) -> None:
        """Choose candidates: open positions, recent intents, and the most traded symbols of the allowlist."""
        tradable = self._symbol_rules.value or {}
        async with self._reading_intents:
            now_ms = await self._clocks.ask_redis(self._store)
            if tradable:
                await self._intents.look(now_ms, tradable)
        allowed = self._allowlist.value.symbols if self._allowlist.value else frozenset()
        candidates = choose_candidates(
            open_positions=(*(s for s in self._book.symbols() if self._book.holds(s)), *self._with_ledger),
            intents=[
                symbol
                for symbol in newest_first(
                    self._intents.newest_ms, now_ms=now_ms, window_sec=self._rules.intent_window_sec
                )
                if symbol in tradable
            ],
            ranked=[symbol for symbol in self._ranked if symbol in allowed],
            k=top_k(
                target_cycle_sec=self._rules.target_cycle_sec,
                ewma_latency_ms=self._latency.ewma_ms,
                min_top_k=self._rules.min_top_k,
            ),
            cap=budget_cap(
                self._rules.weight_per_min,
                self._weight_per_read(),
                self._rules.stale_threshold_sec,
                answer_sec=_ANSWER_MARGIN * self._latency.ewma_ms / 1000,
            ),
        )
        self._candidates.send(candidates)
        self._metrics.send(SetGauge("p33_snapshot_candidates", len(candidates.symbols)))
        self._metrics.send(SetGauge("p33_ewma_latency_ms", self._latency.ewma_ms))

    async def _log_progress(self) -> None:
        while not self._latency.cycle_ms:
            await self._book.changed()
        count = len(self._candidates.value.symbols) if self._candidates.value else 0
        cycle_ms, ewma_ms = self._latency.cycle_ms, self._latency.ewma_ms
        self._log.info(snapshot_line(candidates=count, cycle_ms=cycle_ms, ewma_ms=ewma_ms))


def _send_if_new(channel: LatestValue[Mapping[str, V]], value: Mapping[str, V]) -> None:
    """Send what differs from the value sent before: tasks that wait for a change wake for changes alone."""
    if value != channel.value:
        channel.send(value)
