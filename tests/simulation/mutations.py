"""The ways in which the service is broken on purpose, one at a time."""

from __future__ import annotations

from pathlib import Path

import msgspec

#: A judge's words on an actor that no fault made fail.
FAILED_BY_ITSELF = "failed by itself"


class StaleMutationError(Exception):
    """The text that a mutation replaces is not there, or more than once: the code has moved on."""


class Edit(msgspec.Struct, frozen=True):
    """One replacement in one file, of text that occurs there once."""

    path: str
    old: str
    new: str


class Mutation(msgspec.Struct, frozen=True):
    """A bug that a developer might write.

    `breaks`: the guarantees of which one may be seen broken first. `by_itself`: what is seen is an actor that
    fails; of all others, that would only show that the mutation no longer fits.
    """

    name: str
    breaks: tuple[str, ...]
    edits: tuple[Edit, ...]
    by_itself: bool = False

    def is_seen_in(self, invariant: str | None, violation: str | None) -> bool:
        """Return whether a search that ended so has found this bug, and no other."""
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
        (Edit("store/memory/commit_result.py", "redis.hdel(open_key, [plan_field.encode()])", "pass"),),
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
    Mutation(
        "a proof is written whatever position was written before",
        ("a",),
        (
            Edit(
                "actors/snapshot_fetcher/writer.py",
                "written.legs == snapshot.legs and written.leverage == snapshot.leverage\n",
                "written.leverage == snapshot.leverage\n",
            ),
        ),
    ),
    Mutation(
        "an older read is never taken",
        ("f", "a", "e"),
        (
            Edit(
                "brain/positions/merging.py",
                "seconded = dispute.by_read and _well_after(sent, dispute.at)",
                "seconded = False",
            ),
        ),
    ),
    Mutation(
        "an older read is taken for a late one, however late it was sent",
        ("a", "e"),
        (
            Edit(
                "brain/positions/merging.py",
                "    if dispute is None:\n        return Rule.DISCREPANCY\n",
                "    if dispute is None:\n        return Rule.RACE\n",
            ),
        ),
    ),
    Mutation(
        "what is in dispute is proven all the same",
        ("a", "e"),
        (
            Edit(
                "brain/positions/symbol_state.py",
                " not in _WHOLE or state.disputed_at is not None:",
                " not in _WHOLE:",
            ),
        ),
    ),
    Mutation(
        "dates ahead of the exchange's clock are merged",
        ("a", "e", "f", "h"),
        (
            Edit(
                "clocks/clock_offset.py",
                "return None if at_most_ms is None else at_most_ms + _MACHINES_APART_MS",
                "return None",
            ),
        ),
    ),
    Mutation(
        "the flat row of BOTH is merged beside the legs",
        ("h", "f"),
        (
            Edit(
                "brain/positions/merging.py",
                "if row.leg is Leg.BOTH and not row.amount and any(",
                "if row.leg is Leg.BOTH and row.amount and any(",
            ),
        ),
    ),
    Mutation(
        "a listen key that was proven once stays proven",
        ("h",),
        (
            Edit(
                "actors/user_stream/connection.py",
                "await trio.sleep_until(asked_sec + KEEP_ALIVE_SEC)",
                "await trio.sleep_until(asked_sec + 30 * KEEP_ALIVE_SEC)",
            ),
        ),
    ),
    Mutation(
        "a divergence leaves the connection as it is",
        ("h",),
        (
            Edit(
                "actors/user_stream/actor.py",
                'self._lose("diverged from the exchange")',
                "pass",
            ),
        ),
    ),
    Mutation(
        "connections are made as fast as they end",
        ("h",),
        (
            Edit(
                "actors/user_stream/reconnect_pauses.py",
                "pause_sec = self._delays.next_sec()",
                "pause_sec = 0.1",
            ),
            Edit(
                "exchange/connection_limit.py",
                "if len(self._opened_sec) < most:",
                "if most:",
            ),
        ),
    ),
    Mutation(
        "a refusal without a moment is asked again at once",
        ("h",),
        (
            Edit(
                "exchange/request_gate.py",
                "max(asked_sec, pauses.after(self._refusals[pauses]))",
                "max(asked_sec, 0.2)",
            ),
        ),
    ),
    Mutation(
        "the firewall's 403 is an error like any other",
        ("h",),
        (
            Edit(
                "exchange/refusals.py",
                "elif status != _FORBIDDEN or error is not None:",
                "else:",
            ),
        ),
    ),
    Mutation(
        "one unreadable row of positions fails the whole read",
        ("f",),
        (
            Edit(
                "exchange/rest.py",
                "        return PositionsRead(positions_wire.tradable_rows(rows, unreadable),",
                "        if unreadable:\n"
                '            raise ExchangeUnavailable("unreadable answer")\n'
                "        return PositionsRead(positions_wire.tradable_rows(rows, unreadable),",
            ),
        ),
    ),
    Mutation(
        "one unreadable symbol of exchangeInfo fails the whole answer",
        ("f",),
        (
            Edit(
                "exchange/rest.py",
                "        self._listed = (*rules,",
                "        if unreadable:\n"
                '            raise ExchangeUnavailable("unreadable answer")\n'
                "        self._listed = (*rules,",
            ),
        ),
    ),
    Mutation(
        "an unreadable mark price ends the connection",
        ("h",),
        (
            Edit(
                "exchange/market_stream.py",
                "    except (msgspec.DecodeError, ValueError):\n        return None\n",
                "    except (msgspec.DecodeError, ValueError):\n"
                '        raise UnreadableEvent("mark prices") from None\n',
            ),
        ),
    ),
    Mutation(
        "positions are asked for by a version that was removed",
        ("f",),
        (
            Edit(
                "exchange/rest.py",
                "                self._uses_v3 = True\n",
                "                raise\n",
            ),
        ),
    ),
    Mutation(
        "connections to a demoted primary stay in use",
        ("f",),
        (Edit("store/redis/connection_pool.py", "        self._generation += 1\n", "        pass\n"),),
    ),
    Mutation(
        "a right that was taken is an error like any other",
        ("f",),
        (
            Edit(
                "store/redis/errors.py",
                '    "NOPERM": WrongRightsError,\n',
                '    "NOPERM": StoreRefusedError,\n',
            ),
        ),
        by_itself=True,
    ),
    Mutation(
        "evictions are not noticed",
        ("e",),
        (
            Edit(
                "store/stored_values.py",
                "        evicted_ms = now_ms if evicted_keys > known else min(int(read[3]), now_ms)\n",
                "        evicted_ms = int(read[3])\n",
            ),
        ),
    ),
    Mutation(
        "an evicted reservation is forgotten",
        ("c",),
        (
            Edit(
                "actors/permit_evaluator/assumed_state.py",
                "            assumed.lost = known.lost | known.permits\n",
                "            assumed.lost = {}\n",
            ),
        ),
    ),
    Mutation(
        "permits are dated by the host's clock",
        ("e",),
        (
            Edit(
                "actors/permit_evaluator/deciding.py",
                "            created_at_sec=now_ms / 1000,\n",
                "            created_at_sec=now.wall_ms / 1000,\n",
            ),
        ),
    ),
    Mutation(
        "clocks that are apart are no reason not to be ready",
        ("f",),
        (
            Edit(
                "monitoring/status/source.py",
                "clocks_apart=self._clocks.redis_apart(HARMFUL_SEC),",
                "clocks_apart=None,",
            ),
        ),
    ),
    Mutation(
        "an entry id ahead of Redis's clock is taken for now",
        ("e", "f"),
        (
            Edit(
                "actors/permit_evaluator/deciding.py",
                "        now_ms = self._clocks.redis.now_ms(now)\n",
                "        now_ms = max(self._clocks.redis.now_ms(now), entry.id_ms)\n",
            ),
        ),
    ),
    Mutation(
        "the ledger's order time is the host's clock",
        ("e",),
        (
            Edit(
                "actors/ledger_writer/booking.py",
                "        return Decimal(self._clocks.redis_now_ms()).scaleb(-3)\n",
                "        return Decimal(self._clocks.now().wall_ms).scaleb(-3)\n",
            ),
        ),
    ),
    Mutation(
        "an unknown outcome is taken for a refusal",
        ("c", "d"),
        (
            Edit(
                "actors/ledger_writer/booking.py",
                "None if state.permit is None or result.unknown is not None else",
                "None if state.permit is None else",
            ),
        ),
    ),
    Mutation(
        "the exchange's events of an unknown outcome are not booked",
        ("c", "d"),
        (
            Edit(
                "actors/ledger_writer/unknown_outcomes.py",
                "if event is not None and await",
                "if event is not None and not event and await",
            ),
        ),
    ),
    Mutation(
        "details that quote a permit say that there was none",
        ("c",),
        (
            Edit(
                "brain/ledger/result.py",
                "    proof = proof_of(_words(fields, quoted))\n",
                "    proof = proof_of(_words(fields, quoted))\n"
                '    if proof is Proof.REFUSED and b"permit" in fields.get(b"details", b""):\n'
                "        proof = Proof.NO_PERMIT\n",
            ),
        ),
    ),
    Mutation(
        "two processes of one name take the lease from each other",
        ("f",),
        (
            Edit(
                "store/memory/fencing.py",
                " or found[2] != instance.encode() or not (own or not fence):",
                " or found[2] != instance.encode() or (own and not fence):",
            ),
        ),
    ),
)
