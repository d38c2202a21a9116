"""The command line itself: help that teaches, completion, and how commands end."""

from __future__ import annotations

import argparse
import os
import re
import shlex
import signal
import subprocess
import sys
import tomllib
from importlib.abc import MetaPathFinder
from pathlib import Path

import pytest

import commands
from commands import main
from commands.cli import SHELLS, parser
from commands.completion import completion_script

ROOT = Path(__file__).resolve().parents[2]
NAME = "position-state-brain"
COMMANDS = (
    "run", "demo", "check", "status", "proof", "explain", "replay", "trading-state", "hold", "release",
    "simulate-exchange", "completion",
)  # fmt: skip


def help_of(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    with pytest.raises(SystemExit) as ended:
        main([*arguments, "--help"])
    assert ended.value.code == 0
    return capsys.readouterr().out


def test_every_command_is_named_with_what_it_is_for(capsys: pytest.CaptureFixture[str]) -> None:
    text = help_of(capsys)
    for name in COMMANDS:
        assert re.search(rf"^    {name}\n? +[a-z]", text, re.MULTILINE), name


def test_the_version_is_the_one_in_pyproject(capsys: pytest.CaptureFixture[str]) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    with pytest.raises(SystemExit) as ended:
        main(["--version"])
    assert ended.value.code == 0
    assert capsys.readouterr().out == f"{NAME} {project['version']}\n"


@pytest.mark.parametrize("name", COMMANDS)
def test_help_shows_examples_that_the_command_line_takes(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    text = help_of(capsys, name)
    description = text.partition("\n\n")[2]
    examples = re.findall(rf"{NAME} ({name}(?: [^|>#\\\n]*?)?)(?:  +\S.*|[ ]*[|>\\\n].*|$)", description)
    assert examples
    for example in examples:
        words = shlex.split(example.replace("PLAN_ID", "7f3a90c1"))
        assert parser().parse_args(words).command, words


@pytest.mark.parametrize("name", ["", *COMMANDS])
def test_help_fits_80_columns(
    name: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert max(map(len, help_of(capsys, *name.split()).splitlines())) <= 79


@pytest.mark.parametrize("shell", SHELLS)
def test_completion_knows_every_command_and_option(shell: str) -> None:
    script = completion_script(parser(), shell)
    for name in COMMANDS:
        assert name in script
    for option in ("watch", "no-probe", "once", "url", "since", "rest-port"):
        assert option in script


def completed(*words: str) -> list[str]:
    """Return bash's completions of the last of `words`."""
    program = f"""
        source /dev/stdin
        COMP_WORDS=({" ".join(f'"{word}"' for word in words)})
        COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)); COMP_TYPE=9
        _shtab_position_state_brain {NAME} "${{COMP_WORDS[-1]}}" "${{COMP_WORDS[-2]}}"
        printf '%s\\n' "${{COMPREPLY[@]}}"
    """
    ended = subprocess.run(  # noqa: S603 - our own script
        ["/bin/bash", "--norc", "-c", program],
        input=completion_script(parser(), "bash"),
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return [line.strip() for line in ended.stdout.splitlines() if line.strip()]


@pytest.mark.process
def test_bash_completes_commands_options_and_choices() -> None:
    assert set(completed(NAME, "st")) == {"status"}
    assert set(completed(NAME, "status", "--o")) == {"--once"}
    assert set(completed(NAME, "completion", "")) >= set(SHELLS)


def test_an_unknown_shell_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["completion", "tcsh"])
    assert ended.value.code == 2
    assert "bash" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("statsu", "'statsu' is not a command; did you mean status?"),
        ("chek --json", "'chek' is not a command; did you mean check?"),
        ("rn", "'rn' is not a command; did you mean run?"),
        ("STATUS", "'STATUS' is not a command; did you mean status?"),
        ("--verison", "'--verison' is not an option; did you mean --version?"),
        # Far from all, or something else.
        ("start", "'start' is not a command; position-state-brain --help lists what there is"),
        ("bogus --json", "'bogus' is not a command; position-state-brain --help lists what there is"),
        ("-x", "'-x' is not an option; position-state-brain --help lists what there is"),
    ],
)
def test_a_mistyped_command_is_one_sentence_with_what_is_near(
    arguments: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert refused(capsys, arguments) == f"{NAME}: {said}\n"


@pytest.mark.parametrize(
    ("command", "argument", "said"),
    [
        ("status", "--onec", "'--onec' is not an option; did you mean --once?"),
        ("proof", "--on-probe=1", "'--on-probe' is not an option; did you mean --no-probe?"),
        ("replay", "--snce", "'--snce' is not an option; did you mean --since?"),
        ("check", "--verbose", f"'--verbose' is not an option; {NAME} check --help lists what there is"),
        ("check", "it", f"'it' is not an argument; {NAME} check --help lists what there is"),
    ],
)
def test_a_mistyped_option_is_one_sentence_with_what_is_near(
    command: str, argument: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert refused(capsys, f"{command} {argument}") == f"{NAME} {command}: {said}\n"


def refused(capsys: pytest.CaptureFixture[str], arguments: str) -> str:
    """Return what a command line that cannot be read is answered with."""
    with pytest.raises(SystemExit) as ended:
        main(arguments.split())
    assert ended.value.code == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    return shown.err


@pytest.mark.process
@pytest.mark.parametrize("arguments", [["completion", "zsh"], ["check", "--json", "--watch", "0.1"]])
def test_a_reader_that_has_seen_enough_causes_no_complaint(arguments: list[str]) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    ended = subprocess.run(  # noqa: S603 - our own command
        [sys.executable, "-m", "commands", *arguments],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "P33_SHARDS": "none"},
        stdout=writing,
        stderr=subprocess.PIPE,
        text=True,
        timeout=60,
        check=False,
    )
    os.close(writing)
    assert ended.stderr == ""
    assert ended.returncode == commands.EXIT_CLOSED_PIPE


@pytest.mark.parametrize(
    "raised",
    [
        KeyboardInterrupt(),
        BaseExceptionGroup("nursery", [BaseExceptionGroup("inner", [KeyboardInterrupt()])]),
    ],
)
def test_ctrl_c_ends_a_command_without_a_traceback(
    raised: BaseException, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(_: argparse.Namespace) -> int:
        raise raised

    monkeypatch.setattr("commands.calls.check", interrupted)
    assert main(["check"]) == 128 + signal.SIGINT


def test_an_error_beside_an_interrupt_is_not_swallowed(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_: argparse.Namespace) -> int:
        raise BaseExceptionGroup("nursery", [KeyboardInterrupt(), RuntimeError("a fault")])

    monkeypatch.setattr("commands.calls.check", broken)
    with pytest.raises(BaseExceptionGroup):
        main(["check"])


class _Interrupting(MetaPathFinder):
    """Raises KeyboardInterrupt when a module is imported, as Ctrl-C at that moment does."""

    def find_spec(self, name: str, *_: object) -> None:
        if name == "settings":
            raise KeyboardInterrupt


def test_an_interrupt_while_modules_are_imported_ends_without_a_traceback(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delitem(sys.modules, "settings")
    monkeypatch.setattr(sys, "meta_path", [_Interrupting(), *sys.meta_path])
    assert commands.main(["demo"]) == commands.EXIT_INTERRUPTED
