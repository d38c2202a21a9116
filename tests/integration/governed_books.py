"""Books that are kept outside of what the Governor granted, and of what came of each grant."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from decimal import Decimal

import msgspec

from brain.governor.reasons import GovernorReason
from tests.integration.pipeline import Fields

_HOUR_MS, _BURST_MS = 3_600_000, 300_000
_UNOBSERVED = {GovernorReason.EVALUATION_FAILED, GovernorReason.STATE_CONTENDED}


class _Record(msgspec.Struct):
    judgement: dict[str, object]


class GrantOf(msgspec.Struct):
    """A grant by the audit. `result_ms`: when its first result was published, None while there is none.

    `denied`: its permit was not taken. `filled` is the notional of its latest result; times are Redis's clock
    (ms).
    """

    plan_id: str
    symbol: str
    enters: bool
    notional: Decimal
    granted_ms: int
    written_ms: int
    result_ms: int | None = None
    denied: bool = False
    filled: Decimal = Decimal(0)


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """The limits of the Governor, and the times after which it takes a grant back."""

    per_hour: int
    per_5min: int
    positions: int
    total_notional: Decimal
    permit_ttl_sec: int
    grace_sec: int

    @property
    def life_ms(self) -> int:
        """Return the life of a grant without any word."""
        return (self.permit_ttl_sec + self.grace_sec) * 1000

    def settings(self) -> dict[str, str]:
        """Return them as settings."""
        return {
            "GOV_MAX_EXEC_PER_HOUR": str(self.per_hour),
            "GOV_MAX_EXEC_PER_5MIN": str(self.per_5min),
            "GOV_MAX_OPEN_POSITIONS": str(self.positions),
            "GOV_MAX_TOTAL_NOTIONAL_USDT": str(self.total_notional),
            "GOV_PERMIT_TTL": str(self.permit_ttl_sec),
            "P33_EXECUTION_GRACE_SEC": str(self.grace_sec),
            # What is not a limit of these stops nothing.
            "GOV_SYMBOL_COOLDOWN_SECONDS": "0",
            "GOV_ENABLE_AUTO_DISARM": "false",
            "RISK_MAX_DAILY_LOSS_PCT": "0",
            "RISK_MAX_DRAWDOWN_PCT": "0",
        }


class GovernedBooks:
    """Takes in the audit in its order, and the results as they are published."""

    def __init__(self, limits: Limits) -> None:
        self.published: dict[str, Fields] = {}
        self.judged: list[tuple[str, str]] = []
        #: The instance of each judgement.
        self.issuers: list[str] = []
        self.grants: dict[str, GrantOf] = {}
        self._limits = limits

    def judgement(self, written_ms: int, row: Mapping[str, str]) -> GrantOf | None:
        """Take in an entry of the audit; its grant, if it is one of an order."""
        self.judged.append((row["plan_id"], row["reason"]))
        self.issuers.append(row["issued_by"].split()[-1])
        if row["granted"] != "true" or row["plan_id"] in self.grants:
            return None
        judgement = msgspec.json.decode(row["record"], type=_Record).judgement
        grant = GrantOf(
            plan_id=row["plan_id"],
            symbol=row["symbol"],
            enters=row["kind"] in ("open", "add"),
            notional=Decimal(str(judgement["notional"] or 0)),
            granted_ms=int(row["decided_ms"]),
            written_ms=written_ms,
        )
        self.grants[grant.plan_id] = grant
        return grant

    def reported(self, plan_id: object, at_ms: int) -> None:
        """Note when a result of a plan was published."""
        grant = self.grants[str(plan_id)]
        if grant.result_ms is None:
            grant.result_ms = at_ms

    def assert_judged_once(self) -> Counter[str]:
        """Check for one judgement of each plan that asks for one, and of no other; return their reasons."""
        counted = Counter(plan_id for plan_id, _ in self.judged)
        asked = {plan_id for plan_id, fields in self.published.items() if fields["decision"] == "EXECUTE"}
        twice = [plan_id for plan_id, times in counted.items() if times > 1]
        assert not twice, (len(twice), twice[:5])
        assert counted.keys() == asked, (len(asked - counted.keys()), len(counted.keys() - asked))
        return Counter(reason for _, reason in self.judged)

    def observations(self, symbol: str) -> int:
        """Return the number of kill scores of a symbol that must have been observed."""
        lost = {plan_id for plan_id, reason in self.judged if reason in _UNOBSERVED}
        return sum(
            fields["symbol"] == symbol and plan_id not in lost for plan_id, fields in self.published.items()
        )

    def assert_limits_held(self) -> None:
        """Check each limit at each grant of an open or add, by the grants that must have counted then.

        A grant whose result was published before may have been settled by then, or not: it is left out where
        it was refused. A fill counts, in its grant or in the position, until a close of its symbol fills.
        """
        before: list[GrantOf] = []
        closes: defaultdict[str, list[GrantOf]] = defaultdict(list)
        for grant in self.grants.values():
            if not grant.enters and grant.filled:
                closes[grant.symbol].append(grant)
        for grant in self.grants.values():
            if not grant.enters:
                continue
            now_ms, limits = grant.written_ms, self._limits
            counted = [each for each in before if self._counts(each, now_ms)]
            own = [each for each in counted if each.symbol == grant.symbol]
            recent = [each for each in own if now_ms - each.granted_ms < _BURST_MS]
            assert len(own) < limits.per_hour and len(recent) < limits.per_5min, (grant, len(own))
            live = [each for each in counted if not _may_be_closed(each, closes[each.symbol], now_ms)]
            total = sum((each.filled or each.notional for each in live), grant.notional)
            assert total <= limits.total_notional, (grant, total)
            symbols = {each.symbol for each in live} | {grant.symbol}
            assert len(symbols) <= limits.positions, (grant, symbols)
            before.append(grant)

    def _counts(self, grant: GrantOf, now_ms: int) -> bool:
        """Return True for a grant that must count at a moment."""
        if now_ms - grant.granted_ms >= _HOUR_MS:
            return False
        if grant.result_ms is None:
            return now_ms < grant.granted_ms + self._limits.life_ms
        return bool(grant.filled) or now_ms < grant.result_ms


def _may_be_closed(grant: GrantOf, closes: list[GrantOf], now_ms: int) -> bool:
    """Return True if a close that was granted before `now_ms` may have filled behind a grant's first fill."""
    filled_ms = grant.result_ms
    return filled_ms is not None and any(
        close.granted_ms <= now_ms and (close.result_ms or 0) >= filled_ms for close in closes
    )
