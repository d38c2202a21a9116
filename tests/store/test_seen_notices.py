"""Marks of notices that a person has seen: written with their event, bounded, and gone when they are over."""

from __future__ import annotations

import json

import pytest

from store.errors import WrongTypeError
from store.notice_records import MOST_MARKS, SeenMark
from tests.store.backends import KEYS, Backend, everything

_EVENT = ("event", "NOTICE_SEEN", "by", "ann")


async def now_of(backend: Backend) -> int:
    return (await backend.store.operator_view(None)).now_ms


async def test_a_mark_is_read_until_it_is_over(backend: Backend) -> None:
    now_ms = await now_of(backend)
    mark = SeenMark("ann", now_ms + 1_500)
    assert await backend.store.mark_seen("case", "BTCUSDT", mark, now_ms, _EVENT)
    assert await backend.store.seen_notices() == {"case|BTCUSDT": mark}
    (text,) = backend.outside.hgetall(KEYS.seen).values()
    assert json.loads(text) == {"by": "ann", "until_ms": now_ms + 1_500}
    assert [fields[b"event"] for _, fields in backend.outside.xrange(KEYS.own_events)] == [b"NOTICE_SEEN"]
    await backend.pass_ms(1_600)
    assert await backend.store.seen_notices() == {}
    assert backend.outside.kind(KEYS.seen) == "none"


async def test_a_later_mark_of_a_notice_replaces_it_and_the_key_outlives_the_longest(
    backend: Backend,
) -> None:
    now_ms = await now_of(backend)
    for by, kind, life_ms in (("ann", "ban", 900_000), ("bob", "case", 90_000), ("ann", "case", 60_000)):
        assert await backend.store.mark_seen(kind, "", SeenMark(by, now_ms + life_ms), now_ms, _EVENT)
    marks = await backend.store.seen_notices()
    assert {field: mark.by for field, mark in marks.items()} == {"ban|": "ann", "case|": "ann"}
    assert 800_000 < backend.outside.pttl(KEYS.seen) <= 900_000


async def test_a_mark_that_is_over_or_unreadable_is_neither_read_nor_kept(backend: Backend) -> None:
    now_ms = await now_of(backend)
    bad = (
        "{",
        "[]",
        '{"by":"x"}',
        '{"by":7,"until_ms":9000000000000}',
        '{"by":"x","until_ms":"9000000000000"}',
    )
    over = json.dumps({"by": "x", "until_ms": now_ms - 1})
    backend.outside.hset(KEYS.seen, {f"case|S{number}": text for number, text in enumerate((*bad, over))})
    assert await backend.store.seen_notices() == {}
    assert await backend.store.mark_seen("case", "A", SeenMark("ann", now_ms + 60_000), now_ms, _EVENT)
    assert list(backend.outside.hgetall(KEYS.seen)) == [b"case|A"]


async def test_beside_a_thousand_marks_no_other_is_written(backend: Backend) -> None:
    now_ms = await now_of(backend)
    standing = json.dumps({"by": "x", "until_ms": now_ms + 60_000})
    backend.outside.hset(KEYS.seen, {f"case|S{number}": standing for number in range(MOST_MARKS)})
    before = everything(backend.outside)
    mark = SeenMark("ann", now_ms + 60_000)
    assert not await backend.store.mark_seen("case", "another", mark, now_ms, _EVENT)
    assert everything(backend.outside) == before
    assert await backend.store.mark_seen("case", "S7", mark, now_ms, _EVENT)


@pytest.mark.parametrize("key", [KEYS.seen, KEYS.own_events])
async def test_a_key_of_a_wrong_type_is_left_alone(backend: Backend, key: str) -> None:
    now_ms = await now_of(backend)
    backend.outside.set(key, "text")
    before = everything(backend.outside)
    with pytest.raises(WrongTypeError, match=key):
        await backend.store.mark_seen("case", "", SeenMark("ann", now_ms + 60_000), now_ms, _EVENT)
    assert everything(backend.outside) == before
