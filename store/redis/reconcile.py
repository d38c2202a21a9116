"""The reconcile engine's part of the store on a real Redis."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from brain.identifiers import ClientOrderId, FencingToken, OrderId, Symbol
from store.keys import Keys, ReconcileKeys
from store.operator_values import read_hold
from store.reconcile_records import (
    Agreement,
    BookedGrowth,
    CaseChange,
    CloseProposal,
    ComparedLedgers,
    ExpectedLedger,
    LedgerRepair,
    ReconcileView,
)
from store.reconcile_values import (
    CLOSE_CLIENT_TTL_MS,
    ViewReply,
    agreement_fields,
    check_hold,
    check_owner,
    check_repair,
    fields_of,
    read_view,
    recorded_order,
)
from store.redis.scripts import ScriptRunner
from store.stored_values import read_text

_pack = msgspec.msgpack.encode
#: Symbols a script handles at once: Redis serves no other client in that time, less than 1 ms.
_LEDGERS_A_SCRIPT, _HOLDS_A_SCRIPT, _VIEWS_A_SCRIPT = 200, 100, 40


class RedisReconcile:
    """`ReconcileStore` less what it shares with others. `RedisStore` has the links."""

    _keys: Keys
    _scripts: ScriptRunner

    def _open_reconcile(self, *, shadow: bool) -> None:
        self._reconcile = ReconcileKeys(self._keys, shadow=shadow)
        self._expected: dict[int, tuple[Sequence[ExpectedLedger], bytes]] = {}

    async def differing_ledgers(self, expected: Sequence[ExpectedLedger]) -> ComparedLedgers:
        differing, in_flight = list[Symbol](), list[Symbol]()
        for begin in range(0, len(expected), _LEDGERS_A_SCRIPT):
            some = expected[begin : begin + _LEDGERS_A_SCRIPT]
            answer = await self._scripts.run(
                "differing_ledgers", self._keys.prefix, self._packed(begin, some)
            )
            for found, symbols in zip((differing, in_flight), answer, strict=True):
                found += [Symbol(symbol.decode()) for symbol in symbols]
        return ComparedLedgers(differing, in_flight)

    def _packed(self, begin: int, expected: Sequence[ExpectedLedger]) -> bytes:
        """Return the ledgers packed: what was sent last while they are the same, as at rest."""
        known = self._expected.get(begin)
        if known is None or known[0] != expected:
            packed = _pack([text or "" for each in expected for text in each])
            known = self._expected[begin] = expected, packed
        return known[1]

    async def reconcile_views(self, symbols: Sequence[Symbol]) -> dict[Symbol, ReconcileView]:
        views: dict[Symbol, ReconcileView] = {}
        for begin in range(0, len(symbols), _VIEWS_A_SCRIPT):
            some = symbols[begin : begin + _VIEWS_A_SCRIPT]
            answer = await self._scripts.run(
                "reconcile_views", self._keys.prefix, self._reconcile.base, *some
            )
            for symbol, (problem, ledger, flat, noted, *hold) in zip(some, answer, strict=True):
                permits = None if flat is None else dict(zip(flat[::2], flat[1::2], strict=True))
                views[symbol] = read_view(
                    symbol, ViewReply(problem, ledger, permits, noted, read_hold(*hold))
                )
        return views

    async def own_holds(self, symbols: Sequence[Symbol]) -> list[Symbol]:
        held: list[Symbol] = []
        for begin in range(0, len(symbols), _HOLDS_A_SCRIPT):
            some = symbols[begin : begin + _HOLDS_A_SCRIPT]
            answer = await self._scripts.run("own_holds", self._keys.prefix, self._reconcile.base, *some)
            held += [Symbol(symbol.decode()) for symbol in answer]
        return held

    async def booked_growth(
        self, symbol: Symbol, order_ids: Sequence[OrderId], client_order_ids: Sequence[ClientOrderId]
    ) -> BookedGrowth:
        memories, records = await self._scripts.run(
            "booked_growth",
            self._keys.prefix,
            symbol,
            _pack(order_ids),
            _pack(client_order_ids),
            self._reconcile.base,
        )
        texts = zip(order_ids, map(read_text, memories), strict=True)
        return BookedGrowth(
            {order_id: text for order_id, text in texts if text is not None},
            {
                client_id: recorded_order(*record)
                for client_id, record in zip(client_order_ids, records, strict=True)
                if record is not None
            },
        )

    async def note_agreements(self, fence: FencingToken, agreements: Sequence[Agreement]) -> None:
        for begin in range(0, len(agreements) or 1, _LEDGERS_A_SCRIPT):
            some = agreements[begin : begin + _LEDGERS_A_SCRIPT]
            texts = [text for each in some for text in _noted(each)]
            await self._scripts.run("note_agreements", self._keys.prefix, fence, self._reconcile.base, *texts)

    async def change_case(self, fence: FencingToken, change: CaseChange) -> bool:
        packed: tuple[object, ...] = (change.symbol, tuple(change.state), tuple(change.event))
        if change.hold is None:
            packed += (False, None, "", "", 0)
        else:
            check_hold(change.hold)
            packed += (True, *msgspec.structs.astuple(change.hold))
        return await self._step("change_case", fence, packed)

    async def repair_ledger(self, fence: FencingToken, repair: LedgerRepair) -> bool:
        check_repair(repair)
        packed = (
            repair.symbol, fields_of(repair.before), repair.before_version, tuple(repair.ledger_fields),
            repair.ledger_ttl_ms, tuple(repair.orders), tuple(repair.state), tuple(map(tuple, repair.events)),
            *msgspec.structs.astuple(repair.hold),
        )  # fmt: skip
        return await self._step("reconcile_ledger", fence, packed, self._acts)

    async def propose_close(self, fence: FencingToken, proposal: CloseProposal) -> bool:
        check_owner(proposal.sig)
        mark = self._reconcile.close_cooldown(proposal.symbol, proposal.sig, proposal.bucket)
        packed = (
            proposal.symbol, proposal.stream, mark, proposal.cooldown_sec * 1000, proposal.sig,
            proposal.hold_ttl_ms, tuple(proposal.plan), tuple(proposal.event),
            self._reconcile.close_out(proposal.symbol), proposal.plan_id,
            self._reconcile.close_client(proposal.client_order_id), CLOSE_CLIENT_TTL_MS,
        )  # fmt: skip
        return await self._step("propose_close", fence, packed, self._acts)

    @property
    def _acts(self) -> int:
        return int(not self._reconcile.shadow)

    async def _step(self, script: str, fence: FencingToken, packed: tuple[object, ...], *acts: int) -> bool:
        keys = self._reconcile
        return bool(
            await self._scripts.run(
                script, self._keys.prefix, fence, keys.base, keys.events, *acts, _pack(packed)
            )
        )


def _noted(agreement: Agreement) -> tuple[str, ...]:
    return agreement.symbol, *agreement_fields(agreement)
