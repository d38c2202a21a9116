"""Judgements of the Governor, each written whole on the state it rests on, or not at all."""

from __future__ import annotations

from tests.store.backends import Backend
from tests.store.governed import (
    GOVERNOR,
    PERMIT,
    PLAN,
    SYMBOL,
    date_of,
    deliver,
    granted,
    judged,
    reservation,
    state_of,
)


async def test_a_grant_is_counted_everywhere_and_the_permit_written(leased: Backend) -> None:
    (entry_id,) = await deliver(leased, PLAN)
    before = await state_of(leased)
    reply = await judged(leased, granted(before, entry_id=entry_id))
    assert reply.verdicts == ("committed",)
    outside, now_ms = leased.outside, before.now_ms
    date, text = date_of(now_ms), reservation(SYMBOL, now_ms).encode()
    after = await state_of(leased)
    assert after.account.version == f"after-{PLAN}"
    assert after.account.reserved == {PLAN: text}
    found = after.symbols[SYMBOL]
    assert found.window == (now_ms,)
    assert found.opened == outside.get(GOVERNOR.opened(SYMBOL, date)) == b"100"
    assert found.last_exec == str(now_ms // 1000).encode()
    assert found.entry == (b"1", b"0.5", b"0", str(now_ms).encode())
    assert outside.lrange(GOVERNOR.executions(SYMBOL)) == [str(now_ms // 1000).encode()]
    assert outside.get(GOVERNOR.permit(PLAN)) == PERMIT.encode()
    assert outside.get(GOVERNOR.plan_mark(PLAN)) == b"granted"
    assert outside.xpending(GOVERNOR.plans.key, "governor") == {}
    assert outside.get(GOVERNOR.plans.last_id) == entry_id.encode()
    assert [fields for _, fields in outside.xrange(GOVERNOR.audit)] == [
        {b"plan_id": b"gov-1", b"granted": b"true"}
    ]
