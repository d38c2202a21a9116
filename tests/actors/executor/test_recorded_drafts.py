"""Orders and refusals are recorded with the complete input of their draft."""

from __future__ import annotations

from decimal import Decimal

import msgspec
import pytest
import trio

from brain.execution.draft_record import DraftRecord, draft_again
from tests.actors.executor.test_refusals import both, setting
from tests.actors.executor_rig import RULES, ExecutorRig, running_executor
from tests.virtual_time import virtual_time

pytestmark = virtual_time


def records(rig: ExecutorRig, stream: str) -> list[DraftRecord]:
    entries = rig.redis.xrange(stream)
    return [draft_again(fields[b"record"]).record for _, fields in entries if b"record" in fields]


async def test_an_order_is_recorded_with_the_step_that_begins_it(rig: ExecutorRig) -> None:
    async with running_executor(rig):
        rig.open("p1")
        await trio.sleep(0.5)
    [record] = records(rig, rig.own.audit)
    assert record.order is not None and record.error == ""
    assert record.order.quantity == Decimal(rig.result("p1")["qty"])
    assert record.case.in_allowlist and not record.case.held


async def test_a_refusal_is_recorded_where_it_follows_from_the_draft(rig: ExecutorRig) -> None:
    async with running_executor(rig):
        setting("kill", "1")(rig)
        both(rig)
        rig.publish("p1")
        rig.publish("p2")  # without permits: nothing was drafted
        await trio.sleep(2)
    [record] = records(rig, rig.own.audit)
    assert (record.order, record.error) == (None, "kill_switch_active")
    assert record.case.plan_id == "p1" and record.case.kill_switch


@pytest.mark.parametrize("stopped", [False, True])
async def test_a_dry_run_has_the_record_in_its_own_stream(stopped: bool) -> None:
    rig = ExecutorRig(msgspec.structs.replace(RULES, dry_run=True))
    async with running_executor(rig):
        if stopped:
            setting("kill", "1")(rig)
        both(rig)
        rig.publish("p1")
        await trio.sleep(2)
    [record] = records(rig, rig.own.dry_run)
    assert (record.order is None) is stopped
    assert records(rig, rig.own.audit) == []
