"""The reconcile engine as the page shows it: open cases and the latest repairs."""

from __future__ import annotations

import msgspec

from page.tone import Tone


class CaseOrder(msgspec.Struct, frozen=True, kw_only=True):
    """Fills of one order that the ledger lacks; `trades`: their number, `at`: the latest."""

    order_id: str
    client_order_id: str
    cause: str
    leg: str
    side: str
    quantity: str
    at: str
    trades: int


class CaseLeg(msgspec.Struct, frozen=True):
    """Signed amounts of one leg."""

    leg: str
    exchange: str
    ledger: str


class OpenCase(msgspec.Struct, frozen=True, kw_only=True):
    """A difference between exchange and ledger that is not settled, its evidence, and what a person can do.

    `ledger` is None where it has no amounts. `hold`: whose hold stands, in words. `next_look_sec` is None
    where the evidence is not looked at again by itself.
    """

    symbol: str
    status: str
    tone: Tone
    reason: str
    cause: str
    exchange: str
    ledger: str | None
    difference: str
    percent: str
    legs: tuple[CaseLeg, ...]
    since: str
    for_sec: float
    hold: str
    why: str
    advice: str
    orders: tuple[CaseOrder, ...]
    orders_left_out: int
    looks: int
    next_look_sec: float | None


class Repair(msgspec.Struct, frozen=True):
    """The latest repair of a symbol: the signed sum that was booked."""

    symbol: str
    at: str
    moved: str


class Reconcile(msgspec.Struct, frozen=True, kw_only=True):
    """The reconcile engine: open cases, the number of those that are not shown, and the latest repairs."""

    state: str
    tone: Tone
    doing: str
    weight: str
    cases: tuple[OpenCase, ...]
    left_out: int
    repaired: tuple[Repair, ...]
