"""The daemon's own executor, as its streams show what it does."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import trio

from commands.demo.executors import Fill
from commands.demo.machine_load import LoadMeter, Patience
from commands.demo.other_services import KEYS, NotInTimeError, OtherServices
from commands.demo.outcome import UNANSWERED, outcome_of_result, refused
from commands.demo.plans import Fields
from commands.demo.scenarios import Governor, PlanToPublish
from commands.demo.tally import Decided, Tally
from permit_gate import P33, Terms
from permit_gate.reading import Yes, read_permit
from store.keys import ExecutorKeys
from store.redis.client import RedisLink

#: Longest wait for permits, leverage and order on a calm machine, and a margin.
_RESULT_WITHIN_SEC = 6.0
_GIVE_UP_SEC = 30.0
_LOOK_SEC = 0.5
_BLOCK_MS = 1_000
_KEPT = 50_000
_PERMIT = b"permit:" + P33.name.encode()
_STREAMS = (KEYS.audit, ExecutorKeys(KEYS).audit, KEYS.results)


@dataclass
class _Trace:
    """Traces of one plan; `at_ms` is the time of its result (Redis's clock)."""

    decided_sec: float | None = None
    permit: bytes | None = None
    result: Fields = field(default_factory=dict)
    at_ms: int = 0
    changed: trio.Event = field(default_factory=trio.Event)

    @property
    def ended(self) -> bool:
        """True once nothing more can come of the plan."""
        status = self.result.get("order_status")
        return bool(self.result) and (self.result["executed"] == "false" or status not in _GROWING)


_GROWING = ("NEW", "PARTIALLY_FILLED")


class ServiceExecutor:
    """Follows plans through the daemon: its decision, the consumed permits, the result."""

    def __init__(self, reads: RedisLink, services: OtherServices, tally: Tally, meter: LoadMeter) -> None:
        """`reads` blocks: it is for this alone."""
        self._reads = reads
        self._services = services
        self._tally = tally
        self._meter = meter
        self._traces: dict[str, _Trace] = {}
        self._executed: deque[str] = deque(maxlen=_KEPT)
        self._without_result: dict[str, None] = {}

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Read the daemon's streams for the length of a block."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._read)
            yield
            nursery.cancel_scope.cancel()

    async def follow(
        self, plan: PlanToPublish, symbol: str, scenario: str, published_sec: float
    ) -> Fill | None:
        """Wait for the plan's result."""
        plan_id = plan.fields["plan_id"]
        trace = self._trace(plan_id)
        self._without_result[plan_id] = None
        patience, longest = Patience(_RESULT_WITHIN_SEC, self._meter), Patience(_GIVE_UP_SEC, self._meter)
        late = False
        while not trace.ended:
            if patience.is_over and not late:
                # The result that comes later counts all the same: the position is what was executed.
                self._tally.not_in_time(f"{symbol}: {scenario}: not in time: a result of plan {plan_id}")
                late = True
            if longest.is_over:
                return None
            with trio.move_on_after(_LOOK_SEC):
                await trace.changed.wait()
        del self._without_result[plan_id]
        self._count(plan, symbol, scenario, published_sec, trace)
        if plan.governor is not Governor.GRANTS:
            try:
                await self._services.wait_for_revocation(plan.fields)
            except NotInTimeError as error:
                self._tally.not_in_time(f"{symbol}: not in time: {error}")
        return self._fill(trace)

    def differences(self, orders: Iterable[str], *, all_of_them: bool) -> list[str]:
        """Compare the executed results with the client order ids that the exchange has taken.

        `all_of_them`: they are not only the latest.
        """
        executed, taken = set(self._executed), set(orders)
        found = [f"plan {each} has no result" for each in self._without_result if not self._trace(each).ended]
        found += [f"order {order} has no result" for order in sorted(taken - executed)]
        if all_of_them:
            found += [
                f"a result names order {order}, which there is not" for order in sorted(executed - taken)
            ]
        return found

    def unsettled(self, grants: Iterable[str]) -> list[str]:
        """Name the plans among `grants` that are executed: their grants should have been settled.

        A plan that its executor gave up before the Governor had judged it keeps its grant until that expires.
        """
        executed = [plan for plan in grants if self._trace(plan).result.get("executed") == "true"]
        return [f"the Governor's grant of plan {plan} is not settled" for plan in executed]

    def _count(
        self, plan: PlanToPublish, symbol: str, scenario: str, published_sec: float, trace: _Trace
    ) -> None:
        tally, now_sec = self._tally, trio.current_time()
        terms = _terms(trace, plan.fields["plan_id"], symbol)
        outcome = outcome_of_result(trace.result, terms)
        expected = plan.expected
        if expected == UNANSWERED:
            # It asks for no order, and its executor says why.
            expected = refused(plan.fields["reason_codes"])
        as_expected = outcome == expected or outcome in plan.also
        decided_sec = now_sec if trace.decided_sec is None else trace.decided_sec
        latency_ms = (decided_sec - published_sec) * 1000
        tally.decided(
            Decided(
                time.time(),
                symbol,
                scenario,
                outcome,
                latency_ms,
                as_expected,
            ),
            expected,
            kind=None if terms is None else str(terms.kind),
        )
        if trace.result["executed"] == "true":
            tally.orders += 1
            tally.execution_ms.append((now_sec - published_sec) * 1000)

    def _fill(self, trace: _Trace) -> Fill | None:
        result = trace.result
        filled = Decimal(result["filled_qty"])
        if result["executed"] != "true" or not filled:
            return None
        ago_sec = time.time() - trace.at_ms / 1000
        return Fill(filled if result["side"] == "BUY" else -filled, trio.current_time() - ago_sec)

    async def _read(self) -> None:
        last = dict.fromkeys(_STREAMS, "0")
        while True:
            answer: Any = await self._reads.command(
                "XREAD", "BLOCK", _BLOCK_MS, "STREAMS", *_STREAMS, *last.values()
            )
            by_stream = {} if not answer else {key.decode(): rows for key, rows in answer.items()}
            # In this order: what is in one answer of Redis was written so.
            for stream in _STREAMS:
                for entry_id, fields in by_stream.get(stream, [[]])[0]:
                    last[stream] = entry_id.decode()
                    self._take(stream, entry_id, fields)

    def _trace(self, plan_id: str) -> _Trace:
        """Return a plan's trace, which may begin before the plan is followed; the latest are kept."""
        trace = self._traces.setdefault(plan_id, _Trace())
        if len(self._traces) > _KEPT:
            del self._traces[next(iter(self._traces))]
        return trace

    def _take(self, stream: str, entry_id: bytes, fields: dict[bytes, bytes]) -> None:
        plan_id = fields.get(b"plan_id", b"").decode()
        order = fields.get(b"client_order_id")
        if stream == KEYS.results and fields.get(b"executed") == b"true" and order:
            self._tally.results += 1
            self._executed.append(order.decode())
        trace = self._trace(plan_id)
        if stream == KEYS.audit:
            trace.decided_sec = trio.current_time()
        elif stream == KEYS.results:
            trace.result = {name.decode(): text.decode() for name, text in fields.items()}
            trace.at_ms = int(entry_id.partition(b"-")[0])
        elif fields[b"step"] == b"begin":
            trace.permit = fields.get(_PERMIT)
        trace.changed.set()
        trace.changed = trio.Event()


def _terms(trace: _Trace, plan_id: str, symbol: str) -> Terms | None:
    """Return the terms of the permit that was consumed for the order."""
    if trace.permit is None:
        return None
    permit = read_permit(
        P33, trace.permit, plan_id=plan_id, symbol=symbol, key_prefix=KEYS.prefix, signing_key=None
    )
    return permit.terms if isinstance(permit, Yes) else None
