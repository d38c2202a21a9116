"""The one way in which settings are refused, and how a refused text is shown."""

from __future__ import annotations

_SHOWN_CHARS = 80


class SettingsError(ValueError):
    """A setting that the service must not start with.

    `str()` is one line that names the variable, its value (never a secret's) and what is allowed; `variable`
    is the variable's name.
    """

    def __init__(self, variable: str, sentence: str) -> None:
        super().__init__(f"{variable}{sentence}")
        self.variable = variable

    @classmethod
    def refused(cls, variable: str, shown: str, allowed: str) -> SettingsError:
        """`shown`: the value as it may be printed; `allowed`: what would have been accepted."""
        return cls(variable, f"={shown} is not allowed: {allowed}")


def quoted(text: str) -> str:
    """`text` on one line of bounded length, with whatever is not printable escaped."""
    cut = text if len(text) <= _SHOWN_CHARS else f"{text[:_SHOWN_CHARS]}…"
    return ascii(cut) if not cut.isprintable() else repr(cut)
