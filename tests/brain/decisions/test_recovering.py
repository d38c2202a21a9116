"""Plans after Redis has changed or evicted keys: opens wait longer than closes."""

from __future__ import annotations

import pytest

from brain.decisions.decision import decide
from brain.plans.permit import Reason
from tests.brain.cases import NOW_MS, RULES, case, entry, plan


def test_closes_go_on_while_recovering() -> None:
    changed_ms = NOW_MS - 1000
    assert decide(case(redis_changed_ms=changed_ms)).allow
    assert decide(case(plan(action="UPDATE_SL"), redis_changed_ms=changed_ms)).allow


def test_opens_go_on_one_permit_ttl_after_redis_changed() -> None:
    ttl_ms = round(RULES.permit_ttl_sec * 1000)
    assert decide(case(entry(), "0", redis_changed_ms=NOW_MS - ttl_ms + 1)).reason is Reason.RECOVERING
    assert decide(case(entry(), "0", redis_changed_ms=NOW_MS - ttl_ms)).allow


def test_a_close_from_before_redis_changed_is_not_allowed() -> None:
    came_before = case(entry_ms=NOW_MS - 100, redis_changed_ms=NOW_MS - 100)
    assert decide(came_before).reason is Reason.RECOVERING
    assert decide(case(entry_ms=NOW_MS - 99, redis_changed_ms=NOW_MS - 100)).allow


@pytest.mark.parametrize("since_sec", [0, 59.999])
def test_opens_wait_for_one_permit_ttl_after_an_eviction_and_closes_do_not(since_sec: float) -> None:
    evicted_ms = NOW_MS - round(since_sec * 1000)
    opening = decide(case(entry(), "0", evicted_ms=evicted_ms))
    assert opening.reason is Reason.RECOVERING
    assert opening.details["seconds_since_redis_evicted"] == since_sec
    assert decide(case(evicted_ms=evicted_ms)).allow
    assert decide(case(entry(), "0", evicted_ms=NOW_MS - 60_000)).allow


def test_closes_wait_while_another_process_s_reservations_may_be_evicted() -> None:
    unsure = decide(case(evicted_ms=NOW_MS - 1, reservations_unsure_until_ms=NOW_MS + 1500))
    assert unsure.reason is Reason.RECOVERING
    assert unsure.details["reservations_unsure_for_sec"] == 1.5
    assert decide(case(evicted_ms=NOW_MS - 90_000, reservations_unsure_until_ms=NOW_MS)).allow
