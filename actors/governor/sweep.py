"""The Governor's upkeep of each second: ends grants, shows its state."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import msgspec
import trio

from actors.governor.account import AccountView, account_view
from actors.governor.changes import MOST_CHANGES, GrantChanges
from actors.governor.equity_keeper import EquityKeeper
from actors.governor.judge import PlanJudge
from actors.governor.positions import AccountPositions
from actors.governor.reports import GovernorReports
from actors.governor.rules import GovernorActorRules
from actors.governor.settler import ResultSettler
from actors.governor.state import GovernedState
from actors.governor.texts import event
from brain.execution.switches import TradingState
from brain.governor import inputs
from brain.governor.case import NeighbourView
from brain.governor.facts import account_cutoffs
from brain.governor.grants import Grant, utc_day
from brain.governor.settling import GrantEffect, expire
from brain.identifiers import FencingToken, PlanId, Symbol
from brain.json_text import read_json
from brain.moment import Moment
from channels import GovernorNow, LatestValue, SymbolCounts
from clocks.clocks import Clocks
from supervision import Heartbeat

_MOST_COUNTS = 200
#: A settled fill of a symbol that trades no longer counts so long.
_GONE_MS = 3_600_000
#: Grants are ended for so long at once: others end in that time, too, and all upkeep is due each second.
_ENDING_SEC = 2.0
_JSON = msgspec.json.Encoder()


class _Disarmed(msgspec.Struct):
    reason: str = ""


_DISARMED = msgspec.json.Decoder(_Disarmed)


class GovernorSweep:
    """Ends grants whose time is over and those that a snapshot shows, and publishes the state."""

    def __init__(
        self,
        state: GovernedState,
        changes: GrantChanges,
        judge: PlanJudge,
        settler: ResultSettler,
        positions: AccountPositions,
        equity: EquityKeeper,
        shown: LatestValue[GovernorNow],
        reports: GovernorReports,
        rules: GovernorActorRules,
        *,
        undecided: Callable[[], Iterable[PlanId]],
        clocks: Clocks,
    ) -> None:
        """`undecided`: plans of which it is not known whether they have been executed."""
        self._state = state
        self._changes = changes
        self._judge = judge
        self._settler = settler
        self._positions = positions
        self._equity = equity
        self._shown = shown
        self._reports = reports
        self._rules = rules
        self._undecided = undecided
        self._clocks = clocks
        self._counted: set[Symbol] = set()

    async def sweep(self, fence: FencingToken, heartbeat: Heartbeat) -> None:
        """Do what is due. Raises as the store does."""
        state = self._state
        async with state.lock:
            heartbeat.beat()
            now_ms = self._clocks.redis_now_ms()
            # Judgements find what others have changed; where there is none, it is looked for here.
            await state.refresh(now_ms, at_once=self._rules.external_heat)
            await self._settler.settle_early(fence, now_ms)
            heartbeat.beat()
            await self._keep_undecided(fence, now_ms)
        until_sec = trio.current_time() + _ENDING_SEC
        heartbeat.beat()
        while await self._end_some(fence) and trio.current_time() < until_sec:
            heartbeat.beat()
        async with state.lock:
            if state.known:
                self._show(self._clocks.redis_now_ms())

    async def _keep_undecided(self, fence: FencingToken, now_ms: int) -> None:
        """Lengthen the life of grants whose plans may have been executed, while that is not known."""
        state, life_ms = self._state, self._rules.grant_life_ms
        await state.provide((), now_ms)
        found = [state.grants[plan_id] for plan_id in self._undecided() if plan_id in state.grants]
        kept = [each for each in found if each.filled_ms is None and each.ends_ms - now_ms <= life_ms // 2]
        await state.provide({each.symbol for each in kept}, now_ms)
        self._changes.begin()
        for grant in kept[:MOST_CHANGES]:
            longer = msgspec.structs.replace(grant, ends_ms=now_ms + life_ms)
            self._changes.add(grant, GrantEffect(becomes=longer, date=utc_day(grant.granted_ms)))
        await self._changes.write(fence, now_ms)

    async def _end_some(self, fence: FencingToken) -> bool:
        """End as many grants as one write takes; False where none is left. Judgements go on in between."""
        state = self._state
        async with state.lock:
            now_ms = self._clocks.redis_now_ms()
            await state.provide((), now_ms)
            ended = self._ended(now_ms)
            await state.provide({grant.symbol for grant in ended}, now_ms)
            more = len(ended) >= MOST_CHANGES
            return bool(ended) and await self._end(ended, fence, now_ms) and more

    def _ended(self, now_ms: int) -> list[Grant]:
        """Return grants that end now, as many as one write takes."""
        state = self._state
        found = state.over(now_ms, MOST_CHANGES)
        for grant in state.entries.filled.values():
            if len(found) >= MOST_CHANGES:
                break
            if grant.filled_ms is None:
                continue
            gone = now_ms - grant.filled_ms >= _GONE_MS and self._positions.gone(grant.symbol)
            if gone or self._judge.is_shown(grant.symbol, grant.filled_ms):
                found.append(grant)
        return found

    async def _end(self, ended: list[Grant], fence: FencingToken, now_ms: int) -> bool:
        """End grants; False where Redis held another state, which is read again in the next second."""
        state, expired = self._state, list[Grant]()
        self._changes.begin()
        for grant in ended:
            if grant.filled_ms is not None:
                self._changes.add(grant, GrantEffect(becomes=None, date=utc_day(grant.granted_ms)))
                continue
            last_exec_sec = state.last_exec_sec(grant.symbol)
            effect = expire(grant, now_ms=now_ms, last_exec_sec=last_exec_sec, others=state.others(grant))
            if effect is not None:
                self._changes.add(grant, effect, events=(_expired(grant, now_ms),))
                expired.append(grant)
        if await self._changes.write(fence, now_ms) is None:
            return False
        for grant in expired:
            self._reports.expired(grant.symbol, grant.plan_id)
        return state.known

    def _show(self, now_ms: int) -> None:
        """Publish the state, for page and metrics."""
        state, now = self._state, self._clocks.now()
        account = account_view(self._positions, self._equity, now, now_ms)
        governor = self._now(account, now_ms)
        self._shown.send(governor)
        counted = {each.symbol for each in governor.counts}
        for each in governor.counts:
            self._reports.executions(each.symbol, each.granted_hour, each.granted_5min)
        for symbol in self._counted - counted:
            self._reports.executions(symbol, 0, 0)
        self._counted = counted
        self._reports.state(governor, state.live, self._ages_sec(account, now))
        self._reports.unreadable(state.unreadable_counts)

    def _now(self, account: AccountView, now_ms: int) -> GovernorNow:
        state, rules = self._state, self._rules.rules
        held = account.held
        exposure = None
        if held is not None and state.countable:
            exposure = state.entries.exposure(held, Symbol(""), now_ms)
        heat = inputs.read_heat(state.heat) if self._rules.external_heat else None
        cutoffs = account_cutoffs(rules, account.equity, exposure, NeighbourView(external_heat=heat))
        trading_state, stored = state.facts.trading_state, state.account.switches.trading_state
        return GovernorNow(
            trading_state=trading_state,
            state_readable=trading_state is not TradingState.HALTED or _says_halted(stored),
            kill_switch=state.facts.kill_switch,
            disarmed=_reason(state.account.disarmed),
            equity=account.equity,
            heat=_heat(account),
            drawdown=None if cutoffs is None else cutoffs.drawdown,
            symbols=None if exposure is None else exposure.symbols,
            positions_notional=None if held is None else held.total,
            reserved_notional=state.entries.notional,
            z_entry=None if cutoffs is None else cutoffs.entry,
            z_exit=None if cutoffs is None else cutoffs.exit,
            counts=self._counts(now_ms),
            unreadable=state.unreadable_counts,
        )

    def _counts(self, now_ms: int) -> tuple[SymbolCounts, ...]:
        found: list[SymbolCounts] = []
        for symbol, stored in self._state.symbols.items():
            if not stored.window and not stored.opened:
                continue
            seen = inputs.counts_of(stored.window, stored.opened, None, None, now_ms)
            if seen.granted_hour or seen.opened_today:
                found.append(SymbolCounts(symbol, seen.granted_hour, seen.granted_5min, seen.opened_today))
                if len(found) == _MOST_COUNTS:
                    break
        return tuple(found)

    def _ages_sec(self, account: AccountView, now: Moment) -> Mapping[str, float]:
        """Return the ages of the inputs of opens, as far as known."""
        ages = {} if account.equity is None else {"equity": account.equity.age_sec}
        oldest = self._positions.oldest
        if oldest is not None:
            ages["positions"] = oldest.age_sec(now)
        return ages | self._judge.neighbours_age_sec()


def _expired(grant: Grant, now_ms: int) -> tuple[str, ...]:
    context = {"plan_id": grant.plan_id, "symbol": grant.symbol, "kind": grant.kind}
    text = _JSON.encode(context).decode()
    return event("GRANT_EXPIRED", "no_result", text, now_ms, "given back")


def _heat(account: AccountView) -> float | None:
    """Return the notional of all positions by equity."""
    if account.held is None or account.equity is None or account.equity.equity <= 0:
        return None
    return float(account.held.total) / float(account.equity.equity)


def _says_halted(text: bytes | None) -> bool:
    return (text or b"").decode(errors="replace").strip().upper() == TradingState.HALTED


def _reason(mark: bytes | None) -> str:
    """Return the reason of today's auto-disarm, empty for none."""
    if mark is None:
        return ""
    try:
        return read_json(_DISARMED, mark).reason or "unreadable"
    except msgspec.DecodeError:
        return "unreadable"
