"""The ways in which the service is broken on purpose, one at a time: here those of permits and ledgers."""

from __future__ import annotations

from tests.simulation.chain_mutations import CHAIN_MUTATIONS
from tests.simulation.exchange_mutations import EXCHANGE_MUTATIONS
from tests.simulation.executor_mutations import EXECUTOR_MUTATIONS
from tests.simulation.governor_mutations import GOVERNOR_MUTATIONS
from tests.simulation.mutation import Edit, Mutation
from tests.simulation.reconcile_mutations import RECONCILE_MUTATIONS
from tests.simulation.redis_mutations import REDIS_MUTATIONS

MUTATIONS = (
    Mutation(
        "acknowledging before committing",
        ("b",),
        (
            Edit(
                "actors/permit_evaluator/actor.py",
                "        for plan in await self._decider.decide_and_commit(pending, session.fence):\n",
                "        if pending:\n"
                "            entry_ids = [plan.entry.id for plan in pending]\n"
                "            await self._store.plans.acknowledge(session.fence, entry_ids)\n"
                "        for plan in await self._decider.decide_and_commit(pending, session.fence):\n",
            ),
        ),
    ),
    Mutation(
        "REST overwrites newer events",
        ("a",),
        (
            Edit(
                "brain/positions/merging.py",
                "    if not _well_after(sent, known.arrived):\n        return Rule.RACE\n    dispute",
                "    if not _well_after(sent, known.arrived):\n        return Rule.NEWER\n    dispute",
            ),
        ),
    ),
    Mutation(
        "ts_epoch set at write time",
        ("a",),
        (
            Edit(
                "actors/snapshot_fetcher/writer.py",
                "            on_demand = snapshot.verified_by",
                "            old_sec = trio.current_time() - snapshot.verified_at.monotonic_sec\n"
                "            now = snapshot.verified_at.earlier_by(-old_sec)\n"
                "            snapshot = msgspec.structs.replace(snapshot, verified_at=now)\n"
                "            on_demand = snapshot.verified_by",
            ),
            Edit("actors/snapshot_fetcher/writer.py", "import trio\n", "import msgspec\nimport trio\n"),
        ),
    ),
    Mutation(
        "no open permit is released",
        ("c",),
        (Edit("store/memory/commit_results.py", "redis.hdel(open_key, [plan_field.encode()])", "pass"),),
    ),
    Mutation(
        "a partial fill's cumulative quantity counts twice",
        ("d",),
        (
            Edit(
                "brain/ledger/booking.py",
                "growth = max(ZERO, EXACT.subtract(order.cumulative, booked_before))",
                "growth = order.cumulative if order.cumulative > booked_before else ZERO",
            ),
        ),
    ),
    Mutation(
        "the commit does not check the hold",
        ("e",),
        (
            Edit(
                "store/memory/commit_decisions.py",
                "_assumed(stored.state) != decision.assumed:",
                "msgspec.structs.replace("
                "_assumed(stored.state), hold=decision.assumed.hold) != decision.assumed:",
            ),
        ),
    ),
    Mutation(
        "pending entries are not read again after a restart",
        ("f", "b"),
        (
            Edit(
                "store/memory/consumer_group.py",
                "            return recovered\n",
                "            return []\n",
            ),
        ),
    ),
    Mutation(
        "a stream without a pong is trusted",
        ("a",),
        (
            Edit(
                "actors/user_stream/connection.py",
                "            except trio.TooSlowError:\n"
                '                self.end(f"a ping was not answered within '
                '{_PATIENCE * self._proof_sec:g} s")\n',
                "            except trio.TooSlowError:\n"
                "                self._take_pong(Pong(self._clock.now()))\n",
            ),
        ),
    ),
    Mutation(
        "the fencing token is not checked",
        ("one writer",),
        (
            Edit(
                "store/memory/fencing.py",
                "    if redis.text(keys.lease) != fence.encode():\n        raise FencedError",
                "    if not fence:\n        raise FencedError",
            ),
        ),
    ),
    Mutation(
        "a consumed permit reserves nothing any more",
        ("c",),
        (
            Edit(
                "store/memory/commit_decisions.py",
                "        if int(permit[1]) > now_ms:\n",
                "        held = redis.kind(keys.permit(plan[1].decode()))\n"
                '        if int(permit[1]) > now_ms and held != "none":\n',
            ),
        ),
    ),
    Mutation(
        "open permits that are over stay in their hash",
        ("g",),
        (Edit("store/memory/commit_decisions.py", "        redis.hdel(open_key, expired)\n", ""),),
    ),
    Mutation(
        "the allowlist is not asked",
        ("e",),
        (
            Edit(
                "brain/decisions/checks.py",
                '    Check("allowlist", all_plans, entry_checks.allowlist),\n',
                "",
            ),
        ),
    ),
    Mutation(
        "an adopted ledger is taken to contain nothing",
        ("d",),
        (
            Edit(
                "brain/ledger/adoption.py",
                "        return self.changed_ms.get(leg, -1)\n",
                "        return -1\n",
            ),
        ),
    ),
    Mutation(
        "an adopted flat row without a date contains no fill",
        ("d",),
        (Edit("brain/ledger/adoption.py", "row.update_time_ms or seen_ms for", "row.update_time_ms for"),),
    ),
    Mutation(
        "adopted dates ahead of the exchange's clock count",
        ("d",),
        (
            Edit(
                "brain/ledger/adoption.py",
                "at_ms <= min(self.changed_ms, self.clock_ms) or at_ms == self.changed_ms",
                "at_ms <= self.changed_ms",
            ),
        ),
    ),
    Mutation(
        "what is done with is remembered for ever",
        ("g",),
        (
            Edit(
                "actors/stream_consumer.py",
                "        self._failed.pop(entry_id, None)\n",
                "        self._failed.get(entry_id)\n",
            ),
        ),
    ),
    Mutation(
        "after a restart of Redis nothing is opened any more",
        ("f",),
        (
            Edit(
                "brain/decisions/position_checks.py",
                "            since_sec is not None and since_sec < ttl_sec\n",
                "            since_sec is not None\n",
            ),
        ),
    ),
    Mutation(
        "waiting for a dependency counts as work",
        ("f",),
        (
            Edit(
                "supervision/heartbeat.py",
                "        return Phase(self, False, what)\n",
                "        return Phase(self, True, what)\n",
            ),
        ),
        by_itself=True,
    ),
    *EXCHANGE_MUTATIONS,
    *REDIS_MUTATIONS,
    *EXECUTOR_MUTATIONS,
    *GOVERNOR_MUTATIONS,
    *RECONCILE_MUTATIONS,
    *CHAIN_MUTATIONS,
)
