"""Open permits whose order may have been filled, as the store keeps them."""

from __future__ import annotations

import re

import pytest

from brain.identifiers import FencingToken, OrderId, PlanId
from brain.ledger.booking import decode_open_permit
from store.errors import WrongTypeError
from store.keys import Keys
from store.protocol import Store
from store.records import OrderWrite, ResultCommit, UnknownOutcomes
from tests.store.backends import Outside, everything
from tests.store.commits import SYMBOL, booking, commit, decision, deliver_results, pending_ids

PERMIT = "BOTH|close|SELL|3|9760000090000"
STATE = "9760000090000|1760000000000|desk-1|17|BTCUSDT"


def unknown(entry_id: str, **changes: object) -> ResultCommit:
    """Return a result of plan-1 that does not know what became of its order."""
    quiet: dict[str, object] = {"ledger_fields": (), "orders": (), "permit_before": PERMIT}
    quiet |= {"revoke_permit": True, "mark_after": "", "unknown_after": STATE}
    return booking(entry_id, **(quiet | changes))


async def reserve(outside: Outside, keys: Keys) -> None:
    outside.hset(keys.open_permits(SYMBOL), {"v": "d1-0", "p:plan-1": PERMIT})
    outside.set(keys.permit("plan-1"), "{}")


async def test_an_unknown_outcome_frees_nothing_and_is_kept_beside_the_open_permits(
    store: Store, outside: Outside, keys: Keys, fence: FencingToken
) -> None:
    await reserve(outside, keys)
    (entry_id,) = await deliver_results(store, outside, keys)
    assert await store.commit_result(fence, unknown(entry_id)) is not None
    assert outside.hgetall(keys.open_permits(SYMBOL)) == {b"v": b"d1-0", b"p:plan-1": PERMIT.encode()}
    assert outside.hgetall(keys.unknown_outcomes) == {b"plan-1": STATE.encode()}
    assert (await store.unknown_outcomes()).stored == (("plan-1", STATE),)
    # No other consumer may execute the plan a second time.
    assert outside.get(keys.permit("plan-1")) is None
    assert pending_ids(outside, keys.results) == []
    left_ms = 9_760_000_090_000 - await store.redis_now_ms()
    assert abs(outside.pttl(keys.unknown_outcomes) - left_ms - 60_000) < 5_000


async def test_the_first_report_says_since_when(
    store: Store, outside: Outside, keys: Keys, fence: FencingToken
) -> None:
    await reserve(outside, keys)
    await store.commit_result(fence, unknown("5-0"))
    await store.commit_result(fence, unknown("6-0", unknown_after=STATE.replace("1760", "1761")))
    assert outside.hgetall(keys.unknown_outcomes) == {b"plan-1": STATE.encode()}


@pytest.mark.parametrize(
    "ends",
    [
        {"permit_after": "", "unknown_after": None},
        {"permit_after": "BOTH|close|SELL|2|9760000090000", "unknown_after": ""},
        {"unknown_after": ""},
    ],
    ids=["the permit ends", "a part is reported", "the order is reported"],
)
async def test_the_state_ends_with_the_permit_or_by_a_result(
    store: Store, outside: Outside, keys: Keys, fence: FencingToken, ends: dict[str, object]
) -> None:
    await reserve(outside, keys)
    await store.commit_result(fence, unknown("5-0"))
    assert await store.commit_result(fence, unknown("6-0", **ends)) is not None
    assert outside.kind(keys.unknown_outcomes) == "none"


async def test_a_refusal_that_frees_nothing_ends_no_unknown_outcome(
    store: Store, outside: Outside, keys: Keys, fence: FencingToken
) -> None:
    await reserve(outside, keys)
    await store.commit_result(fence, unknown("5-0"))
    without_permit = unknown("6-0", permit_after="", unknown_after=None, only_if_unconsumed=True)
    assert await store.commit_result(fence, without_permit) is not None
    assert outside.hgetall(keys.unknown_outcomes) == {b"plan-1": STATE.encode()}
    assert outside.hgetall(keys.open_permits(SYMBOL))[b"p:plan-1"] == PERMIT.encode()


