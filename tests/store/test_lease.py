from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from brain.identifiers import FencingToken, PlanId
from store.errors import FencedError, StoreRefusedError
from store.execution_protocol import ServiceStore
from store.records import Adoption, LeaseReply, MarkWrite, SnapshotWrite
from tests.store.backends import KEYS, Backend, everything
from tests.store.bridge_examples import WRITES as BRIDGE_WRITES
from tests.store.commits import BOOKING, DECISION, ENTRY, OF_ETH, SYMBOL, prepared
from tests.store.executions import BEGIN, EVENT, HOLD, ORPHAN, ORPHANS_HOLD, filled, refusal
from tests.store.governor_examples import WRITES as GOVERNOR_WRITES
from tests.store.history_examples import WRITES as HISTORY_WRITES
from tests.store.intelligence_examples import WRITES as INTELLIGENCE_WRITES
from tests.store.reconcile_examples import WRITES as RECONCILE_WRITES
from tests.store.test_publications import PUBLICATION

TTL_MS = 60_000


async def test_a_free_lease_is_taken_for_its_ttl(backend: Backend) -> None:
    reply = await backend.store.hold_lease("first", None, TTL_MS)
    assert reply.held
    assert reply.holder == "first"
    assert backend.outside.get(KEYS.lease) == reply.fence.encode()
    assert TTL_MS - 5_000 < backend.outside.pttl(KEYS.lease) <= TTL_MS


async def test_renewing_keeps_the_token_and_prolongs_the_life(backend: Backend) -> None:
    taken = await backend.store.hold_lease("first", None, 10_000)
    renewed = await backend.store.hold_lease("first", taken.fence, TTL_MS)
    assert renewed == taken
    assert backend.outside.pttl(KEYS.lease) > 10_000


async def test_another_instance_is_refused_with_the_name_of_the_holder(backend: Backend) -> None:
    taken = await backend.store.hold_lease("first", None, TTL_MS)
    before = everything(backend.outside)
    assert await backend.store.hold_lease("second", None, TTL_MS) == LeaseReply(False, taken.fence, "first")
    assert await backend.store.hold_lease("second", FencingToken("17:second"), TTL_MS) == LeaseReply(
        False, taken.fence, "first"
    )
    assert everything(backend.outside) == before


async def test_the_same_instance_takes_its_lease_back_at_once_with_a_higher_token(
    store: ServiceStore,
) -> None:
    before = await store.hold_lease("first", None, TTL_MS)
    after = await store.hold_lease("first", None, TTL_MS)
    assert after.held
    assert token(after) > token(before)


async def test_a_client_that_held_the_lease_before_cannot_renew_it(store: ServiceStore) -> None:
    before = await store.hold_lease("first", None, TTL_MS)
    after = await store.hold_lease("first", None, TTL_MS)
    assert await store.hold_lease("first", before.fence, TTL_MS) == LeaseReply(False, after.fence, "first")


async def test_a_lease_names_the_process_that_took_it_and_what_it_replaced(backend: Backend) -> None:
    taken = await backend.store.hold_lease("first", None, TTL_MS, process="a/1/0")
    assert taken.fence.endswith("@a/1/0:first")
    assert (taken.holder, taken.process, taken.replaced) == ("first", "a/1/0", "")
    assert backend.outside.get(KEYS.lease) == taken.fence.encode()
    assert await backend.store.hold_lease("first", taken.fence, TTL_MS, process="a/1/0") == taken
    other = await backend.store.hold_lease("second", None, TTL_MS, process="b/2/0")
    assert other == LeaseReply(False, taken.fence, "first", "a/1/0")
    again = await backend.store.hold_lease("first", None, TTL_MS, process="b/2/0")
    assert (again.held, again.process, again.replaced) == (True, "b/2/0", taken.fence)
    assert token(again) > token(taken)


async def test_a_former_holder_takes_no_lease_from_another_process_of_its_name(
    backend: Backend,
) -> None:
    before = await backend.store.hold_lease("first", None, 30, process="a/1/0")
    after = await backend.store.hold_lease("first", None, 30, process="b/2/0")
    lost = await backend.store.hold_lease("first", before.fence, TTL_MS, process="a/1/0")
    assert lost == LeaseReply(False, after.fence, "first", "b/2/0")
    await backend.pass_ms(31)
    assert (await backend.store.hold_lease("first", before.fence, TTL_MS, process="a/1/0")).held


async def test_a_process_takes_its_own_lease_back_under_a_new_token(store: ServiceStore) -> None:
    first = await store.hold_lease("first", None, TTL_MS, process="a/1/0")
    second = await store.hold_lease("first", None, TTL_MS, process="a/1/0")
    third = await store.hold_lease("first", first.fence, TTL_MS, process="a/1/0")
    assert third.held
    assert token(third) > token(second) > token(first)


async def test_a_lease_of_an_older_release_is_taken_back_by_its_instance(backend: Backend) -> None:
    backend.outside.set(KEYS.lease, "17:first")
    assert not (await backend.store.hold_lease("second", None, TTL_MS, process="b/2/0")).held
    reply = await backend.store.hold_lease("first", None, TTL_MS, process="a/1/0")
    assert (reply.held, reply.replaced) == (True, "17:first")


