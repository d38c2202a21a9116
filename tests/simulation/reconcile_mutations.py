"""Mutations of the reconcile engine: of its order, its sums, its repairs and its holds."""

from __future__ import annotations

from tests.simulation.mutation import Edit, Mutation

_WEIGHING = "brain/reconciliation/weighing.py"
_LOOKS = "actors/reconcile_engine/looks.py"
_FOLLOWING = "actors/reconcile_engine/following.py"
_STEPS = "store/memory/reconcile_steps.py"
_HISTORY = "exchange/history.py"

RECONCILE_MUTATIONS = (
    Mutation(
        "a ledger is repaired though the sum does not come out",
        ("r2", "r5"),
        (
            Edit(
                _WEIGHING,
                "        if _with_growth(each, found) != each.exchange:\n",
                "        if not found:\n",
            ),
        ),
        reconcile=True,
    ),
    Mutation(
        "the direction of a missing fill is ignored",
        ("r2",),
        (
            Edit(
                "brain/reconciliation/repairing.py",
                "after = moved(ledger, growth.leg, growth.signed, order_id",
                "after = moved(ledger, growth.leg, growth.quantity, order_id",
            ),
        ),
        reconcile=True,
    ),
    Mutation(
        "a repair writes no order memory",
        ("r2", "d"),
        (
            Edit(
                _STEPS,
                "            remember_orders(redis, keys, symbol, repair.orders, redis.now_ms())\n",
                "            pass\n",
            ),
        ),
        reconcile=True,
    ),
    Mutation(
        "the hold is set after the first look",
        ("r1", "r4"),
        (
            Edit(
                _LOOKS,
                "        if not await self._steps.hold(case, case.own_sig or None, fence):\n",
                "        if case.held_by is not None:\n",
            ),
            Edit(
                _LOOKS,
                "        compared = await self._comparison.again(case.symbol)\n"
                "        return await self._weigh(",
                "        if not await self._steps.hold(case, case.own_sig or None, fence):\n"
                "            case.look_again(trio.current_time())\n"
                '            return "held"\n'
                "        compared = await self._comparison.again(case.symbol)\n"
                "        return await self._weigh(",
            ),
            Edit(
                "actors/reconcile_engine/cases.py",
                "            and (case.own_sig or not case.keeps_hold(on_stale=False))\n",
                "",
            ),
            Edit(
                _FOLLOWING,
                "            elif sets:\n",
                "            elif sets and case.looks:\n",
            ),
            Edit(
                "actors/reconcile_engine/look_requests.py",
                "        if not case.own_sig:\n            return await self._steps.hold(",
                "        if not case.own_sig:\n            return True or await self._steps.hold(",
            ),
        ),
        reconcile=True,
    ),
    Mutation(
        "a foreign hold is taken for an own one",
        ("r3",),
        (
            Edit(
                _FOLLOWING,
                'case.own_sig = sig if sig is not None and sig.startswith(SIG_PREFIX) else ""',
                'case.own_sig = sig or ""',
            ),
            Edit(
                _STEPS,
                "        return is_own(hold) or (",
                "        return True or (",
            ),
        ),
        reconcile=True,
    ),
    Mutation(
        "the tolerance is compared the wrong way round",
        ("r4", "r5"),
        (
            Edit(
                "brain/reconciliation/comparing.py",
                "    return hundredfold > EXACT.multiply(",
                "    return hundredfold < EXACT.multiply(",
            ),
        ),
        reconcile=True,
    ),
    Mutation(
        "a full page of trades is taken for the end",
        ("r5",),
        (
            Edit(
                _HISTORY,
                "(_behind(found, part),) if len(found) >= self._page else ()",
                "()",
            ),
            Edit(_HISTORY, "        if len(found) < self._page:\n", "        if len(found) <= self._page:\n"),
        ),
        reconcile=True,
    ),
    Mutation(
        "a close is proposed for all that the exchange holds",
        ("r7",),
        (
            Edit(
                "brain/reconciliation/closing.py",
                "min(each.difference.copy_abs(), symbol_rules.market_max)",
                "min(each.exchange.copy_abs(), symbol_rules.market_max)",
            ),
        ),
        reconcile=True,
    ),
)
