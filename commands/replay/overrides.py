"""`--set NAME=VALUE`: other settings for decisions that were made with the recorded ones."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from brain.decisions.replaying import COMPARED_RULES
from settings import VARIABLES, SettingsError
from settings.error import quoted
from settings.spelling import did_you_mean
from settings.variables import FIELD_OF

#: The variables whose values recorded cases hold, by name; a case holds them under the settings' field names.
CHANGEABLE: Final = tuple(name for name, field in FIELD_OF.items() if field in COMPARED_RULES)


def parse_changes(texts: Iterable[str]) -> dict[str, object]:
    """Parse values by their name in `Rules`, each validated as the variable itself would be.

    Rules between variables do not hold here: what is only tried out may contradict what runs. Raises
    SettingsError for an unknown variable, one that decides nothing, and a value that is not allowed.
    """
    changes: dict[str, object] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals:
            raise SettingsError("--set", f" {quoted(text)}: NAME=VALUE is expected")
        field = _field_of(name)
        changes[field] = _value(name, value.strip())
    return changes


def _field_of(name: str) -> str:
    if name in CHANGEABLE:
        return FIELD_OF[name]
    if name in FIELD_OF:
        raise SettingsError(
            name, f" cannot be tried out on recorded decisions; these can: {', '.join(CHANGEABLE)}"
        )
    hint = did_you_mean(name, CHANGEABLE, begin="P33_")
    raise SettingsError("--set", f" {quoted(name)}: not a setting{hint}")


def _value(name: str, text: str) -> object:
    [variable] = [each for each in VARIABLES if each.name == name]
    try:
        return variable.kind.parse(text)
    except ValueError:
        raise SettingsError.refused(name, variable.kind.show_refused(text), variable.kind.allowed) from None
