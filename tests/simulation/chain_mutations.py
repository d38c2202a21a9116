"""Mutations of the intent bridge and of decision intelligence: of their marks, rules and counts."""

from __future__ import annotations

from tests.simulation.mutation import Edit, Mutation

_ANSWERS = "store/memory/bridge.py"
_RULES = "brain/intents/deciding.py"
_COUNTS = "store/memory/intelligence_steps.py"

_BRIDGE = (
    Mutation(
        "an intent that was answered is not marked",
        ("b1",),
        (
            Edit(
                _ANSWERS,
                '        redis.set(names.seen(answer.mark), "plan" if answer.plan else "refused", '
                "ttl_ms=answer.mark_ttl_ms)\n",
                "",
            ),
        ),
        bridge="on",
    ),
    Mutation(
        "an intent that is delivered again is answered again",
        ("b1",),
        (Edit(_ANSWERS, "        if self._is_seen(answer.mark):\n", "        if answer.mark is None:\n"),),
        bridge="on",
    ),
    Mutation(
        "an exit that is published twice becomes two plans",
        ("b1",),
        (
            Edit(
                _ANSWERS,
                "        if answer.plan and answer.plan_mark and self._is_seen(answer.plan_mark):\n",
                "        if answer.plan and answer.plan_mark is None:\n",
            ),
        ),
        bridge="on",
    ),
    Mutation(
        "the id of a plan rests on its quantity",
        ("b2",),
        (
            Edit(
                "brain/intents/plan_text.py",
                '    text = f"{named}|{intent.symbol}|',
                "    text = f\"{named}|{intent.quantity or ''}|{intent.symbol}|",
            ),
        ),
        bridge="on",
    ),
    Mutation(
        "a part of a position becomes all of it",
        ("b2",),
        (
            Edit(
                _RULES,
                "        action = NAMED_PARTS.get(intent.fraction, PARTIAL)\n",
                "        action = FULL_CLOSE\n",
            ),
        ),
        bridge="on",
    ),
    Mutation(
        "quantities are rounded up",
        ("b2",),
        (
            Edit(
                "brain/intents/sizing.py",
                "    return floor_to_step(quantity, steps.step",
                "    quantity += (SMALLEST if steps is None else steps.step) - SMALLEST\n"
                "    return floor_to_step(quantity, steps.step",
            ),
        ),
        bridge="on",
    ),
    Mutation(
        "the quantity of an entry is not cut",
        ("b2",),
        (
            Edit(
                "brain/intents/sizing.py",
                "    if not most or EXACT.multiply(quantity, price) <= most:\n",
                "    if not most or price:\n",
            ),
        ),
        bridge="on",
    ),
    Mutation(
        "an expired intent becomes a plan",
        ("b2",),
        (
            Edit(
                _RULES,
                "    if age_sec is None or age_sec > limit_sec:\n",
                "    if age_sec is None:\n",
            ),
            Edit(_ANSWERS, "        if 0 < answer.deadline_ms < self._now_ms:\n", "        if False:\n"),
        ),
        bridge="on",
    ),
    Mutation(
        "an intent is acknowledged before its plan is published",
        ("b1",),
        (
            Edit(
                "actors/intent_bridge/lane.py",
                "            while pending:\n",
                "            if pending:\n"
                "                taken = [each.entry.id for each in pending]\n"
                "                await self.group.acknowledge(batch.fence, taken)\n"
                "            while pending:\n",
            ),
        ),
        bridge="on",
    ),
    Mutation(
        "the time of a close is not kept",
        ("b2",),
        (
            Edit(
                _ANSWERS,
                "            redis.set(key, str(answer.closed_ms), ttl_ms=answer.close_ttl_ms)\n",
                "            redis.delete(key)\n",
            ),
        ),
        bridge="on",
    ),
    Mutation(
        "lockdown and last close are not compared again in the script",
        ("b2",),
        (Edit(_ANSWERS, "        if not self._holds(answer):\n", "        if False:\n"),),
        bridge="on",
    ),
    Mutation(
        "the shadow of the bridge publishes its plans",
        ("b3",),
        (Edit(_ANSWERS, "        if answer.plan and not names.shadow:\n", "        if answer.plan:\n"),),
        bridge="shadow",
    ),
    Mutation(
        "the bridge writes the permit of its plan",
        ("b3",),
        (
            Edit(
                _ANSWERS,
                "        if answer.audit:\n",
                "        if answer.plan:\n"
                '            redis.set(self._keys.permit(answer.plan[1]), "{}", ttl_ms=60_000)\n'
                "        if answer.audit:\n",
            ),
        ),
        bridge="on",
    ),
)

_INTELLIGENCE = (
    Mutation(
        "results are counted again when their group is made anew",
        ("p1",),
        (
            Edit(
                "store/memory/store.py",
                "        last = self._keyspace.text(stream.last_id) if stream.last_id else None\n",
                "        last = None\n",
            ),
            Edit(
                _COUNTS,
                "            if parts > last and entry_id.encode() not in ahead:\n",
                "            if parts and last and ahead is not None:\n",
            ),
        ),
        intelligence=True,
    ),
    Mutation(
        "results are counted in the minutes of a local clock",
        ("p1",),
        (
            Edit(
                "brain/intelligence/windows.py",
                "datetime.fromtimestamp(min(epoch_ms, _LATEST_MS) // 1000, UTC)",
                "datetime.fromtimestamp(min(epoch_ms, _LATEST_MS) // 1000 + 3600, UTC)",
            ),
        ),
        intelligence=True,
    ),
    Mutation(
        "results are counted in the minute in which they are read",
        ("p1",),
        (
            Edit(
                "actors/decision_intelligence/actor.py",
                "            minute_of(entry.id_ms),\n",
                "            minute_of(self._time.redis_now_ms()),\n",
            ),
        ),
        intelligence=True,
    ),
    Mutation(
        "a result is acknowledged before it is counted",
        ("p1",),
        (
            Edit(
                "actors/decision_intelligence/actor.py",
                "        commits = [self._result(entry, outcome) for entry, outcome in results]\n",
                "        commits = [self._result(entry, outcome) for entry, outcome in results]\n"
                "        await self.group.acknowledge(batch.fence, [entry.id for entry, _ in results])\n",
            ),
        ),
        intelligence=True,
    ),
    Mutation(
        "a bucket has as many reasons as there are texts",
        ("p2",),
        (
            Edit(
                "store/intelligence_records.py",
                "MOST_UNKNOWN, MOST_REASONS, MOST_SYMBOL_FIELDS = 20, 200, 2_000",
                "MOST_UNKNOWN, MOST_REASONS, MOST_SYMBOL_FIELDS = 20, 2_000, 2_000",
            ),
        ),
        intelligence=True,
    ),
    Mutation(
        "a window without results is left as it was",
        ("p1",),
        (
            Edit(
                _COUNTS,
                "        for key, counts in hashes:\n            redis.delete(key)\n",
                "        for key, counts in hashes:\n",
            ),
        ),
        intelligence=True,
    ),
)

CHAIN_MUTATIONS = (*_BRIDGE, *_INTELLIGENCE)
