"""What Redis shows of holds, cases and their events at one moment, by the names of docs/contract.md."""

from __future__ import annotations

import msgspec

from store.memory.memory_redis import MemoryRedis
from store.memory.streams import IdParts, format_id

OWN = b"p34:"
_EXECUTORS = b"exec:"
_MOST_ENTRIES = 500
#: A hold and its owner are set by commands that may be so far apart (ms).
_TOGETHER_MS = 1_000
_ENDED = (b"final", b"orphan")


class HoldSeen(msgspec.Struct, frozen=True):
    """A hold as stored; `ends_ms` is None where it has no expiry (Redis's clock).

    `sig` is None where hold and owner do not end together: another service has written over it.
    """

    value: bytes | None
    reason: bytes | None
    sig: bytes | None
    ends_ms: int | None

    @property
    def is_ours(self) -> bool:
        """Return True for one of the reconcile engine."""
        return self.sig is not None and self.sig.startswith(OWN)


class ReconcileKeys:
    """Names of the keys, those of the shadow included."""

    def __init__(self, *, shadow: bool) -> None:
        self.shadow = shadow
        self.base = "quantum:reconcile:shadow" if shadow else "quantum:reconcile"
        self.events = f"{self.base}:events" if shadow else "quantum:stream:reconcile.events"

    def hold(self, symbol: str) -> str:
        return f"{self.base}:hold:{symbol}"

    def hold_reason(self, symbol: str) -> str:
        return f"{self.base}:hold_reason:{symbol}"

    def hold_sig(self, symbol: str) -> str:
        return f"{self.base}:hold_sig:{symbol}"

    def all_of_hold(self, symbol: str) -> tuple[str, str, str]:
        """Return the keys of a hold, the one that holds last."""
        return self.hold_sig(symbol), self.hold_reason(symbol), self.hold(symbol)

    def state(self, symbol: str) -> str:
        return f"{self.base}:state:{symbol}"


class ReconcileLook:
    """Reads them."""

    def __init__(self, redis: MemoryRedis, keys: ReconcileKeys, symbols: tuple[str, ...]) -> None:
        self._redis = redis
        self.keys = keys
        self.symbols = symbols

    def hold(self, symbol: str) -> HoldSeen | None:
        """Return the symbol's hold; None for none."""
        sig, reason, hold = self.keys.all_of_hold(symbol)
        if self._redis.kind(hold) == "none":
            return None
        left_ms = self._redis.pttl(hold)
        ends_ms = None if left_ms < 0 else self._redis.now_ms() + left_ms
        together = abs(self._redis.pttl(sig) - left_ms) <= _TOGETHER_MS
        owned = together and self._text(hold) == b"1"
        return HoldSeen(self._text(hold), self._text(reason), self._text(sig) if owned else None, ends_ms)

    def holds(self) -> dict[str, HoldSeen | None]:
        """Return the hold of each symbol."""
        return {symbol: self.hold(symbol) for symbol in self.symbols}

    def is_foreign(self, hold: HoldSeen | None) -> bool:
        """Return whether a hold is another's: neither the engine's nor one that it may take over."""
        if hold is None or hold.is_ours:
            return False
        if hold.sig is None or not hold.sig.startswith(_EXECUTORS):
            return True
        plan_id = self._text(f"quantum:executor:client:{hold.sig.removeprefix(_EXECUTORS).decode()}")
        if plan_id is None:
            return True
        record = self._redis.hgetall(f"quantum:executor:order:{plan_id.decode()}")
        return record.get(b"state") not in _ENDED

    def status(self, symbol: str) -> str:
        """Return the status of the symbol's case; empty for none."""
        return self._redis.hgetall(self.keys.state(symbol)).get(b"status", b"").decode()

    def state(self, symbol: str) -> dict[str, str]:
        """Return all of the symbol's state."""
        stored = self._redis.hgetall(self.keys.state(symbol))
        return {name.decode(): value.decode() for name, value in stored.items()}

    def _text(self, key: str) -> bytes | None:
        return self._redis.get(key) if self._redis.kind(key) == "string" else None

    def last_id(self, key: str) -> IdParts:
        """Return the id of a stream's newest entry."""
        stream = self._redis.keyspace.stream(key)
        return (0, 0) if stream is None else stream.last_id

    def behind(self, key: str, last_id: IdParts) -> list[tuple[str, dict[str, str]]]:
        """Return the entries behind an id."""
        stream = self._redis.keyspace.stream(key)
        if stream is None:
            return []
        found = [(format_id(each), stream.get(each) or {}) for each in stream.behind(last_id, _MOST_ENTRIES)]
        return [(i, {n.decode(): v.decode() for n, v in fields.items()}) for i, fields in found]
