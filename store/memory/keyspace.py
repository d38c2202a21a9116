"""Typed keys with expiry: strings, lists, hashes, sorted sets and streams."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypeAlias

from brain.identifiers import EntryId
from store.errors import WrongTypeError
from store.memory.streams import Stream, format_id, parse_id


class Hash(dict[bytes, bytes]):
    """Fields and values."""


class List(list[bytes]):
    """Elements, from the head on."""


class SortedSet(dict[bytes, float]):
    """Members and scores."""

    def in_order(self) -> list[tuple[float, bytes]]:
        """Return members by score, then by their bytes."""
        return sorted((score, member) for member, score in self.items())

    def scores(self, low: float, high: float) -> list[float]:
        """Return the scores from `low` to `high`, ascending."""
        return sorted(score for score in self.values() if low <= score <= high)


Value: TypeAlias = bytes | List | Hash | SortedSet | Stream
_KINDS = {bytes: "string", List: "list", Hash: "hash", SortedSet: "zset", Stream: "stream"}


def encoded(text: str | bytes) -> bytes:
    """Return the bytes that Redis stores for a value."""
    return text.encode() if isinstance(text, str) else text


def paired(flat: Sequence[str | bytes]) -> dict[bytes, bytes]:
    """Return flat names and values as a mapping."""
    return {encoded(name): encoded(value) for name, value in zip(flat[::2], flat[1::2], strict=True)}


def _copied(value: Value) -> Value:
    match value:
        case bytes():
            return value
        case List():
            return List(value)
        case Hash():
            return Hash(value)
        case SortedSet():
            return SortedSet(value)
        case Stream():
            return value.copy()


class Keyspace:
    """One database. Times are Redis's clock (epoch ms); an expired key does not exist for any reader."""

    def __init__(self, now_ms: Callable[[], int], on_write: Callable[[str], None]) -> None:
        """Call `on_write` with each changed stream and STRING, and with each key that is deleted."""
        self.now_ms = now_ms
        self._on_write = on_write
        self._values: dict[str, Value] = {}
        self._ends_ms: dict[str, int] = {}
        self._sweep_at = 1024

    def __len__(self) -> int:
        """Number of keys held, expired ones that were not swept yet included."""
        return len(self._values)

    def keys(self) -> list[str]:
        """Return all keys that have not expired."""
        self._drop_expired()
        return list(self._values)

    def kind(self, key: str) -> str:
        """Return the type of a key, as TYPE does."""
        value = self._get(key)
        return "none" if value is None else _KINDS[type(value)]

    def text(self, key: str) -> bytes | None:
        """Return a string's bytes, None when missing. Raises WrongTypeError, as all typed reads do."""
        value = self._get(key)
        if value is None or isinstance(value, bytes):
            return value
        raise self._wrong_type(key, "string")

    def elements(self, key: str) -> List:
        """Return a list, empty when missing."""
        value = self._get(key)
        if value is None:
            return List()
        if isinstance(value, List):
            return value
        raise self._wrong_type(key, "list")

    def hash(self, key: str) -> Hash:
        """Return a hash, empty when missing."""
        value = self._get(key)
        if value is None:
            return Hash()
        if isinstance(value, Hash):
            return value
        raise self._wrong_type(key, "hash")

    def sorted_set(self, key: str) -> SortedSet:
        """Return a sorted set, empty when missing."""
        value = self._get(key)
        if value is None:
            return SortedSet()
        if isinstance(value, SortedSet):
            return value
        raise self._wrong_type(key, "zset")

    def stream(self, key: str) -> Stream | None:
        """Return a stream, None when missing."""
        value = self._get(key)
        if value is None or isinstance(value, Stream):
            return value
        raise self._wrong_type(key, "stream")

    def set(self, key: str, value: str | bytes, *, ttl_ms: int | None = None) -> None:
        """Store a string; a value of any type is replaced."""
        self.delete(key)
        self._values[key] = encoded(value)
        if ttl_ms is not None:
            self.expire(key, ttl_ms)
        self._on_write(key)

    def delete(self, key: str) -> bool:
        """Remove a key of any type; return True if it existed."""
        value = self._get(key)
        self._drop(key)
        if value is not None:
            self._on_write(key)
        return value is not None

    def rpush(self, key: str, added: Iterable[str]) -> None:
        """Append elements at the tail."""
        stored = self.elements(key)
        stored += map(encoded, added)
        self._values[key] = stored

    def hset(self, key: str, flat: Sequence[str | bytes]) -> None:
        """Set fields, given as flat names and values; the hash's expiry does not change."""
        stored = self.hash(key)
        stored.update(paired(flat))
        self._values[key] = stored

    def hdel(self, key: str, fields: Iterable[bytes]) -> None:
        """Remove fields, and the key with the last one."""
        stored = self.hash(key)
        for name in fields:
            stored.pop(name, None)
        if not stored:
            self._drop(key)

    def zadd(self, key: str, score: float, member: str | bytes) -> None:
        """Set a member's score."""
        stored = self.sorted_set(key)
        stored[encoded(member)] = score
        self._values[key] = stored

    def zrem(self, key: str, members: Iterable[bytes]) -> None:
        """Remove members, and the key with the last one."""
        stored = self.sorted_set(key)
        for member in members:
            stored.pop(member, None)
        if not stored:
            self._drop(key)

    def xadd(
        self, key: str, fields: Mapping[bytes, bytes], *, max_len: int | None = None, entry_id: str = "*"
    ) -> EntryId:
        """Append a stream entry, keep about `max_len`, and return its id."""
        added = self.make_stream(key).add(
            dict(fields),
            now_ms=self.now_ms(),
            max_len=max_len,
            entry_id=None if entry_id == "*" else parse_id(entry_id),
        )
        self._on_write(key)
        return format_id(added)

    def make_stream(self, key: str) -> Stream:
        """Return the stream at `key`, created if it is missing."""
        stored = self.stream(key)
        if stored is None:
            stored = self._values[key] = Stream()
        return stored

    def expire(self, key: str, ttl_ms: int) -> None:
        """Expire an existing key after `ttl_ms`; 0 or less removes it."""
        if self._get(key) is None:
            return
        if ttl_ms <= 0:
            self.delete(key)
            return
        self._ends_ms[key] = self.now_ms() + ttl_ms
        self._sweep()

    def ttl_ms(self, key: str) -> int:
        """Return the time to live (ms), as PTTL does: -2 for no key, -1 for one that does not expire."""
        if self._get(key) is None:
            return -2
        return self._ends_ms[key] - self.now_ms() if key in self._ends_ms else -1

    def flush(self) -> None:
        """Remove everything."""
        for key in list(self._values):
            self.delete(key)

    def become(self, other: Keyspace) -> None:
        """Replace all keys by a copy of those of `other`."""
        self._values = {key: _copied(value) for key, value in other._values.items()}
        self._ends_ms = dict(other._ends_ms)

    def _get(self, key: str) -> Value | None:
        ends_ms = self._ends_ms.get(key)
        if ends_ms is not None and ends_ms <= self.now_ms():
            self._drop(key)
        return self._values.get(key)

    def _drop(self, key: str) -> None:
        self._values.pop(key, None)
        self._ends_ms.pop(key, None)

    def _sweep(self) -> None:
        """Drop expired keys now and then."""
        if len(self._ends_ms) < self._sweep_at:
            return
        self._drop_expired()
        self._sweep_at = max(1024, 2 * len(self._ends_ms))

    def _drop_expired(self) -> None:
        now_ms = self.now_ms()
        for key in [key for key, ends_ms in self._ends_ms.items() if ends_ms <= now_ms]:
            self._drop(key)

    def _wrong_type(self, key: str, wanted: str) -> WrongTypeError:
        return WrongTypeError(f"WRONGTYPE {key} is a {self.kind(key)}, not a {wanted}")
