"""Keys of wrong types, and bytes that mean nothing: nothing half done, nothing passed over."""

from __future__ import annotations

import pytest

from brain.identifiers import FencingToken
from brain.ledger.ledger import StoredLedger
from store.errors import StoreRefusedError
from store.keys import Keys
from store.protocol import Store
from store.records import Broken, Changed, Committed, DecisionCommit, SymbolState, Verdict
from store.stored_values import UNREADABLE
from tests.store.backends import Outside, everything
from tests.store.commits import DECISION, SYMBOL, assumed, commit, decision, deliver_plans

JUNK = [b"\xff\xfe", "Ⓢ".encode(), b"1\n", b"\x00", b"1" * 257]
JUNK_IDS = ["no UTF-8", "no ASCII", "line feed", "NUL", "long"]


async def refused(
    store: Store, outside: Outside, fence: FencingToken, *decisions: DecisionCommit
) -> StoreRefusedError:
    before = everything(outside)
    with pytest.raises(StoreRefusedError) as caught:
        await store.commit_decisions(fence, decisions)
    assert everything(outside) == before
    return caught.value


async def broken(store: Store, outside: Outside, fence: FencingToken, refused_one: DecisionCommit) -> str:
    before = everything(outside)
    (verdict,) = await commit(store, fence, refused_one)
    assert isinstance(verdict, Broken)
    assert everything(outside) == before
    return verdict.error


@pytest.mark.parametrize("name", ["plans", "audit", "dead_plans"])
async def test_a_stream_of_a_wrong_type_refuses_all_and_nothing_is_written(
    store: Store, outside: Outside, keys: Keys, fence: FencingToken, name: str
) -> None:
    outside.set(getattr(keys, name), "x")
    doomed = decision("plan-1", "1-0", dead_fields=("error", "x"))
    error = await refused(store, outside, fence, doomed, decision("plan-2", "2-0", symbol="ETHUSDT"))
    assert "WRONGTYPE" in str(error)
    assert getattr(keys, name) in str(error)


@pytest.mark.parametrize("name", ["plan_mark", "open_permits"])
async def test_a_key_of_our_own_of_a_wrong_type_breaks_only_its_own_decision(
    store: Store, outside: Outside, keys: Keys, fence: FencingToken, name: str
) -> None:
    if name == "plan_mark":
        outside.hset(keys.plan_mark("plan-1"), {"a": "b"})
    else:
        outside.set(keys.open_permits(SYMBOL), "x")
    error = await broken(store, outside, fence, DECISION)
    assert getattr(keys, name)("plan-1" if name == "plan_mark" else SYMBOL) in error
    verdicts = await commit(store, fence, DECISION, decision("plan-2", "2-0", symbol="ETHUSDT"))
    assert [type(verdict) for verdict in verdicts] == [Broken, Committed]


async def test_a_reservation_without_assumptions_looks_at_the_open_permits_all_the_same(
    store: Store, outside: Outside, keys: Keys, fence: FencingToken
) -> None:
    outside.set(keys.open_permits(SYMBOL), "x")
    await broken(store, outside, fence, decision("plan-1", "1-0", assumed=None))
    outside.delete(keys.open_permits(SYMBOL))
    (verdict,) = await commit(store, fence, decision("plan-1", "1-0", assumed=None))
    assert isinstance(verdict, Committed)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("p:other", b"\xff\xfe"),
        ("p:other", b""),
        ("p:other", b"BOTH|close|SELL|0.028"),
        ("p:other", b"BOTH|close|SELL|0.028|"),
        ("p:other", b"BOTH|close|SELL|0.028|soon"),
        ("p:other", b"BOTH|close|SELL||99999999999999"),
        ("p:other", b"BOTH|close|SELL|0.028|1000000000000000"),
        ("p:other", b"\xff|close|SELL|0.028|99999999999999"),
        (b"p:\xff", b"BOTH|close|SELL|0.028|99999999999999"),
        ("p:", b"BOTH|close|SELL|0.028|99999999999999"),
        ("x", b"1"),
    ],
)
async def test_an_open_permit_that_cannot_be_read_is_never_passed_over(
    store: Store, outside: Outside, keys: Keys, fence: FencingToken, field: str | bytes, value: bytes
) -> None:
    outside.hset(keys.open_permits(SYMBOL), {field: value})
    await broken(store, outside, fence, DECISION)
    await broken(store, outside, fence, decision("plan-1", "1-0", assumed=assumed(live_permits=1)))


async def changed_to(store: Store, fence: FencingToken) -> SymbolState:
    (verdict,) = await commit(store, fence, DECISION)
    assert isinstance(verdict, Changed)
    return verdict.state


