"""Properties of all judgements, over random cases."""

from __future__ import annotations

import json

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from brain.execution.switches import TradingState
from brain.governor.case import CountsView, GovernorCase, NeighbourView
from brain.governor.judging import judge, trail
from brain.governor.permit_text import permit_json
from brain.governor.record import audit_fields, case_of, read_record, recorded_judgement, same_outcome
from brain.identifiers import EntryId
from brain.plans.check_results import Outcome
from brain.plans.permit import Kind
from tests.brain.cases import NOW_MS
from tests.brain.governor.cases import COUNTS
from tests.brain.governor.strategies import cases, counts, equities, exposures, neighbours

EXITS = (Kind.CLOSE, Kind.NONE)
#: Reasons of rules 1, 2, 3, 4 and 20.
STOPS_A_CLOSE = {
    "malformed_plan",
    "plan_expired",
    "eval_type_mismatch",
    "trading_halted",
    "kill_score_exit",
}


def record_of(case: GovernorCase) -> str:
    return audit_fields(
        judge(case),
        case,
        plan_id=case.plan.plan_id,
        symbol=case.plan.symbol,
        entry_id=EntryId("1-1"),
        decided_ms=NOW_MS,
        issued_by="test",
        fields={"plan_id": "plan-1"},
    )[-1]


@given(cases(EXITS))
def test_no_close_is_stopped_by_limits_switches_or_missing_inputs(case: GovernorCase) -> None:
    judgement = judge(case)
    assert judgement.granted or judgement.reason in STOPS_A_CLOSE


@given(cases(EXITS), counts, neighbours, st.none() | equities, st.none() | exposures)
def test_an_exit_without_a_cut_off_is_judged_by_plan_and_trading_state_alone(
    case: GovernorCase, seen: CountsView, others: NeighbourView, equity: object, exposure: object
) -> None:
    quiet = msgspec.structs.replace(case, rules=msgspec.structs.replace(case.rules, z_exit_base=None))
    changed = msgspec.structs.replace(
        quiet,
        counts=seen,
        neighbours=others,
        equity=equity,
        exposure=exposure,
        book_trusted=not case.book_trusted,
        kill_switch=not case.kill_switch,
        redis_changed_ms=NOW_MS,
    )
    assert judge(quiet).granted is judge(changed).granted
    assert judge(quiet).reason == judge(changed).reason


@given(cases(EXITS))
def test_no_exit_is_blocked_for_longer_than_the_limit(case: GovernorCase) -> None:
    long_ago = msgspec.structs.replace(COUNTS, exit_blocked_since_ms=NOW_MS - 60_000)
    assert judge(msgspec.structs.replace(case, counts=long_ago)).reason != "kill_score_exit"


@given(cases())
def test_a_record_gives_back_the_same_case_and_its_judgement_to_the_last_bit(case: GovernorCase) -> None:
    text = record_of(case)
    record = read_record(text)
    assert case_of(record) == case
    assert same_outcome(record, judge(case_of(record)))
    assert record_of(case_of(record)) == text
    recorded, judged = recorded_judgement(record), judge(case)
    assert (recorded.z, recorded.cutoff, recorded.stats) == (judged.z, judged.cutoff, judged.stats)


@given(cases())
def test_the_trail_ends_where_the_judgement_does(case: GovernorCase) -> None:
    judgement, results = judge(case), trail(case)
    denied = [result for result in results if result.outcome is Outcome.DENIED]
    if judgement.granted:
        assert denied == []
    else:
        assert judgement.details
        assert [(result.reason, result.compared) for result in denied] == [
            (judgement.reason, judgement.details)
        ]
    assert not any(result.outcome is Outcome.NOT_REACHED for result in results) or denied


@given(cases((Kind.OPEN, Kind.ADD)))
def test_a_granted_entry_is_within_every_limit(case: GovernorCase) -> None:
    judgement, rules = judge(case), case.rules
    if not judgement.granted:
        return
    exposure, equity, notional = case.exposure, case.equity, judgement.notional
    assert exposure is not None
    assert equity is not None
    assert notional is not None
    assert case.trading_state is TradingState.ACTIVE
    assert not case.kill_switch
    assert case.counts.granted_hour < rules.max_exec_per_hour
    assert case.counts.granted_5min < rules.max_exec_per_5min
    assert notional <= rules.max_notional_per_trade
    assert exposure.total_notional + notional <= min(
        rules.max_total_notional, equity.equity * rules.max_leverage
    )
    if case.kind is Kind.OPEN and not exposure.holds_symbol:
        assert exposure.symbols < rules.max_open_positions
    if rules.max_open_notional_per_day:
        assert case.counts.opened_today + notional <= rules.max_open_notional_per_day
    assert case.kill_score is None or case.kill_score < rules.kill_score_critical
    assert judgement.z is None or judgement.cutoff is None or judgement.z <= judgement.cutoff
    assert 0 < judgement.qty_scale <= 1


@given(cases())
def test_a_permit_is_granted_as_the_judgement_is_in_readable_json(case: GovernorCase) -> None:
    judgement = judge(case)
    text = permit_json(
        judgement,
        case,
        plan_id=case.plan.plan_id,
        symbol=case.plan.symbol,
        created_at_sec=1.5,
        issued_by="test",
    )
    permit = json.loads(text)
    assert permit["granted"] is judgement.granted
    assert permit["kill_z"] == judgement.z
    assert ("details" in permit) is not judgement.granted
