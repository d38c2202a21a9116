"""Mutations of the Governor: of its counts, its comparisons, its kill score and its settling."""

from __future__ import annotations

from tests.simulation.mutation import Edit, Mutation

_STEPS = "store/memory/governor_steps.py"
_HOLDS = """\
        if judgement.basis is not None and not self._holds(judgement.symbol, judgement.basis):
"""
_COMPARES = """\
        texts = part_of(symbol_texts(redis, governor, symbol, self._date), basis.part)
        if basis.of_symbol != texts:
            return False
"""

GOVERNOR_MUTATIONS = (
    Mutation(
        "a grant counts before its basis is compared",
        ("g1", "g3", "g4"),
        (
            Edit(
                _STEPS,
                _HOLDS,
                "        if judgement.granted is not None:\n"
                "            self._count(judgement.plan_id, judgement.symbol, judgement.granted)\n" + _HOLDS,
            ),
        ),
        governor=True,
    ),
    Mutation(
        "a grant is not put into the window",
        ("g2", "g3"),
        (Edit(_STEPS, "            redis.zadd(window, granted.granted_ms, plan_id)\n", ""),),
        governor=True,
    ),
    Mutation(
        "grants are settled without a comparison",
        ("g1", "g2", "g3"),
        (
            Edit(
                _STEPS,
                "        if found != before or stored is None or not _are_stored(stored, changes):\n",
                "        if stored is None or not changes:\n",
            ),
            # The script would find what this process has settled before.
            Edit(
                "actors/governor/changes.py",
                "        if effect.becomes is None:\n"
                "            state.ended(grant.plan_id)\n"
                "        else:\n"
                "            state.granted(effect.becomes, becomes)\n",
                "",
            ),
        ),
        governor=True,
    ),
    Mutation(
        "a plan that is delivered again is observed again",
        ("g1", "g5"),
        (
            Edit(
                _STEPS,
                '        if found is not None and (judgement.mark == "observed" or found != b"observed"):\n',
                '        if found is not None and (judgement.mark == "observed" or found != b"observed"):\n'
                "            if judgement.stats:\n"
                "                self._observe(judgement.symbol, judgement.stats)\n",
            ),
        ),
        governor=True,
    ),
    Mutation(
        "the variance uses the mean before its update",
        ("g5",),
        (
            Edit(
                "brain/governor/kill_score.py",
                "    deviation = score - mean\n",
                "    deviation = score - stats.mean\n",
            ),
        ),
        governor=True,
    ),
    Mutation(
        "entries and exits have each other's cut-off",
        ("g4", "g5"),
        (
            Edit(
                "brain/governor/facts.py",
                "self.cutoff = both.entry if self.entry else both.exit",
                "self.cutoff = both.exit if self.entry else both.entry",
            ),
        ),
        governor=True,
    ),
    Mutation(
        "exits are blocked while their statistics warm up",
        ("g4",),
        (
            Edit(
                "brain/governor/score_checks.py",
                "    if facts.z is None or facts.cutoff is None or facts.z <= facts.cutoff:\n",
                "    if facts.z is None and facts.case.kill_score is not None:\n"
                "        return R.KILL_SCORE_EXIT, compared\n"
                "    if facts.z is None or facts.cutoff is None or facts.z <= facts.cutoff:\n",
            ),
        ),
        governor=True,
    ),
    Mutation(
        "limits and switches are compared where they are read, and not in the script",
        ("g1", "g2", "g3", "g5"),
        (
            Edit(
                _STEPS,
                _COMPARES,
                "        if basis.date == self._date:\n            return True\n",
            ),
        ),
        governor=True,
    ),
)
