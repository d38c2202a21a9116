"""Codec of what the Governor's judgements rest on, shared by the real Redis and its in-memory twin.

A state is two lists of texts, as `_governor.lua` reads them: equal lists are equal states.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Generic, TypeVar

import msgspec

from brain.execution.switches import TradingState, read_trading_state
from brain.governor.grant_window import GrantWindow
from brain.identifiers import EntryId, PlanId
from store.execution_records import Switches
from store.governor_records import (
    BasisPart,
    Disarm,
    GovernedAccount,
    GovernedSymbol,
    GovernorBasis,
    GovernorCommit,
    GrantChange,
    Granted,
)
from store.keys import GUARDS

Texts = tuple[bytes | None, ...]
Basis = TypeVar("Basis")

#: The highest score of a window that counts (epoch ms).
LATEST_MS = 999_999_999_999_999
LONGEST_EXECUTIONS = 100
HOUR_MS = 3_600_000
EXECUTIONS_TTL_MS = 86_400_000
WINDOW_TTL_MS = 90_000_000
DAILY_TTL_MS = 172_800_000
LAST_EXEC_TTL_MS = HOUR_MS
STATS_TTL_MS = 604_800_000
BLOCK_TTL_MS = HOUR_MS
DISARM_TTL_MS = 86_400_000
STATS_FIELDS = ("n", "mean", "var", "ts", "blocked_since")
ENTRY_FIELDS = ("entry_n", "entry_mean", "entry_var", "entry_ts")
EXIT_FIELDS = ("exit_n", "exit_mean", "exit_var", "exit_ts", "exit_blocked_since")
BUDGET_FIELDS = ("mode", "budget_usd", "stress_factor", "timestamp")
ALLOCATION_FIELDS = ("mode", "target_usd", "confidence", "timestamp")
EFFICIENCY_FIELDS = ("efficiency_score", "confidence", "ts")
EQUITY_FIELDS = ("equity", "peak", "ts", "peak_ts", "day", "day_open")

_LOSSLESS = "surrogateescape"


def _exists(there: bool) -> bytes | None:
    return b"1" if there else None


def stored_version(version: str) -> bytes:
    """Return a version as it is stored, which any text may be."""
    return version.encode(errors=_LOSSLESS)


def own_texts(account: GovernedAccount) -> Texts:
    """Return what the Governor itself and operators change."""
    return (stored_version(account.version) or None, account.disarmed, account.switches.trading_state)


def neighbours_texts(account: GovernedAccount) -> Texts:
    """Return what other services and operators change of the account's state."""
    switches = account.switches
    return (
        switches.kill, switches.global_kill, switches.mode, _exists(switches.lockdown),
        _exists(account.frozen), *account.guards,
    )  # fmt: skip


def symbol_texts(symbol: GovernedSymbol) -> Texts:
    """Return a symbol's texts; its window is compared by its number."""
    return (
        symbol.opened, symbol.reduced, symbol.last_exec, *symbol.entry, *symbol.exit,
        _exists(symbol.blacklisted), *symbol.budget, *symbol.allocation, *symbol.efficiency,
    )  # fmt: skip


def part_of(texts: Texts, part: BasisPart) -> Texts:
    """Return those of a symbol's texts that a part of a basis has."""
    match part:
        case "close":
            return (texts[1], *texts[7:12])
        case "entry":
            return texts[3:7]
        case "exit":
            return texts[7:12]
        case "":
            return texts


def granted_in(symbol: GovernedSymbol) -> int:
    """Return the number of grants in a symbol's window, -1 where it has a wrong type."""
    return len(symbol.window) if symbol.countable else -1


def read_account(own: Texts, neighbours: Texts, reserved: Mapping[bytes, bytes] | None) -> GovernedAccount:
    """Return the account of `own_texts`, `neighbours_texts` and the live grants."""
    version, disarmed, trading_state = own
    kill, global_kill, mode, lockdown, frozen = neighbours[:5]
    return GovernedAccount(
        version=(version or b"").decode(errors=_LOSSLESS),
        reserved={PlanId(plan.decode(errors=_LOSSLESS)): text for plan, text in (reserved or {}).items()},
        switches=Switches(trading_state, kill, global_kill, mode, lockdown is not None),
        frozen=frozen is not None,
        guards=neighbours[5 : 5 + len(GUARDS)],
        disarmed=disarmed,
        countable=reserved is not None,
    )


def read_symbol(texts: Texts, window: Sequence[int] | None) -> GovernedSymbol:
    """Return the symbol of `symbol_texts` and its window."""
    return GovernedSymbol(
        window=GrantWindow(window or ()),
        opened=texts[0],
        reduced=texts[1],
        last_exec=texts[2],
        entry=texts[3:7],
        exit=texts[7:12],
        blacklisted=texts[12] is not None,
        budget=texts[13:17],
        allocation=texts[17:21],
        efficiency=texts[21:24],
        countable=window is not None,
    )


