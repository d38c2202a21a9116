"""Texts of a case: fields of `reconcile:state:<symbol>` and of entries of `reconcile.events`, all flat.

Amounts are decimal text without exponent, times epoch milliseconds (`…_ms`) or whole seconds (`…ts`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal
from enum import StrEnum

import msgspec

from brain.identifiers import Symbol
from brain.numbers import ZERO, plain
from brain.positions.position import Leg
from brain.reconciliation.case_life import CaseStatus
from brain.reconciliation.drift import Drift, DriftNumbers, drift_numbers
from brain.reconciliation.evidence import Growth
from brain.reconciliation.weighing import causes_of

_JSON = msgspec.json.Encoder()
#: Orders that one text names; a text is far below the limit of a field then.
_MOST_ORDERS = 50
_MOST_TRADES = 20
#: `why` of a state that an earlier, wider list has left.
LEFT_OUT = "P34_ALLOWLIST does not name the symbol"


class CaseEvent(StrEnum):
    """`event` of an entry of `reconcile.events` that the reconcile engine writes."""

    HOLD_SET = "HOLD_SET"
    HOLD_CLEARED = "HOLD_CLEARED"
    AUTO_REPAIR = "AUTO_REPAIR"
    MANUAL_REQUIRED = "MANUAL_REQUIRED"
    DRIFT = "DRIFT"
    EVIDENCE_INCOMPLETE = "EVIDENCE_INCOMPLETE"
    ORPHAN_ORDER = "ORPHAN_ORDER"
    CLOSE_PROPOSED = "CLOSE_PROPOSED"


def flat(fields: dict[str, str]) -> tuple[str, ...]:
    """Return names and values in turn."""
    return tuple(text for pair in fields.items() for text in pair)


def drift_state(
    status: CaseStatus,
    drift: Drift,
    *,
    found: Sequence[Growth] = (),
    why: str = "",
    advice: str = "",
    hold_sig: str = "",
    since_ms: int,
    now_ms: int,
) -> tuple[str, ...]:
    """Return the state of an open case. `since_ms`: first seen, `now_ms`: last seen, both Redis's clock.

    `found`: fills that the ledger lacks. `advice`: what a person can do. `hold_sig` is empty without
    a hold of the engine.
    """
    causes = ",".join(causes_of(found)) if found or status is CaseStatus.MANUAL_REQUIRED else ""
    return flat(
        {
            "status": status.value,
            "reason": drift.reason.value,
            **_numbers(drift_numbers(drift)),
            "legs": legs_json(drift),
            **_times(now_ms),
            "cause": causes,
            "hold_sig": hold_sig,
            "since_ms": str(since_ms),
            "evidence": order_ids_json(found),
            "orders": growths_json(found),
            "why": why,
            "advice": advice,
        }
    )


def agreed_state(
    status: CaseStatus, amount: Decimal, *, repaired: Sequence[Growth] = (), now_ms: int
) -> tuple[str, ...]:
    """Return the state of a symbol whose ledger agrees with the exchange (`OK`, `REPAIRED`).

    `amount`: the sum over the legs (contracts). `repaired`: the fills that were booked.
    """
    return flat(
        {
            "status": status.value,
            "reason": "",
            **_numbers(DriftNumbers(amount, amount, ZERO, ZERO)),
            "legs": "",
            **_times(now_ms),
            "cause": ",".join(causes_of(repaired)) if repaired else "",
            "hold_sig": "",
            "since_ms": "",
            "evidence": order_ids_json(repaired),
            "orders": growths_json(repaired),
            "why": "",
            "advice": "",
        }
    )


def left_out_state(*, now_ms: int) -> tuple[str, ...]:
    """Return the state of a symbol whose case is over because it is not compared any more."""
    numbers = dict.fromkeys(("exchange_amt", "ledger_amt", "diff_amt", "diff_pct"), "")
    empty = dict.fromkeys(("reason", "legs", "cause", "hold_sig", "since_ms", "advice"), "")
    nothing = {"evidence": order_ids_json(()), "orders": growths_json(()), "why": LEFT_OUT}
    return flat({"status": CaseStatus.OK.value, **numbers, **empty, **_times(now_ms), **nothing})


def event_fields(
    event: CaseEvent, symbol: Symbol, *, now_ms: int, drift: Drift | None = None, **details: str
) -> tuple[str, ...]:
    """Return an entry of `reconcile.events`: `event symbol ts`, the drift's reason and numbers, and details.

    `now_ms`: Redis's clock.
    """
    fields = {"event": event.value, "symbol": symbol, "ts": str(now_ms // 1000)}
    if drift is not None:
        fields["reason"] = drift.reason.value
        fields |= _numbers(drift_numbers(drift))
        fields["legs"] = legs_json(drift)
    return flat(fields | details)


def growth_details(growths: Sequence[Growth]) -> dict[str, str]:
    """Return the details of an event about fills: `cause`, `evidence` (order ids) and `orders`, as JSON."""
    return {
        "cause": ",".join(causes_of(growths)),
        "evidence": order_ids_json(growths),
        "orders": growths_json(growths),
    }


def orphan_event(symbol: Symbol, growth: Growth, *, now_ms: int) -> tuple[str, ...]:
    """Return the event of an order of ours that has no record, with the executor's own field names."""
    return event_fields(
        CaseEvent.ORPHAN_ORDER,
        symbol,
        now_ms=now_ms,
        client_order_id=growth.client_order_id,
        order_id=growth.order_id,
        order_status="",
        side=growth.side,
        position_side=growth.leg.value,
        filled_qty=plain(growth.cumulative),
    )


