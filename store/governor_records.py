"""Records of the Governor's store."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

import msgspec

from brain.governor.grant_window import GrantWindow
from brain.identifiers import EntryId, PlanId, Symbol
from store.execution_records import Switches

BasisPart = Literal["", "close", "entry", "exit"]


class GovernedAccount(NamedTuple):
    """State of the account, as stored; a value of a wrong type is the text `!`.

    `version` changes with each change of the Governor's own keys; empty: there is none. `reserved`: the
    JSON of each live grant. `frozen`: whether `churn:global_freeze` exists. `guards`: the texts of
    `risk:guard_active:<TYPE>` in the order of `GUARDS`. `disarmed`: today's mark of an auto-disarm.
    `countable`: False where `reserved` has a wrong type.
    """

    version: str
    reserved: dict[PlanId, bytes]
    switches: Switches
    frozen: bool
    guards: tuple[bytes | None, ...]
    disarmed: bytes | None
    countable: bool = True


class GovernedSymbol(NamedTuple):
    """State of one symbol, as stored; a value of a wrong type is the text `!`.

    `window`: the times of its grants in the last hour. `opened`, `reduced`: today's
    notionals. `entry`, `exit`: n, mean, var and time of the kill score's statistics, for an exit also the
    time since which its score blocks it. `blacklisted`: whether `churn:blacklist:<symbol>` exists.
    `budget`: mode, budget_usd, stress_factor, timestamp; `allocation`: mode, target_usd, confidence,
    timestamp; `efficiency`: efficiency_score, confidence, ts. `countable`: False where the window has a
    wrong type.
    """

    window: GrantWindow
    opened: bytes | None
    reduced: bytes | None
    last_exec: bytes | None
    entry: tuple[bytes | None, ...]
    exit: tuple[bytes | None, ...]
    blacklisted: bool
    budget: tuple[bytes | None, ...]
    allocation: tuple[bytes | None, ...]
    efficiency: tuple[bytes | None, ...]
    countable: bool = True


class GovernorState(NamedTuple):
    """One look at all that judgements rest on. `now_ms`: Redis's clock; its UTC day is that of the sums.

    `heat`: the text of `capital:heat`; no judgement is held to it.
    """

    now_ms: int
    account: GovernedAccount
    symbols: dict[Symbol, GovernedSymbol]
    heat: bytes | None = None


class GovernorBasis(msgspec.Struct, frozen=True, kw_only=True):
    """All that must still hold when a judgement is written.

    Live grants are compared by their number `grants` (-1: not countable) and by `account.version`, and
    `account.reserved` is not read; `symbol.window` by the number of grants from `window_from_ms` on;
    everything else by its text.
    `date`: the UTC day of the sums (YYYY-MM-DD); Redis's clock must still show it.
    `part` limits the comparison: `close` to version, auto-disarm, trading state, day, `reduced` and `exit`;
    `entry` and `exit` to those statistics; empty: nothing is left out.
    """

    account: GovernedAccount
    grants: int
    symbol: GovernedSymbol
    window_from_ms: int
    date: str
    part: BasisPart = ""


class Granted(msgspec.Struct, frozen=True, kw_only=True):
    """A grant's part in the counts. For a close `opened` and `counts` stay as they are.

    `reservation`: its JSON, empty where nothing is reserved (`UPDATE_SL`). `counts`: whether it is in the
    window. `opened`, `reduced`: today's notionals with this grant, decimal text, None to leave them.
    `last_exec_sec`: None to leave it.
    """

    reservation: str
    granted_ms: int
    counts: bool
    opened: str | None = None
    reduced: str | None = None
    last_exec_sec: str | None = None


class Disarm(msgspec.Struct, frozen=True):
    """Sets the trading state to REDUCING, at most once a UTC day. `context`: JSON for its event."""

    reason: str
    context: str


class GovernorCommit(msgspec.Struct, frozen=True, kw_only=True):
    """One plan's judgement with all that it writes.

    `basis` is None where it rests on no state. `deadline_ms` (Redis's clock): the last moment for a grant, 0
    for a refusal. `version`: the account's version behind it, empty where no own key changes. `mark`:
    `granted`, `refused` or `observed`. `permit`, `block`: the texts of those keys, empty for none.
    `stats`: evaluation type (`entry`, `exit`), n, mean, var, ts of an observation, of an exit also the time
    since which its score blocks it (an empty text removes its field), or nothing.
    `granted` and `disarm` need a basis: its `date` names their keys. `was_observed`: the plan's mark is known
    to be `observed`, and `stats` has no second observation of it.
    `audit` and each of `events` are flat names and values. `dead_fields` go to the dead letters if not empty.
    """

    entry_id: EntryId
    plan_id: PlanId
    symbol: Symbol | None
    basis: GovernorBasis | None
    deadline_ms: int
    version: str
    mark: str
    mark_ttl_ms: int
    permit_ttl_ms: int
    permit: str = ""
    block: str = ""
    granted: Granted | None = None
    stats: tuple[str, ...] = ()
    disarm: Disarm | None = None
    audit: Sequence[str] = ()
    events: Sequence[Sequence[str]] = ()
    dead_fields: Sequence[str] = ()
    was_observed: bool = False


class GovernorReply(NamedTuple):
    """Verdict of each judgement up to the first that was not written, which ends the list.

    `committed`; `decided` (the plan has a mark: its entry is acknowledged, nothing else changed); and, with
    nothing written, `changed` (the state is another: read it again), `late` (past `deadline_ms`) or
    `observed` (of a judgement: the plan was observed before; judge it again without its observation). A mark
    `observed` decides other observations alone.
    """

    now_ms: int
    verdicts: tuple[str, ...]


class GrantChange(msgspec.Struct, frozen=True, kw_only=True):
    """The end of a grant, or a step towards it.

    `entry_id`: the result that is acknowledged with it, empty for none. `reservation`: as read, empty where
    the plan has none (its result is acknowledged alone). `becomes`: the JSON that replaces it, empty to end
    it. `uncount`: take it out of the window. `opened`, `reduced`: new sums of `date`, None to leave them.
    `last_exec_sec`: None to leave it, empty to remove it. `only_if_unconsumed`: where the plan's permit still
    exists it is deleted with the change; where it does not, the result is acknowledged alone. In the shadow,
    which writes no permits, the change is written.
    """

    entry_id: EntryId
    plan_id: PlanId
    symbol: Symbol | None
    reservation: str
    becomes: str
    uncount: bool = False
    date: str = ""
    opened: str | None = None
    reduced: str | None = None
    last_exec_sec: str | None = None
    only_if_unconsumed: bool = False
    audit: Sequence[str] = ()
    events: Sequence[Sequence[str]] = ()


class StoredEquity(NamedTuple):
    """`governor:equity`, raw: equity, peak, ts, peak_ts, day, day_open; None for a missing field."""

    equity: bytes | None
    peak: bytes | None
    ts: bytes | None
    peak_ts: bytes | None
    day: bytes | None
    day_open: bytes | None
