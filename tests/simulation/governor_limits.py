"""Invariant (g2): each open recounted against each limit, by books, positions and equity kept outside.

What the service sees of positions and prices is older than they are. So a grant is compared with the least
that may be held, a refusal with the most.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from tests.simulation.books import Published
from tests.simulation.clocks import true_ms
from tests.simulation.governor_books import ZERO, GovernorGrant
from tests.simulation.governor_look import GovernorLook, Switched, day_of
from tests.simulation.kill_book import is_unreadable, score_of
from tests.simulation.verdicts import require

if TYPE_CHECKING:
    from tests.simulation.governor_side import GovernorSide

_HOUR_SEC, _BURST_SEC = 3600.0, 300.0
#: From the Governor's look at its counts to the commit, at most (ms).
_LOOKED_WITHIN_MS = 1_500
#: An eviction is noticed within this (ms).
_EVICTION_NOTICED_MS = 8_000
#: By our mark prices, which lag (a share).
_LAG = Decimal("0.04")
_ONE = Decimal(1)


class GovernorLimits:
    """Compares with the limits."""

    def __init__(self, side: GovernorSide, look: GovernorLook) -> None:
        self._side = side
        self._look = look

    # Positions, at the least and at the most.

    def _span_ms(self) -> int:
        settings = self._side.world.settings
        return max(round(settings.stale_threshold_sec * 1000), self._side.world.audit_ms()) + 1_000

    def _amounts(self, symbol: str) -> list[list[Decimal]]:
        """Return, by leg, every amount that the book may rest on."""
        venue, now_ms = self._side.venue, true_ms()
        span_ms = self._span_ms()
        return [
            [abs(each) for each in venue.amounts_between(symbol, leg, now_ms - span_ms, now_ms)]
            for leg in venue.legs_of(symbol)
        ]

    def _least(self, symbol: str) -> Decimal:
        amounts = sum((min(each) for each in self._amounts(symbol)), ZERO)
        return amounts * self._side.venue.mark_price(symbol) * (_ONE - _LAG)

    def _most(self, symbol: str) -> Decimal:
        amounts = sum((max(each) for each in self._amounts(symbol)), ZERO)
        return amounts * self._side.venue.mark_price(symbol) * (_ONE + _LAG)

    def _filled(self, symbol: str) -> Decimal:
        """Return what is held now, where the last seconds have seen nothing but fills of grants that count.

        Each of those is reserved until the book shows it: it is counted at every moment.
        """
        side, since_ms = self._side, true_ms() - self._span_ms()
        total = ZERO
        for leg in side.venue.legs_of(symbol):
            for change in side.venue.changes_since(symbol, leg, since_ms):
                plan_id = self._plan_of(change.order_id)
                grows = abs(change.amount) > abs(change.amount - change.delta)
                if not grows or plan_id not in side.kept.grants:
                    return ZERO
            total += abs(side.venue.amount(symbol, leg))
        return total * side.venue.mark_price(symbol) * (_ONE - _LAG)

    def _plan_of(self, order_id: int) -> str | None:
        books = self._side.books
        if str(order_id) in books.orders:
            return books.orders[str(order_id)].plan_id
        executions = books.executions.values()
        found = (each for each in executions if each.order is not None and each.order.order_id == order_id)
        return next((each.plan_id for each in found), None)

    def directions(self, plan: Published) -> tuple[bool, bool]:
        """Return whether the plan may go against the position it rests on, and along one or from flat."""
        venue, now_ms = self._side.venue, true_ms()
        legs = venue.legs_of(plan.symbol)
        leg = legs[0] if len(legs) == 1 else next((each for each in legs if each == _leg_of(plan)), legs[0])
        sign = 1 if plan.fields["side"] == "BUY" else -1
        amounts = venue.amounts_between(plan.symbol, leg, now_ms - self._span_ms(), now_ms)
        if leg != "BOTH":
            reduces = (leg == "LONG") != (sign > 0)
            return reduces, not reduces
        return any(each * sign < 0 for each in amounts), any(each * sign >= 0 for each in amounts)

    # Grants.

    def judge_age(self, plan: Published, entry_id: str, *, opens: bool) -> None:
        """Check that the plan has not expired, and that no open rests on what another run may have lost."""
        side, books, decisions = self._side, self._side.books, self._side.world.decisions
        published_ms, now_ms = books.published_ms[entry_id], side.now_ms()
        if int(entry_id.partition("-")[0]) <= published_ms:
            age_ms, longest_ms = now_ms - published_ms, side.world.settings.plan_max_age_sec * 1000
            require(
                age_ms <= longest_ms, "g2", f"{plan.plan_id} is granted {age_ms} ms after its publication"
            )
        if opens and decisions.evicted_ms:
            since_ms = max(now_ms - decisions.evicted_ms, true_ms() - decisions.truly_evicted_ms)
            waits = _EVICTION_NOTICED_MS <= since_ms < side.world.settings.permit_ttl_sec * 1000
            require(not waits, "g2", f"{plan.plan_id} opens {since_ms} ms after keys were evicted")
        if not opens or not decisions.redis_changed_ms:
            return
        older = books.truly_published_ms[entry_id] < decisions.redis_truly_changed_ms
        require(not older, "g2", f"{plan.plan_id} is granted, and older than the run of Redis")
        since_ms = max(now_ms - decisions.redis_changed_ms, true_ms() - decisions.redis_truly_changed_ms)
        longest_ms = side.world.settings.permit_ttl_sec * 1000
        says = f"{plan.plan_id} opens {since_ms} ms after Redis came up as another run"
        require(since_ms >= longest_ms, "g2", says)

    def judge_open(
        self, plan: Published, audit: dict[str, str], grant: GovernorGrant, switched: Switched
    ) -> None:
        """Check that no rule speaks against an open or add that is granted."""
        side, name, symbol = self._side, plan.plan_id, plan.symbol
        state = f"{name} is granted, and the trading state is {switched.state!r}"
        require(not (switched.killed or switched.disarmed), "g2", f"{state}, or a kill switch is on")
        require(not switched.frozen, "g2", f"{name} is granted while all is frozen")
        require(symbol not in switched.blacklisted, "g2", f"{name}: {symbol} is on the blacklist")
        require(not switched.guards, "g2", f"{name} is granted while guards stand: {switched.guards}")
        self._judge_counts(plan, grant)
        self._judge_exposure(plan, grant, switched)
        self._judge_equity(plan, grant)
        fields, score = plan.fields, score_of(plan.fields)
        critical = score is not None and score >= side.number("GOV_KILL_SCORE_CRITICAL")
        require(not critical, "g2", f"{name} is granted at a kill score of {score}")
        require(not is_unreadable(fields), "g2", f"{name}: its kill score is {fields.get('kill_score')!r}")
        lacking = score is None and side.text("GOV_REQUIRE_KILL_SCORE") == "true"
        require(not lacking, "g2", f"{name} has no kill score, and one is required")
        cold = side.text("GOV_Z_WARMUP_BLOCKS_ENTRIES") == "true" and score is not None
        require(not cold or audit["kill_z"], "g2", f"{name} is granted while the kill score warms up")
        leverage = side.decimal("RISK_MAX_LEVERAGE")
        given = Decimal(fields.get("leverage") or "0")
        require(not leverage or given <= leverage, "g2", f"{name} is granted at a leverage of {given}")

    def _judge_counts(self, plan: Published, grant: GovernorGrant) -> None:
        """Check window, cooldown and daily sum."""
        side, kept, now_ms = self._side, self._side.kept, self._side.now_ms()
        for variable, within_sec in (
            ("GOV_MAX_EXEC_PER_HOUR", _HOUR_SEC),
            ("GOV_MAX_EXEC_PER_5MIN", _BURST_SEC),
        ):
            limit = side.number(variable)
            recent = kept.opened(plan.symbol, now_ms + _LOOKED_WITHIN_MS, within_sec)
            counted = [each.plan_id for each in recent if each.counts_at(now_ms)]
            within = not limit or len(counted) < limit
            require(within, "g2", f"{plan.plan_id} is granted after {counted}: {variable} is {limit}")
        since_ms = max(
            (
                max(each.granted_ms, each.settled_ms)
                for each in kept.opened(plan.symbol, now_ms, _HOUR_SEC)
                if each.counts_at(now_ms)
            ),
            default=None,
        )
        if since_ms is not None and not side.clock_stepped():
            ago_ms, least_ms = now_ms - since_ms, side.number("GOV_SYMBOL_COOLDOWN_SECONDS") * 1000
            # `last_exec` has whole seconds.
            require(ago_ms >= least_ms - 1_000, "g2", f"{plan.plan_id}: {ago_ms} ms after the last open")
        if daily := side.decimal("GOV_MAX_OPEN_NOTIONAL_PER_DAY_USD"):
            opened = sum(
                (each.counted for each in kept.grants.values()
                 if each.symbol == plan.symbol and each.opens and each.date == grant.date
                 and each.counts_at(now_ms)),
                grant.notional,
            )  # fmt: skip
            require(opened <= daily, "g2", f"{plan.plan_id}: {opened} USDT opened today, {daily} at most")

    def _judge_exposure(self, plan: Published, grant: GovernorGrant, switched: Switched) -> None:
        """Check positions with live grants: their number and their notional."""
        side, now_ms, symbols = self._side, self._side.now_ms(), self._side.world.scene.symbols
        live = [
            each
            for each in side.kept.grants.values()
            if each.opens and each.filled is None and each.ends_ms > now_ms
        ]
        least = {symbol: self._least(symbol) for symbol in symbols}
        reserved = dict.fromkeys(symbols, ZERO)
        for each in live:
            reserved[each.symbol] += each.notional
        held = {symbol for symbol in symbols if least[symbol] or reserved[symbol]}
        surely_flat = not self._most(plan.symbol) and plan.symbol not in held
        most = side.number("GOV_MAX_OPEN_POSITIONS")
        crowded = surely_flat and grant.kind == "open" and len(held) >= most
        require(not crowded, "g2", f"{plan.plan_id} opens a position beside those of {sorted(held)}")
        per_trade = side.decimal("GOV_MAX_NOTIONAL_PER_TRADE_USDT")
        within = not per_trade or grant.notional <= per_trade
        require(within, "g2", f"{plan.plan_id} is granted {grant.notional} USDT, {per_trade} at most")
        held_now = {symbol: max(least[symbol] + reserved[symbol], self._filled(symbol)) for symbol in symbols}
        total = sum(held_now.values(), ZERO) + grant.notional
        limit = side.decimal("GOV_MAX_TOTAL_NOTIONAL_USDT")
        require(not limit or total <= limit, "g2", f"{plan.plan_id}: {total} USDT in all, {limit} at most")
        leverage = side.decimal("RISK_MAX_LEVERAGE")
        if leverage:
            equity = side.equity.between(side.equity_lag_sec)[1]
            within = total <= leverage * equity * (_ONE + _LAG)
            require(within, "g2", f"{plan.plan_id}: {total} USDT on an equity of {equity}")
        cap = switched.caps.get(plan.symbol)
        if cap is not None:
            after = held_now[plan.symbol] + grant.notional
            require(after <= cap, "g2", f"{plan.plan_id}: {after} USDT of {plan.symbol}, {cap} at most")

    def _judge_equity(self, plan: Published, grant: GovernorGrant) -> None:
        """Check that equity is known, and above what the day and its peak leave it."""
        side = self._side
        stored = {
            name.decode(): text.decode() for name, text in side.redis.hgetall(self._look.keys.equity).items()
        }
        require(stored.get("equity"), "g2", f"{plan.plan_id} is granted, and no equity is known: {stored}")
        highest = side.equity.between(side.equity_lag_sec)[1]
        for name, variable in (("day_open", "RISK_MAX_DAILY_LOSS_PCT"), ("peak", "RISK_MAX_DRAWDOWN_PCT")):
            share, base = side.decimal(variable), stored.get(name)
            if share and base and (name == "peak" or stored.get("day") == grant.date):
                least = Decimal(base) * (_ONE - share) * (_ONE - _LAG / 20)
                require(highest >= least, "g2", f"{plan.plan_id}: {highest} USDT, {name} was {base}")

    # Refusals.

    def judge_refusal(self, plan: Published, audit: dict[str, str], switched: Switched) -> None:
        """Check that an open or add is refused for a reason that is there."""
        side, reason, now_ms = self._side, audit["reason"], self._side.now_ms()
        says = f"{plan.plan_id} is refused ({reason})"
        kept, score = side.kept, score_of(plan.fields)
        match reason:
            case "kill_switch_active":
                require(switched.killed or switched.disarmed, "g3", f"{says}, and no kill switch is on")
            case "churn_global_freeze":
                require(switched.frozen, "g3", f"{says}, and nothing is frozen")
            case "churn_blacklist":
                require(plan.symbol in switched.blacklisted, "g3", f"{says}, and it is on no blacklist")
            case "hourly_limit_exceeded" | "burst_limit_exceeded":
                hourly = reason == "hourly_limit_exceeded"
                limit = side.number("GOV_MAX_EXEC_PER_HOUR" if hourly else "GOV_MAX_EXEC_PER_5MIN")
                within_sec = (_HOUR_SEC if hourly else _BURST_SEC) + _LOOKED_WITHIN_MS / 1000
                count = len(kept.opened(plan.symbol, now_ms, within_sec))
                require(limit and count >= limit, "g3", f"{says} after {count} grants, {limit} at most")
            case "symbol_cooldown":
                self._judge_cooldown(plan, says)
            case "max_positions_reached":
                held = {name for name in side.world.scene.symbols if self._most(name)}
                held |= {each.symbol for each in kept.grants.values() if each.opens}
                most = side.number("GOV_MAX_OPEN_POSITIONS")
                require(len(held) >= most, "g3", f"{says} at {sorted(held)}, {most} at most")
            case "daily_limit_exceeded":
                daily = side.decimal("GOV_MAX_OPEN_NOTIONAL_PER_DAY_USD")
                opened = kept.sum_of(plan.symbol, day_of(now_ms), opens=True)
                wanted = Decimal(plan.fields["qty"]) * side.venue.mark_price(plan.symbol) * (_ONE + _LAG)
                require(daily and opened + wanted > daily, "g3", f"{says}: {opened} and {wanted} of {daily}")
            case "kill_score_critical_open":
                critical = score is not None and score >= side.number("GOV_KILL_SCORE_CRITICAL")
                require(critical, "g3", f"{says} at {score}")
            case "kill_score_missing":
                lacking = score is None and side.text("GOV_REQUIRE_KILL_SCORE") == "true"
                require(lacking, "g3", f"{says} at {score}")
            case "kill_score_warming_up":
                cold = side.text("GOV_Z_WARMUP_BLOCKS_ENTRIES") == "true" and not audit["kill_z"]
                require(cold, "g3", f"{says}, and z is {audit['kill_z']}")

    def _judge_cooldown(self, plan: Published, says: str) -> None:
        side, now_ms = self._side, self._side.now_ms()
        longest_ms = (side.number("GOV_SYMBOL_COOLDOWN_SECONDS") + side.most_extra_cooldown_sec) * 1000
        grants = (each for each in side.kept.grants.values() if each.symbol == plan.symbol)
        times = [max(each.granted_ms, each.settled_ms) for each in grants]
        within = [now_ms - each for each in times if now_ms - each <= longest_ms + _LOOKED_WITHIN_MS]
        require(within or side.clock_stepped(), "g3", f"{says}, and the last grants are from {times}")


def _leg_of(plan: Published) -> str:
    return plan.fields.get("positionSide", "BOTH")
