import pytest
import trio

from supervision import Escalated, Intensity, RestartIntensityExceeded
from tests.supervision.rig import (
    Journal,
    child,
    crashes_after,
    journal_after,
    obedient,
    running,
    script,
    supervisor,
    tree_of,
)
from tests.virtual_time import virtual_time

pytestmark = virtual_time

TWICE = Intensity(restarts=2, within_sec=100)


async def test_one_restart_too_many_ends_the_tree_with_the_cause(journal: Journal) -> None:
    spec = supervisor(child("a"), child("b", crashes_after(1, ValueError("no"))), child("c"), intensity=TWICE)
    with pytest.raises(
        RestartIntensityExceeded, match=r"root: root/b failed after 2 restarts within 100 s"
    ) as it:
        await tree_of(spec, journal).run()
    assert (it.value.supervisor, it.value.child) == ("root", "root/b")
    assert isinstance(it.value.__cause__, ValueError)
    lines = journal.lines(without="")
    assert lines.count("b started") == 3
    assert lines[-5:-3] == ["b crashed", "root escalated"]
    assert sorted(lines[-3:-1]) == ["a cancelled", "c cancelled"]
    assert lines[-1] == "root crashed"
    last = journal.crashes()[-2]
    assert (last.name, last.restart_number, last.delay_sec) == ("b", None, None)


async def test_restarts_of_all_children_count_together() -> None:
    spec = supervisor(
        *(child(name, script(crashes_after(1, ValueError()), obedient)) for name in "abc"), intensity=TWICE
    )
    with pytest.raises(RestartIntensityExceeded):
        await tree_of(spec, Journal()).run()


async def test_those_stopped_and_started_beside_a_failed_sibling_do_not_count() -> None:
    crash = crashes_after(1, ValueError())
    spec = supervisor(
        child("a", script(crash, crash, obedient)),
        *(child(name) for name in "bcd"),
        strategy="rest_for_one",
        intensity=TWICE,
    )
    journal = await journal_after(50, spec)
    assert journal.lines().count("d started") == 3
    assert not any(isinstance(event, Escalated) for event in journal.events)


async def test_failures_far_enough_apart_never_escalate() -> None:
    spec = supervisor(child("a", crashes_after(60, ValueError())), intensity=TWICE)
    journal = await journal_after(6100, spec)
    assert journal.lines().count("a crashed") == 100


async def test_a_nested_supervisor_that_gives_up_is_restarted_by_its_parent(journal: Journal) -> None:
    crash = crashes_after(1, ValueError("no"))
    inner = supervisor(child("b", script(*[crash] * 3, obedient)), child("c"), name="inner", intensity=TWICE)
    tree = tree_of(supervisor(child("a"), inner), journal)
    async with running(tree):
        await trio.sleep(50)
        assert journal.lines() == [
            *("a started", "inner started", "b started", "c started"),
            *("b crashed", "b started", "b crashed", "b started"),
            *("b crashed", "inner escalated", "c cancelled", "inner crashed"),
            *("inner started", "b started", "c started"),
        ]
        _, crashed = [crash for crash in journal.crashes() if crash.name in ("inner", "b")][-2:]
        assert crashed.exception_type == "supervision.failures.RestartIntensityExceeded"
        assert (crashed.restart_number, crashed.delay_sec) == (1, 1)
        assert isinstance(crashed.failure.__cause__, ValueError)
        (escalated,) = [event for event in journal.events if isinstance(event, Escalated)]
        assert (escalated.path, escalated.child, escalated.reason) == (
            "root/inner",
            "root/inner/b",
            "ValueError: no",
        )
        (_, inner_status) = tree.status().children
        assert inner_status.restarts == 1
        assert inner_status.last_reason is not None
        assert "RestartIntensityExceeded: root/inner: root/inner/b failed" in inner_status.last_reason
        assert [status.last_reason for status in inner_status.children] == [
            "ValueError: no",
            "ended with inner",
        ]
        assert [status.restarts for status in inner_status.children] == [3, 1]


async def test_a_nested_supervisor_counts_anew_after_its_restart() -> None:
    crash = crashes_after(1, ValueError())
    inner = supervisor(child("b", script(*[crash] * 5, obedient)), name="inner", intensity=TWICE)
    journal = await journal_after(50, supervisor(inner))
    assert journal.lines().count("inner crashed") == 1
    assert journal.lines().count("b crashed") == 5


async def test_a_failure_that_restarts_do_not_end_leaves_through_the_root(journal: Journal) -> None:
    innermost = supervisor(child("b", crashes_after(1, ValueError("no"))), name="innermost", intensity=TWICE)
    inner = supervisor(innermost, child("x"), name="inner", intensity=TWICE, strategy="rest_for_one")
    with pytest.raises(RestartIntensityExceeded) as it:
        await tree_of(supervisor(child("a"), inner, child("z"), intensity=TWICE), journal).run()
    assert (it.value.supervisor, it.value.child) == ("root", "root/inner")
    causes = []
    cause: BaseException | None = it.value
    while cause is not None:
        causes.append(type(cause).__name__)
        cause = cause.__cause__
    assert causes == ["RestartIntensityExceeded"] * 3 + ["ValueError"]
    assert journal.lines().count("b crashed") == 27


async def test_escalation_does_not_wait_for_anybodys_back_off() -> None:
    spec = supervisor(
        child("a", crashes_after(0.1, ValueError())),
        child("b", crashes_after(0.2, ValueError())),
        intensity=Intensity(restarts=1, within_sec=10),
    )
    begun_sec = trio.current_time()
    with pytest.raises(RestartIntensityExceeded):
        await tree_of(spec, Journal()).run()
    assert trio.current_time() - begun_sec < 0.3
