from __future__ import annotations

import sys
from pathlib import Path

import pytest
import structlog
import trio

import supervisor
from commands.run import run
from commands.run.queued_output import QueuedOutput
from supervision import RestartIntensityExceeded
from tests.supervision.notify_rig import Listener

ENVIRON = {"BINANCE_API_KEY": "the-api-key", "BINANCE_API_SECRET": "the-api-secret"}


@pytest.fixture(autouse=True)
def _own_streams(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", sys.stdout)
    monkeypatch.setattr(sys, "stderr", sys.stderr)


def served_by(patch: pytest.MonkeyPatch, failure: BaseException | None) -> None:
    """Let the service end so instead of running."""

    async def serve(*_: object) -> None:
        await trio.lowlevel.checkpoint()
        structlog.get_logger().warning("lost")
        structlog.get_logger().warning("lost")
        if failure is not None:
            raise failure

    patch.setattr(supervisor, "serve", serve)


def test_a_clean_stop_is_exit_code_zero(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    served_by(monkeypatch, None)
    assert run(ENVIRON) == 0
    # Nothing that was counted stays unsaid.
    assert "lost repeated=1" in capsys.readouterr().out


def test_restarting_that_does_not_help_is_exit_code_one_and_the_last_line_says_who(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    failure = RestartIntensityExceeded("position-state-brain", "position-state-brain/exchange", 2, 1800)
    served_by(monkeypatch, ExceptionGroup("", [ExceptionGroup("", [failure])]))
    assert run(ENVIRON) == 1
    lines = capsys.readouterr().out.splitlines()
    assert any("FATAL Giving up" in line and "position-state-brain/exchange failed" in line for line in lines)


def test_an_unforeseen_error_is_not_taken_for_a_clean_stop(monkeypatch: pytest.MonkeyPatch) -> None:
    served_by(monkeypatch, OSError("no file descriptors left"))
    with pytest.raises(OSError, match="no file descriptors left"):
        run(ENVIRON)


def test_the_journal_gets_priorities_only_where_it_reads(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    served_by(monkeypatch, None)
    assert run({**ENVIRON, "JOURNAL_STREAM": "1:1"}) == 0
    assert not capsys.readouterr().out.startswith("<")


def test_standard_output_and_error_are_queued_for_the_rest_of_the_process(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    served_by(monkeypatch, OSError("no file descriptors left"))
    with (tmp_path / "out").open("w") as out, (tmp_path / "err").open("w") as err:
        monkeypatch.setattr(sys, "stdout", out)
        monkeypatch.setattr(sys, "stderr", err)
        with pytest.raises(OSError, match="no file descriptors left"):
            run(ENVIRON)
        for stream in (sys.stdout, sys.stderr):
            assert isinstance(stream, QueuedOutput)
            stream.write("afterwards\n")
            assert stream.drain(5)
    assert (tmp_path / "out").read_text().endswith("lost repeated=1 within_sec=0.0\nafterwards\n")
    assert (tmp_path / "err").read_text() == "afterwards\n"


def test_systemd_is_notified_at_its_address(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[object] = []

    async def serve(*arguments: object) -> None:
        await trio.lowlevel.checkpoint()
        given.append(arguments[-1])

    monkeypatch.setattr(supervisor, "serve", serve)
    run(ENVIRON)
    listener = Listener("@p33-test-run")
    try:
        run({**ENVIRON, "NOTIFY_SOCKET": listener.address})
    finally:
        listener.close()
    assert given[0] is None
    assert given[1] is not None
