"""Refusals of settings."""

from __future__ import annotations

import pytest

from settings import SettingsError, load


def refusal(environ: dict[str, str]) -> str:
    """Return why these settings are refused."""
    with pytest.raises(SettingsError) as raised:
        load(environ)
    return str(raised.value)
