"""Open permits whose order may have been filled, as the store keeps them."""

from __future__ import annotations

import re

import pytest

from brain.identifiers import OrderId, PlanId
from brain.ledger.booking import decode_open_permit
from store.errors import WrongTypeError
from store.records import OrderWrite, ResultCommit, UnknownOutcomes
from tests.store.backends import KEYS, Backend, everything
from tests.store.commits import PLAN, SYMBOL, book, booking, commit, decision, deliver_results, pending_ids

PERMIT = "BOTH|close|SELL|3|9760000090000"
STATE = "9760000090000|1760000000000|desk-1|17|BTCUSDT"


def unknown(entry_id: str, **changes: object) -> ResultCommit:
    """Return a result of plan-1 that does not know what became of its order."""
    quiet: dict[str, object] = {"ledger_fields": (), "orders": (), "permit_before": PERMIT}
    quiet |= {"revoke_permit": True, "mark_after": "", "unknown_after": STATE}
    return booking(entry_id, **(quiet | changes))


async def reserve(backend: Backend) -> None:
    backend.outside.hset(KEYS.open_permits(SYMBOL), {"v": "d1-0", "p:plan-1": PERMIT})
    backend.outside.set(KEYS.permit("plan-1"), "{}")


async def test_an_unknown_outcome_frees_nothing_and_is_kept_beside_the_open_permits(leased: Backend) -> None:
    await reserve(leased)
    (entry_id,) = await deliver_results(leased)
    assert await book(leased, unknown(entry_id)) is not None
    assert leased.outside.hgetall(KEYS.open_permits(SYMBOL)) == {b"v": b"d1-0", b"p:plan-1": PERMIT.encode()}
    assert leased.outside.hgetall(KEYS.unknown_outcomes) == {b"plan-1": STATE.encode()}
    assert (await leased.store.unknown_outcomes()).stored == ((PLAN, STATE),)
    # No other consumer may execute the plan a second time.
    assert leased.outside.get(KEYS.permit("plan-1")) is None
    assert pending_ids(leased.outside, KEYS.results) == []
    left_ms = 9_760_000_090_000 - await leased.store.redis_now_ms()
    assert abs(leased.outside.pttl(KEYS.unknown_outcomes) - left_ms - 60_000) < 5_000


async def test_the_first_report_says_since_when(leased: Backend) -> None:
    await reserve(leased)
    await book(leased, unknown("5-0"))
    await book(leased, unknown("6-0", unknown_after=STATE.replace("1760", "1761")))
    assert leased.outside.hgetall(KEYS.unknown_outcomes) == {b"plan-1": STATE.encode()}


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
    leased: Backend, ends: dict[str, object]
) -> None:
    await reserve(leased)
    await book(leased, unknown("5-0"))
    assert await book(leased, unknown("6-0", **ends)) is not None
    assert leased.outside.kind(KEYS.unknown_outcomes) == "none"


async def test_a_refusal_that_frees_nothing_ends_no_unknown_outcome(leased: Backend) -> None:
    await reserve(leased)
    await book(leased, unknown("5-0"))
    without_permit = unknown("6-0", permit_after="", unknown_after=None, only_if_unconsumed=True)
    assert await book(leased, without_permit) is not None
    assert leased.outside.hgetall(KEYS.unknown_outcomes) == {b"plan-1": STATE.encode()}
    assert leased.outside.hgetall(KEYS.open_permits(SYMBOL))[b"p:plan-1"] == PERMIT.encode()


async def test_states_of_ended_permits_make_room(leased: Backend) -> None:
    await reserve(leased)
    leased.outside.hset(
        KEYS.unknown_outcomes, {"over": "1000|999|||BTCUSDT", "lives": STATE, "junk": b"\xff"}
    )
    await book(leased, unknown("5-0"))
    assert set(leased.outside.hgetall(KEYS.unknown_outcomes)) == {b"lives", b"plan-1"}


async def test_an_event_of_the_exchange_is_booked_without_an_entry(leased: Backend) -> None:
    (entry_id,) = await deliver_results(leased)
    await reserve(leased)
    leased.outside.set(KEYS.last_result_id, "7-0")
    event = booking(
        "9-3",
        permit_before=PERMIT,
        permit_after="",
        orders=(OrderWrite(OrderId("1001"), None, "3|2"),),
        acknowledge=False,
    )
    assert await book(leased, event) is not None
    assert leased.outside.hgetall(KEYS.order_memory(SYMBOL)) == {b"1001": b"3|2"}
    assert leased.outside.hgetall(KEYS.open_permits(SYMBOL)) == {b"v": b"e9-3"}
    assert leased.outside.get(KEYS.last_result_id) == b"7-0"
    assert pending_ids(leased.outside, KEYS.results) == [entry_id]


async def test_a_key_of_another_type_hides_the_state_and_hinders_no_booking(leased: Backend) -> None:
    await reserve(leased)
    leased.outside.set(KEYS.unknown_outcomes, "text")
    assert await book(leased, unknown("5-0")) is not None
    assert await book(leased, unknown("6-0", permit_after="")) is not None
    assert leased.outside.get(KEYS.unknown_outcomes) == b"text"
    with pytest.raises(WrongTypeError, match="p33:unknown"):
        await leased.store.unknown_outcomes()
    assert (await leased.store.permit_traces(PLAN, SYMBOL)).unknown is None


async def test_diagnostics_read_the_state_of_a_plan(backend: Backend) -> None:
    backend.outside.hset(
        KEYS.unknown_outcomes, {"plan-1": STATE.replace("BTCUSDT", "Ⓢ"), "plan-2": "x" * 600}
    )
    before = everything(backend.outside)
    assert (await backend.store.permit_traces(PLAN, SYMBOL)).unknown == STATE.replace("BTCUSDT", "Ⓢ")
    assert (await backend.store.permit_traces(PlanId("plan-2"), None)).unknown is None
    assert (await backend.store.permit_traces(PlanId("plan-3"), SYMBOL)).unknown is None
    read = await backend.store.unknown_outcomes()
    assert read == UnknownOutcomes(read.now_ms, ((PLAN, STATE.replace("BTCUSDT", "Ⓢ")),))
    assert everything(backend.outside) == before


async def test_open_permits_stay_readable_for_the_builds_before_this_state(leased: Backend) -> None:
    """Those refuse to decide on a symbol whose hash holds another field, or another form of value."""
    (verdict,) = await commit(leased, decision("plan-1", "1-0", assumed=None, permit="{}"))
    stored = leased.outside.hgetall(KEYS.open_permits(SYMBOL))[b"p:plan-1"].decode()
    state = f"{decode_open_permit(PLAN, stored).expires_ms}|1|||{SYMBOL}"
    await leased.store.commit_result(
        leased.fence,
        unknown("5-0", permit_before=stored, mark_before="D|BOTH|close|SELL|0", unknown_after=state),
    )
    assert leased.outside.kind(KEYS.unknown_outcomes) == "hash", verdict
    for field, value in leased.outside.hgetall(KEYS.open_permits(SYMBOL)).items():
        known = re.fullmatch(rb"p:[ -~]+", field) and re.fullmatch(
            rb"[A-Z]+\|[a-z]+\|[A-Z]*\|[0-9][0-9.]*\|[0-9]{1,15}", value
        )
        assert field == b"v" or known
