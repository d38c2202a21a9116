"""An actor that no restart helps: the real process ends in order, says why, and leaves nothing behind."""

from __future__ import annotations

import re
import signal
from pathlib import Path

import trio

from commands.run.log_repetition import INTERVAL_SEC
from tests.integration.pipeline import PLANS, entry
from tests.integration.site import Site
from tests.supervision.notify_rig import listening

LEASE = "quantum:p33:lease"
PATIENT = {"P33_PLAN_MAX_AGE_SEC": "60"}
ACTOR = "permit_evaluator"
HOPELESS = ("-m", "tests.integration.hopeless_daemon", ACTOR)
#: Eleven failures make the group fail, and that three times ends the process.
FAILURES, GROUP_FAILURES = 33, 3


def count_lines(output: str, event: str, **values: str) -> int:
    """Count such lines of the log, repetitions included."""
    wanted = [event, *(f"{name}={value}" for name, value in values.items())]
    lines = [line for line in output.splitlines() if all(f" {each} " in f"{line} " for each in wanted)]
    return sum(int(counted[1]) if (counted := re.search(r" repeated=(\d+)", line)) else 1 for line in lines)


async def test_an_actor_that_keeps_failing_ends_the_process_with_one_and_the_next_does_its_work(
    site: Site, tmp_path: Path
) -> None:
    with listening(tmp_path) as systemd:
        async with site.daemon({**PATIENT, "NOTIFY_SOCKET": systemd.address}, HOPELESS) as daemon:
            await daemon.ready()
            await site.ask("before", entry("BTCUSDT", "0.004"))
            asked_sec = trio.current_time()
            daemon.process.send_signal(signal.SIGUSR1)
            site.publish_plan("during", entry("ETHUSDT", "0.02"))
            assert await daemon.ends(within_sec=60) == 1
            # Given up, not left to expire: the next process need not wait.
            assert site.redis.get(LEASE) is None
            intervals = 1 + (trio.current_time() - asked_sec) // INTERVAL_SEC
            said, errors = daemon.output, daemon.errors
        (last,) = systemd.heard()[-1]

    assert count_lines(said, "Actor failed", actor=ACTOR) == FAILURES
    assert count_lines(said, "Actor failed", actor="decisions") == GROUP_FAILURES
    assert count_lines(said, "Restarting does not help", supervisor="decisions") == GROUP_FAILURES
    assert count_lines(said, "Restarting does not help", supervisor="position-state-brain") == 1
    assert f"decisions/{ACTOR} failed after 10 restarts within 600 s" in said
    why = "position-state-brain/decisions failed after 2 restarts within 1800 s"
    assert len(re.findall(rf" FATAL Giving up reason=.*{why}", said)) == 1
    assert last.startswith("STATUS=gave up: ") and why in last
    for neighbour in ("metrics", "lease_holder", "user_stream", "snapshot_fetcher_0"):
        assert count_lines(said, "Actor restarted", actor=neighbour) == 0
    # Not 33 times over: the actor's and its group's failures, with and without a restart, and the end.
    shown = [line for line in said.splitlines() if re.search(r" ERROR Actor failed (?!.*repeated=)", line)]
    assert 4 <= len(shown) <= 5 * intervals
    assert errors == ""

    async with site.daemon(PATIENT) as daemon:
        answer = await site.permit("during", within_sec=30)
        assert answer["reason"] != "plan_expired"
        await site.nothing_pends(PLANS, within_sec=10)
        await site.decided_once(["before", "during"])
        assert await daemon.stop(signal.SIGTERM) == 0
