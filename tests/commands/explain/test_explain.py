from __future__ import annotations

import json
import time
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from brain.decisions.case import SnapshotView
from brain.decisions.decision import decide, deny_malformed, evaluation_failed, state_contended
from brain.identifiers import PlanId, Symbol
from brain.ledger.ledger import StoredLedger
from brain.plans.permit import Kind
from brain.plans.plan import MalformedPlan
from brain.positions.position import Leg, LegPosition
from commands.explain import explain
from permit_gate import P33, GateRules, Granted, PermitGate
from tests.brain.cases import case, entry, open_permit, snapshot
from tests.commands.recording import PLAN, Recording, recording

Capture = pytest.CaptureFixture[str]


def output_of(service: Recording, plan_id: str) -> str:
    """Return the explanation, white space between words made single."""
    assert explain(service.environ, plan_id, as_json=False) == 0
    return " ".join(service.capsys.readouterr().out.split())


def json_of(service: Recording, plan_id: str) -> dict[str, Any]:
    assert explain(service.environ, plan_id, as_json=True) == 0
    shown: dict[str, Any] = json.loads(service.capsys.readouterr().out)
    return shown


def refused(service: Recording, plan_id: str) -> str:
    """Return the one line on standard error."""
    assert explain(service.environ, plan_id, as_json=False) == 1
    captured = service.capsys.readouterr()
    assert captured.out == ""
    [line] = captured.err.splitlines()
    return line


async def test_a_deny_is_reported_with_its_sentence_and_the_numbers_that_decided(service: Recording) -> None:
    await service.decide("plan-0", case())
    await service.decide("plan-1", case(snapshot=snapshot("0.038", age_sec=12.4)))
    await service.decide("plan-2", case())
    text = output_of(service, "plan-1")
    assert text.startswith("Plan plan-1 BTCUSDT DENY stale_exchange_state The snapshot of the position is ")
    assert "fresh DENIED snapshot 12.4 s old, threshold 10 s → stale_exchange_state" in text
    assert "not expired passed 0.1 s old, limit 5 s" in text
    assert "not reached: leg, kind, recovering, ledger side" in text
    assert "k_heat 0.31" in text
    assert "exchange BOTH 0.038 at 60000" in text
    assert "by build-1 host:8045" in text
    assert '"snapshot_age_sec": 12.4' in text
    assert "now still there, expires in" in text and ", signed" in text


async def test_an_allow_is_reported_with_its_quantity_and_who_consumed_it(service: Recording) -> None:
    await service.decide("plan-1", case())
    text = output_of(service, "plan-1")
    assert text.startswith("Plan plan-1 BTCUSDT ALLOW sanity_checks_passed SELL 0.028")
    assert "asked 0.0285, rounded down 0.028, step 0.001, minimum 0.001" in text
    assert "in flight still counts for 0.028, until" in text
    with PermitGate(service.environ["REDIS_URL"], GateRules(consumer="apply-layer-3")) as gate:
        assert isinstance(gate.acquire("plan-1", "BTCUSDT", [P33]), Granted)
    text = output_of(service, "plan-1")
    assert "now consumed by apply-layer-3" in text
    assert "in flight still counts for 0.028" in text


async def test_an_unknown_outcome_is_reported_with_what_ends_it(service: Recording) -> None:
    await service.decide("plan-1", case())
    state = "1760000090000|1760000000000|||BTCUSDT"
    service.redis.hset("quantum:p33:unknown", "plan-1", state)
    text = output_of(service, "plan-1")
    assert (
        "outcome unknown since 2025-10-09T08:53:20.000Z: the order may have been filled; ends by a later "
        "result, by the exchange's events of the order, or at 20"
    ) in text
    assert json_of(service, "plan-1")["unknown_since"] == "2025-10-09T08:53:20.000Z"
    covered = case(open_permits=(open_permit(Kind.CLOSE, "SELL", "0.038"),))
    service.redis.hset("quantum:p33:unknown", "other", state.replace("1760000090000", "9760000090000"))
    await service.decide("plan-2", covered)
    text_of_other = output_of(service, "plan-2")
    assert (
        "The outcome of plan other is unknown since 2025-10-09T08:53:20.000Z; its permit ends"
        in text_of_other
    )
    service.redis.hdel("quantum:p33:open:BTCUSDT", "p:plan-1")
    assert "outcome unknown" not in output_of(service, "plan-1")


