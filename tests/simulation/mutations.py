"""The ways in which the service is broken on purpose, one at a time."""

from __future__ import annotations

from pathlib import Path

import msgspec

#: What a judge says of an actor that nobody made fail.
FAILED_BY_ITSELF = "failed by itself"


class StaleMutationError(Exception):
    """The text that a mutation replaces is not there, or more than once: the code has moved on."""


class Edit(msgspec.Struct, frozen=True):
    """One replacement in one file, of text that occurs there once."""

    path: str
    old: str
    new: str


class Mutation(msgspec.Struct, frozen=True):
    """A bug that somebody might write.

    `breaks`: the guarantees of which one may be seen broken first. `by_itself`: what is seen is an actor that
    fails; of all others, that would only show that the mutation no longer fits.
    """

    name: str
    breaks: tuple[str, ...]
    edits: tuple[Edit, ...]
    by_itself: bool = False

    def is_seen_in(self, invariant: str | None, violation: str | None) -> bool:
        """Whether a search that ended so has seen this bug, and not something else."""
        return invariant in self.breaks and (FAILED_BY_ITSELF in (violation or "")) is self.by_itself

    def apply_to(self, tree: Path) -> None:
        """Write it into a copy of the tree. Raises StaleMutationError."""
        for edit in self.edits:
            file = tree / edit.path
            text = file.read_text()
            if text.count(edit.old) != 1:
                raise StaleMutationError(
                    f"{self.name}: {edit.path} has {text.count(edit.old)} of {edit.old!r}"
                )
            file.write_text(text.replace(edit.old, edit.new))


MUTATIONS = (
    Mutation(
        "acknowledging before committing",
        ("b",),
        (
            Edit(
                "actors/permit_evaluator.py",
                "            for work in await self._settler.settle(works, fence):\n",
                "            if works:\n"
                "                entry_ids = [work.entry.id for work in works]\n"
                "                await self._store.acknowledge_plans(fence, entry_ids)\n"
                "            for work in await self._settler.settle(works, fence):\n",
            ),
        ),
    ),
    Mutation(
        "REST overwrites newer events",
        ("a",),
        (
            Edit(
                "brain/merging.py",
                "        return row.update_time_ms > known.row.update_time_ms\n"
                "    return sent > known.learnt",
                "        return True\n    return sent > known.learnt",
            ),
        ),
    ),
    Mutation(
        "ts_epoch set at write time",
        ("a",),
        (
            Edit(
                "actors/snapshot_writer.py",
                "            on_demand = snapshot.verified_by",
                "            old_sec = trio.current_time() - snapshot.verified_at.monotonic_sec\n"
                "            now = snapshot.verified_at.earlier_by(-old_sec)\n"
                "            snapshot = msgspec.structs.replace(snapshot, verified_at=now)\n"
                "            on_demand = snapshot.verified_by",
            ),
            Edit("actors/snapshot_writer.py", "import trio\n", "import msgspec\nimport trio\n"),
        ),
    ),
    Mutation(
        "no open permit is released",
        ("c",),
        (Edit("store/memory/commit_result.py", "redis.hdel(open_key, [plan_field.encode()])", "pass"),),
    ),
    Mutation(
        "a partial fill's cumulative quantity counts twice",
        ("d",),
        (
            Edit(
                "brain/booking.py",
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
                "store/memory/entries.py",
                "    if found is None:\n        return None\n",
                "    return None\n",
            ),
        ),
    ),
    Mutation(
        "a stream without a pong is trusted",
        ("a",),
        (
            Edit(
                "actors/stream_line.py",
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
                "brain/checks.py",
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
                "brain/adoption.py",
                "        return self.changed_ms.get(leg, -1)\n",
                "        return -1\n",
            ),
        ),
    ),
    Mutation(
        "what is done with is remembered for ever",
        ("g",),
        (
            Edit(
                "actors/attempts.py",
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
                "brain/position_checks.py",
                "case.redis_changed_ms > 0 and since_sec < case.rules.permit_ttl_sec",
                "case.redis_changed_ms > 0",
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
    Mutation(
        "a proof is written whatever position was written before",
        ("a",),
        (
            Edit(
                "actors/snapshot_writer.py",
                "written.legs == snapshot.legs and written.leverage == snapshot.leverage\n",
                "written.leverage == snapshot.leverage\n",
            ),
        ),
    ),
)
