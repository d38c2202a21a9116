"""Grants that end: settled by a result, or by their time; each once, all of a list or none."""

from __future__ import annotations

import msgspec
import pytest

from brain.identifiers import PlanId
from store.errors import WrongTypeError
from store.governor_records import GrantChange
from store.keys import GovernorKeys
from tests.store.backends import KEYS, Backend, everything
from tests.store.governed import (
    GOVERNOR,
    PLAN,
    SHADOW,
    SYMBOL,
    date_of,
    deliver,
    ended,
    granted,
    granted_now,
    judged,
    state_of,
)

_DATE = "2025-10-09"
_EVENT = ("event", "GRANT_EXPIRED", "reason", "no_result")


async def unfilled(backend: Backend, **changes: object) -> tuple[GrantChange, tuple[str, str]]:
    """Grant a plan; return its end without a fill, and the versions before and behind it."""
    state = await granted_now(backend)
    change = ended(
        reservation=state.account.reserved[PLAN].decode(), date=date_of(state.now_ms), opened="0",
        last_exec_sec="",
    )  # fmt: skip
    return msgspec.structs.replace(change, **changes), (state.account.version, "ended")


async def test_a_grant_that_ends_without_a_fill_gives_all_of_it_back(leased: Backend) -> None:
    (entry_id,) = await deliver(leased, PLAN, results=True)
    change, version = await unfilled(leased, entry_id=entry_id, audit=("plan_id", PLAN), events=(_EVENT,))
    assert await leased.store.change_grants(leased.fence, version, [change]) == (True,)
    after = await state_of(leased)
    assert (after.account.version, after.account.reserved) == ("ended", {})
    found = after.symbols[SYMBOL]
    assert (len(found.window), found.opened, found.last_exec) == (0, b"0", None)
    assert leased.outside.kind(GOVERNOR.executions(SYMBOL)) == "none"
    assert leased.outside.xpending(KEYS.results, "governor_result_monitor") == {}
    assert leased.outside.get(GOVERNOR.results.last_id) == entry_id.encode()
    assert [fields[b"event"] for _, fields in leased.outside.xrange(GOVERNOR.events)] == [b"GRANT_EXPIRED"]
    assert leased.outside.xlen(GOVERNOR.audit) == 2


async def test_a_fill_replaces_the_grant_and_its_sums_and_stays_in_the_window(leased: Backend) -> None:
    change, version = await unfilled(
        leased, becomes='{"filled_ms":1}', uncount=False, opened="73.5", reduced="2",
        last_exec_sec="1760000001",
    )  # fmt: skip
    assert await leased.store.change_grants(leased.fence, version, [change]) == (True,)
    after = await state_of(leased)
    found = after.symbols[SYMBOL]
    assert after.account.reserved == {PLAN: b'{"filled_ms":1}'}
    assert len(found.window) == 1
    assert (found.opened, found.reduced, found.last_exec) == (b"73.5", b"2", b"1760000001")


