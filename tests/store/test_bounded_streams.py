"""Audit, dead letters and events stay within about their length, and keep the newest."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest
from msgspec import structs

from brain.identifiers import FencingToken
from store.protocol import Store
from store.records import Adoption
from tests.store.backends import KEYS, Backend, fill_stream
from tests.store.commits import DEAD_LETTER, ENTRY, booking, decision

LETTER = ("error", "the newest")
WRITES: dict[str, tuple[str, int, Callable[[Store, FencingToken], Awaitable[object]]]] = {
    "a decision": (
        "audit", 100_000,
        lambda store, fence: store.commit_decisions(fence, [decision("p", "1-0", audit_fields=LETTER)]),
    ),
    "a decision that failed": (
        "dead_plans", 10_000,
        lambda store, fence: store.commit_decisions(fence, [decision("p", "1-0", dead_fields=LETTER)]),
    ),
    "a plan that cannot be answered": (
        "dead_plans", 10_000, lambda store, fence: store.plans.dead_letter(fence, ENTRY, LETTER),
    ),
    "a buried result": (
        "dead_results", 10_000,
        lambda store, fence: store.commit_result(fence, structs.replace(DEAD_LETTER, dead_fields=LETTER)),
    ),
    "a booking": (
        "events", 10_000,
        lambda store, fence: store.commit_result(fence, booking("1-0", event_fields=LETTER)),
    ),
    "an adoption": (
        "events", 10_000,
        lambda store, fence: store.adopt_ledgers(
            fence, [Adoption("A", ("last_known_amt", "1"), LETTER)], 1_000
        ),
    ),
    "an event": ("events", 10_000, lambda store, fence: store.emit_event(fence, LETTER)),
}  # fmt: skip


@pytest.mark.parametrize("what", WRITES)
async def test_a_stream_that_is_too_long_is_cut_by_whatever_is_appended(leased: Backend, what: str) -> None:
    name, most, write = WRITES[what]
    key = getattr(KEYS, name)
    fill_stream(leased.outside, key, most + 350)
    await write(leased.store, leased.fence)
    assert most <= leased.outside.xlen(key) <= most + 100
    assert leased.outside.xrange(key)[-1][1] == {b"error": b"the newest"}
