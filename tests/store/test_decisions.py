from __future__ import annotations

from brain.identifiers import FencingToken, PlanId
from store.keys import Keys
from store.protocol import Store
from store.records import AlreadyDecided, Changed, Committed, SymbolState, TooLate
from tests.store.backends import Backend, Outside, everything
from tests.store.commits import (
    DENIAL,
    SYMBOL,
    assumed,
    commit,
    decision,
    deliver_plans,
    pending_ids,
)


async def test_a_decision_writes_permit_mark_reservation_and_audit_and_acknowledges(
    store: Store, outside: Outside, keys: Keys, fence: FencingToken
) -> None:
    (entry_id,) = await deliver_plans(store, outside, keys, "plan-1")
    now_ms = await store.redis_now_ms()
    reply = await store.commit_decisions(fence, [decision("plan-1", entry_id)])
    (verdict,) = reply.verdicts
    assert isinstance(verdict, Committed)
    assert 0 <= reply.now_ms - now_ms < 5_000
    assert verdict.reservation_expires_ms == reply.now_ms + 90_000
    assert outside.get(keys.permit("plan-1")) == b'{"plan_id":"plan-1","allow":true}'
    assert outside.get(keys.plan_mark("plan-1")) == b"D|BOTH|close|SELL|0"
    assert outside.hgetall(keys.open_permits(SYMBOL)) == {
        b"v": f"d{entry_id}".encode(),
        b"p:plan-1": f"BOTH|close|SELL|0.028|{verdict.reservation_expires_ms}".encode(),
    }
    ((_, audited),) = outside.xrange(keys.audit)
    assert audited == {b"plan_id": b"plan-1", b"reason": b"sanity_checks_passed"}
    assert pending_ids(outside, keys.plans) == []
    assert outside.kind(keys.dead_plans) == "none"


async def test_every_key_of_a_decision_has_its_own_life(
    store: Store, outside: Outside, keys: Keys, fence: FencingToken
) -> None:
    (entry_id,) = await deliver_plans(store, outside, keys, "plan-1")
    await commit(store, fence, decision("plan-1", entry_id))
    for key, life_ms in {
        keys.permit("plan-1"): 60_000,
        keys.plan_mark("plan-1"): 3_660_000,
        keys.open_permits(SYMBOL): 150_000,
    }.items():
        assert life_ms - 5_000 < outside.pttl(key) <= life_ms
    assert outside.pttl(keys.audit) == -1


async def test_a_later_short_reservation_never_shortens_the_life_of_an_earlier_long_one(
    store: Store, outside: Outside, keys: Keys, fence: FencingToken
) -> None:
    first, second = await deliver_plans(store, outside, keys, "plan-1", "plan-2")
    await commit(store, fence, decision("plan-1", first, reservation_life_ms=500_000))
    await commit(store, fence, decision("plan-2", second, assumed=None, reservation_life_ms=1_000))
    assert outside.pttl(keys.open_permits(SYMBOL)) > 500_000


async def test_a_denial_reserves_nothing_and_reports_no_expiry(
    store: Store, outside: Outside, keys: Keys, fence: FencingToken
) -> None:
    assert await commit(store, fence, DENIAL) == [Committed(0)]
    assert outside.kind(keys.open_permits(SYMBOL)) == "none"
    assert outside.get(keys.permit("plan-1")) == b'{"plan_id":"plan-1","allow":false}'


async def test_a_plan_that_failed_goes_to_the_dead_letters_with_its_decision(
    store: Store, outside: Outside, keys: Keys, fence: FencingToken
) -> None:
    dead = ("entry_id", "1-0", "error", "no decision after 3 deliveries")
    await commit(store, fence, decision("plan-1", "1-0", assumed=None, reservation="", dead_fields=dead))
    ((_, letter),) = outside.xrange(keys.dead_plans)
    assert letter == {b"entry_id": b"1-0", b"error": b"no decision after 3 deliveries"}


async def test_a_second_delivery_is_acknowledged_and_changes_nothing_else(
    store: Store, outside: Outside, keys: Keys, fence: FencingToken
) -> None:
    first, again = await deliver_plans(store, outside, keys, "plan-1", "plan-1")
    await commit(store, fence, decision("plan-1", first))
    assert outside.take(keys.permit("plan-1")) is not None
    assert pending_ids(outside, keys.plans) == [again]
    before = everything(outside)
    assert await commit(store, fence, decision("plan-1", again, permit="another")) == [AlreadyDecided()]
    assert pending_ids(outside, keys.plans) == []
    before.pop(keys.plans)
    after = everything(outside)
    after.pop(keys.plans)
    assert after == before


