"""Case of the whole chain: from an intent to its order at the exchange, and the steps between them."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple
from urllib.parse import parse_qs

from bench.account import Holding
from bench.contenders import RESULTS, Session
from bench.event_cases import SNAPSHOT_PREFIX
from bench.figures import Figure, latency_figures
from bench.latency import intended_sec
from bench.ledger_changes import LedgerChanges
from bench.plans import PLANS, WrongAnswersError
from bench.redis_socket import Command
from brain.execution.orders import client_order_id
from brain.identifiers import PlanId
from store.keys import BridgeNames

NAMES = BridgeNames("quantum", shadow=False)
ORDERS = "/fapi/v1/order"
PER_SEC = 30
#: Less than the exchange takes within 10 s, and less than the share of it that entries get.
_AT_ONCE = 230
_PAUSE_SEC = 10.0
_GIVE_UP_SEC = 15.0
_LOOK_SEC = 0.5
_WARM_UP = 10
_USDT = "300"
_LEAD_SEC = 0.1
_P33_AUDIT, _GOVERNOR_AUDIT = "quantum:stream:permit.audit", "quantum:stream:governor.audit"
_CASE = "intent → order at the exchange"


class _Moments(NamedTuple):
    """Times of one intent (epoch ms): those between the ends are whole ones, of Redis's clock."""

    due: float
    plan: float
    permits: float
    order: float


def intent_to_order(session: Session) -> list[Figure]:
    """Measure intents in an open loop, from when each was due to its order on the exchange's socket.

    The order's time is the kernel's: neither the exchange's latency nor the wait for its process is in it.
    """
    stage = session.stage
    stage.exchange.set_faults({"margin_checks": False})
    held = stage.held
    _prices_are_known(session)
    moments: list[_Moments] = []
    numbers = range(stage.sizes.intents)
    with LedgerChanges(stage.redis_url) as changes:
        _all_have_orders(session, _published(session, [held[-1 - number] for number in range(_WARM_UP)]))
        for first in numbers[::_AT_ONCE]:
            # What was sent before counts at the exchange for so long.
            time.sleep(_PAUSE_SEC)
            burst = numbers[first : first + _AT_ONCE]
            due_ms = _published(session, [held[number % len(held)] for number in burst])
            moments += _all_have_orders(session, due_ms)
        booked_ms = _all_are_booked(session, changes, _WARM_UP + len(moments))
    return [
        *latency_figures(_CASE, [(each.order - each.due) / 1000 for each in moments]),
        *_step("intent → plan", [each.plan - each.due for each in moments]),
        *_step("plan → both permits", [each.permits - each.plan for each in moments]),
        *_step("both permits → order", [each.order - each.permits for each in moments]),
        *_step("result → ledger", booked_ms),
    ]


def _prices_are_known(session: Session) -> None:
    """Wait until each symbol has a mark price, by which intents are sized."""
    prices: list[Command] = [
        ("HGET", SNAPSHOT_PREFIX + holding.symbol, "mark_price") for holding in session.stage.held
    ]
    session.process.wait_until(
        lambda: b"all" if all(session.redis.pipeline(prices)) else b"", "does not know all mark prices"
    )


def _step(name: str, took_ms: Sequence[float]) -> Iterator[Figure]:
    for figure in latency_figures(_CASE, [each / 1000 for each in took_ms]):
        yield Figure(_CASE, f"{name}, {figure.measure}", figure.unit, figure.value)


def _intent(holding: Holding) -> Command:
    """Add to what is long or flat; take a hundredth from what is short.

    No leverage: setting that is another request, whose answer the order waits for.
    """
    if holding.amount < 0:
        return (
            "XADD", NAMES.harvest_intents.key, "*", "symbol", holding.symbol,
            "action", "PARTIAL_CLOSE", "percentage", "0.01", "reason", "bench",
        )  # fmt: skip
    return (
        "XADD", NAMES.trade_intents.key, "*", "symbol", holding.symbol,
        "side", "BUY", "position_usd", _USDT, "kill_score", "0.1",
    )  # fmt: skip


