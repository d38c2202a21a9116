"""In-memory twin of `store.redis.letters`."""

from __future__ import annotations

from collections.abc import Sequence

from brain.identifiers import EntryId
from store.execution_values import WRONG_TYPE
from store.keys import Keys
from store.memory.connection import MemoryConnection
from store.memory.keyspace import Keyspace, paired
from store.memory.streams import parse_id
from store.operator_records import DeadStream, LetterView, Republication
from store.operator_values import dead_stream, republished_field
from store.stored_values import read_text

_LONGEST_EVENTS = 10_000


class MemoryLetters(MemoryConnection):
    """Letters of `OperatorStore`."""

    async def letter_view(self, stream: DeadStream, letter_id: EntryId) -> LetterView | None:
        return await self._run(letter_view, stream, letter_id)

    async def republish(self, wanted: Republication) -> EntryId | None:
        return await self._run(republish, wanted)

    async def note_act(self, event: Sequence[str]) -> None:
        await self._run(note_act, event)


def letter_view(redis: Keyspace, keys: Keys, stream: DeadStream, letter_id: EntryId) -> LetterView | None:
    """As `OperatorStore.letter_view`. Raises WrongTypeError."""
    letters = redis.stream(dead_stream(keys, stream))
    fields = None if letters is None else letters.get(parse_id(letter_id))
    if fields is None:
        return None
    mark: bytes | None = WRONG_TYPE
    if redis.kind(keys.republished) in ("hash", "none"):
        mark = redis.hash(keys.republished).get(republished_field(stream, fields))
    return LetterView(redis.now_ms(), fields, mark)


def republish(redis: Keyspace, keys: Keys, wanted: Republication) -> EntryId | None:
    """As `republish.lua`. Raises WrongTypeError."""
    stream = keys.plans if wanted.stream == "apply.plan" else keys.results
    redis.stream(stream)
    marks = redis.hash(keys.republished)
    memory = redis.hash(keys.order_memory(wanted.symbol)) if wanted.orders else {}
    field = f"{wanted.stream}|{wanted.entry_id}"
    if (
        field.encode() in marks
        or (wanted.latest_ms is not None and redis.now_ms() > wanted.latest_ms)
        or (wanted.undecided is not None and redis.kind(keys.plan_mark(wanted.undecided)) != "none")
        or any(read_text(memory.get(order.encode())) != text for order, text in wanted.orders)
    ):
        return None
    redis.hset(keys.republished, (field, wanted.mark))
    return redis.xadd(stream, paired(wanted.fields))


def note_act(redis: Keyspace, keys: Keys, event: Sequence[str]) -> None:
    """As `OperatorStore.note_act`. Raises WrongTypeError."""
    redis.xadd(keys.own_events, paired(event), max_len=_LONGEST_EVENTS)
