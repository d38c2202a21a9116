"""`--set NAME=VALUE`: other settings for decisions that were made with the recorded ones."""

from __future__ import annotations

from collections.abc import Iterable

from commands.replay.subject import Subject
from settings import VARIABLES, SettingsError
from settings.error import quoted
from settings.spelling import did_you_mean
from settings.variables import FIELD_OF


def parse_changes(texts: Iterable[str], subject: Subject) -> dict[str, object]:
    """Parse values by the names that the records have for them, each validated as the variable itself.

    Rules between variables do not hold here: what is only tried out may contradict what runs. Raises
    SettingsError for an unknown variable, one that decides nothing, and a value that is not allowed.
    """
    changes: dict[str, object] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals:
            raise SettingsError("--set", f" {quoted(text)}: NAME=VALUE is expected")
        rule = _rule_of(name, subject)
        changes[rule] = _value(name, value.strip())
    return changes


def _rule_of(name: str, subject: Subject) -> str:
    if name in subject.changeable:
        return subject.changeable[name]
    if name in FIELD_OF:
        can = ", ".join(subject.changeable)
        raise SettingsError(name, f" cannot be tried out on recorded {subject.decisions}; these can: {can}")
    begin = next((each for each in subject.begins if name.startswith(each)), "P33_")
    hint = did_you_mean(name, subject.changeable, begin=begin)
    raise SettingsError("--set", f" {quoted(name)}: not a setting{hint}")


def _value(name: str, text: str) -> object:
    [variable] = [each for each in VARIABLES if each.name == name]
    try:
        return variable.kind.parse(text)
    except ValueError:
        raise SettingsError.refused(name, variable.kind.show_refused(text), variable.kind.allowed) from None
