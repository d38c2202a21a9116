"""A limit holds at every moment, however many plans are judged at once, each on a state of its own."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from random import Random

import msgspec
import pytest
import trio

from brain.identifiers import PlanId
from store.execution_protocol import ServiceStore
from store.governor_records import GovernorCommit, GovernorState
from store.memory.store import MemoryStore
from tests.store.backends import KEYS, Backend, MemoryBackend, RedisBackend
from tests.store.governed import GOVERNOR, PLAN, SYMBOL, basis, ended, granted, refused, state_of

_LIMIT = 3
_PLANS = 64


def decided(state: GovernorState, plan_id: PlanId) -> GovernorCommit:
    """Judge by the limit alone."""
    if len(state.symbols[SYMBOL].window) >= _LIMIT:
        return refused(state, plan_id)
    return granted(state, plan_id, stats=())


def behind(state: GovernorState, judgement: GovernorCommit) -> GovernorState:
    """Return the state that a judgement leaves."""
    grant = judgement.granted
    if grant is None:
        return state
    found = state.symbols[SYMBOL]
    after = found._replace(
        window=found.window.with_grant(grant.granted_ms),
        opened=None if grant.opened is None else grant.opened.encode(),
        last_exec=None if grant.last_exec_sec is None else grant.last_exec_sec.encode(),
    )
    reserved = state.account.reserved | {judgement.plan_id: grant.reservation.encode()}
    account = state.account._replace(version=judgement.version, reserved=reserved)
    return state._replace(account=account, symbols={SYMBOL: after})


async def judge_all(backend: Backend, store: ServiceStore, plans: Sequence[PlanId]) -> None:
    """Judge a batch, and what is left of it again, until all of it is written."""
    left = list(plans)
    while left:
        state = await store.governor_state([SYMBOL])
        judgements: list[GovernorCommit] = []
        for plan_id in left:
            judgements.append(decided(state, plan_id))
            state = behind(state, judgements[-1])
        verdicts = (await store.judge_plans(backend.fence, judgements)).verdicts
        left = left[sum(verdict == "committed" for verdict in verdicts) :]


async def all_at_once(backend: Backend, stores: Sequence[ServiceStore], batch: int) -> None:
    plans = [PlanId(f"gov-{number}") for number in range(_PLANS)]
    async with trio.open_nursery() as nursery:
        for number, begin in enumerate(range(0, _PLANS, batch)):
            some = plans[begin : begin + batch]
            nursery.start_soon(judge_all, backend, stores[number % len(stores)], some)


async def exactly_the_limit_is_granted(backend: Backend) -> None:
    state = await state_of(backend)
    assert len(state.account.reserved) == len(state.symbols[SYMBOL].window) == _LIMIT
    assert state.symbols[SYMBOL].opened == str(100 * _LIMIT).encode()
    marks = [backend.outside.get(GOVERNOR.plan_mark(f"gov-{number}")) for number in range(_PLANS)]
    assert (marks.count(b"granted"), marks.count(b"refused")) == (_LIMIT, _PLANS - _LIMIT)
    granted_permits = {PlanId(f"gov-{number}") for number, mark in enumerate(marks) if mark == b"granted"}
    assert granted_permits == set(state.account.reserved)


@pytest.mark.parametrize("batch", [1, 8])
async def test_of_64_plans_at_once_exactly_as_many_are_granted_as_the_limit_lets(
    real: RedisBackend, batch: int
) -> None:
    await real.take_lease()
    await all_at_once(real, [real.store, real.another_store("second")], batch)
    await exactly_the_limit_is_granted(real)


@pytest.mark.parametrize("batch", [1, 8])
@pytest.mark.parametrize("seed", range(20))
async def test_of_64_plans_in_any_order_of_steps_the_twin_grants_as_many(
    memory: MemoryBackend, seed: int, batch: int
) -> None:
    random = Random(seed)  # noqa: S311 - not for secrets

    async def crossing() -> None:
        for _ in range(random.randrange(12)):
            await trio.lowlevel.checkpoint()

    await memory.take_lease()
    stores = [
        MemoryStore(memory.redis, keys=KEYS, consumer=name, crossing=crossing) for name in ("first", "second")
    ]
    await all_at_once(memory, stores, batch)
    await exactly_the_limit_is_granted(memory)


#: Three judges of one plan each, as steps: r reads the state, w writes what was judged on it.
_ORDERS = sorted(set(itertools.permutations("aabbcc")))


@pytest.mark.parametrize("before", [_LIMIT - 1, _LIMIT - 2])
async def test_no_order_of_reads_and_writes_grants_more_than_the_limit(
    memory: MemoryBackend, before: int
) -> None:
    for order in _ORDERS:
        memory.outside.flushall()
        await memory.take_lease()
        await judge_all(memory, memory.store, [PlanId(f"old-{number}") for number in range(before)])
        read: dict[str, GovernorCommit] = {}
        for judge in order:
            if judge not in read:
                read[judge] = decided(await state_of(memory), PlanId(judge))
                continue
            reply = await memory.store.judge_plans(memory.fence, [read[judge]])
            if reply.verdicts == ("changed",):
                await judge_all(memory, memory.store, [PlanId(judge)])
        state = await state_of(memory)
        assert len(state.account.reserved) == len(state.symbols[SYMBOL].window) == _LIMIT, order


async def test_a_grant_that_ends_makes_room_for_one_more_and_not_for_two(leased: Backend) -> None:
    plans = [PlanId(f"old-{number}") for number in range(_LIMIT)]
    await judge_all(leased, leased.store, plans)
    state = await state_of(leased)
    change = ended(
        plans[0], reservation=state.account.reserved[plans[0]].decode(), opened="200",
        date=basis(state).date,
    )  # fmt: skip
    judgement = decided(state, PLAN)
    assert await leased.store.change_grants(leased.fence, (state.account.version, "ended"), [change])
    assert (await leased.store.judge_plans(leased.fence, [judgement])).verdicts == ("changed",)
    await judge_all(leased, leased.store, [PLAN, PlanId("gov-2")])
    after = await state_of(leased)
    assert set(after.account.reserved) == {*plans[1:], PLAN}
    assert msgspec.json.decode(after.account.reserved[PLAN])["symbol"] == SYMBOL
