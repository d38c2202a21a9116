"""Error for a refused setting, and the printable form of a refused text."""

from __future__ import annotations

_SHOWN_CHARS = 80


class SettingsError(ValueError):
    """Setting with which the service must not start.

    `str()` is one line that names the variable, its value (never a secret's) and what is allowed; `variable`
    is the variable's name.
    """

    def __init__(self, variable: str, sentence: str) -> None:
        super().__init__(f"{variable}{sentence}")
        self.variable = variable

    @classmethod
    def refused(cls, variable: str, shown: str, allowed: str) -> SettingsError:
        """Take `shown`, the printable value, and `allowed`, a text on the accepted values."""
        return cls(variable, f"={shown} is not allowed: {allowed}")


def quoted(text: str) -> str:
    """Return `text` on one line of bounded length, with unprintable characters escaped."""
    cut = text if len(text) <= _SHOWN_CHARS else f"{text[:_SHOWN_CHARS]}…"
    return ascii(cut) if not cut.isprintable() else repr(cut)