def order_ids_json(growths: Iterable[Growth]) -> str:
    """Return the order ids of growths as a JSON list; at most 50, the latest."""
    return _JSON.encode([growth.order_id for growth in _latest(growths)]).decode()


def growths_json(growths: Iterable[Growth]) -> str:
    """Return growths as a JSON list of objects; at most 50, the latest, with the latest 20 trades of each."""
    return _JSON.encode([_object(growth) for growth in _latest(growths)]).decode()


def legs_json(drift: Drift) -> str:
    """Return a hedge-mode drift's amounts by leg as JSON; empty in one-way mode."""
    if any(each.leg is Leg.BOTH for each in drift.legs):
        return ""
    amounts = {
        each.leg.value: {"exchange": plain(each.exchange), "ledger": plain(each.ledger)}
        for each in drift.legs
    }
    return _JSON.encode(amounts).decode()


def in_words(growths: Sequence[Growth]) -> str:
    """Return growths for a sentence: `BUY 0.3 of order 123 (web_abc, manual)`; the latest 5."""
    named = [
        f"{each.side} {plain(each.quantity)}{'' if each.leg is Leg.BOTH else f' {each.leg}'} of order "
        f"{each.order_id} ({each.client_order_id or 'not shown'}, {each.cause})"
        for each in growths[-5:]
    ]
    more = len(growths) - len(named)
    return "; ".join(named) + (f"; and {more} before" if more else "")


def _latest(growths: Iterable[Growth]) -> list[Growth]:
    return list(growths)[-_MOST_ORDERS:]


def _object(growth: Growth) -> dict[str, object]:
    return {
        "order_id": growth.order_id,
        "client_order_id": growth.client_order_id,
        "cause": growth.cause.value,
        "leg": growth.leg.value,
        "side": growth.side,
        "qty": plain(growth.quantity),
        "cumulative": plain(growth.cumulative),
        "time_ms": growth.time_ms,
        "trade_ids": growth.trade_ids[-_MOST_TRADES:],
    }


def _times(now_ms: int) -> dict[str, str]:
    """Return both times of a state, of one moment: another reconcile engine writes the first alone."""
    return {"last_seen_ts": str(now_ms // 1000), "written_ms": str(now_ms)}


def _numbers(numbers: DriftNumbers) -> dict[str, str]:
    return {
        "exchange_amt": plain(numbers.exchange),
        "ledger_amt": "" if numbers.ledger is None else plain(numbers.ledger),
        "diff_amt": plain(numbers.difference),
        "diff_pct": plain(numbers.percent),
    }
