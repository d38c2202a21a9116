"""Mutations of the executor: of its records, its requests, their answers and its results."""

from __future__ import annotations

from tests.simulation.mutation import Edit, Mutation

_FAKE_RESULT = """\
    if step.result:
        redis.xadd(keys.results, paired(step.result), max_len=LONGEST_RESULTS)
"""

EXECUTOR_MUTATIONS = (
    Mutation(
        "an order without an answer is sent again",
        ("e1",),
        (
            Edit(
                "exchange/order_requests.py",
                "        outcome = await self._sender.send(request)\n",
                "        outcome = await self._sender.send(request)\n"
                "        if isinstance(outcome, Unknown):\n"
                "            outcome = await self._sender.send(request)\n",
            ),
            Edit(
                "exchange/order_requests.py",
                "from brain.execution.orders import OrderOutcome, OrderRequest, OrderState\n",
                "from brain.execution.orders import OrderOutcome, OrderRequest, OrderState, Unknown\n",
            ),
        ),
        executor=True,
    ),
    Mutation(
        "the first -2013 is believed",
        ("e5",),
        (
            Edit(
                "actors/executor/resolution.py",
                "        if not lacking and live.is_undecided:\n",
                "        if live.is_undecided:\n",
            ),
        ),
        executor=True,
    ),
    Mutation(
        "client order ids are drawn at random",
        ("e1",),
        (
            Edit(
                "brain/execution/orders.py",
                '    digest = sha256(f"{key_prefix}\\0{plan_id}".encode()).hexdigest()\n',
                '    digest = sha256(f"{key_prefix}\\0{plan_id}{random()}".encode()).hexdigest()\n',
            ),
            Edit(
                "brain/execution/orders.py",
                "from hashlib import sha256\n",
                "from hashlib import sha256\nfrom random import random\n",
            ),
        ),
        executor=True,
    ),
    Mutation(
        "the permits are consumed after the order is sent",
        ("e3",),
        (
            Edit(
                "actors/executor/orders.py",
                "            reply = await self._write_begin(granted, live.stored, drafted, fence)\n",
                "            await self._exchange.place_order(request_of(record))\n"
                "            reply = await self._write_begin(granted, live.stored, drafted, fence)\n",
            ),
        ),
        executor=True,
    ),
    Mutation(
        "a request has the time of its sending",
        ("e4",),
        (
            Edit(
                "exchange/order_sender.py",
                "signed_query(_parameters(request), request.timestamp_ms, request.recv_window_ms)",
                "signed_query(\n            _parameters(request), "
                "self._server_time.exchange_ms(self._clock.now()), request.recv_window_ms\n        )",
            ),
        ),
        executor=True,
    ),
    Mutation(
        "a request leaves however late it is",
        ("e4",),
        (
            Edit(
                "exchange/order_sender.py",
                'return "late" if exchange_ms > request.timestamp_ms + request.recv_window_ms else None',
                'return "late" if exchange_ms < 0 else None',
            ),
        ),
        executor=True,
    ),
    Mutation(
        "an order that is not answered in time is taken for refused",
        ("e5",),
        (
            Edit(
                "exchange/order_sender.py",
                'return NotSent("connect") if departure.is_connecting else Unknown(why)',
                'return NotSent("connect")',
            ),
        ),
        executor=True,
    ),
    Mutation(
        "permits are consumed by one script, the record is written by another",
        ("e3",),
        (
            Edit(
                "store/memory/execution.py",
                '        return await self._fenced("begin_order", fence, effect)\n',
                "        def consume() -> BeginReply:\n"
                "            for key, text, _ in begin.permits:\n"
                "                if self._keyspace.text(key) != text:\n"
                '                    return BeginReply("changed")\n'
                "            for key, _, _ in begin.permits:\n"
                "                self._keyspace.delete(key)\n"
                '            return BeginReply("begun")\n'
                "\n"
                '        consumed = await self._fenced("begin_order", fence, consume)\n'
                '        if consumed.verdict != "begun":\n'
                "            return consumed\n"
                "        begin = msgspec.structs.replace(begin, permits=())\n"
                '        return await self._fenced("begin_order", fence, effect)\n',
            ),
            Edit(
                "store/memory/execution.py",
                "from brain.execution.record import OrderRecord\n",
                "import msgspec\n\nfrom brain.execution.record import OrderRecord\n",
            ),
        ),
        executor=True,
    ),
    Mutation(
        "the Governor is not asked",
        ("e3",),
        (
            Edit(
                "actors/executor/rules.py",
                "        return (GOVERNOR, P33, *self.extra_permits)\n",
                "        return (P33, *self.extra_permits)\n",
            ),
        ),
        executor=True,
    ),
    Mutation(
        "a third source of permits is not asked",
        ("e3",),
        (
            Edit(
                "actors/executor/rules.py",
                "        return (GOVERNOR, P33, *self.extra_permits)\n",
                "        return (GOVERNOR, P33)\n",
            ),
        ),
        executor=True,
    ),
    Mutation(
        "a dry run begins orders",
        ("e3",),
        (
            Edit(
                "actors/executor/plan_work.py",
                "            if self._rules.dry_run:\n                await self._dry_run(answer, session)\n",
                "            if not answer:\n                await self._dry_run(answer, session)\n",
            ),
        ),
    ),
    Mutation(
        "a hold stops no order",
        ("e5",),
        (
            Edit(
                "brain/execution/drafting.py",
                "    if case.held and case.decision is not PlanDecision.RECONCILE_CLOSE:\n",
                "    if case.held and not case.decision:\n",
            ),
            Edit(
                "store/memory/executions.py",
                '    if not begin.ignores_hold and redis.kind(keys.hold(record.symbol)) != "none":\n',
                "    if not begin.record:\n",
            ),
        ),
        executor=True,
    ),
    Mutation(
        "a result is published twice, under another order id",
        ("e2", "e7"),
        (
            Edit(
                "store/memory/executions.py",
                _FAKE_RESULT,
                _FAKE_RESULT
                + '        fields = paired(step.result) | {b"order_id": b"1"}\n'
                + "        redis.xadd(keys.results, fields, max_len=LONGEST_RESULTS)\n",
            ),
        ),
        executor=True,
    ),
    Mutation(
        "a close is as large as its plan asks for",
        ("e6",),
        (
            Edit(
                "actors/executor/preparation.py",
                "            permitted=terms.order_quantity(plan.quantity or ZERO),\n",
                "            permitted=max(\n"
                "                terms.order_quantity(plan.quantity or ZERO), plan.quantity or ZERO\n"
                "            ),\n",
            ),
        ),
        executor=True,
    ),
    Mutation(
        "a result says less than was filled",
        ("e2",),
        (
            Edit(
                "brain/execution/results.py",
                "        filled=record.cumulative,\n",
                "        filled=record.cumulative / 2 if record.status else record.cumulative,\n",
            ),
        ),
        executor=True,
    ),
    Mutation(
        "the reservation of an open order is not kept",
        ("e5", "c"),
        (Edit("store/memory/executions.py", "    _keep_reservation(redis, keys, hold)\n", ""),),
        executor=True,
    ),
    Mutation(
        "a plan is acknowledged when it is read",
        ("e7",),
        (
            Edit(
                "actors/executor/plan_work.py",
                "        plan_id = plan.plan_id\n        order_id = client_order_id(",
                "        await reader.group.acknowledge(session.fence, [entry.id])\n"
                "        plan_id = plan.plan_id\n        order_id = client_order_id(",
            ),
        ),
        executor=True,
    ),
)
