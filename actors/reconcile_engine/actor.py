"""The reconcile engine (P3.4): holds what differs, and books what the exchange's trades prove."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import trio

from actors.reconcile_engine.cases import Case, OpenCases
from actors.reconcile_engine.comparison import Compared, PositionComparison
from actors.reconcile_engine.evidence import EvidenceReader
from actors.reconcile_engine.following import CaseFollower
from actors.reconcile_engine.looks import CaseLooks
from actors.reconcile_engine.other_engines import AnotherEngineError, OtherEngines
from actors.reconcile_engine.reports import ReconcileReports
from actors.reconcile_engine.rules import ReconcileActorRules
from actors.reconcile_engine.weight import EvidenceWeight
from actors.waiting import RETRYABLE_REDIS_ERRORS, RedisTrouble, lease_fence, present
from brain.identifiers import FencingToken, Symbol
from brain.symbols.symbol_rules import SymbolRules
from channels import Conflating, LatestValue, Lease, SnapshotBook
from clocks.clocks import Clocks
from store.errors import FencedError, StoreRefusedError
from store.reconcile_protocol import ReconcileStore
from supervision import Heartbeat

_PAUSE_SEC = 0.1
#: Changes are compared no more often than this (seconds).
_AT_MOST_EVERY_SEC = 0.1
#: Looks at once: more would wait for the budget of request weight. Of them those that can wait.
_MOST_LOOKS, _MOST_THAT_WAIT = 4, 2


class ReconcileEngine:
    """Compares each cadence, and what changes in between at once; looks at evidence beside that.

    It works while this instance holds the lease. Without Redis nothing happens, and P3.3 denies. A case is
    known by its hold: another process goes on where this one stopped.
    """

    def __init__(
        self,
        store: ReconcileStore,
        book: SnapshotBook,
        moved_ledgers: Conflating[Symbol],
        lease: LatestValue[Lease],
        symbol_rules: LatestValue[Mapping[str, SymbolRules]],
        hedge_mode: LatestValue[bool],
        ledgers_adopted: LatestValue[bool],
        cases: OpenCases,
        comparison: PositionComparison,
        follower: CaseFollower,
        evidence: EvidenceReader,
        looks: CaseLooks,
        weight: EvidenceWeight,
        others: OtherEngines,
        rules: ReconcileActorRules,
        reports: ReconcileReports,
        trouble: RedisTrouble,
        *,
        tag: str,
        clocks: Clocks,
    ) -> None:
        """`tag`: the build, for the log."""
        self._store = store
        self._book = book
        self._moved_ledgers = moved_ledgers
        self._lease = lease
        self._symbol_rules = symbol_rules
        self._hedge_mode = hedge_mode
        self._ledgers_adopted = ledgers_adopted
        self._cases = cases
        self._comparison = comparison
        self._follower = follower
        self._evidence = evidence
        self._looks = looks
        self._weight = weight
        self._others = others
        self._rules = rules
        self._reports = reports
        self._trouble = trouble
        self._tag = tag
        self._clocks = clocks
        self._fence: FencingToken | None = None
        #: Symbols with something new since the latest comparison; a dict, for its order.
        self._touched: dict[Symbol, None] = {}
        self._wake = trio.Event()
        #: Looks in hand, by whether they can wait.
        self._looking = {False: 0, True: 0}
        #: Symbols of looks that have ended since the comparison in hand began.
        self._looked: set[Symbol] = set()

    async def run(self, heartbeat: Heartbeat) -> None:
        """Reconcile until cancelled."""
        self._reports.begun(self._tag)
        await present(self._hedge_mode, "the account's position mode", heartbeat)
        await present(self._symbol_rules, "the symbols of the exchange", heartbeat)
        await present(self._ledgers_adopted, "the ledgers of all positions", heartbeat)
        while True:
            try:
                fence = await lease_fence(self._lease, heartbeat, self._trouble)
                await self._reconcile(fence, heartbeat)
            except* AnotherEngineError:
                # It waits for that one to stop, and begins anew.
                self._reports.ended(self._cases)
            except* FencedError:
                self._reports.ended(self._cases)
                with heartbeat.waiting_for("the lease, held by another instance"):
                    await trio.sleep(_PAUSE_SEC)
            except* RETRYABLE_REDIS_ERRORS as trouble:
                self._trouble.begin(trouble, heartbeat)
                with heartbeat.waiting_for(self._trouble.text):
                    await trio.sleep(_PAUSE_SEC)

    async def _reconcile(self, fence: FencingToken, heartbeat: Heartbeat) -> None:
        """Reconcile under one lease. Raises FencedError when it is lost, and as the store does."""
        if fence != self._fence:
            # Another process may have written since.
            self._cases.clear()
            self._fence = fence
        self._comparison.drop()
        self._looking = {False: 0, True: 0}
        for case in self._cases:
            case.looking = False
        await self._clocks.ask_redis(self._store)
        await self._follower.leave_out(await self._others.wait(fence, heartbeat), fence)
        held = await self._store.own_holds(self._comparison.symbols())
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._watch_positions)
            nursery.start_soon(self._watch_ledgers)
            await self._keep_comparing(held, fence, heartbeat, nursery)

    async def _keep_comparing(
        self, besides: Sequence[Symbol], fence: FencingToken, heartbeat: Heartbeat, nursery: trio.Nursery
    ) -> None:
        """Compare until cancelled; the first time all in `besides`, too."""
        cadence_sec, due_sec = self._rules.rules.cadence_sec, -math.inf
        while True:
            lease, begun_sec = self._lease.value, trio.current_time()
            if lease is None or lease.fence != fence:
                raise FencedError("the lease was lost")
            touched, self._touched, self._wake = self._touched, {}, trio.Event()
            self._looked.clear()
            in_full = list(dict.fromkeys((*touched, *self._cases.symbols(), *besides)))
            is_full = begun_sec >= due_sec
            if is_full:
                due_sec = begun_sec + cadence_sec
                found = await self._comparison.compare_all(in_full)
            else:
                found = await self._comparison.compare(in_full, in_full) if in_full else []
            besides = ()
            self._trouble.over()
            for compared in found:
                # What a look has just changed is compared anew.
                if compared.symbol not in self._looked:
                    await self._follow(compared, fence)
                heartbeat.beat()
            await self._note_agreements(fence)
            self._start_looks(fence, heartbeat, nursery)
            if is_full:
                compared_last = self._comparison.compared
                self._reports.state(self._cases, weight=self._weight.used, compared=compared_last)
            with heartbeat.idle():
                await trio.sleep_until(begun_sec + _AT_MOST_EVERY_SEC)
                now_sec, next_sec = trio.current_time(), self._cases.next_due_sec(begun_sec)
                with trio.move_on_at(max(min(due_sec, next_sec), now_sec)):
                    await self._wake.wait()

    async def _follow(self, compared: Compared, fence: FencingToken) -> None:
        """Follow one symbol; what Redis refuses of it does not stop the others."""
        try:
            self._others.look(compared.symbol, compared.view)
            await self._follower.follow(compared, fence)
        except StoreRefusedError as error:
            self._reports.refused(compared.symbol, str(error))

    async def _note_agreements(self, fence: FencingToken) -> None:
        agreements = self._comparison.agreements.unnoted()
        if agreements:
            await self._store.note_agreements(fence, agreements)
            self._comparison.agreements.noted(agreements)

    def _start_looks(self, fence: FencingToken, heartbeat: Heartbeat, nursery: trio.Nursery) -> None:
        """Begin looks in their order, as far as there is weight for them."""
        weight = 0
        for case in self._cases.to_look_at(trio.current_time()):
            can_wait = case.can_wait
            weight += self._evidence.least_weight
            if sum(self._looking.values()) >= _MOST_LOOKS:
                return
            if can_wait and self._looking[True] >= _MOST_THAT_WAIT:
                return
            if not self._weight.has_room(weight, can_wait=can_wait):
                return
            case.looking = True
            self._looking[can_wait] += 1
            nursery.start_soon(self._look, case, can_wait, fence, heartbeat)

    async def _look(self, case: Case, can_wait: bool, fence: FencingToken, heartbeat: Heartbeat) -> None:
        try:
            with heartbeat.task() as task:
                await self._looks.look(case, fence, task)
        finally:
            case.looking = False
            self._looking[can_wait] -= 1
        self._looked.add(case.symbol)
        self._touch([case.symbol])

    async def _watch_positions(self) -> None:
        """Wake the comparison for positions with other amounts."""
        published = self._book.published
        while True:
            await self._book.changed()
            symbols, published = self._book.published_since(published), self._book.published
            self._touch(self._comparison.moved(symbols))

    async def _watch_ledgers(self) -> None:
        """Wake the comparison for ledgers with other amounts."""
        while True:
            symbols = await self._moved_ledgers.receive_all()
            self._comparison.agreements.moved(symbols)
            self._touch(symbols)

    def _touch(self, symbols: Sequence[Symbol]) -> None:
        compared = self._comparison.compared_of(symbols)
        if compared:
            self._touched |= dict.fromkeys(compared)
            self._wake.set()
