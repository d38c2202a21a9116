"""Mutations of failovers, evictions, clocks and unknown outcomes."""

from __future__ import annotations

from tests.simulation.mutation import Edit, Mutation

REDIS_MUTATIONS = (
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
