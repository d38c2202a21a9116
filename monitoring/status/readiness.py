"""Readiness: plans can be decided, or the reasons why they cannot."""

from __future__ import annotations

import msgspec

from channels import Lease

#: Every wait for Redis begins so.
_REDIS = "Redis"
#: Decides nothing while it waits, for whatever it is.
_DECIDER = "permit_evaluator"
#: Begin of each wait for the lease (`actors/waiting.py`).
_LEASE_WAIT = "the lease"
#: Without these every plan is decided all the same.
_DECIDE_NOTHING = frozenset({"decision_intelligence", "intent_bridge"})


class ReadinessFacts(msgspec.Struct, frozen=True, kw_only=True):
    """The inputs of readiness.

    `waits`: the tree's, as (path, dependency). `needed_actors`: those without which nothing is decided, as
    (name, state in the tree). `symbols_known`: symbols in exchangeInfo, None before it was read.
    `exchange_trouble`: what the exchange refuses at present and why. `clocks_apart`: how far this host's
    clock and Redis's are apart, where that is too much. A snapshot is fresh while it is trusted and no older
    than `stale_threshold_sec`.
    """

    stopping: bool
    waits: tuple[tuple[str, str], ...]
    needed_actors: tuple[tuple[str, str], ...]
    lease: Lease | None
    symbols_known: int | None
    hedge_mode_known: bool
    allowlist_known: bool
    ledgers_adopted: bool
    snapshots: int
    snapshots_fresh: int
    stale_threshold_sec: float
    exchange_trouble: str | None = None
    clocks_apart: str | None = None


def unready(facts: ReadinessFacts) -> list[str]:
    """Return the reasons why plans cannot be decided, a sentence each; empty when they can.

    The exchange being away is no reason by itself: snapshots that grow stale are.
    """
    return [
        *(["the service is stopping"] if facts.stopping else []),
        *_actors(facts),
        *_waits(facts),
        *_lease(facts.lease),
        *_exchange(facts),
        *_own_state(facts),
        *([] if facts.clocks_apart is None else [facts.clocks_apart]),
    ]


def faults(facts: ReadinessFacts) -> list[str]:
    """Return the reasons of `unready` but for those that a standby in order has as well.

    That is one behind another holder that is known: it waits for the lease, and adopts no ledger.
    """
    lease = facts.lease
    if lease is None or lease.fence is not None or not lease.holder or lease.namesake is not None:
        return unready(facts)
    waits = tuple(
        (path, what)
        for path, what in facts.waits
        if not (path.rpartition("/")[2] == _DECIDER and what.startswith(_LEASE_WAIT))
    )
    others = unready(msgspec.structs.replace(facts, waits=waits, ledgers_adopted=True))
    return [reason for reason in others if reason not in _lease(lease)]


def _actors(facts: ReadinessFacts) -> list[str]:
    running = ("running", "waiting")
    return [
        f"{name} is {state.replace('_', ' ')}" for name, state in facts.needed_actors if state not in running
    ]


def _waits(facts: ReadinessFacts) -> list[str]:
    waiting: dict[str, list[str]] = {}
    for path, what in facts.waits:
        actor = path.rpartition("/")[2]
        if (what.startswith(_REDIS) and actor not in _DECIDE_NOTHING) or actor == _DECIDER:
            actors = waiting.setdefault(what, [])
            if actor not in actors:
                actors.append(actor)
    return [f"waiting for {what} ({', '.join(actors)})" for what, actors in waiting.items()]


def _lease(lease: Lease | None) -> list[str]:
    if lease is None:
        return ["it is not known who holds the lease"]
    if lease.namesake is not None:
        return [
            f"standing by: the lease is held by {lease.holder}, by another process of the same P33_INSTANCE "
            f"({lease.namesake}): give each its own"
        ]
    if lease.fence is None:
        return [f"standing by: the lease is held by {lease.holder}"]
    return []


def _exchange(facts: ReadinessFacts) -> list[str]:
    """Name missing answers of the exchange; with a known cause all in one sentence."""
    missing = [*_account_and_symbols(facts), *_snapshots(facts)]
    if not missing or facts.exchange_trouble is None:
        return missing
    return [f"{' and '.join(missing)}, because {facts.exchange_trouble}"]


def _account_and_symbols(facts: ReadinessFacts) -> list[str]:
    reasons = []
    if facts.symbols_known is None:
        reasons.append("exchangeInfo was not read yet")
    elif facts.symbols_known == 0:
        reasons.append("exchangeInfo lists no symbol")
    if not facts.hedge_mode_known:
        reasons.append("the account's position mode is not known yet")
    return reasons


def _own_state(facts: ReadinessFacts) -> list[str]:
    reasons = []
    if not facts.allowlist_known:
        reasons.append("the allowlist is not known yet")
    if not facts.ledgers_adopted:
        reasons.append("the first ledgers are not adopted yet")
    return reasons


def _snapshots(facts: ReadinessFacts) -> list[str]:
    if facts.snapshots == 0:
        return ["there is no snapshot yet"]
    stale = facts.snapshots - facts.snapshots_fresh
    limit = f"older than {facts.stale_threshold_sec:g} s or not trusted"
    if facts.snapshots_fresh == 0:
        return [f"all {facts.snapshots} snapshots are {limit}"]
    if stale * 2 > facts.snapshots:
        return [f"{stale} of {facts.snapshots} snapshots are {limit}"]
    return []