async def test_an_expired_lease_goes_to_any_instance(backend: Backend) -> None:
    before = await backend.store.hold_lease("first", None, 30)
    await backend.pass_ms(31)
    after = await backend.store.hold_lease("second", None, TTL_MS)
    assert after.held
    assert token(after) > token(before)
    assert not (await backend.store.hold_lease("first", before.fence, TTL_MS)).held


async def test_an_expired_lease_that_no_one_took_is_taken_again_under_a_new_token(backend: Backend) -> None:
    before = await backend.store.hold_lease("first", None, 30)
    await backend.pass_ms(31)
    after = await backend.store.hold_lease("first", before.fence, TTL_MS)
    assert after.held
    assert token(after) > token(before)


async def test_a_lease_that_was_evicted_is_taken_again_under_a_new_token_and_unbroken(
    backend: Backend,
) -> None:
    first = await backend.store.hold_lease("first", None, TTL_MS, process="a/1/0")
    assert not first.unbroken
    assert backend.outside.evict(KEYS.lease)
    second = await backend.store.hold_lease("first", first.fence, TTL_MS, process="a/1/0")
    assert (second.held, second.unbroken) == (True, True)
    assert token(second) > token(first)
    assert not (await backend.store.hold_lease("first", second.fence, TTL_MS, process="a/1/0")).unbroken


async def test_a_lease_that_another_instance_had_in_between_is_not_unbroken(backend: Backend) -> None:
    first = await backend.store.hold_lease("first", None, TTL_MS)
    backend.outside.delete(KEYS.lease)
    other = await backend.store.hold_lease("second", None, TTL_MS)
    await backend.store.release_lease(other.fence)
    again = await backend.store.hold_lease("first", first.fence, TTL_MS)
    assert (again.held, again.unbroken) == (True, False)
    backend.outside.evict(KEYS.lease)
    backend.outside.evict(KEYS.fence)
    assert not (await backend.store.hold_lease("first", again.fence, TTL_MS)).unbroken


async def test_no_token_is_given_out_twice_even_by_a_redis_that_lost_everything(backend: Backend) -> None:
    tokens = []
    for _ in range(3):
        tokens += [token(await backend.store.hold_lease("first", None, TTL_MS)) for _ in range(2)]
        backend.outside.flushall()
        await backend.pass_ms(5)
    assert tokens == sorted(set(tokens))


async def test_releasing_gives_only_ones_own_lease_up(backend: Backend) -> None:
    taken = await backend.store.hold_lease("first", None, TTL_MS)
    await backend.store.release_lease(FencingToken("17:second"))
    assert backend.outside.get(KEYS.lease) == taken.fence.encode()
    await backend.store.release_lease(taken.fence)
    assert backend.outside.get(KEYS.lease) is None
    await backend.store.release_lease(taken.fence)
    assert (await backend.store.hold_lease("second", None, TTL_MS)).held


@pytest.mark.parametrize(
    "instance", ["host:8045", "%d+", "a b", "17:", ":", "", "ü", "a\nb", "first|second", "[^a]*"]
)
async def test_an_instance_may_have_any_name(store: ServiceStore, instance: str) -> None:
    taken = await store.hold_lease(instance, None, TTL_MS)
    assert taken.held
    assert taken.holder == instance
    assert (await store.hold_lease(instance, None, TTL_MS)).held
    assert not (await store.hold_lease(instance + "x", None, TTL_MS)).held
    named = await store.hold_lease(instance, None, TTL_MS, process="a/1/0")
    assert (named.held, named.holder, named.process) == (True, instance, "a/1/0")
    assert not (await store.hold_lease(instance + "x", None, TTL_MS, process="a/1/0")).held


@pytest.mark.parametrize(
    "junk", [b"junk", b"", b":first", b"x:first", b"\xff\xfe:first", b"@a:first", b"1@first", b"1@a@b"]
)
async def test_a_lease_that_no_instance_wrote_counts_as_anothers(backend: Backend, junk: bytes) -> None:
    backend.outside.set(KEYS.lease, junk)
    reply = await backend.store.hold_lease("first", None, TTL_MS)
    assert not reply.held
    assert backend.outside.get(KEYS.lease) == junk


@pytest.mark.parametrize("name", ["lease", "fence"])
async def test_a_lease_of_a_wrong_type_is_refused(backend: Backend, name: str) -> None:
    backend.outside.hset(getattr(KEYS, name), {"a": "b"})
    before = everything(backend.outside)
    with pytest.raises(StoreRefusedError):
        await backend.store.hold_lease("first", None, TTL_MS)
    assert everything(backend.outside) == before


async def test_a_last_token_that_is_no_number_is_refused(backend: Backend) -> None:
    backend.outside.set(KEYS.fence, "many")
    with pytest.raises(StoreRefusedError):
        await backend.store.hold_lease("first", None, TTL_MS)
    assert backend.outside.get(KEYS.lease) is None


def token(reply: LeaseReply) -> int:
    return int(reply.fence.partition(":")[0].partition("@")[0])


