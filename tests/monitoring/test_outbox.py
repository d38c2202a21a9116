"""Notices that an address needs: each begin and end, again after a while, bounded, by the lease's holder."""

from __future__ import annotations

from monitoring.firing import Firing, NoticeKind
from monitoring.outbox import (
    MOST_OF_THE_REST,
    MOST_PER_MINUTE,
    OVER_AFTER_SEC,
    Alarm,
    Key,
    Notice,
    Outbox,
    Role,
)

REPEAT_SEC = 3600.0


def alarms(*keys: tuple[NoticeKind, str], seen: bool = False) -> dict[Key, Alarm]:
    return {key: Alarm(Firing(*key, f"{key[0]} of {key[1]}"), 1_000, seen) for key in keys}


def cases(count: int) -> list[tuple[NoticeKind, str]]:
    return [(NoticeKind.CASE, f"S{number:03d}") for number in range(count)]


def divergences(count: int) -> list[tuple[NoticeKind, str]]:
    return [(NoticeKind.DIVERGENCE, f"S{number:03d}") for number in range(count)]


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
    box.look(alarms(*keys), role, 0.0)
    return box


def over(box: Outbox, *left: tuple[NoticeKind, str], at_sec: float) -> None:
    """Let all end but those that are left, for long enough that their end counts at that moment."""
    for now_sec in (at_sec - OVER_AFTER_SEC, at_sec):
        box.look(alarms(*left), Role.HOLDER, now_sec)


BTC, ETH = (NoticeKind.CASE, "BTCUSDT"), (NoticeKind.CASE, "ETHUSDT")
NOT_READY, BAN = (NoticeKind.NOT_READY, ""), (NoticeKind.BAN, "")


def test_a_condition_is_reported_once_at_its_begin_and_once_at_its_end() -> None:
    box = box_of(BTC)
    assert reported(drained(box, 0.0)) == [("firing", "BTCUSDT")]
    box.look(alarms(BTC), Role.HOLDER, 10.0)
    assert drained(box, 10.0) == []
    box.look({}, Role.HOLDER, 20.0)
    assert drained(box, 20.0 + OVER_AFTER_SEC - 0.1) == []
    assert reported(drained(box, 20.0 + OVER_AFTER_SEC)) == [("resolved", "BTCUSDT")]
    assert drained(box, 40.0) == []


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
    box.look(alarms(BTC, seen=True), Role.HOLDER, REPEAT_SEC)
    assert drained(box, REPEAT_SEC) == []
    box.look(alarms(BTC), Role.HOLDER, REPEAT_SEC)
    assert reported(drained(box, REPEAT_SEC)) == [("still_firing", "BTCUSDT")]
    assert drained(box, REPEAT_SEC + 1) == []


def test_of_many_at_once_twelve_are_sent_and_the_next_counts_the_others() -> None:
    box = box_of(*divergences(50))
    notices = drained(box, 0.0)
    assert len(notices) == MOST_OF_THE_REST == 12
    assert {notice.others for notice in notices} == {0}
    assert box.next(59.9) is None
    (last,) = drained(box, 60.0)
    assert (last.firing.subject, last.others) == ("S012", 37)
    assert drained(box, 180.0) == []


def test_an_urgent_begin_is_sent_at_once_however_much_is_held_back() -> None:
    box = box_of(*divergences(25))
    drained(box, 0.0)
    urgent = [NOT_READY, BAN, (NoticeKind.UNKNOWN_EXECUTION, "plan-1"), BTC]
    box.look(alarms(*divergences(25), *urgent), Role.HOLDER, 10.0)
    notices = drained(box, 10.0)
    assert [(each.phase, each.firing.kind, each.others) for each in notices] == [
        ("firing", "not_ready", 0),
        ("firing", "ban", 0),
        ("firing", "unknown_execution", 0),
        ("firing", "case", 0),
    ]
    (last,) = drained(box, 70.0)
    assert (last.firing.subject, last.others) == ("S012", 12)


