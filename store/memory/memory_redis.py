"""Model of a Redis server: keys, clock and run id, with the commands of its other clients."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TypeAlias

import trio

from brain.identifiers import EntryId
from store.errors import GroupLostError
from store.memory.faults import Faults
from store.memory.keyspace import Keyspace, encoded
from store.memory.streams import Group, IdParts, PendingEntry, Stream, format_id, parse_id

Text: TypeAlias = str | bytes


class Watch:
    """Changed keys that are still to be pushed to one connection."""

    def __init__(self, prefixes: tuple[str, ...]) -> None:
        self._prefixes = prefixes
        self._changed: list[str] = []
        self._waiting = trio.lowlevel.ParkingLot()

    def note(self, key: str) -> None:
        """Push a change of `key` if it begins with one of the prefixes."""
        if key.startswith(self._prefixes):
            self._changed.append(key)
            self.wake()

    def wake(self) -> None:
        """Wake the connection, for a push or a fault."""
        self._waiting.unpark_all()

    async def wait(self) -> None:
        """Wait until there may be a push, or a fault."""
        await self._waiting.park()

    def take(self) -> list[str]:
        """Return the pushed keys, and forget them."""
        changed, self._changed = self._changed, []
        return changed


class MemoryRedis:
    """Server for any number of `MemoryStore`s.

    `now_ms` is its clock (epoch ms), for stream ids and expiry: independent of the host's, and of trio's, by
    which blocked reads wait. Its public methods are the commands of other clients (publishers, consumers,
    operators), named after the Redis commands; they raise WrongTypeError.
    """

    def __init__(self, now_ms: Callable[[], int]) -> None:
        self.now_ms = now_ms
        self.runs = 1
        self.append_only = True
        self.maxmemory_policy = "noeviction"
        #: Counted since the server started.
        self.evicted_keys = 0
        self.faults = Faults(self.wake_readers)
        keyspace = self.keyspace = Keyspace(now_ms, self._stir)
        #: Commands that the keyspace's own methods are.
        self.get, self.set, self.delete = keyspace.text, keyspace.set, keyspace.delete
        self.keys, self.kind, self.flushall = keyspace.keys, keyspace.kind, keyspace.flush
        self.pexpire, self.pttl = keyspace.expire, keyspace.ttl_ms
        self._waiting: dict[str, trio.lowlevel.ParkingLot] = {}
        self._watches: list[Watch] = []

    @property
    def run_id(self) -> str:
        """Id of the server's run; a restart changes it."""
        return f"{self.runs:040x}"

    def restart(self, *, with_keys_of: MemoryRedis | None = None) -> None:
        """Start a new run; calls under way fail.

        It keeps its keys, or takes those of an earlier `copy()`: a failover that lost the latest writes.
        """
        self.runs += 1
        self.evicted_keys = 0
        if with_keys_of is not None:
            self.keyspace.become(with_keys_of.keyspace)
        self.wake_readers()

    def copy(self) -> MemoryRedis:
        """Return another server that holds the same keys."""
        other = MemoryRedis(self.now_ms)
        other.keyspace.become(self.keyspace)
        return other

    def xadd(self, key: str, fields: Mapping[Text, Text], *, entry_id: str = "*") -> EntryId:
        """Append an entry; return its id. Raises ValueError for an `entry_id` that is not above the last."""
        return self.keyspace.xadd(key, {encoded(k): encoded(v) for k, v in fields.items()}, entry_id=entry_id)

    def xdel(self, key: str, entry_id: str) -> bool:
        """Delete an entry, pending or not."""
        stream = self.keyspace.stream(key)
        return stream is not None and stream.remove(parse_id(entry_id))

    def xrange(self, key: str) -> list[tuple[str, Mapping[bytes, bytes]]]:
        """Return all entries, oldest first."""
        stream = self.keyspace.stream(key)
        if stream is None:
            return []
        return [(format_id(entry_id), stream.get(entry_id) or {}) for entry_id in stream.ids()]

    def xlen(self, key: str) -> int:
        """Return the number of entries."""
        return len(self.keyspace.stream(key) or ())

    def xpending(self, key: str, group: str) -> dict[str, tuple[str, int, int]]:
        """Return consumer, idle time (ms) and deliveries by entry id. Raises GroupLostError."""
        now_ms = self.now_ms()
        return {
            format_id(entry_id): (entry.consumer, now_ms - entry.delivered_ms, entry.deliveries)
            for entry_id, entry in sorted(self.group(key, group)[1].pending.items())
        }

    def xgroup_destroy(self, key: str, group: str) -> None:
        """Remove a consumer group."""
        stream = self.keyspace.stream(key)
        if stream is not None and stream.groups.pop(group, None) is not None:
            self._stir(key)

    def take(self, key: str) -> bytes | None:
        """Return and delete a string (GETDEL), as a consumer does with a permit."""
        value = self.keyspace.text(key)
        self.keyspace.delete(key)
        return value

    def evict(self, key: str) -> bool:
        """Evict a key, as a full server does, and count it."""
        evicted = self.keyspace.delete(key)
        self.evicted_keys += evicted
        return evicted

    def hset(self, key: str, fields: Mapping[Text, Text]) -> None:
        """Set fields of a hash."""
        self.keyspace.hset(key, [text for pair in fields.items() for text in pair])

    def hdel(self, key: str, field: Text) -> None:
        """Remove a field of a hash."""
        self.keyspace.hdel(key, [encoded(field)])

    def hgetall(self, key: str) -> dict[bytes, bytes]:
        """Return a hash, empty when missing."""
        return dict(self.keyspace.hash(key))

    def lrange(self, key: str) -> list[bytes]:
        """Return the elements of a list."""
        return list(self.keyspace.elements(key))

    def zadd(self, key: str, scores: Mapping[str, float]) -> None:
        """Set scores of a sorted set."""
        for member, score in scores.items():
            self.keyspace.zadd(key, score, member)

    def zrange(self, key: str) -> list[bytes]:
        """Return the members of a sorted set in order."""
        return [member for _, member in self.keyspace.sorted_set(key).in_order()]

    def group(self, key: str, name: str) -> tuple[Stream, Group]:
        """Return a stream and its group. Raises GroupLostError."""
        stream = self.keyspace.stream(key)
        if stream is None or name not in stream.groups:
            raise GroupLostError(f"NOGROUP No such key '{key}' or consumer group '{name}'")
        return stream, stream.groups[name]

    def read_new(self, key: str, name: str, consumer: str, count: int) -> list[IdParts]:
        """Deliver entries that the group has not delivered yet. Raises GroupLostError."""
        stream, group = self.group(key, name)
        group.seen_ms[consumer] = self.now_ms()
        delivered = stream.behind(group.last_delivered, count)
        for entry_id in delivered:
            group.pending[entry_id] = PendingEntry(consumer, self.now_ms())
            group.last_delivered = entry_id
        return delivered

    @contextmanager
    def watching(self, prefixes: tuple[str, ...]) -> Iterator[Watch]:
        """Push changes of STRINGs that begin with one of `prefixes`, for the length of a block."""
        watch = Watch(prefixes)
        self._watches.append(watch)
        try:
            yield watch
        finally:
            self._watches.remove(watch)

    async def changed(self, key: str) -> None:
        """Wait until there may be something new at `key`, or a fault."""
        await self._waiting.setdefault(key, trio.lowlevel.ParkingLot()).park()

    def wake_readers(self) -> None:
        """Wake all blocked reads."""
        for lot in self._waiting.values():
            lot.unpark_all()
        for watch in self._watches:
            watch.wake()

    def _stir(self, key: str) -> None:
        if key in self._waiting:
            self._waiting[key].unpark_all()
        for watch in self._watches:
            watch.note(key)