async def test_states_of_ended_permits_make_room(
    store: Store, outside: Outside, keys: Keys, fence: FencingToken
) -> None:
    await reserve(outside, keys)
    outside.hset(keys.unknown_outcomes, {"over": "1000|999|||BTCUSDT", "lives": STATE, "junk": b"\xff"})
    await store.commit_result(fence, unknown("5-0"))
    assert set(outside.hgetall(keys.unknown_outcomes)) == {b"lives", b"plan-1"}


async def test_an_event_of_the_exchange_is_booked_without_an_entry(
    store: Store, outside: Outside, keys: Keys, fence: FencingToken
) -> None:
    (entry_id,) = await deliver_results(store, outside, keys)
    await reserve(outside, keys)
    outside.set(keys.last_result_id, "7-0")
    event = booking(
        "9-3",
        permit_before=PERMIT,
        permit_after="",
        orders=(OrderWrite(OrderId("1001"), None, "3|2"),),
        acknowledge=False,
    )
    assert await store.commit_result(fence, event) is not None
    assert outside.hgetall(keys.order_memory(SYMBOL)) == {b"1001": b"3|2"}
    assert outside.hgetall(keys.open_permits(SYMBOL)) == {b"v": b"e9-3"}
    assert outside.get(keys.last_result_id) == b"7-0"
    assert pending_ids(outside, keys.results) == [entry_id]


async def test_a_key_of_another_type_hides_the_state_and_hinders_no_booking(
    store: Store, outside: Outside, keys: Keys, fence: FencingToken
) -> None:
    await reserve(outside, keys)
    outside.set(keys.unknown_outcomes, "text")
    assert await store.commit_result(fence, unknown("5-0")) is not None
    assert await store.commit_result(fence, unknown("6-0", permit_after="")) is not None
    assert outside.get(keys.unknown_outcomes) == b"text"
    with pytest.raises(WrongTypeError, match="p33:unknown"):
        await store.unknown_outcomes()
    assert (await store.permit_traces(PlanId("plan-1"), SYMBOL)).unknown is None


async def test_diagnostics_read_the_state_of_a_plan(store: Store, outside: Outside, keys: Keys) -> None:
    outside.hset(keys.unknown_outcomes, {"plan-1": STATE.replace("BTCUSDT", "Ⓢ"), "plan-2": "x" * 600})
    before = everything(outside)
    assert (await store.permit_traces(PlanId("plan-1"), SYMBOL)).unknown == STATE.replace("BTCUSDT", "Ⓢ")
    assert (await store.permit_traces(PlanId("plan-2"), None)).unknown is None
    assert (await store.permit_traces(PlanId("plan-3"), SYMBOL)).unknown is None
    read = await store.unknown_outcomes()
    assert read == UnknownOutcomes(read.now_ms, ((PlanId("plan-1"), STATE.replace("BTCUSDT", "Ⓢ")),))
    assert everything(outside) == before


async def test_open_permits_stay_readable_for_the_builds_before_this_state(
    store: Store, outside: Outside, keys: Keys, fence: FencingToken
) -> None:
    """Those refuse to decide on a symbol whose hash holds another field, or another form of value."""
    (verdict,) = await commit(store, fence, decision("plan-1", "1-0", assumed=None, permit="{}"))
    stored = outside.hgetall(keys.open_permits(SYMBOL))[b"p:plan-1"].decode()
    state = f"{decode_open_permit(PlanId('plan-1'), stored).expires_ms}|1|||{SYMBOL}"
    await store.commit_result(
        fence, unknown("5-0", permit_before=stored, mark_before="D|BOTH|close|SELL|0", unknown_after=state)
    )
    assert outside.kind(keys.unknown_outcomes) == "hash", verdict
    for field, value in outside.hgetall(keys.open_permits(SYMBOL)).items():
        known = re.fullmatch(rb"p:[ -~]+", field) and re.fullmatch(
            rb"[A-Z]+\|[a-z]+\|[A-Z]*\|[0-9][0-9.]*\|[0-9]{1,15}", value
        )
        assert field == b"v" or known
