"""Invariants (e2), (e5) and (e7): what the executor tells of its orders, in the moment in which it does."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from decimal import Decimal

from brain.execution.orders import OrderStatus
from brain.execution.record import OrderPhase, OrderRecord
from store.execution_records import OrderProgress, PlanRefusal
from store.keys import Keys
from store.memory.memory_redis import MemoryRedis
from store.memory.streams import format_id
from tests.simulation.books import Books, Execution, OrderReport
from tests.simulation.clocks import true_ms
from tests.simulation.trace import Trace
from tests.simulation.venue import ZERO
from tests.simulation.verdicts import require

#: Refusals of a consumer that never had the permit: they free nothing.
_NO_PERMIT = ("permit_", "missing_or_denied", "no_permit")
_MOST_RESULTS = 10
#: A result: its entry's id, and its fields.
Told = tuple[str, dict[str, str]]


class ExecutionResults:
    """Looks at every version of a record, and at every result."""

    def __init__(self, books: Books, redis: MemoryRedis, keys: Keys, trace: Trace) -> None:
        self.unknown = 0
        #: When the executor last published a result (true ms).
        self.last_result_ms = 0
        self.errors: dict[str, int] = {}
        #: Called with the entry and the order of each result of an order that is published.
        self.on_report: Callable[[str, str], None] = lambda _entry_id, _order_id: None
        self._books = books
        self._redis = redis
        self._keys = keys
        self._trace = trace

    def progress(self, writer: str, progress: OrderProgress, effect: Callable[[], bool]) -> bool:
        """Judge the next version of a record, which `effect` is to write."""
        written, told = self._telling(effect)
        if written:
            self._judge_progress(writer, progress.record, told)
        return written

    def _telling(self, effect: Callable[[], bool]) -> tuple[bool, list[Told]]:
        """Return the effect's answer, and the results that it published."""
        stream = self._redis.keyspace.make_stream(self._keys.results)
        before = stream.last_id
        written = effect()
        ids = stream.behind(before, _MOST_RESULTS)
        return written, [(format_id(each), _decoded(stream.get(each) or {})) for each in ids]

    def _judge_progress(self, writer: str, record: OrderRecord, told: list[Told]) -> None:
        self._trace.note(f"{writer} {record.plan_id} {record.phase} {record.status} {record.cumulative}")
        execution = self._books.executions.get(record.client_order_id)
        if record.phase is OrderPhase.ORPHAN:
            return
        if execution is None:
            self._judge_unbegun(record, told)
            return
        # One that Redis has lost is written anew by a process that follows its order.
        execution.lost = False
        execution.final = record.phase is OrderPhase.FINAL
        execution.unknown |= record.phase is OrderPhase.UNKNOWN
        self.unknown += record.phase is OrderPhase.UNKNOWN
        if execution.final:
            require(told, "e7", f"{record.plan_id} is final without a result")
        for entry_id, fields in told:
            self._judge_result(record.plan_id, fields, entry_id, final=execution.final)
            error = fields["error"]
            had_permits = not error.startswith(_NO_PERMIT)
            require(had_permits, "e5", f"{record.plan_id} had its permits, and says {error}")
            if fields["executed"] == "true":
                self._judge_executed(execution, fields, entry_id)
            else:
                self._judge_not_executed(execution, fields, entry_id)
        if told and execution.final:
            self._end_grant(record.plan_id)

    def _judge_unbegun(self, record: OrderRecord, told: list[Told]) -> None:
        """Judge a plan that was searched for behind a new run of Redis, and was never begun."""
        final = record.phase is OrderPhase.FINAL
        for entry_id, fields in told:
            self._judge_result(record.plan_id, fields, entry_id, final=final)
            require(fields["executed"] == "false", "e2", f"{record.plan_id} was not begun, and is executed")
            self._books.given_up[entry_id] = record.plan_id
        if told and final:
            self._end_grant(record.plan_id)

    def refuse(self, writer: str, refusal: PlanRefusal, effect: Callable[[], bool]) -> bool:
        """Judge a plan that is to end without an order."""
        written, told = self._telling(effect)
        self._trace.note(f"{writer} refuses {refusal.plan_id} {refusal.error} {written}")
        for entry_id, fields in told:
            self._judge_refusal(refusal, fields, entry_id)
        return written

    def _judge_refusal(self, refusal: PlanRefusal, fields: Mapping[str, str], entry_id: str) -> None:
        self._judge_result(refusal.plan_id, fields, entry_id, final=True)
        require(fields["executed"] == "false", "e5", f"{refusal.plan_id} is refused, and executed")
        execution = self._books.executions.get(client_order_id(self._keys.prefix, refusal.plan_id))
        begun = execution is not None and not execution.lost
        require(not begun, "e5", f"{refusal.plan_id} was begun, and is refused: {refusal.error}")
        if not fields["error"].startswith(_NO_PERMIT):
            self._books.given_up[entry_id] = refusal.plan_id
        self._end_grant(refusal.plan_id)

    def _judge_result(self, plan_id: str, fields: Mapping[str, str], entry_id: str, *, final: bool) -> None:
        self.last_result_ms = true_ms()
        error = fields["error"].partition(":")[0].partition(" ")[0]
        self.errors[error or "none"] = self.errors.get(error or "none", 0) + 1
        require(fields["plan_id"] == plan_id, "e7", f"{plan_id}: its result {entry_id} says {fields}")
        said = "executed", "order_id", "filled_qty", "order_status", "error"
        finals = self._books.kept.finals
        before = finals.get(plan_id, 0)
        require(not before, "e7", f"{plan_id} has its last result, and {[fields[name] for name in said]}")
        finals[plan_id] = before + final

    def _judge_executed(self, execution: Execution, fields: Mapping[str, str], entry_id: str) -> None:
        plan_id, order = execution.plan_id, execution.order
        says = f"{plan_id}: {[fields[n] for n in ('order_id', 'filled_qty', 'order_status')]} of {order}"
        require(order is not None and str(order.order_id) == fields["order_id"], "e2", says)
        assert order is not None
        cumulative, status = Decimal(fields["filled_qty"]), OrderStatus(fields["order_status"])
        require(ZERO <= cumulative <= order.executed, "e2", says)
        if status.is_final:
            require(order.is_final and cumulative == order.executed, "e2", says)
        require(status.is_final or cumulative > execution.told, "e2", f"told again: {says}")
        execution.told = cumulative
        report = OrderReport(str(order.order_id), plan_id, cumulative, status.is_final)
        self._books.kept.reports[entry_id] = self._books.published_reports[entry_id] = report
        self._trace.note(f"told {plan_id} {order.order_id} {cumulative} {status}")
        self.on_report(entry_id, report.order_id)

    def _judge_not_executed(self, execution: Execution, fields: Mapping[str, str], entry_id: str) -> None:
        plan_id, order = execution.plan_id, execution.order
        filled = ZERO if order is None else order.executed
        ended = order is None or order.is_final
        require(not filled and ended, "e5", f"{plan_id} is not executed ({fields['error']}), but {order}")
        execution.refused = True
        self._books.given_up[entry_id] = plan_id

    def _end_grant(self, plan_id: str) -> None:
        grant = self._books.grants.get(plan_id)
        if grant is not None:
            grant.left, grant.over = ZERO, True


def client_order_id(prefix: str, plan_id: str) -> str:
    """Return the client order id of a plan's only order, as docs/contract.md has it."""
    return f"p33-{hashlib.sha256(f'{prefix}{chr(0)}{plan_id}'.encode()).hexdigest()[:32]}"


def _decoded(fields: Mapping[bytes, bytes]) -> dict[str, str]:
    return {name.decode(): value.decode() for name, value in fields.items()}