TIMES = {"ts_epoch": "1", "ts_epoch_ms": "1000", "ts_iso": "1970-01-01T00:00:01.000Z"}

WRITES: dict[str, Callable[[ServiceStore, FencingToken], Awaitable[object]]] = {
    "commit_decisions": lambda store, fence: store.commit_decisions(fence, [DECISION]),
    "commit_decisions of nothing": lambda store, fence: store.commit_decisions(fence, []),
    "plans.acknowledge": lambda store, fence: store.plans.acknowledge(fence, [ENTRY]),
    "plans.dead_letter": lambda store, fence: store.plans.dead_letter(fence, ENTRY, ("error", "x")),
    "plans.recover": lambda store, fence: store.plans.recover(fence=fence, after="0", idle_ms=0, count=9),
    "results.recover": lambda store, fence: store.results.recover(fence=fence, after="0", idle_ms=0, count=9),
    "commit_results": lambda store, fence: store.commit_results(fence, [BOOKING, OF_ETH]),
    "commit_result": lambda store, fence: store.commit_result(fence, BOOKING),
    "adopt_ledgers": lambda store, fence: store.adopt_ledgers(
        fence, [Adoption(SYMBOL, ("last_known_amt", "1"), ("event", "LEDGER_ADOPTED"))], TTL_MS
    ),
    "renew_ledgers": lambda store, fence: store.renew_ledgers(fence, ["ETHUSDT"], TTL_MS),
    "emit_event": lambda store, fence: store.emit_event(fence, ("event", "LEDGER_DIVERGED")),
    "write_snapshots": lambda store, fence: store.write_snapshots(
        fence, [SnapshotWrite(SYMBOL, 60, ("position_amt", "1"))]
    ),
    "prove_snapshots": lambda store, fence: store.prove_snapshots(
        fence, {"ETHUSDT": 1}, times=TIMES, verified_by="stream", ttl_sec=60, marks={}
    ),
    "plans.take_part": lambda store, fence: store.plans.take_part(fence),
    "publish_universe": lambda store, fence: store.publish_universe(
        fence, PUBLICATION, rests_on=None, shadow=False
    ),
    "publish_universe in the shadow": lambda store, fence: store.publish_universe(
        fence, PUBLICATION, rests_on=None, shadow=True
    ),
    "write_marks": lambda store, fence: store.write_marks(fence, [MarkWrite("ETHUSDT", "1", "2", "3")]),
    "begin_order": lambda store, fence: store.begin_order(fence, BEGIN),
    "record_progress": lambda store, fence: store.record_progress(fence, filled()),
    "refuse_plan": lambda store, fence: store.refuse_plan(fence, refusal(plan_id=PlanId("plan-9"))),
    "hold_symbol": lambda store, fence: store.hold_symbol(fence, HOLD),
    "release_hold": lambda store, fence: store.release_hold(fence, HOLD.symbol, HOLD.client_order_id),
    "record_orphan": lambda store, fence: store.record_orphan(fence, ORPHAN, EVENT, ORPHANS_HOLD),
    "append_audit": lambda store, fence: store.append_audit(fence, ("step", "query")),
    "publish_dry_run": lambda store, fence: store.publish_dry_run(
        fence, store.dry_runs.stream, ENTRY, ("plan_id", "plan-1")
    ),
    "write_counts": lambda store, fence: store.write_counts(fence, {"processed": 2}),
    **GOVERNOR_WRITES,
    **RECONCILE_WRITES,
    **BRIDGE_WRITES,
    **INTELLIGENCE_WRITES,
    **HISTORY_WRITES,
}


@pytest.mark.parametrize("holder", ["none", "another", "the same, restarted"])
@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
async def test_every_write_under_a_lease_that_is_gone_is_fenced_and_does_nothing(
    leased: Backend, write: Callable[[ServiceStore, FencingToken], Awaitable[object]], holder: str
) -> None:
    await prepared(leased)
    await leased.store.release_lease(leased.fence)
    if holder != "none":
        await leased.store.hold_lease("second" if holder == "another" else "first", None, TTL_MS)
    before = everything(leased.outside)
    with pytest.raises(FencedError):
        await write(leased.store, leased.fence)
    assert everything(leased.outside) == before


@pytest.mark.parametrize("name", [name for name in WRITES if name != "commit_results"])
async def test_a_lease_of_a_wrong_type_refuses_every_write(leased: Backend, name: str) -> None:
    leased.outside.delete(KEYS.lease)
    leased.outside.hset(KEYS.lease, {"a": "b"})
    before = everything(leased.outside)
    with pytest.raises(StoreRefusedError):
        await WRITES[name](leased.store, leased.fence)
    assert everything(leased.outside) == before


async def test_a_lease_of_a_wrong_type_lets_none_of_several_results_be_booked(leased: Backend) -> None:
    leased.outside.delete(KEYS.lease)
    leased.outside.hset(KEYS.lease, {"a": "b"})
    before = everything(leased.outside)
    assert await leased.store.commit_results(leased.fence, [BOOKING, BOOKING]) == [None, None]
    assert everything(leased.outside) == before