async def decided_on(store: Store, fence: FencingToken, **believed: object) -> Verdict:
    (verdict,) = await commit(store, fence, decision("plan-1", "1-0", assumed=assumed(**believed)))
    return verdict


@pytest.mark.parametrize("junk", JUNK, ids=JUNK_IDS)
async def test_a_cooldown_that_cannot_be_read_is_reported_as_such_and_can_be_decided_on(
    store: Store, outside: Outside, keys: Keys, fence: FencingToken, junk: bytes
) -> None:
    outside.set(keys.cooldown(SYMBOL), junk)
    assert await changed_to(store, fence) == SymbolState(cooldown=UNREADABLE)
    assert isinstance(await decided_on(store, fence, cooldown=UNREADABLE), Committed)


async def test_a_cooldown_of_a_wrong_type_cannot_be_read(
    store: Store, outside: Outside, keys: Keys, fence: FencingToken
) -> None:
    outside.hset(keys.cooldown(SYMBOL), {"a": "b"})
    assert await changed_to(store, fence) == SymbolState(cooldown=UNREADABLE)
    assert isinstance(await decided_on(store, fence, cooldown=UNREADABLE), Committed)


@pytest.mark.parametrize("field", StoredLedger.__struct_fields__)
@pytest.mark.parametrize("junk", JUNK, ids=JUNK_IDS)
async def test_a_ledger_field_that_cannot_be_read_is_reported_as_such_and_can_be_decided_on(
    store: Store, outside: Outside, keys: Keys, fence: FencingToken, field: str, junk: bytes
) -> None:
    outside.hset(keys.ledger(SYMBOL), {field: junk})
    state = await changed_to(store, fence)
    assert state == SymbolState(ledger=StoredLedger(**{field: UNREADABLE}))
    assert isinstance(await decided_on(store, fence, **{field: UNREADABLE}), Committed)


async def test_a_ledger_of_a_wrong_type_cannot_be_read(
    store: Store, outside: Outside, keys: Keys, fence: FencingToken
) -> None:
    outside.set(keys.ledger(SYMBOL), "0.5")
    assert await changed_to(store, fence) == SymbolState(ledger=StoredLedger(UNREADABLE))
    assert isinstance(await decided_on(store, fence, last_known_amt=UNREADABLE), Committed)


@pytest.mark.parametrize("junk", JUNK, ids=JUNK_IDS)
async def test_a_permits_version_that_cannot_be_read_is_replaced_by_the_next_reservation(
    store: Store, outside: Outside, keys: Keys, fence: FencingToken, junk: bytes
) -> None:
    outside.hset(keys.open_permits(SYMBOL), {"v": junk})
    assert await changed_to(store, fence) == SymbolState(permits_version=UNREADABLE)
    assert isinstance(await decided_on(store, fence, permits_version=UNREADABLE), Committed)
    assert outside.hgetall(keys.open_permits(SYMBOL))[b"v"] == b"d1-0"


@pytest.mark.parametrize("value", [b"", b"\xff", b"1" * 1000])
async def test_a_hold_counts_whatever_it_holds(
    store: Store, outside: Outside, keys: Keys, fence: FencingToken, value: bytes
) -> None:
    outside.set(keys.hold(SYMBOL), value)
    assert await changed_to(store, fence) == SymbolState(hold=True)


async def test_a_hold_counts_whatever_its_type(
    store: Store, outside: Outside, keys: Keys, fence: FencingToken
) -> None:
    outside.hset(keys.hold(SYMBOL), {"a": "b"})
    assert await changed_to(store, fence) == SymbolState(hold=True)


async def test_a_permit_key_of_a_wrong_type_is_overwritten(
    store: Store, outside: Outside, keys: Keys, fence: FencingToken
) -> None:
    outside.hset(keys.permit("plan-1"), {"a": "b"})
    (entry_id,) = await deliver_plans(store, outside, keys, "plan-1")
    await commit(store, fence, decision("plan-1", entry_id))
    assert outside.get(keys.permit("plan-1")) == DECISION.permit.encode()


async def test_a_decision_outlives_the_loss_of_the_plan_stream(
    store: Store, outside: Outside, keys: Keys, fence: FencingToken
) -> None:
    (entry_id,) = await deliver_plans(store, outside, keys, "plan-1")
    outside.delete(keys.plans)
    (verdict,) = await commit(store, fence, decision("plan-1", entry_id))
    assert isinstance(verdict, Committed)
    assert outside.kind(keys.plans) == "none"
