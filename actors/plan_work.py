"""What the permit evaluator's parts hand to each other: plans in hand, and what is known."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum, auto

import msgspec

from actors.heartbeat import Heartbeat
from actors.lease import present
from brain.allowlist import Allowlist
from brain.permit import Decision
from brain.plan import Plan
from brain.symbol_rules import SymbolRules
from channels import LatestValue, Lease, SnapshotBook
from store.records import Entry


class Need(Enum):
    """What a decision hangs on that somebody can be asked for."""

    POSITION = auto()
    LEDGER = auto()


class Work(msgspec.Struct, eq=False):
    """A plan in hand, on its way to a committed decision.

    `need` is what it waits for, `tried` what was asked for already: nothing is asked for twice.
    """

    entry: Entry
    plan: Plan
    settled: bool = False
    attempts: int = 0
    need: Need | None = None
    tried: frozenset[Need] = frozenset()


class Refusal(msgspec.Struct, frozen=True):
    """A deny that rests on no state: of what cannot be read, or what could not be decided.

    `error`: why the entry is a dead letter as well; None where the answer says it all.
    """

    entry: Entry
    plan_id: str
    symbol: str | None
    decision: Decision
    error: str | None = None


class WhatIsKnown(msgspec.Struct, frozen=True):
    """The channels from which the evaluator learns what its decisions rest on."""

    book: SnapshotBook
    symbol_rules: LatestValue[Mapping[str, SymbolRules]]
    allowlist: LatestValue[Allowlist]
    hedge_mode: LatestValue[bool]
    ledgers_adopted: LatestValue[bool]
    lease: LatestValue[Lease]

    @property
    def exchange_known(self) -> bool:
        """Whether the exchange has told what it trades, and in which mode the account is."""
        return self.symbol_rules.value is not None and self.hedge_mode.value is not None

    @property
    def complete(self) -> bool:
        """Whether nothing is missing that a service which runs for a while has."""
        return (
            self.exchange_known
            and self.allowlist.value is not None
            and self.ledgers_adopted.value is not None
        )

    async def wait_until_complete(self, heartbeat: Heartbeat) -> None:
        """Wait for what is missing; the service is not ready meanwhile."""
        await present(self.symbol_rules, "exchangeInfo", heartbeat)
        await present(self.hedge_mode, "the account's position mode", heartbeat)
        await present(self.allowlist, "the allowlist", heartbeat)
        await present(self.ledgers_adopted, "the first ledgers", heartbeat)
