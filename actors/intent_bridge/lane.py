"""Answers the intents of one stream, in its order, and writes the answers of a batch in one step."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping

import trio
from structlog.typing import FilteringBoundLogger

from actors.intent_bridge.cases import CaseMaking
from actors.intent_bridge.proposals import IntentAnswers, PendingIntent, Proposal
from actors.intent_bridge.reports import BridgeReports
from actors.one_player import OnePlayer
from actors.stream_consumer import MOST_FAILURES, Batch, FailureCounter, Session, StreamConsumer
from brain.identifiers import EntryId, FencingToken, Symbol
from brain.intents.intent import Lane
from brain.intents.reading import read_intent
from brain.symbols.allowlist import Allowlist
from brain.symbols.symbol_rules import SymbolRules
from channels import LatestValue, Lease
from clocks.clocks import Clocks
from store.bridge_protocol import BridgeStore
from store.bridge_records import BridgeState
from store.protocol import ConsumerGroup

BATCH = 64
#: One is read while the other is written; they are answered one after the other.
_READERS = 2
#: Without symbols, allowlist and mark prices, which come at the start, entries are refused behind it.
_LONGEST_WAIT_SEC = 5.0


class IntentLane(StreamConsumer):
    """Answers intents while this instance holds the lease."""

    def __init__(
        self,
        lane: Lane,
        group: ConsumerGroup,
        store: BridgeStore,
        lease: LatestValue[Lease],
        failures: FailureCounter,
        answers: IntentAnswers,
        cases: CaseMaking,
        symbol_rules: LatestValue[Mapping[str, SymbolRules]],
        allowlist: LatestValue[Allowlist],
        reports: BridgeReports,
        *,
        with_equity: bool,
        clocks: Clocks,
        one_player: OnePlayer | None,
        log: FilteringBoundLogger,
    ) -> None:
        """`failures` outlives the actor. `with_equity`: answers rest on the account's equity, too."""
        super().__init__(
            group, store, lease, failures, clocks=clocks, log=log,
            batch=BATCH, readers=_READERS, one_player=one_player,
        )  # fmt: skip
        self._lane = lane
        self._store = store
        self._answers = answers
        self._cases = cases
        self._symbol_rules = symbol_rules
        self._allowlist = allowlist
        self._reports = reports
        self._with_equity = with_equity
        self._turn = trio.Lock()
        #: Prices are waited for once; they may go away later. Exits need none.
        self._waits_for_prices = lane is Lane.TRADE

    async def begin(self, session: Session) -> None:
        """Wait until symbols, allowlist and, for the first time, mark prices are known, 5 s at most."""
        with session.heartbeat.waiting_for("symbols and prices"), trio.move_on_after(_LONGEST_WAIT_SEC):
            await self._symbol_rules.get()
            await self._allowlist.get()
            while self._waits_for_prices and not self._cases.prices_known(self._clocks.now()):
                await self._cases.changed()
        self._waits_for_prices = False

    async def handle(self, batch: Batch) -> None:
        """Answer the batch behind the one that was read before it."""
        async with self._turn:
            batch.read_on()
            gone = [entry.id for entry in batch.entries if entry.fields is None]
            pending: deque[PendingIntent] = deque()
            for entry in batch.entries:
                if entry.fields is None:
                    continue
                failed = self.failures.of(entry.id, entry.deliveries)
                read = read_intent(self._lane, entry.id, entry.fields)
                pending.append(PendingIntent(entry, read, failed if failed >= MOST_FAILURES else 0))
            while pending:
                for _ in range(await self._answer(pending, batch.fence)):
                    pending.popleft()
            if gone:
                await self.group.acknowledge(batch.fence, gone)
            for entry_id in gone:
                self.failures.done(entry_id)

    async def _answer(self, pending: deque[PendingIntent], fence: FencingToken) -> int:
        """Answer intents, each on the state that those before it leave, and write the answers.

        Returns the number of those that are written or were answered before. The rest is answered again.
        """
        state = await self._state(pending)
        closes = dict(state.last_closes)
        now = self._clocks.now()
        now_ms = self._clocks.redis.now_ms(now)
        proposals: list[Proposal] = []
        answered: list[EntryId] = []
        with self.failures.attributed_to(answered):
            for each in pending:
                answered[:] = (each.entry.id,)
                proposals.append(self._answers.propose(each, state, closes, now, now_ms))
        commits = [each.commit for each in proposals]
        sent = self._clocks.now()
        with self.failures.attributed_to([commit.entry_id for commit in commits]):
            reply = await self._store.answer_intents(fence, self._lane, commits)
        self._clocks.redis.observe(reply.now_ms, sent, self._clocks.now())
        return self._learn(proposals, reply.verdicts, reply.now_ms)

    async def _state(self, pending: deque[PendingIntent]) -> BridgeState:
        """Read what entries rest on; nothing for closes alone."""
        symbols: dict[Symbol, None] = {}
        for each in pending:
            if (symbol := each.may_enter) is not None:
                symbols[symbol] = None
        if not symbols:
            return BridgeState(None, {})
        state = await self._store.bridge_state(tuple(symbols), with_equity=self._with_equity)
        self._reports.lockdown(state.mode)
        return state

    def _learn(self, proposals: list[Proposal], verdicts: tuple[str, ...], now_ms: int) -> int:
        """Report what was written; note why the first that was not is answered again."""
        committed: list[Proposal] = []
        dealt_with = seen = 0
        for proposal, verdict in zip(proposals, verdicts, strict=False):
            if verdict == "duplicate":
                proposal.pending.duplicate = True
                break
            if verdict == "committed":
                committed.append(proposal)
            elif verdict == "seen":
                seen += 1
            else:
                proposal.pending.attempts += 1
                break
            self.failures.done(proposal.pending.entry.id)
            dealt_with += 1
        self._reports.answered(self._lane, committed, seen, now_ms)
        return dealt_with
