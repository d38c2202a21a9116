"""The ways in which the service is broken on purpose, one at a time."""

from __future__ import annotations

from pathlib import Path

import msgspec


class StaleMutationError(Exception):
    """The text that a mutation replaces is not there, or more than once: the code has moved on."""


class Edit(msgspec.Struct, frozen=True):
    """One replacement in one file, of text that occurs there once."""

    path: str
    old: str
    new: str


class Mutation(msgspec.Struct, frozen=True):
    """A bug that somebody might write."""

    name: str
    edits: tuple[Edit, ...]

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
        (Edit("store/memory/commit_result.py", "redis.hdel(open_key, [plan_field.encode()])", "pass"),),
    ),
    Mutation(
        "a partial fill's cumulative quantity counts twice",
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
        (Edit("store/memory/commit_decisions.py", "        redis.hdel(open_key, expired)\n", ""),),
    ),
    Mutation(
        "the allowlist is not asked",
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
        (
            Edit(
                "brain/adoption.py",
                "        return self.changed_ms.get(leg, -1)\n",
                "        return -1\n",
            ),
        ),
    ),
)