def test_the_notice_that_counts_others_names_a_begin_rather_than_an_end() -> None:
    box = box_of(*divergences(25))
    drained(box, 0.0)
    over(box, *divergences(25)[1:], at_sec=50.0)
    (last,) = drained(box, 60.0)
    assert (last.phase, last.firing.subject, last.others) == ("firing", "S012", 13)


def test_cases_have_a_notice_each_and_leave_room_for_what_is_more_urgent() -> None:
    box = box_of(*cases(50))
    assert len(drained(box, 0.0)) == 16
    box.look(alarms(*cases(50), NOT_READY), Role.HOLDER, 10.0)
    assert [each.firing.kind for each in drained(box, 10.0)] == ["not_ready"]
    named = [each for now_sec in (60.0, 120.0, 180.0) for each in drained(box, now_sec)]
    assert [each.firing.subject for each in named] == [f"S{number:03d}" for number in range(16, 50)]
    assert {each.others for each in named} == {0}


def test_the_limit_is_twenty_whatever_begins() -> None:
    groups = [(NoticeKind.RESTART_LIMIT, f"group-{number}") for number in range(30)]
    assert len(drained(box_of(*groups), 0.0)) == MOST_PER_MINUTE == 20


def test_a_condition_that_was_only_counted_has_no_end_of_its_own() -> None:
    box = box_of(*divergences(14))
    drained(box, 0.0)
    assert [each.others for each in drained(box, 60.0)] == [1]
    over(box, at_sec=200.0)
    ended = drained(box, 200.0) + drained(box, 260.0)
    assert reported(ended) == [("resolved", f"S{number:03d}") for number in range(13)]
    assert {each.others for each in ended} == {0}
    box.look(alarms(*divergences(14)), Role.HOLDER, 400.0)
    assert len(drained(box, 400.0)) == MOST_OF_THE_REST


def test_a_condition_that_was_only_counted_is_named_if_it_goes_on_and_then_at_its_end() -> None:
    box = box_of(*divergences(14))
    drained(box, 0.0)
    drained(box, 60.0)
    drained(box, REPEAT_SEC)
    last = drained(box, REPEAT_SEC + 60.0)
    assert ("still_firing", "S013") in reported(last)
    over(box, *divergences(13), at_sec=REPEAT_SEC + 200.0)
    assert reported(drained(box, REPEAT_SEC + 200.0)) == [("resolved", "S013")]


def test_a_condition_that_was_named_has_its_end_though_its_going_on_was_only_counted() -> None:
    box = box_of(*divergences(12))
    drained(box, 0.0)
    first = [(NoticeKind.DIVERGENCE, f"A{number}") for number in range(3)]
    box.look(alarms(*divergences(12), *first), Role.HOLDER, REPEAT_SEC)
    drained(box, REPEAT_SEC)
    (counting,) = drained(box, REPEAT_SEC + 60.0)
    assert (counting.firing.subject, counting.phase, counting.others) == ("S009", "still_firing", 2)
    over(box, *first, *divergences(11), at_sec=REPEAT_SEC + 200.0)
    assert reported(drained(box, REPEAT_SEC + 200.0)) == [("resolved", "S011")]


def test_the_limit_is_for_each_minute_and_not_for_a_slow_trickle() -> None:
    box = Outbox(repeat_sec=REPEAT_SEC)
    for number in range(40):
        box.look(alarms(*divergences(number + 1)), Role.HOLDER, number * 5.1)
        (notice,) = drained(box, number * 5.1)
        assert notice.others == 0


def test_a_condition_that_flaps_is_one_notice_and_swallows_no_other() -> None:
    box, notices = Outbox(repeat_sec=REPEAT_SEC), list[Notice]()
    for second in range(400):
        firing = [(NoticeKind.ALL_DENIED, "")] if second % 2 == 0 and second < 300 else []
        box.look(alarms(*firing, *([BAN] if second >= 30 else [])), Role.HOLDER, float(second))
        notices += drained(box, float(second))
        if second == 30:
            assert notices[-1].firing.kind is NoticeKind.BAN
    assert [(each.phase, each.firing.kind, each.others) for each in notices] == [
        ("firing", "all_denied", 0), ("firing", "ban", 0), ("resolved", "all_denied", 0),
    ]  # fmt: skip


