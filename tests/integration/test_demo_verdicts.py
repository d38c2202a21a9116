"""Verdicts of the demo on faults, on a calm and on a busy machine."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.integration.demo_process import assert_empty, running_demo


def _with(fault: str, load: str) -> tuple[str, ...]:
    return "-m", "tests.integration.faulty_demo", fault, load


@pytest.mark.parametrize(
    ("fault", "load", "code", "verdict"),
    [
        ("impatient", "calm", 1, "FAILED: "),
        ("impatient", "busy", 75, "INCONCLUSIVE: this machine was too busy: "),
        ("ledger-differs", "busy", 1, "FAILED: "),
    ],
)
async def test_a_busy_machine_excuses_what_depends_on_time_alone(
    tmp_path: Path, fault: str, load: str, code: int, verdict: str
) -> None:
    async with running_demo(tmp_path, "--seconds", "2", program=_with(fault, load)) as demo:
        assert await demo.ended() == code, demo.output
    assert demo.output.splitlines()[-1].startswith(verdict), demo.output
    assert "Traceback" not in demo.output
    assert_empty(tmp_path)


async def test_a_folder_for_temporary_files_that_takes_none_is_one_sentence(tmp_path: Path) -> None:
    async with running_demo(tmp_path, program=_with("no-space", "as-it-is")) as demo:
        assert await demo.ended() == 1
    assert "\ndemo: No usable temporary directory found in [" in demo.output
    assert "Traceback" not in demo.output