async def test_a_result_that_is_not_booked_is_reported_with_the_fields_to_set(service: Recording) -> None:
    await service.decide("plan-1", case())
    service.redis.set("quantum:p33:plan:plan-1", "D|LONG|close|SELL|0")
    service.redis.hset("quantum:position:ledger:BTCUSDT", "last_known_amt", "2")
    service.redis.xgroup_create("quantum:stream:apply.result", "p33", id="0", mkstream=True)
    for plan_id in ("other", "plan-1"):
        service.append("apply.result", {"plan_id": plan_id, "symbol": "BTCUSDT"})
    assert "is not booked" not in output_of(service, "plan-1")
    service.redis.xreadgroup("p33", "me", {"quantum:stream:apply.result": ">"})
    text = output_of(service, "plan-1")
    assert "ago and is not booked: its legs are missing in the ledger: set last_known_amt, long_amt" in text
    service.redis.hset("quantum:position:ledger:BTCUSDT", mapping={"long_amt": "2", "short_amt": "0"})
    assert "ago and is not booked." in output_of(service, "plan-1")


async def test_a_deny_for_want_of_legs_names_the_fields_to_set(service: Recording) -> None:
    hedged = case(
        snapshot=SnapshotView(
            (LegPosition(Leg.LONG, Decimal(4), None, 1), LegPosition(Leg.SHORT, Decimal(-2), None, 1)),
            1_760_000_000_000,
            0.1,
            True,
            True,
        ),
        ledger=StoredLedger(last_known_amt="2"),
        hedge_mode=True,
    )
    plan = msgspec.structs.replace(hedged.plan, leg=Leg.LONG)
    await service.decide("plan-1", msgspec.structs.replace(hedged, plan=plan))
    text = output_of(service, "plan-1")
    assert "ledger: does not tell its legs" in text
    assert "set last_known_amt, long_amt and short_amt in one HSET, or delete the hash" in text


async def test_the_quantity_that_open_permits_cover_is_named(service: Recording) -> None:
    covered = case(open_permits=(open_permit(Kind.CLOSE, "SELL", "0.038"),))
    await service.decide("plan-1", covered)
    text = output_of(service, "plan-1")
    assert "in flight DENIED exchange 0.038, open permits cover 0.038, available 0 → in_flight_permit" in text
    assert "open permits plan other: close SELL 0.038 on BOTH" in text


async def test_a_permit_that_vanished_before_its_time_is_distinguished(service: Recording) -> None:
    await service.decide("plan-1", case())
    service.redis.delete("quantum:permit:p33:plan-1")
    assert "now gone before its time: consumed, or revoked by a result" in output_of(service, "plan-1")


async def test_a_malformed_plan_is_reported_with_the_fields_at_fault(service: Recording) -> None:
    faults = {"qty": "not a decimal number: 'many'"}
    malformed = deny_malformed(MalformedPlan(PlanId("plan-1"), Symbol("BTCUSDT"), faults))
    await service.commit([("plan-1", malformed, None)], {**PLAN, "qty": "many", "reason": b"\x1b[2J\xff"})
    text = output_of(service, "plan-1")
    assert "well-formed DENIED quantity not a decimal number: 'many' → malformed_plan" in text
    assert "not reached: not expired, not settled" in text
    assert "qty many" in text
    assert "reason \\x1b[2J\\xff" in text


async def test_a_plan_that_was_given_up_is_reported_with_its_dead_letter(service: Recording) -> None:
    await service.commit([("plan-1", evaluation_failed(3), None)], error="no decision after 3 deliveries")
    text = output_of(service, "plan-1")
    assert text.startswith("Plan plan-1 BTCUSDT DENY evaluation_failed")
    assert "dead letter no decision after 3 deliveries" in text


async def test_a_contended_plan_is_reported_with_the_checks_of_its_last_attempt(service: Recording) -> None:
    await service.commit([("plan-1", state_contended(5), case())])
    text = output_of(service, "plan-1")
    assert "The checks below are those of the last attempt, which was not the answer." in text
    assert "quantity passed" in text and "DENIED" not in text


async def test_a_record_that_this_build_would_decide_differently_says_so(service: Recording) -> None:
    await service.commit([("plan-1", decide(case()), case(hold=True))])
    text = output_of(service, "plan-1")
    assert text.startswith("Plan plan-1 BTCUSDT ALLOW sanity_checks_passed")
    assert "This build decides the same case differently: DENY reconcile_hold_active." in text


async def test_a_plan_without_a_decision_is_shown_with_its_progress(service: Recording) -> None:
    service.publish("plan-1")
    text = output_of(service, "plan-1")
    assert "Plan plan-1 BTCUSDT not read yet" in text and "the service has not read it yet" in text
    [entry] = await service.read()
    text = output_of(service, "plan-1")
    assert "Plan plan-1 BTCUSDT being decided" in text and "delivered once" in text and "to me." in text
    await service.acknowledge(entry)
    assert "acknowledged, no record" in output_of(service, "plan-1")


async def test_before_there_is_a_group_a_plan_is_not_read_yet(service: Recording) -> None:
    service.redis.xgroup_destroy("quantum:stream:apply.plan", "p33")
    service.publish("plan-1")
    assert "not read yet" in output_of(service, "plan-1")


