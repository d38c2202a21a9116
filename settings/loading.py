"""Loader of `Settings` from the environment, with the origin of each value."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from settings.error import SettingsError, quoted
from settings.governor import is_carried_over
from settings.rules import hold_rules, risky_combinations
from settings.secret import MASK
from settings.show import shown
from settings.spelling import did_you_mean
from settings.variable import Variable
from settings.variables import FIELD_OF, VARIABLES, Settings, switched_off

Origin = Literal["env", "file", "default"]

_FILE: Final = "_FILE"
#: An unknown name that begins so is probably a mistyped one: of the guard, and of the roles.
_PREFIXES: Final = (
    "P33_",
    "GOV_",
    "P34_",
    "APPLY_",
    "EXEC_",
    "UNIVERSE_",
    "INTENT_BRIDGE_",
    "P35_",
    "RISK_",
)
_MAX_FILE_BYTES = 4096
_FILE_ALLOWED = "the absolute path of a readable file that holds the secret"


@dataclass(frozen=True, slots=True)
class Loaded:
    """Settings that passed every rule."""

    settings: Settings
    origins: Mapping[str, Origin]
    """By variable, all of them: `file` where `<variable>_FILE` named a file that holds the value."""
    warnings: tuple[str, ...]
    """A line each: unknown names with a prefix of ours, settings without effect, risky combinations."""


def load(environ: Mapping[str, str]) -> Loaded:
    """Load the settings of `environ`; an empty text is the same as none.

    Raises SettingsError for the first variable, in the order of declaration, whose value is not allowed, and
    after that for the first broken rule between variables. A variable of a role that is off may have any
    value: other services read it from the same file. Reads the files that `…_FILE` variables name.
    """
    values: dict[str, Any] = {}
    origins: dict[str, Origin] = {}
    ignored: list[str] = []
    for variable in VARIABLES:
        try:
            value, origins[variable.name] = _read(variable, environ, values)
        except SettingsError as error:
            switch = switched_off(variable.name, values)
            if switch is None:
                raise
            ignored.append(f"{error}; ignored, because {switch} is off")
            value, origins[variable.name] = _default(variable, values), "default"
        values[FIELD_OF[variable.name]] = value
    settings = Settings(**values)
    hold_rules(settings, origins)
    warnings = (*_unknown_names(environ), *ignored, *risky_combinations(settings, origins))
    return Loaded(settings, origins, warnings)


def describe(loaded: Loaded) -> list[str]:
    """Return a line for each variable, such as `P33_POLL_SEC=5.0 (default)`, with secrets masked."""
    return [f"{name}={shown(loaded.settings, name)} ({loaded.origins[name]})" for name in FIELD_OF]


def _read(variable: Variable, environ: Mapping[str, str], known: Mapping[str, Any]) -> tuple[Any, Origin]:
    text = environ.get(variable.name, "").strip()
    if variable.kind.is_secret and (path := environ.get(variable.name + _FILE, "").strip()):
        if text:
            raise SettingsError(variable.name, f"={MASK} is not allowed: {variable.name}_FILE is set too")
        return _parse(variable, _secret_in_file(variable.name + _FILE, path)), "file"
    if text:
        return _parse(variable, text), "env"
    return _default(variable, known), "default"


def _default(variable: Variable, known: Mapping[str, Any]) -> Any:
    default = variable.derive(known) if variable.derive else variable.default
    return variable.kind.parse(default) if default or not variable.is_optional else None


def _parse(variable: Variable, text: str) -> Any:
    try:
        return variable.kind.parse(text)
    except ValueError:
        # Not chained: the parser's input may be a secret.
        raise SettingsError.refused(
            variable.name, variable.kind.show_refused(text), variable.kind.allowed
        ) from None


def _secret_in_file(name: str, path: str) -> str:
    # A relative path is more likely the secret itself, in the wrong variable.
    if not path.startswith("/"):
        raise SettingsError.refused(name, MASK, _FILE_ALLOWED)
    try:
        with Path(path).open("rb") as file:
            content = file.read(_MAX_FILE_BYTES + 1)
        text = content.decode().rstrip("\r\n")
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise SettingsError.refused(name, quoted(path), f"{_FILE_ALLOWED} ({reason})") from None
    except ValueError:
        raise SettingsError.refused(name, quoted(path), f"{_FILE_ALLOWED}, as text") from None
    if not text or len(content) > _MAX_FILE_BYTES:
        size = "empty" if not text else f"longer than {_MAX_FILE_BYTES} bytes"
        raise SettingsError.refused(name, quoted(path), f"{_FILE_ALLOWED} (it is {size})")
    return text


def _unknown_names(environ: Mapping[str, str]) -> Iterator[str]:
    known = [*FIELD_OF, *(variable.name + _FILE for variable in VARIABLES if variable.kind.is_secret)]
    for name in sorted(environ):
        begin = next((prefix for prefix in _PREFIXES if name.startswith(prefix)), None)
        if begin is None or name in known:
            continue
        if not is_carried_over(name):
            yield f"{quoted(name)} is of the predecessor, has no counterpart here and is ignored"
        else:
            yield f"{quoted(name)} is not a setting and is ignored{did_you_mean(name, known, begin=begin)}"
