"""Codec of the intent bridge's answers, shared by the real Redis and its in-memory twin."""

from __future__ import annotations

from brain.identifiers import EntryId
from brain.intents.intent import Lane
from store.bridge_records import IntentCommit
from store.keys import BridgeNames, PlanStream

EQUITY_FIELDS = ("equity", "ts")
PORTFOLIO_FIELDS = ("equity_usd", "timestamp")
#: Entries that are kept, about.
LONGEST_PLANS, LONGEST_AUDIT = 100_000, 50_000


def lane_stream(names: BridgeNames, lane: Lane) -> PlanStream:
    """Return the stream of a lane."""
    return {
        Lane.TRADE: names.trade_intents,
        Lane.EXIT: names.exit_intents,
        Lane.HARVEST: names.harvest_intents,
    }[lane]


def entry_mark(lane: Lane, entry_id: EntryId) -> str:
    """Return the name of an entry's mark. Entries of two streams can have one id."""
    return entry_id if lane is Lane.TRADE else f"{lane}:{entry_id}"


def packed_answer(answer: IntentCommit, basis: object) -> tuple[object, ...]:
    """Return an answer as `answer_intents.lua` unpacks it; `basis`: its texts, joined."""
    return (
        answer.entry_id, answer.symbol or "", answer.mark, answer.plan_mark, answer.mark_ttl_ms, basis,
        answer.deadline_ms, answer.plan, answer.audit, str(answer.closed_ms) if answer.closed_ms else "",
        answer.close_ttl_ms, answer.dead_fields,
    )  # fmt: skip