class PackedBasis(msgspec.Struct, frozen=True, array_like=True):
    """A basis as `judge_plans.lua` compares it; `of_symbol` has the texts of its part."""

    own: Texts
    neighbours: Texts
    grants: int
    of_symbol: Texts
    granted: int
    window_from_ms: int
    date: str
    part: BasisPart


class PackedGranted(msgspec.Struct, frozen=True, array_like=True):
    """`Granted` as `judge_plans.lua` takes it."""

    reservation: str
    granted_ms: int
    counts: bool
    opened: str | None
    reduced: str | None
    last_exec_sec: str | None


class PackedDisarm(msgspec.Struct, frozen=True, array_like=True):
    """An auto-disarm. `reduces`: the state that it was judged by is ACTIVE; it never loosens another."""

    reason: str
    reason_json: str
    context: str
    reduces: bool


class PackedJudgement(msgspec.Struct, Generic[Basis], frozen=True, array_like=True):
    """`GovernorCommit` as `judge_plans.lua` takes it; the symbol is empty where there is none."""

    entry_id: EntryId
    plan_id: PlanId
    symbol: str
    basis: Basis | None
    deadline_ms: int
    version: str
    mark: str
    mark_ttl_ms: int
    permit: str
    permit_ttl_ms: int
    block: str
    granted: PackedGranted | None
    stats: tuple[str, ...]
    disarm: PackedDisarm | None
    audit: Sequence[str]
    events: Sequence[Sequence[str]]
    dead_fields: Sequence[str]
    was_observed: bool


def packed_judgement(
    commit: GovernorCommit, pack_basis: Callable[[GovernorBasis], Basis]
) -> PackedJudgement[Basis]:
    """Return a judgement as the script takes it. Raises ValueError where it lacks what its counts rest on."""
    basis = commit.basis
    if basis is None and not (commit.granted is None and commit.disarm is None):
        raise ValueError(f"plan {commit.plan_id}: a grant and an auto-disarm rest on a state")
    if commit.symbol is None and (basis is not None or commit.stats):
        raise ValueError(f"plan {commit.plan_id}: a state and statistics are those of a symbol")
    return PackedJudgement(
        entry_id=commit.entry_id,
        plan_id=commit.plan_id,
        symbol=commit.symbol or "",
        basis=None if basis is None else pack_basis(basis),
        deadline_ms=commit.deadline_ms,
        version=commit.version,
        mark=commit.mark,
        mark_ttl_ms=commit.mark_ttl_ms,
        permit=commit.permit,
        permit_ttl_ms=commit.permit_ttl_ms,
        block=commit.block,
        granted=None if commit.granted is None else _packed_granted(commit.granted),
        stats=commit.stats,
        disarm=None if commit.disarm is None or basis is None else _packed_disarm(commit.disarm, basis),
        audit=commit.audit,
        events=commit.events,
        dead_fields=commit.dead_fields,
        was_observed=commit.was_observed,
    )


def packed_basis(basis: GovernorBasis) -> PackedBasis:
    """Return a basis with its texts."""
    return PackedBasis(
        own=own_texts(basis.account),
        neighbours=neighbours_texts(basis.account),
        grants=basis.grants,
        of_symbol=part_of(symbol_texts(basis.symbol), basis.part),
        granted=granted_in(basis.symbol),
        window_from_ms=basis.window_from_ms,
        date=basis.date,
        part=basis.part,
    )


def _packed_granted(granted: Granted) -> PackedGranted:
    return PackedGranted(
        reservation=granted.reservation,
        granted_ms=granted.granted_ms,
        counts=granted.counts,
        opened=granted.opened,
        reduced=granted.reduced,
        last_exec_sec=granted.last_exec_sec,
    )


def _packed_disarm(disarm: Disarm, basis: GovernorBasis) -> PackedDisarm:
    state = read_trading_state(basis.account.switches.trading_state)
    reason_json = msgspec.json.encode(disarm.reason).decode()
    return PackedDisarm(disarm.reason, reason_json, disarm.context, state is TradingState.ACTIVE)


def disarm_mark(disarm: PackedDisarm, seconds: str) -> str:
    """Return the mark of a day's auto-disarm."""
    return f'{{"reason":{disarm.reason_json},"context":{disarm.context},"timestamp":{seconds}}}'


def packed_change(change: GrantChange) -> tuple[object, ...]:
    """Return a change as `change_grants.lua` unpacks it."""
    return (
        change.entry_id, change.plan_id, change.symbol or "", change.reservation, change.becomes,
        change.uncount, change.date, change.opened, change.reduced, change.last_exec_sec,
        tuple(change.audit), tuple(map(tuple, change.events)), change.only_if_unconsumed,
    )  # fmt: skip