async def test_the_mark_decides_again_once_its_life_is_over(
    backend: Backend, store: Store, fence: FencingToken
) -> None:
    brief = decision("plan-1", "1-0", mark_ttl_ms=30, reservation="")
    await commit(store, fence, brief)
    assert await commit(store, fence, brief) == [AlreadyDecided()]
    await backend.pass_ms(31)
    assert await commit(store, fence, brief) == [Committed(0)]


async def test_a_permit_is_gone_once_its_life_is_over(
    backend: Backend, store: Store, outside: Outside, keys: Keys, fence: FencingToken
) -> None:
    await commit(store, fence, decision("plan-1", "1-0", permit_ttl_ms=30))
    await backend.pass_ms(31)
    assert outside.get(keys.permit("plan-1")) is None
    assert outside.kind(keys.open_permits(SYMBOL)) == "hash"


async def test_a_plan_whose_result_came_first_is_changed_then_decided_as_settled(
    store: Store, outside: Outside, keys: Keys, fence: FencingToken
) -> None:
    outside.set(keys.plan_mark("plan-1"), "S")
    assert await commit(store, fence, decision("plan-1", "1-0")) == [Changed(SymbolState(settled=True))]
    settled = decision("plan-1", "1-0", assumed=assumed(settled=True), reservation="")
    assert await commit(store, fence, settled) == [Committed(0)]
    assert outside.get(keys.plan_mark("plan-1")) == b"D|BOTH|close|SELL|0"


async def test_an_answer_on_the_plan_alone_looks_at_nothing_else(
    store: Store, outside: Outside, keys: Keys, fence: FencingToken
) -> None:
    outside.set(keys.hold(SYMBOL), "1")
    outside.hset(keys.ledger(SYMBOL), {"last_known_amt": "1"})
    outside.set(keys.open_permits(SYMBOL), "of a wrong type")
    denial = decision("plan-1", "1-0", assumed=None, reservation="")
    assert await commit(store, fence, denial) == [Committed(0)]


async def test_an_open_permit_that_has_come_since_is_reported_with_its_version(
    store: Store, outside: Outside, keys: Keys, fence: FencingToken
) -> None:
    (first,) = await commit(store, fence, decision("plan-1", "1-0"))
    assert isinstance(first, Committed)
    (verdict,) = await commit(store, fence, decision("plan-2", "2-0"))
    stored = f"BOTH|close|SELL|0.028|{first.reservation_expires_ms}"
    assert verdict == Changed(SymbolState(permits_version="d1-0", permits=((PlanId("plan-1"), stored),)))
    assert outside.get(keys.permit("plan-2")) is None


async def test_a_decision_of_a_batch_sees_the_reservation_of_the_one_before(
    store: Store, outside: Outside, keys: Keys, fence: FencingToken
) -> None:
    informed = assumed(permits_version="d1-0", live_permits=1)
    verdicts = await commit(
        store,
        fence,
        decision("plan-1", "1-0"),
        decision("plan-2", "2-0"),
        decision("plan-3", "3-0", assumed=informed),
        decision("plan-1", "4-0"),
        decision("plan-4", "5-0", symbol="ETHUSDT"),
    )
    kinds = [type(verdict) for verdict in verdicts]
    assert kinds == [Committed, Changed, Committed, AlreadyDecided, Committed]
    assert set(outside.hgetall(keys.open_permits(SYMBOL))) == {b"v", b"p:plan-1", b"p:plan-3"}
    assert outside.xlen(keys.audit) == 3


async def test_what_rests_on_an_entry_decided_anew_is_not_committed_on_top_of_its_first_decision(
    store: Store, outside: Outside, keys: Keys, fence: FencingToken
) -> None:
    first, anew = decision("plan-1", "1-0", proposal=".1"), decision("plan-1", "1-0", proposal=".2")
    assert (first.permits_version, anew.permits_version) == ("d1-0.1", "d1-0.2")
    await commit(store, fence, first)
    assert outside.hgetall(keys.open_permits(SYMBOL))[b"v"] == b"d1-0.1"
    on_top = assumed(permits_version=anew.permits_version, live_permits=1)
    verdicts = await commit(store, fence, anew, decision("plan-2", "2-0", assumed=on_top))
    assert [type(verdict) for verdict in verdicts] == [AlreadyDecided, Changed]