def _published(session: Session, held: Sequence[Holding]) -> dict[tuple[str, str], float]:
    """Publish an intent for each at an even rate; when each was due (epoch ms) by stream and entry id."""
    due_ms: dict[tuple[str, str], float] = {}
    begin_sec = time.time() + _LEAD_SEC
    for number, holding in enumerate(held):
        due_sec = intended_sec(begin_sec, PER_SEC, number)
        time.sleep(max(due_sec - time.time(), 0.0))
        command = _intent(holding)
        entry_id = session.redis.command(*command).decode()
        due_ms[str(command[1]).rpartition(":")[2], entry_id] = due_sec * 1000
    return due_ms


def _all_have_orders(session: Session, due_ms: Mapping[tuple[str, str], float]) -> list[_Moments]:
    """Wait for an order of each intent. Raises WrongAnswersError."""
    give_up_sec = time.monotonic() + _GIVE_UP_SEC
    found: list[_Moments] = []
    while len(found) < len(due_ms):
        if time.monotonic() > give_up_sec:
            missing = len(due_ms) - len(found)
            raise WrongAnswersError(
                f"{missing} of {len(due_ms)} intents became no order; {_refusals(session)}"
            )
        # Looks read all of the audits, and stand in the way of what is still under way.
        time.sleep(_LOOK_SEC)
        found = _moments(session, due_ms)
    return found


def _all_are_booked(session: Session, changes: LedgerChanges, orders: int) -> list[float]:
    """Wait until as many results are in their ledgers; return the times (ms). Raises WrongAnswersError."""
    give_up_sec = time.monotonic() + _GIVE_UP_SEC
    while True:
        executed = [
            (row["symbol"], int(entry_id.partition("-")[0]))
            for entry_id, row in rows_of(session, RESULTS)
            if row["executed"].lower() == "true"
        ]
        changed = [(changes.first_after(symbol, at_ms), at_ms) for symbol, at_ms in executed]
        booked_ms = [changed_ms - at_ms for changed_ms, at_ms in changed if changed_ms is not None]
        if len(booked_ms) >= orders:
            return booked_ms
        if time.monotonic() > give_up_sec:
            raise WrongAnswersError(f"of {orders} orders {len(booked_ms)} are in their ledgers")
        time.sleep(_LOOK_SEC)


def _moments(session: Session, due_ms: Mapping[tuple[str, str], float]) -> list[_Moments]:
    # First: what an order came from was written before.
    arrived = {
        parse_qs(record["query"])["newClientOrderId"][0]: record["on_socket_ms"]
        for record in session.stage.exchange.requests(ORDERS)
        if record["method"] == "POST"
    }
    plan_of = {(row["stream"], row["entry_id"]): row["plan_id"] for _, row in rows_of(session, NAMES.audit)}
    planned = _times_ms(session, PLANS)
    granted, allowed = _times_ms(session, _GOVERNOR_AUDIT), _times_ms(session, _P33_AUDIT)
    found: list[_Moments] = []
    for intent, at_ms in due_ms.items():
        plan_id = plan_of.get(intent, "")
        order_ms = arrived.get(client_order_id("quantum", PlanId(plan_id))) if plan_id else None
        if order_ms is not None:
            permits_ms = max(granted[plan_id], allowed[plan_id])
            found.append(_Moments(at_ms, planned[plan_id], permits_ms, order_ms))
    return found


def _refusals(session: Session) -> dict[str, int]:
    """Count the intents that became no plan, and the plans that became no order, by reason."""
    refused = Counter(row["reason"] for _, row in rows_of(session, NAMES.audit))
    refused += Counter(row["error"] for _, row in rows_of(session, RESULTS))
    del refused[""]
    return dict(refused)


def _times_ms(session: Session, stream: str) -> dict[str, int]:
    """Return the time of each plan's entry."""
    return {row["plan_id"]: int(entry_id.partition("-")[0]) for entry_id, row in rows_of(session, stream)}


def rows_of(session: Session, stream: str) -> Iterator[tuple[str, dict[str, str]]]:
    """Read the entries of a stream: id and fields."""
    for entry_id, flat in session.redis.command("XRANGE", stream, "-", "+"):
        texts = [text.decode() for text in flat]
        yield entry_id.decode(), dict(zip(texts[::2], texts[1::2], strict=True))