async def test_a_plan_that_asked_for_nothing_says_so(service: Recording) -> None:
    service.publish("plan-1", {"symbol": "BTCUSDT", "decision": "HOLD"})
    [entry] = await service.read()
    await service.acknowledge(entry)
    text = output_of(service, "plan-1")
    assert "asked for no permit" in text and "decision field says HOLD" in text


async def test_a_plan_that_cannot_be_answered_is_shown_with_its_error(service: Recording) -> None:
    service.publish("p33:plan-1")
    [entry] = await service.read()
    await service.dead_letter(entry, "plan_id: begins like another service's permit key")
    text = output_of(service, "p33:plan-1")
    assert "dead-lettered" in text
    assert "is a dead letter: plan_id: begins like another service's permit key." in text


async def test_without_a_record_the_mark_is_explained(service: Recording) -> None:
    await service.decide("plan-1", case(entry(), "0"))
    service.redis.delete("quantum:stream:permit.audit", "quantum:stream:apply.plan")
    text = output_of(service, "plan-1")
    assert "decided, record gone" in text and "(kind open, leg BOTH)" in text
    service.redis.set("quantum:p33:plan:plan-2", "S")
    assert "settled before its decision" in output_of(service, "plan-2")


async def test_a_record_that_cannot_be_read_is_no_crash(service: Recording) -> None:
    service.append("permit.audit", {"plan_id": "plan-1", "record": "{"})
    assert "record unreadable" in output_of(service, "plan-1")


async def test_the_beginning_of_a_plan_id_will_do_if_only_one_begins_so(service: Recording) -> None:
    for plan_id in ("7f3a90c1-a", "7f3a90c2-b", "other"):
        await service.decide(plan_id, case())
    assert output_of(service, "7f3a90c1").startswith("Plan 7f3a90c1-a ")
    line = refused(service, "7f3a")
    assert line == "position-state-brain: several plans begin with 7f3a, such as 7f3a90c2-b, 7f3a90c1-a"


async def test_a_plan_without_a_trace_is_one_clear_line(service: Recording) -> None:
    await service.decide("plan-1", case())
    line = refused(service, "plan\x1b-9")
    assert line.startswith(
        "position-state-brain: no trace of plan\\x1b-9, as a plan, an order, an intent or a symbol, in"
    )


async def test_an_audit_stream_of_another_type_is_one_clear_line(service: Recording) -> None:
    service.redis.set("quantum:stream:permit.audit", "x")
    assert "WRONGTYPE" in refused(service, "plan-1")


async def test_all_of_many_pages_are_searched(service: Recording) -> None:
    await service.decide("the-oldest", case())
    pipeline = service.redis.pipeline()
    for number in range(1200):
        pipeline.xadd("quantum:stream:permit.audit", {"plan_id": f"later-{number}", "record": "{}"})
    pipeline.execute()
    assert output_of(service, "the-oldest").startswith("Plan the-oldest BTCUSDT ALLOW")


async def test_output_into_a_file_has_neither_colours_nor_trailing_spaces(service: Recording) -> None:
    await service.decide("plan-1", case())
    assert explain(service.environ, "plan-1", as_json=False) == 0
    text = service.capsys.readouterr().out
    assert "\x1b" not in text
    assert all(line == line.rstrip() for line in text.splitlines())


async def test_programs_get_everything(service: Recording) -> None:
    now_ms = time.time_ns() // 1_000_000
    stale = case(snapshot=snapshot("0.038", age_sec=12.4), entry_ms=now_ms - 4, now_ms=now_ms)
    await service.decide("plan-1", stale)
    shown = json_of(service, "plan-1")
    assert (shown["plan_id"], shown["state"], shown["decided_by"]) == ("plan-1", "decided", "fresh")
    assert shown["decision"]["reason"] == "stale_exchange_state"
    [denied] = [check for check in shown["checks"] if check["outcome"] == "denied"]
    assert denied["compared"] == {"snapshot_age_sec": 12.4, "threshold_sec": 10}
    assert shown["case"]["snapshot"]["legs"][0]["amount"] == 0.038
    assert shown["fields"]["k_heat"] == "0.31"
    assert shown["permit"]["allow"] is False
    assert shown["permit_now"]["there"] is True
    assert 0 <= shown["decided_after_ms"] < 10_000


async def test_another_prefix_is_another_account(redis_server: str, capsys: Capture) -> None:
    async with recording(redis_server, capsys, "second") as service:
        await service.decide("plan-1", case())
        assert output_of(service, "plan-1").startswith("Plan plan-1 BTCUSDT ALLOW")
        service.environ["P33_KEY_PREFIX"] = "quantum"
        assert "no trace of plan-1, as a plan" in refused(service, "plan-1")


def test_a_redis_that_is_away_is_one_clear_line(capsys: Capture) -> None:
    assert explain({"REDIS_URL": "unix:///nowhere/redis.sock"}, "plan-1", as_json=False) == 1
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith("position-state-brain: Redis at unix:///nowhere/redis.sock?db=0: ")
