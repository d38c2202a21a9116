"""What a judgement of the Governor rests on: whatever of it has changed, nothing is written."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest

from brain.identifiers import PlanId, Symbol
from store.errors import StoreUnavailableError, WrongTypeError
from store.governor_records import BasisPart
from store.keys import ExecutorKeys
from tests.store.backends import KEYS, Backend, MemoryBackend, RedisBackend, everything
from tests.store.governed import (
    GOVERNOR,
    HOUR_MS,
    PLAN,
    SYMBOL,
    TRADING_STATE,
    basis,
    date_of,
    deliver,
    ended,
    free,
    granted,
    granted_now,
    judged,
    refused,
    state_of,
)

_DAY_MS = 24 * HOUR_MS
_EXECUTOR = ExecutorKeys(KEYS)


#: By the name of what changes: the key, and what another writes there.
CHANGES: dict[str, Callable[[Backend, str], object]] = {
    "version": lambda b, _: b.outside.set(GOVERNOR.version, "another"),
    "a live grant": lambda b, _: b.outside.hset(GOVERNOR.reserved, {"another": "{}"}),
    "trading_state": lambda b, _: b.outside.set(TRADING_STATE, "REDUCING"),
    "trading_state of a wrong type": lambda b, _: b.outside.hset(TRADING_STATE, {"a": "b"}),
    "kill": lambda b, _: b.outside.set(_EXECUTOR.kill, "1"),
    "global kill": lambda b, _: b.outside.set(_EXECUTOR.global_kill, "yes"),
    "mode": lambda b, _: b.outside.set(_EXECUTOR.mode, b"\xff\x00"),
    "lockdown": lambda b, _: b.outside.hset(_EXECUTOR.lockdown, {"of any": "type"}),
    "freeze": lambda b, _: b.outside.set(GOVERNOR.frozen, ""),
    **{
        key.rpartition(":")[2]: lambda b, _, key=key: b.outside.set(key, "{}")  # type: ignore[misc]
        for key in GOVERNOR.guards
    },
    "an auto-disarm": lambda b, date: b.outside.set(GOVERNOR.disarm(date), "{}"),
    "the window": lambda b, _: b.outside.zadd(GOVERNOR.window(SYMBOL), {"another": 1_900_000_000_000}),
    "opened": lambda b, date: b.outside.set(GOVERNOR.opened(SYMBOL, date), "1"),
    "reduced": lambda b, date: b.outside.set(GOVERNOR.reduced(SYMBOL, date), "1"),
    "last_exec": lambda b, _: b.outside.set(GOVERNOR.last_exec(SYMBOL), "1"),
    **{
        field: lambda b, _, field=field: b.outside.hset(GOVERNOR.kill_stats(SYMBOL), {field: "1"})  # type: ignore[misc]
        for field in ("entry_n", "entry_mean", "entry_var", "entry_ts", "exit_n", "exit_mean", "exit_var",
                      "exit_ts", "exit_blocked_since")
    },
    "statistics of a wrong type": lambda b, _: b.outside.set(GOVERNOR.kill_stats(SYMBOL), "x"),
    "blacklist": lambda b, _: b.outside.set(GOVERNOR.blacklisted(SYMBOL), "1"),
    **{
        f"budget {field}": lambda b, _, field=field: b.outside.hset(GOVERNOR.budget(SYMBOL), {field: "1"})  # type: ignore[misc]
        for field in ("mode", "budget_usd", "stress_factor", "timestamp")
    },
    **{
        f"allocation {field}": lambda b, _, field=field: b.outside.hset(  # type: ignore[misc]
            GOVERNOR.allocation(SYMBOL), {field: "1"}
        )
        for field in ("mode", "target_usd", "confidence", "timestamp")
    },
    **{
        f"efficiency {field}": lambda b, _, field=field: b.outside.hset(  # type: ignore[misc]
            GOVERNOR.efficiency(SYMBOL), {field: "1"}
        )
        for field in ("efficiency_score", "confidence", "ts")
    },
}  # fmt: skip


@pytest.mark.parametrize("name", CHANGES)
async def test_a_judgement_on_a_state_that_has_changed_since_writes_nothing(
    leased: Backend, name: str
) -> None:
    state = await state_of(leased)
    CHANGES[name](leased, date_of(state.now_ms))
    before = everything(leased.outside)
    assert (await judged(leased, granted(state))).verdicts == ("changed",)
    assert everything(leased.outside) == before
    again = await state_of(leased)
    assert (again.account, again.symbols) != (state.account, state.symbols)
    assert (await judged(leased, granted(again))).verdicts == ("committed",)


#: What the parts of a basis leave out, by the beginnings of the names of `CHANGES`.
OF_PART: dict[BasisPart, tuple[str, ...]] = {
    "close": ("version", "trading_state", "an auto-disarm", "reduced", "exit_", "statistics"),
    "entry": ("entry_", "statistics"),
    "exit": ("exit_", "statistics"),
}


@pytest.mark.parametrize("part", OF_PART)
@pytest.mark.parametrize("name", CHANGES)
async def test_a_part_of_a_basis_holds_while_what_it_names_is_the_same(
    leased: Backend, name: str, part: BasisPart
) -> None:
    state = await state_of(leased)
    CHANGES[name](leased, date_of(state.now_ms))
    one = refused(state, basis=msgspec.structs.replace(basis(state), part=part))
    changed = name.startswith(OF_PART[part])
    assert (await judged(leased, one)).verdicts == ("changed" if changed else "committed",)


@pytest.mark.parametrize(("part", "holds"), [("close", False), ("entry", True), ("exit", True)])
async def test_statistics_alone_rest_on_no_day(leased: Backend, part: BasisPart, holds: bool) -> None:
    state = await state_of(leased)
    one = refused(state, basis=msgspec.structs.replace(basis(state), date="2001-01-01", part=part))
    assert (await judged(leased, one)).verdicts == ("committed" if holds else "changed",)


async def test_another_symbols_state_changes_nothing(leased: Backend) -> None:
    other = Symbol("ETHUSDT")
    state = await state_of(leased)
    leased.outside.set(GOVERNOR.last_exec(other), "1")
    leased.outside.hset(GOVERNOR.kill_stats(other), {"entry_n": "1"})
    assert (await judged(leased, granted(state))).verdicts == ("committed",)


async def test_a_grant_that_comes_too_late_writes_nothing(leased: Backend) -> None:
    state = await state_of(leased)
    before = everything(leased.outside)
    late = granted(state, deadline_ms=state.now_ms - 1)
    assert (await judged(leased, late, free())).verdicts == ("late",)
    assert everything(leased.outside) == before


async def test_a_judgement_of_yesterday_is_judged_again(memory: MemoryBackend) -> None:
    await memory.take_lease()
    state = await state_of(memory)
    await memory.pass_ms(_DAY_MS - state.now_ms % _DAY_MS)
    await memory.take_lease()
    assert (await judged(memory, granted(state, deadline_ms=0))).verdicts == ("changed",)
    again = await state_of(memory)
    assert (await judged(memory, granted(again))).verdicts == ("committed",)
    assert memory.outside.get(GOVERNOR.opened(SYMBOL, date_of(again.now_ms))) == b"100"
    assert date_of(again.now_ms) != date_of(state.now_ms)


async def test_a_judgement_of_another_day_is_refused_by_every_redis(leased: Backend) -> None:
    state = await state_of(leased)
    other = msgspec.structs.replace(basis(state), date=date_of(state.now_ms - _DAY_MS))
    assert (await judged(leased, granted(state, basis=other))).verdicts == ("changed",)


async def test_a_redis_that_was_emptied_judges_nothing_on_what_it_held_before(leased: Backend) -> None:
    state = await granted_now(leased, PlanId("gov-0"))
    leased.outside.flushall()
    await leased.take_lease()
    assert (await judged(leased, granted(state))).verdicts == ("changed",)
    assert set(leased.outside.keys()) == {KEYS.lease, KEYS.fence}


@pytest.mark.parametrize(
    "key",
    [GOVERNOR.events, GOVERNOR.audit, KEYS.plans, KEYS.dead_plans],
)
async def test_a_stream_of_a_wrong_type_is_named_and_nothing_written(leased: Backend, key: str) -> None:
    state = await state_of(leased)
    if key == KEYS.plans:
        leased.outside.set(key, "x")
    else:
        leased.outside.hset(key, {"a": "b"})
    before = everything(leased.outside)
    with pytest.raises(WrongTypeError, match=key):
        await judged(leased, free(PlanId("gov-0"), symbol=None), granted(state))
    assert everything(leased.outside) == before


async def test_counts_of_a_wrong_type_are_read_as_such_and_stop_no_judgement(leased: Backend) -> None:
    """Closes are reserved as one behind the other would be, and what cannot be written is left out."""
    before = await granted_now(leased, PlanId("gov-0"))
    (entry_id,) = await deliver(leased, PLAN)
    keys = (GOVERNOR.reserved, GOVERNOR.window(SYMBOL), GOVERNOR.plan_mark(PLAN), GOVERNOR.plans.last_id)
    for key in keys:
        leased.outside.delete(key)
    for key in keys[:2]:
        leased.outside.set(key, "x")
    for key in keys[2:]:
        leased.outside.hset(key, {"a": "b"})
    assert (await judged(leased, granted(before))).verdicts == ("changed",)
    state = await state_of(leased)
    assert (state.account.reserved, state.account.countable) == ({}, False)
    assert (len(state.symbols[SYMBOL].window), state.symbols[SYMBOL].countable) == (0, False)
    first = granted(state, entry_id=entry_id)
    after = state.symbols[SYMBOL]._replace(
        opened=b"200", last_exec=str(state.now_ms // 1000).encode(),
        entry=(b"1", b"0.5", b"0", str(state.now_ms).encode()),
    )  # fmt: skip
    account = state.account._replace(version=first.version)
    second = granted(state._replace(account=account, symbols={SYMBOL: after}), PlanId("gov-2"))
    assert (await judged(leased, first, second)).verdicts == ("committed", "committed")
    assert [leased.outside.get(key) for key in keys[:3]] == [b"x", b"x", b"granted"]
    assert leased.outside.get(GOVERNOR.plans.last_id) == entry_id.encode()
    assert leased.outside.get(GOVERNOR.permit(PLAN)) is not None
    # What was granted cannot be settled; nothing is known of it any more.
    assert await leased.store.change_grants(leased.fence, (second.version, "later"), [ended()]) is None


async def test_a_window_of_a_wrong_type_stops_no_settling(leased: Backend) -> None:
    state = await granted_now(leased)
    leased.outside.delete(GOVERNOR.window(SYMBOL))
    leased.outside.set(GOVERNOR.window(SYMBOL), "x")
    change = ended(reservation=state.account.reserved[PLAN].decode())
    assert await leased.store.change_grants(leased.fence, (state.account.version, "later"), [change]) == (
        True,
    )
    assert leased.outside.get(GOVERNOR.window(SYMBOL)) == b"x"
    assert (await state_of(leased)).account.reserved == {}


async def test_texts_of_any_bytes_are_read_and_compared(leased: Backend) -> None:
    leased.outside.set(GOVERNOR.version, b"\xff\xfe")
    leased.outside.hset(GOVERNOR.budget(SYMBOL), {"mode": b"\x00\xff"})
    leased.outside.hset(GOVERNOR.efficiency(SYMBOL), {"ts": b"x" * 70_000})
    state = await state_of(leased)
    assert state.symbols[SYMBOL].budget[0] == b"\x00\xff"
    assert (await judged(leased, granted(state))).verdicts == ("committed",)


async def test_nothing_is_judged_where_connections_were_lost_since_the_run_was_compared(
    real: RedisBackend,
) -> None:
    await real.take_lease()
    await real.store.governor_run(None)
    real.plain.call("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
    state = None
    while state is None:
        try:
            state = await state_of(real)
        except StoreUnavailableError:
            continue
    # Other roles' comparisons are not the Governor's.
    await real.store.redis_run(None)
    await real.store.execution_run(None)
    before = everything(real.outside)
    with pytest.raises(StoreUnavailableError, match="since its run was compared"):
        await judged(real, granted(state))
    assert everything(real.outside) == before
    await real.store.governor_run(None)
    assert (await judged(real, granted(state))).verdicts == ("committed",)


async def test_nothing_is_judged_on_another_run_of_the_twin_before_it_is_compared(
    memory: MemoryBackend,
) -> None:
    await memory.take_lease()
    await memory.store.governor_run(None)
    state = await state_of(memory)
    memory.redis.restart()
    with pytest.raises(StoreUnavailableError, match="since its run was compared"):
        await judged(memory, granted(state))