async def test_an_expired_reservation_is_not_reported_and_is_removed_by_the_next_decision(
    backend: Backend, store: Store, outside: Outside, keys: Keys, fence: FencingToken
) -> None:
    await commit(store, fence, decision("plan-1", "1-0", reservation_life_ms=30))
    await backend.pass_ms(31)
    (verdict,) = await commit(store, fence, decision("plan-2", "2-0"))
    assert verdict == Changed(SymbolState(permits_version="d1-0"))
    (verdict,) = await commit(
        store, fence, decision("plan-2", "2-0", assumed=assumed(permits_version="d1-0"))
    )
    assert isinstance(verdict, Committed)
    assert set(outside.hgetall(keys.open_permits(SYMBOL))) == {b"v", b"p:plan-2"}


async def test_more_expired_reservations_than_a_script_can_unpack_are_removed_bit_by_bit(
    store: Store, outside: Outside, keys: Keys, fence: FencingToken
) -> None:
    ended: dict[str | bytes, str | bytes] = {f"p:{n}": "BOTH|close|SELL|1|1000" for n in range(9_000)}
    outside.hset(keys.open_permits(SYMBOL), ended)
    (verdict,) = await commit(store, fence, decision("plan-1", "1-0"))
    assert isinstance(verdict, Committed)
    assert len(outside.hgetall(keys.open_permits(SYMBOL))) == 9_000 - 1_000 + 2


async def test_a_commit_after_its_deadline_writes_nothing(
    backend: Backend, store: Store, outside: Outside, fence: FencingToken
) -> None:
    deadline_ms = await store.redis_now_ms() + 20
    late = decision("plan-1", "1-0", deadline_ms=deadline_ms)
    await backend.pass_ms(21)
    before = everything(outside)
    assert await commit(store, fence, late) == [TooLate()]
    assert everything(outside) == before


async def test_a_commit_before_its_deadline_is_in_time(store: Store, fence: FencingToken) -> None:
    deadline_ms = await store.redis_now_ms() + 10_000
    (verdict,) = await commit(store, fence, decision("plan-1", "1-0", deadline_ms=deadline_ms))
    assert isinstance(verdict, Committed)


async def test_a_commit_that_redis_dates_before_its_decision_writes_nothing(
    store: Store, outside: Outside, fence: FencingToken
) -> None:
    now_ms = await store.redis_now_ms()
    early = decision("plan-1", "1-0", deadline_ms=now_ms + 60_000, not_before_ms=now_ms + 30_000)
    before = everything(outside)
    assert await commit(store, fence, early) == [TooLate()]
    assert everything(outside) == before
    in_time = decision("plan-1", "1-0", deadline_ms=now_ms + 60_000, not_before_ms=now_ms)
    (verdict,) = await commit(store, fence, in_time)
    assert isinstance(verdict, Committed)


async def test_of_a_change_and_lateness_the_change_is_reported(
    store: Store, outside: Outside, keys: Keys, fence: FencingToken
) -> None:
    outside.set(keys.hold(SYMBOL), "1")
    (verdict,) = await commit(store, fence, decision("plan-1", "1-0", deadline_ms=1))
    assert verdict == Changed(SymbolState(hold=True))


async def test_a_plan_id_may_hold_any_printable_character(
    store: Store, outside: Outside, keys: Keys, fence: FencingToken
) -> None:
    plan_id = "".join(chr(code) for code in range(32, 127))
    (verdict,) = await commit(store, fence, decision(plan_id, "1-0"))
    assert isinstance(verdict, Committed)
    assert outside.get(keys.permit(plan_id)) is not None
    (shown,) = await commit(store, fence, decision("plan-2", "2-0"))
    assert isinstance(shown, Changed)
    assert [name for name, _ in shown.state.permits] == [plan_id]


async def test_a_text_of_any_length_and_script_arrives_whole(
    store: Store, outside: Outside, keys: Keys, fence: FencingToken
) -> None:
    record = "\x00Ⓢ中\N{PILE OF POO}" * 20_000
    audit = ("record", record)
    await commit(store, fence, decision("plan-1", "1-0", permit=record, audit_fields=audit))
    assert outside.get(keys.permit("plan-1")) == record.encode()
    ((_, fields),) = outside.xrange(keys.audit)
    assert fields == {b"record": record.encode()}


async def test_an_empty_batch_has_no_verdicts(store: Store, fence: FencingToken) -> None:
    assert await commit(store, fence) == []
