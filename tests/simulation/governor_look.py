"""What Redis shows of the Governor and its neighbours at one moment, by the names of docs/contract.md."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation

import msgspec

from store.memory.memory_redis import MemoryRedis
from store.memory.streams import IdParts, format_id
from tests.simulation.books import Published

GUARDS = ("DAILY_LOSS", "DRAWDOWN", "EMERGENCY_FLATTEN", "CONSEC_LOSS")
_MOST_ENTRIES = 500
_FRESH_SEC = {"budget": 60.0, "allocation": 300.0}


class Switched(msgspec.Struct, frozen=True):
    """What stops opens or everything; `cap`: the least of the symbol's enforced budget and allocation."""

    state: bytes | None
    killed: bool
    frozen: bool
    blacklisted: frozenset[str]
    guards: tuple[str, ...]
    caps: dict[str, Decimal]
    #: The Governor in the shadow has disarmed the account for itself today.
    disarmed: bool

    @property
    def halted(self) -> bool:
        """Return True if nothing may be granted: HALTED, or what cannot be read."""
        return self.state not in (None, b"ACTIVE", b"REDUCING")


class GovernorKeys:
    """Names of the keys, those of the shadow included."""

    def __init__(self, *, shadow: bool) -> None:
        self.shadow = shadow
        self.base = "quantum:governor:shadow" if shadow else "quantum:governor"
        self.audit = f"{self.base}:audit" if shadow else "quantum:stream:governor.audit"
        self.events = f"{self.base}:events" if shadow else "quantum:stream:governor.events"
        self.reserved = f"{self.base}:reserved"
        self.equity = f"{self.base}:equity"
        self.results_group = "governor_result_monitor" + ("_shadow" if shadow else "")
        self.plans_group = "governor" + ("_shadow" if shadow else "")

    def window(self, symbol: str) -> str:
        return f"{self.base}:window:{symbol}"

    def stats(self, symbol: str) -> str:
        return f"{self.base}:kill_stats:{symbol}"

    def mark(self, plan_id: str) -> str:
        return f"{self.base}:plan:{plan_id}"

    def opened(self, symbol: str, date: str) -> str:
        return f"{self.base}:daily:{symbol}:{date}"

    def reduced(self, symbol: str, date: str) -> str:
        return f"{self.base}:daily_reduced:{symbol}:{date}"


def permit_key(plan_id: str) -> str:
    """Return the name of the Governor's permit."""
    return f"quantum:permit:{plan_id}"


class GovernorLook:
    """Reads them."""

    def __init__(self, redis: MemoryRedis, keys: GovernorKeys, symbols: tuple[str, ...]) -> None:
        self._redis = redis
        self.keys = keys
        self.symbols = symbols

    def switches(self) -> Switched:
        """Read what other services and operators say."""
        kinds, text, redis = self._redis.kind, self.text, self._redis
        state = text("quantum:governor:trading_state")
        killed = (
            text("quantum:kill") == b"1"
            or text("quantum:global:kill_switch") in (b"true", b"1", b"yes")
            or text("quantum:system:mode") == b"LOCKDOWN"
            or kinds("quantum:lockdown") != "none"
            or state == b"REDUCING"
        )
        if state is None and kinds("quantum:governor:trading_state") != "none":
            state = b"!"
        return Switched(
            state,
            killed,
            kinds("quantum:churn:global_freeze") != "none",
            frozenset(each for each in self.symbols if kinds(f"quantum:churn:blacklist:{each}") != "none"),
            tuple(each for each in GUARDS if redis.kind(f"quantum:risk:guard_active:{each}") != "none"),
            {each: cap for each in self.symbols if (cap := self._cap(each)) is not None},
            state in (None, b"ACTIVE") and self._disarmed(),
        )

    def _disarmed(self) -> bool:
        date = datetime.fromtimestamp(self._redis.now_ms() / 1000, UTC).date().isoformat()
        return self.keys.shadow and self._redis.kind(f"{self.keys.base}:disarm:{date}") != "none"

    def text(self, key: str) -> bytes | None:
        """Read a STRING; None where there is none."""
        return self._redis.get(key) if self._redis.kind(key) == "string" else None

    def _cap(self, symbol: str) -> Decimal | None:
        budget = self._enforced(f"quantum:portfolio:budget:{symbol}", "budget_usd", _FRESH_SEC["budget"])
        target = self._enforced(f"quantum:allocation:target:{symbol}", "target_usd", _FRESH_SEC["allocation"])
        return min((each for each in (budget, target) if each is not None), default=None)

    def _enforced(self, key: str, name: str, fresh_sec: float) -> Decimal | None:
        if self._redis.kind(key) != "hash":
            return None
        stored = self._redis.hgetall(key)
        try:
            age_sec = self._redis.now_ms() / 1000 - float(stored[b"timestamp"])
            amount = Decimal(stored[name.encode()].decode())
        except (KeyError, ValueError, InvalidOperation):
            return None
        # The clocks may be a second apart.
        fresh = -1 <= age_sec <= fresh_sec - 1
        return amount if fresh and stored.get(b"mode") == b"enforce" and amount.is_finite() else None

    def marks(self, plan_ids: Iterable[str]) -> dict[str, bool]:
        """Read which of these plans have a mark."""
        return {each: self._redis.kind(self.keys.mark(each)) != "none" for each in plan_ids}

    def permits(self, plan_ids: Iterable[str]) -> dict[str, bytes | None]:
        """Read the permits of these plans."""
        return {each: self.text(permit_key(each)) for each in plan_ids}

    def window(self, symbol: str) -> dict[str, int]:
        """Read the grants of a symbol that limits count."""
        members = self._redis.keyspace.sorted_set(self.keys.window(symbol)).in_order()
        return {name.decode(): round(score) for score, name in members}

    def reserved(self) -> dict[str, dict[str, object]]:
        """Read the live grants of the account."""
        stored = self._redis.hgetall(self.keys.reserved)
        return {name.decode(): json.loads(text) for name, text in stored.items()}

    def last_id(self, key: str) -> IdParts:
        """Return the id of a stream's last entry."""
        stream = self._redis.keyspace.stream(key)
        return (0, 0) if stream is None else stream.last_id

    def behind(self, key: str, last: IdParts) -> list[tuple[str, dict[str, str]]]:
        """Read a stream's entries behind `last`."""
        stream = self._redis.keyspace.stream(key)
        ids = [] if stream is None else stream.behind(last, _MOST_ENTRIES)
        return [(format_id(each), _decoded(stream.get(each) or {})) for each in ids if stream is not None]

    def pending(self, stream: str, group: str) -> set[str]:
        """Return the entries that the group has delivered and not acknowledged."""
        known = self._redis.keyspace.stream(stream)
        if known is None or group not in known.groups:
            return set()
        return {format_id(each) for each in known.groups[group].pending}


def _decoded(fields: Mapping[bytes, bytes]) -> dict[str, str]:
    return {name.decode(): value.decode() for name, value in fields.items()}


def day_of(at_ms: int) -> str:
    """Return the UTC day of a moment."""
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%d")


def decision_of(plan: Published) -> str:
    """Return what the plan asks for."""
    return plan.fields.get("decision", "")