def test_a_condition_that_a_person_has_seen_is_not_sent_at_a_new_begin() -> None:
    box, notices = Outbox(repeat_sec=REPEAT_SEC), list[Notice]()
    for second in range(200):
        box.look(alarms(*([BTC] if second // 20 % 2 == 0 else []), seen=True), Role.HOLDER, float(second))
        notices += drained(box, float(second))
    assert (notices, box.missed) == ([], 0)
    box.look(alarms(BTC), Role.HOLDER, 200.0)
    assert reported(drained(box, 200.0)) == [("firing", "BTCUSDT")]


def test_the_end_of_a_condition_that_a_person_has_seen_is_sent() -> None:
    box = box_of(BTC)
    drained(box, 0.0)
    box.look(alarms(BTC, seen=True), Role.HOLDER, 5.0)
    over(box, at_sec=30.0)
    assert reported(drained(box, 30.0)) == [("resolved", "BTCUSDT")]


def test_a_condition_that_is_over_before_its_notice_was_sent_is_counted_in_the_next() -> None:
    box = box_of(BTC)
    assert box.next(0.0) is not None
    box.look({}, Role.HOLDER, 1.0)
    assert box.next(1.0) is None
    assert box.missed == 1
    box.look(alarms(ETH), Role.HOLDER, 2.0)
    (notice,) = drained(box, 2.0)
    assert (notice.firing.subject, notice.others, box.missed) == ("ETHUSDT", 1, 0)


def test_a_standby_reports_what_concerns_itself_alone() -> None:
    box = box_of(BTC, NOT_READY, role=Role.STANDBY)
    assert [notice.firing.kind for notice in drained(box, 0.0)] == [NoticeKind.NOT_READY]


def test_a_holder_that_becomes_a_standby_reports_no_end_of_what_goes_on() -> None:
    box = box_of(BTC, NOT_READY)
    drained(box, 0.0)
    box.look(alarms(BTC), Role.STANDBY, 1.0)
    assert [(each.phase, each.firing.kind) for each in drained(box, 11.0)] == [("resolved", "not_ready")]
    assert box.missed == 0


def test_while_the_holder_is_unknown_nothing_of_all_instances_is_sent_or_forgotten() -> None:
    box = box_of(BTC, ETH)
    drained(box, 0.0)
    box.look(alarms(BTC, ETH), Role.UNKNOWN, 1.0)
    assert drained(box, 100.0) == []
    over(box, ETH, at_sec=200.0)
    assert reported(drained(box, 200.0)) == [("resolved", "BTCUSDT")]


def test_a_begin_comes_before_an_end_and_the_urgent_before_the_rest() -> None:
    box = box_of(BTC)
    drained(box, 0.0)
    over(box, ETH, NOT_READY, at_sec=20.0)
    order = [(each.phase, each.firing.kind) for each in drained(box, 20.0)]
    assert order == [("firing", "not_ready"), ("firing", "case"), ("resolved", "case")]


def test_a_notice_that_is_given_up_is_counted_in_the_next() -> None:
    box = box_of(BTC, ETH)
    notice = box.next(0.0)
    assert notice is not None
    box.skip(notice, 0.0)
    (after,) = drained(box, 1.0)
    assert (after.firing.subject, after.others) == ("ETHUSDT", 1)
    assert box.missed == 0


def test_a_begin_while_a_notice_is_under_way_is_not_taken_for_counted() -> None:
    box = box_of(*divergences(MOST_OF_THE_REST + 3))
    drained(box, 0.0)
    assert box.next(30.0) is None
    counting = box.next(60.0)
    assert counting is not None
    box.look(alarms(*divergences(MOST_OF_THE_REST + 4)), Role.HOLDER, 61.0)
    box.sent(counting, 61.0)
    assert counting.others == 2
    assert reported(drained(box, 62.0)) == [("firing", f"S{MOST_OF_THE_REST + 3:03d}")]
