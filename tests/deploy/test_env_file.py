"""The env file that is installed shows the settings as they are."""

from __future__ import annotations

import re
from pathlib import Path

from settings import VARIABLES, describe, load

DEPLOY = Path(__file__).parents[2] / "deploy"
LINES = (DEPLOY / "position-state-brain.env").read_text().splitlines()
ASSIGNMENT = re.compile(r"#([A-Z][A-Z0-9_]*)=(.*)")


def shown_defaults() -> dict[str, str]:
    return {found[1]: found[2] for line in LINES if (found := ASSIGNMENT.fullmatch(line))}


def test_the_env_file_names_exactly_the_settings_that_exist_in_their_order() -> None:
    expected = []
    for variable in VARIABLES:
        expected += [variable.name, f"{variable.name}_FILE"] if variable.kind.is_secret else [variable.name]
    assert list(shown_defaults()) == expected


def test_the_defaults_it_shows_are_the_true_ones() -> None:
    # Uncommented as they stand, they change nothing (but where the values come from).
    as_written = describe(load(shown_defaults()))
    without = describe(load({}))
    assert [line.rsplit(" (", 1)[0] for line in as_written] == [line.rsplit(" (", 1)[0] for line in without]
    shown = shown_defaults()
    for variable in VARIABLES:
        # The instance is named after the host the service runs on.
        assert shown[variable.name] == ("" if variable.name == "P33_INSTANCE" else variable.default)


def test_every_setting_has_a_line_that_explains_it() -> None:
    for number, line in enumerate(LINES):
        if (found := ASSIGNMENT.fullmatch(line)) and not found[1].endswith("_FILE"):
            assert re.fullmatch(r"# [A-Z].{10,120}\.", LINES[number - 1]), line


def test_nothing_in_it_is_active() -> None:
    assert all(line == "" or line.startswith("#") for line in LINES)


def test_the_unit_reads_that_file_and_does_not_restart_on_a_bad_setting() -> None:
    unit = (DEPLOY / "quantum-position-state-brain.service").read_text().splitlines()
    assert "EnvironmentFile=/etc/quantum/position-state-brain.env" in unit
    assert "ExecStart=/opt/position-state-brain/venv/bin/position-state-brain run" in unit
    assert "RestartPreventExitStatus=78" in unit
    assert "KillSignal=SIGTERM" in unit
