"""What Redis holds of the Governor, as last read there, with this process's own changes."""

from __future__ import annotations

import heapq
import math
from collections.abc import Collection, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from decimal import Decimal
from typing import NamedTuple

import trio

from actors.governor.live_entries import LiveEntries
from brain.execution.switches import TradingState, kill_switch_is_on, read_trading_state
from brain.governor.grants import Grant, UnreadableGrantError, read_grant, utc_day
from brain.governor.inputs import read_time
from brain.governor.reasons import GUARDS
from brain.identifiers import FencingToken, PlanId, Symbol
from store.governor_protocol import GovernorStore
from store.governor_records import GovernedAccount, GovernedSymbol, GovernorState

#: Far above the symbols of the exchange: only names taken from outside could reach it.
_MOST_SYMBOLS = 5_000
#: Interval of looks at the account without writes, and with more grants than real ones are.
_REFRESH_SEC, _SLOW_REFRESH_SEC, _MANY_GRANTS = 1.0, 10.0, 2_000


class AccountFacts(NamedTuple):
    """The account's switches as read; `guards`: types of the active risk guards."""

    trading_state: TradingState
    kill_switch: bool
    frozen: bool
    guards: tuple[str, ...]
    disarmed: bool


class GovernedState:
    """State of the account and of the symbols that were asked for, so that a write needs no read before it.

    Every write compares it with Redis. Judge, settler and sweep change it under `lock`, from the first look
    to the answer of the write. What is not known to be as it is in Redis is dropped, and read again.
    """

    def __init__(self, store: GovernorStore, *, shadow: bool = False) -> None:
        """`shadow`: its own auto-disarm counts for the day, since it writes no trading state."""
        self.lock = trio.Lock()
        self.grants: dict[PlanId, Grant] = {}
        #: Those of opens and adds among them.
        self.entries = LiveEntries()
        #: Live grants that cannot be read, and why: the limits are not known to hold.
        self.unreadable: dict[PlanId, str] = {}
        self.symbols: dict[Symbol, GovernedSymbol] = {}
        self.heat: bytes | None = None
        self.facts = AccountFacts(TradingState.HALTED, True, True, (), False)
        #: The UTC day of the sums, and of the mark of an auto-disarm.
        self.date = ""
        self._store = store
        self._shadow = shadow
        self._account: GovernedAccount | None = None
        self._texts: dict[PlanId, str] = {}
        self._versions = 0
        self._ends: list[tuple[int, PlanId]] = []
        self._shown_sec = -math.inf

    @property
    def account(self) -> GovernedAccount:
        """The account without its grants. Raises LookupError while it is not known."""
        if self._account is None:
            raise LookupError("the Governor's state was not read")
        return self._account

    @property
    def known(self) -> bool:
        """True once it was read."""
        return self._account is not None

    @property
    def live(self) -> int:
        """Number of grants in Redis, -1 while their key has a wrong type."""
        return len(self._texts) + len(self.unreadable) if self.account.countable else -1

    @property
    def countable(self) -> bool:
        """True if each grant can be read."""
        return self.account.countable and not self.unreadable

    @property
    def unreadable_counts(self) -> tuple[str, ...]:
        """Names of own keys without which nothing is opened, and that cannot be read."""
        windows = (f"window:{name}" for name, stored in self.symbols.items() if not stored.countable)
        return (*self.unreadable_grants, *sorted(windows))

    @property
    def unreadable_grants(self) -> tuple[str, ...]:
        """Name of the key of the grants, where it cannot be read, with the first grant that cannot."""
        first = next(iter(self.unreadable.values()), "")
        if self.account.countable and not first:
            return ()
        return (f"reserved ({first})" if first else "reserved",)

    def drop(self) -> None:
        """Forget it: Redis may hold another one."""
        self._account = None
        self.symbols.clear()

    @contextmanager
    def dropped_on_error(self) -> Iterator[None]:
        """Forget it where the block ends by an error: it is not known then if it was written."""
        with ExitStack() as on_error:
            on_error.callback(self.drop)
            yield
            on_error.pop_all()

    async def provide(self, symbols: Collection[Symbol], now_ms: int) -> None:
        """Read the account and those symbols, unless they are known for the UTC day of `now_ms` (Redis)."""
        if self._account is None or utc_day(now_ms) > self.date or len(self.symbols) > _MOST_SYMBOLS:
            self.drop()
        missing = [symbol for symbol in symbols if symbol not in self.symbols]
        if self._account is not None and not missing:
            return
        self._learn(await self._store.governor_state(missing))
        if not self.symbols.keys() >= set(symbols):
            await self.provide(symbols, now_ms)

    async def refresh(self, now_ms: int, *, at_once: bool) -> None:
        """Read the account again, where neither a write nor a read has shown it in the last second.

        With very many grants that is done less often: the read takes Redis some time. `at_once`: in any case.
        """
        age_sec = trio.current_time() - self._shown_sec
        if self._account is None or utc_day(now_ms) > self.date:
            await self.provide((), now_ms)
        elif at_once or age_sec >= (_REFRESH_SEC if self.live <= _MANY_GRANTS else _SLOW_REFRESH_SEC):
            self._learn(await self._store.governor_state(()))

    def over(self, now_ms: int, most: int) -> list[Grant]:
        """Return up to `most` grants that are not settled and whose time is over."""
        found: dict[PlanId, Grant] = {}
        while self._ends and self._ends[0][0] <= now_ms and len(found) < most:
            ends_ms, plan_id = heapq.heappop(self._ends)
            grant = self.grants.get(plan_id)
            if grant is not None and grant.filled_ms is None and grant.ends_ms == ends_ms:
                found[plan_id] = grant
        for grant in found.values():
            heapq.heappush(self._ends, (grant.ends_ms, grant.plan_id))
        return list(found.values())

    def text_of(self, plan_id: PlanId) -> str:
        """Return a live grant as it is stored."""
        return self._texts[plan_id]

    def next_version(self, fence: FencingToken, now_ms: int) -> str:
        """Return a version that no other state has."""
        self._versions += 1
        return f"{fence}.{now_ms}.{self._versions}"

    def granted(self, grant: Grant, text: str) -> None:
        """Add a grant, or replace it."""
        self.grants[grant.plan_id] = grant
        self.unreadable.pop(grant.plan_id, None)
        self._texts[grant.plan_id] = text
        if grant.filled_ms is None:
            heapq.heappush(self._ends, (grant.ends_ms, grant.plan_id))
        if grant.enters:
            self.entries.add(grant)

    def ended(self, plan_id: PlanId) -> None:
        """Remove a grant."""
        self.grants.pop(plan_id, None)
        self.entries.remove(plan_id)
        self._texts.pop(plan_id, None)

    def versioned(self, version: str) -> None:
        """Note the version that the latest write leaves."""
        known = self.account
        if version == known.version:
            return
        self._account = GovernedAccount(
            version,
            known.reserved,
            known.switches,
            known.frozen,
            known.guards,
            known.disarmed,
            known.countable,
        )

    def confirmed(self) -> None:
        """Note that a write has found Redis as it is known here."""
        self._shown_sec = trio.current_time()

    def last_exec_sec(self, symbol: Symbol) -> Decimal | None:
        """Return the symbol's last execution (epoch seconds); None where there is none to read."""
        return read_time(self.symbols[symbol].last_exec)

    def others(self, grant: Grant) -> Iterable[Grant]:
        """Return the other grants of opens and adds of a grant's symbol."""
        return [each for each in self.entries.of(grant.symbol) if each.plan_id != grant.plan_id]

    def _learn(self, state: GovernorState) -> None:
        date = utc_day(state.now_ms)
        if date != self.date:
            self.symbols.clear()
        self.date, self.heat = date, state.heat
        self._learn_grants(state.account.reserved)
        self._account = account = state.account._replace(reserved={})
        switches = account.switches
        self.facts = AccountFacts(
            self._trading_state(account),
            kill_switch_is_on(switches.kill, switches.global_kill, switches.mode, lockdown=switches.lockdown),
            account.frozen,
            tuple(name for name, text in zip(GUARDS, account.guards, strict=True) if text is not None),
            account.disarmed is not None,
        )
        self.symbols |= state.symbols
        self._shown_sec = trio.current_time()

    def _trading_state(self, account: GovernedAccount) -> TradingState:
        stored = read_trading_state(account.switches.trading_state)
        disarmed = self._shadow and account.disarmed is not None and stored is TradingState.ACTIVE
        return TradingState.REDUCING if disarmed else stored

    def _learn_grants(self, reserved: dict[PlanId, bytes]) -> None:
        known = self._texts
        for plan_id in known.keys() - reserved.keys():
            self.ended(plan_id)
        self.unreadable.clear()
        for plan_id, raw in reserved.items():
            text = raw.decode(errors="replace")
            if known.get(plan_id) == text:
                continue
            self.ended(plan_id)
            try:
                self.granted(read_grant(plan_id, raw), text)
            except UnreadableGrantError as error:
                self.unreadable[plan_id] = str(error)
