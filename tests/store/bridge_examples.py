"""Calls of the intent bridge's store, for the tests that count every one."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from brain.identifiers import EntryId, FencingToken, Symbol
from brain.intents.intent import Lane
from store.bridge_records import BridgeBasis, BridgeReply
from store.execution_protocol import ServiceStore
from tests.store.backends import KEYS, Outside
from tests.store.bridged import BRIDGE, SYMBOL, planned, refused

Call = Callable[[ServiceStore, FencingToken], Awaitable[object]]

#: Answered before; and those that the examples answer.
_SEEN, _CLOSING, _ENTERING = EntryId("1-1"), EntryId("1-2"), EntryId("1-3")
_MODE, _CLOSED = b"ACTIVE", "1760000000000"
GROUPS = ("trade_intents", "exit_intents", "harvest_intents")


def prepare_intents(outside: Outside) -> None:
    """Let there be a mode, a last close and an intent that was answered, for every method to find."""
    outside.set(BRIDGE.mode, _MODE)
    outside.set(BRIDGE.last_close(SYMBOL), _CLOSED)
    outside.set(BRIDGE.seen(_SEEN), "plan")
    outside.hset(BRIDGE.portfolio, {"equity_usd": "1000", "timestamp": "1760000000"})
    for lane in Lane:
        if lane is not Lane.TRADE:
            outside.xadd(f"{KEYS.prefix}:stream:{lane}", {"symbol": SYMBOL}, entry_id="1-1")


async def answer(store: ServiceStore, fence: FencingToken) -> tuple[str, ...]:
    """Find an intent answered, close, refuse an entry for it, and find another basis."""
    close = planned(_CLOSING, closed_ms=1_760_000_000_001, close_ttl_ms=900_000, dead_fields=("error", "x"))
    known = BridgeBasis(_MODE, b"1760000000001")
    entries = [refused(_ENTERING, basis=known), planned(EntryId("1-4"), basis=BridgeBasis(None, None))]
    reply: BridgeReply = await store.answer_intents(fence, Lane.TRADE, [planned(_SEEN), close, *entries])
    return reply.verdicts


WRITES: dict[str, Call] = {
    "answer_intents": answer,
    "answer_intents of nothing": lambda store, fence: store.answer_intents(fence, Lane.EXIT, []),
}

EXAMPLES: dict[str, Call] = {
    "bridge_state": lambda store, _: store.bridge_state([SYMBOL, Symbol("ETHUSDT")], with_equity=True),
    "answer_intents": answer,
}