async def test_the_executions_list_keeps_what_is_left_of_the_window(leased: Backend) -> None:
    state = await granted_now(leased, PlanId("gov-0"))
    change, version = await unfilled(leased)
    assert await leased.store.change_grants(leased.fence, version, [change]) == (True,)
    kept = str(next(iter(state.symbols[SYMBOL].window)) // 1000).encode()
    assert leased.outside.lrange(GOVERNOR.executions(SYMBOL)) == [kept]


async def test_a_result_that_comes_twice_finds_no_grant_and_is_acknowledged_alone(leased: Backend) -> None:
    first, second = await deliver(leased, PLAN, PLAN, results=True)
    change, version = await unfilled(leased, entry_id=first)
    assert await leased.store.change_grants(leased.fence, version, [change]) == (True,)
    before = await state_of(leased)
    again = msgspec.structs.replace(change, entry_id=second)
    assert await leased.store.change_grants(leased.fence, version, [again]) is None
    assert await leased.store.change_grants(leased.fence, ("ended", "e2"), [again]) is None
    assert list(leased.outside.xpending(KEYS.results, "governor_result_monitor")) == [second]
    alone = ended(entry_id=second, symbol=None, uncount=False)
    assert await leased.store.change_grants(leased.fence, ("ended", "ended"), [alone]) == (True,)
    after = await state_of(leased)
    assert (after.account, after.symbols) == (before.account, before.symbols)
    assert leased.outside.xpending(KEYS.results, "governor_result_monitor") == {}


async def test_both_results_of_a_plan_in_one_list_settle_it_once(leased: Backend) -> None:
    first, second = await deliver(leased, PLAN, PLAN, results=True)
    change, version = await unfilled(leased, entry_id=first)
    alone = ended(entry_id=second, symbol=None, uncount=False)
    assert await leased.store.change_grants(leased.fence, version, [change, alone]) == (True, True)
    assert leased.outside.xpending(KEYS.results, "governor_result_monitor") == {}
    assert (await state_of(leased)).account.reserved == {}


@pytest.mark.parametrize("first", ["expiry", "settlement"])
async def test_an_expiry_and_a_settlement_of_one_grant_exclude_each_other(
    leased: Backend, first: str
) -> None:
    (entry_id,) = await deliver(leased, PLAN, results=True)
    expiry, version = await unfilled(leased, events=(_EVENT,))
    filled = msgspec.structs.replace(
        expiry, entry_id=entry_id, becomes='{"filled_ms":1}', uncount=False, opened="90", events=()
    )
    earlier, later = (expiry, filled) if first == "expiry" else (filled, expiry)
    assert await leased.store.change_grants(leased.fence, version, [earlier]) == (True,)
    before = everything(leased.outside)
    for versions in (version, ("ended", "e2")):
        assert await leased.store.change_grants(leased.fence, versions, [later]) is None
        assert everything(leased.outside) == before


async def test_one_reservation_that_is_another_leaves_the_whole_list_unwritten(leased: Backend) -> None:
    (entry_id,) = await deliver(leased, PLAN, results=True)
    change, version = await unfilled(leased, entry_id=entry_id)
    before = everything(leased.outside)
    unknown = ended(PlanId("gov-9"), reservation="{}", date=_DATE)
    assert await leased.store.change_grants(leased.fence, version, [change, unknown]) is None
    gone = msgspec.structs.replace(change, reservation="")
    assert await leased.store.change_grants(leased.fence, version, [gone]) is None
    assert everything(leased.outside) == before


async def test_a_change_on_another_version_writes_nothing(leased: Backend) -> None:
    change, (before, after) = await unfilled(leased)
    kept = everything(leased.outside)
    for other in ("", "another", before + " "):
        assert await leased.store.change_grants(leased.fence, (other, after), [change]) is None
    assert everything(leased.outside) == kept


async def test_a_judgement_and_a_settlement_exclude_each_other(leased: Backend) -> None:
    change, version = await unfilled(leased)
    judgement = granted(await state_of(leased), PlanId("gov-2"))
    assert await leased.store.change_grants(leased.fence, version, [change]) == (True,)
    assert (await judged(leased, judgement)).verdicts == ("changed",)
    assert (await judged(leased, granted(await state_of(leased), PlanId("gov-2")))).verdicts == ("committed",)
    late = msgspec.structs.replace(change, reservation="")
    assert await leased.store.change_grants(leased.fence, ("ended", "e2"), [late]) is None


async def test_a_permit_that_is_still_there_is_taken_back_with_its_grant(leased: Backend) -> None:
    change, version = await unfilled(leased, only_if_unconsumed=True)
    assert await leased.store.change_grants(leased.fence, version, [change]) == (True,)
    assert leased.outside.get(GOVERNOR.permit(PLAN)) is None
    assert (await state_of(leased)).account.reserved == {}


async def test_no_permit_is_left_behind_a_grant_that_ends(leased: Backend) -> None:
    change, version = await unfilled(leased)
    assert leased.outside.get(GOVERNOR.permit(PLAN)) is not None
    assert await leased.store.change_grants(leased.fence, version, [change]) == (True,)
    assert leased.outside.get(GOVERNOR.permit(PLAN)) is None


async def test_a_grant_whose_permit_is_consumed_stays_until_its_time_ends(leased: Backend) -> None:
    (entry_id,) = await deliver(leased, PLAN, results=True)
    change, version = await unfilled(leased, only_if_unconsumed=True, entry_id=entry_id)
    assert leased.outside.take(GOVERNOR.permit(PLAN)) is not None
    before = await state_of(leased)
    assert await leased.store.change_grants(leased.fence, version, [change]) == (False,)
    after = await state_of(leased)
    assert (after.account.reserved, after.symbols) == (before.account.reserved, before.symbols)
    assert leased.outside.xpending(KEYS.results, "governor_result_monitor") == {}


async def test_nothing_behind_a_change_whose_permit_is_consumed_is_written(leased: Backend) -> None:
    """Its sums rest on the end of a grant that goes on."""
    other = PlanId("gov-0")
    first, second = await deliver(leased, PLAN, other, results=True)
    await granted_now(leased, other)
    change, version = await unfilled(leased, only_if_unconsumed=True, entry_id=first)
    before = await state_of(leased)
    reservation = before.account.reserved[other].decode()
    behind = msgspec.structs.replace(change, entry_id=second, plan_id=other, reservation=reservation)
    assert leased.outside.take(GOVERNOR.permit(PLAN)) is not None
    assert await leased.store.change_grants(leased.fence, version, [change, behind]) == (False,)
    after = await state_of(leased)
    assert (after.account.reserved, after.symbols) == (before.account.reserved, before.symbols)
    assert leased.outside.get(GOVERNOR.permit(other)) is not None
    assert list(leased.outside.xpending(KEYS.results, "governor_result_monitor")) == [second]


@pytest.mark.parametrize("key", [GOVERNOR.events, GOVERNOR.audit, KEYS.results])
async def test_a_stream_of_a_wrong_type_is_named_and_nothing_settled(leased: Backend, key: str) -> None:
    (entry_id,) = await deliver(leased, PLAN, results=True)
    change, version = await unfilled(leased, entry_id=entry_id)
    leased.outside.delete(key)
    leased.outside.set(key, "x")
    before = everything(leased.outside)
    with pytest.raises(WrongTypeError, match=key):
        await leased.store.change_grants(leased.fence, version, [change])
    assert everything(leased.outside) == before


@pytest.mark.parametrize("keys", [GOVERNOR, SHADOW])
async def test_equity_is_kept_as_it_was_written(leased: Backend, keys: GovernorKeys) -> None:
    store = leased.another_store("first", governor_shadow=keys.shadow)
    assert set(await store.stored_equity()) == {None}
    fields = {"equity": "1000.5", "peak": "1100", "ts": "1", "peak_ts": "2", "day": _DATE, "day_open": "990"}
    await store.write_equity(leased.fence, fields)
    await store.write_equity(leased.fence, {"equity": "999"})
    assert await store.stored_equity() == (b"999", b"1100", b"1", b"2", _DATE.encode(), b"990")
    assert leased.outside.hgetall(keys.equity)[b"equity"] == b"999"
    assert leased.outside.pttl(keys.equity) == -1


async def test_an_equity_of_a_wrong_type_is_named(leased: Backend) -> None:
    leased.outside.set(GOVERNOR.equity, "x")
    with pytest.raises(WrongTypeError, match=GOVERNOR.equity):
        await leased.store.stored_equity()
    with pytest.raises(WrongTypeError, match=GOVERNOR.equity):
        await leased.store.write_equity(leased.fence, {"equity": "1"})
    assert leased.outside.get(GOVERNOR.equity) == b"x"


@pytest.mark.parametrize("results", [False, True])
async def test_the_governors_groups_begin_now_and_a_lost_one_behind_what_was_dealt_with(
    leased: Backend, results: bool
) -> None:
    group = leased.store.settled_results if results else leased.store.judged_plans
    leased.outside.xadd(group.stream, {"plan_id": "before"})
    first, second = await deliver(leased, "a", "b", results=results)
    if results:
        alone = ended(PlanId("a"), entry_id=first, symbol=None, uncount=False)
        assert await leased.store.change_grants(leased.fence, ("", ""), [alone]) == (True,)
    else:
        await judged(leased, granted(await state_of(leased), PlanId("a"), entry_id=first))
    leased.outside.xgroup_destroy(group.stream, group.group)
    await group.create(lost=True)
    assert [entry.id for entry in await group.read_new(count=9, block_ms=0)] == [second]
