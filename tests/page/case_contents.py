"""Open cases for the page."""

from __future__ import annotations

from typing import Any

import msgspec

from page.open_cases import CaseLeg, CaseOrder, OpenCase, Reconcile, Repair
from page.tone import Tone


def open_case(**changes: Any) -> OpenCase:
    """Return the case of a sale by hand, which waits for a person."""
    usual = OpenCase(
        symbol="BTCUSDT",
        status="MANUAL_REQUIRED",
        tone=Tone.BAD,
        reason="qty_mismatch",
        cause="manual",
        exchange="0.038",
        ledger="0.05",
        difference="-0.012",
        percent="24",
        legs=(),
        since="2026-09-21T13:00:00.000Z",
        for_sec=95.0,
        hold="held by this service",
        why="an order that is not this service's moved the position: SELL 0.012 of order 77",
        advice="To accept the exchange's position: `redis-cli HSET …`.",
        orders=(
            CaseOrder(
                order_id="77",
                client_order_id="web_x1",
                cause="manual",
                leg="BOTH",
                side="SELL",
                quantity="0.012",
                at="2026-09-21T12:59:58.000Z",
                trades=2,
            ),
        ),
        orders_left_out=0,
        looks=3,
        next_look_sec=41.0,
    )
    return msgspec.structs.replace(usual, **changes)


def reconcile(**changes: Any) -> Reconcile:
    """Return a reconcile engine with one case."""
    usual = Reconcile(
        state="1 for a person",
        tone=Tone.BAD,
        doing="compares 56 symbols, 1 open case, 1 of them for a person",
        weight="10 of 60 request weight in the last 60 s",
        cases=(open_case(),),
        left_out=0,
        repaired=(Repair("ETHUSDT", "2026-09-21T12:40:00.000Z", "-1.5"),),
    )
    return msgspec.structs.replace(usual, **changes)


def hostile_reconcile(texts: tuple[str, ...]) -> Reconcile:
    """Return a reconcile engine with each text in each place."""
    return reconcile(
        state=texts[0],
        doing=texts[0],
        weight=texts[0],
        cases=tuple(
            open_case(
                symbol=text,
                status=text,
                reason=text,
                cause=text,
                exchange=text,
                ledger=text,
                difference=text,
                percent=text,
                legs=(CaseLeg(text, text, text),),
                hold=text,
                why=text,
                advice=text,
                orders=(
                    CaseOrder(
                        order_id=text,
                        client_order_id=text,
                        cause=text,
                        leg=text,
                        side=text,
                        quantity=text,
                        at="2026-09-21T13:00:00.000Z",
                        trades=1,
                    ),
                ),
            )
            for text in texts
        ),
        repaired=tuple(Repair(text, "2026-09-21T13:00:00.000Z", text) for text in texts),
    )
