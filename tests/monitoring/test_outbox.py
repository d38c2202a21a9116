"""Notices that an address needs: each begin and end, again after a while, bounded, by the lease's holder."""

from __future__ import annotations

from monitoring.firing import Firing, NoticeKind
from monitoring.outbox import MOST_PER_MINUTE, Alarm, Key, Notice, Outbox, Phase, Role

REPEAT_SEC = 3600.0


def alarms(*keys: tuple[NoticeKind, str], seen: bool = False) -> dict[Key, Alarm]:
    return {key: Alarm(Firing(*key, f"{key[0]} of {key[1]}"), 1_000, seen) for key in keys}


def cases(count: int) -> list[tuple[NoticeKind, str]]:
    return [(NoticeKind.CASE, f"S{number:03d}") for number in range(count)]


def drained(box: Outbox, now_sec: float) -> list[Notice]:
    """Send all that is due now."""
    notices: list[Notice] = []
    while (notice := box.next(now_sec)) is not None:
        box.sent(notice, now_sec)
        notices.append(notice)
    return notices


def reported(notices: list[Notice]) -> list[tuple[str, str]]:
    return [(notice.phase, notice.firing.subject) for notice in notices]


def box_of(*keys: tuple[NoticeKind, str], role: Role = Role.HOLDER) -> Outbox:
    box = Outbox(repeat_sec=REPEAT_SEC)
    box.look(alarms(*keys), role)
    return box


BTC, ETH = (NoticeKind.CASE, "BTCUSDT"), (NoticeKind.CASE, "ETHUSDT")
NOT_READY = (NoticeKind.NOT_READY, "")


def test_a_condition_is_reported_once_at_its_begin_and_once_at_its_end() -> None:
    box = box_of(BTC)
    assert reported(drained(box, 0.0)) == [("firing", "BTCUSDT")]
    box.look(alarms(BTC), Role.HOLDER)
    assert drained(box, 10.0) == []
    box.look({}, Role.HOLDER)
    assert reported(drained(box, 20.0)) == [("resolved", "BTCUSDT")]
    assert drained(box, 30.0) == []


def test_a_notice_that_did_not_arrive_stays_due_until_it_does() -> None:
    box = box_of(BTC)
    first, second = box.next(0.0), box.next(5.0)
    assert first == second
    assert first is not None
    box.sent(first, 6.0)
    assert box.next(6.0) is None


def test_a_condition_that_goes_on_is_reported_again_unless_a_person_has_seen_it() -> None:
    box = box_of(BTC)
    drained(box, 0.0)
    assert drained(box, REPEAT_SEC - 1) == []
    box.look(alarms(BTC, seen=True), Role.HOLDER)
    assert drained(box, REPEAT_SEC) == []
    box.look(alarms(BTC), Role.HOLDER)
    assert reported(drained(box, REPEAT_SEC)) == [("still_firing", "BTCUSDT")]
    assert drained(box, REPEAT_SEC + 1) == []


def test_of_many_at_once_twenty_are_sent_and_the_next_counts_the_others() -> None:
    box = box_of(*cases(50))
    notices = drained(box, 0.0)
    assert len(notices) == MOST_PER_MINUTE
    assert {notice.others for notice in notices} == {0}
    assert box.next(59.9) is None
    (last,) = drained(box, 60.0)
    assert (last.firing.subject, last.others) == ("S020", 29)
    box.look({}, Role.HOLDER)
    assert len(drained(box, 120.0)) == MOST_PER_MINUTE
    (last,) = drained(box, 180.0)
    assert (last.phase, last.others) == (Phase.RESOLVED, 29)


def test_the_limit_is_for_each_minute_and_not_for_a_slow_trickle() -> None:
    box = Outbox(repeat_sec=REPEAT_SEC)
    for number in range(40):
        box.look(alarms(*cases(number + 1)), Role.HOLDER)
        (notice,) = drained(box, number * 3.1)
        assert notice.others == 0


def test_a_condition_that_is_over_before_its_notice_was_sent_is_counted_in_the_next() -> None:
    box = box_of(BTC)
    assert box.next(0.0) is not None
    box.look({}, Role.HOLDER)
    assert box.next(1.0) is None
    assert box.missed == 1
    box.look(alarms(ETH), Role.HOLDER)
    (notice,) = drained(box, 2.0)
    assert (notice.firing.subject, notice.others, box.missed) == ("ETHUSDT", 1, 0)


def test_a_standby_reports_what_concerns_itself_alone() -> None:
    box = box_of(BTC, NOT_READY, role=Role.STANDBY)
    assert [notice.firing.kind for notice in drained(box, 0.0)] == [NoticeKind.NOT_READY]


def test_a_holder_that_becomes_a_standby_reports_no_end_of_what_goes_on() -> None:
    box = box_of(BTC, NOT_READY)
    drained(box, 0.0)
    box.look(alarms(BTC), Role.STANDBY)
    assert [(each.phase, each.firing.kind) for each in drained(box, 1.0)] == [("resolved", "not_ready")]
    assert box.missed == 0


def test_while_the_holder_is_unknown_nothing_of_all_instances_is_sent_or_forgotten() -> None:
    box = box_of(BTC, ETH)
    drained(box, 0.0)
    box.look(alarms(BTC, ETH), Role.UNKNOWN)
    assert drained(box, 1.0) == []
    box.look(alarms(ETH), Role.HOLDER)
    assert reported(drained(box, 2.0)) == [("resolved", "BTCUSDT")]


def test_the_end_comes_before_the_begin_and_the_urgent_before_the_rest() -> None:
    box = box_of(BTC)
    drained(box, 0.0)
    box.look(alarms(ETH, NOT_READY), Role.HOLDER)
    order = [(each.phase, each.firing.kind) for each in drained(box, 1.0)]
    assert order == [("resolved", "case"), ("firing", "not_ready"), ("firing", "case")]


def test_a_notice_that_is_given_up_is_counted_in_the_next() -> None:
    box = box_of(BTC, ETH)
    notice = box.next(0.0)
    assert notice is not None
    box.skip(notice, 0.0)
    (after,) = drained(box, 1.0)
    assert (after.firing.subject, after.others) == ("ETHUSDT", 1)
    assert box.missed == 0


def test_a_begin_while_a_notice_is_under_way_is_not_taken_for_counted() -> None:
    box = box_of(*cases(MOST_PER_MINUTE + 3))
    drained(box, 0.0)
    assert box.next(30.0) is None
    counting = box.next(60.0)
    assert counting is not None
    box.look(alarms(*cases(MOST_PER_MINUTE + 4)), Role.HOLDER)
    box.sent(counting, 61.0)
    assert counting.others == 2
    assert reported(drained(box, 62.0)) == [("firing", f"S{MOST_PER_MINUTE + 3:03d}")]
