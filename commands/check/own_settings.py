"""Check of the settings and the credentials."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping

import settings
from commands.check.findings import Finding, failed, ok, warning
from settings import Loaded, SettingsError
from settings.hosts import is_loopback_host, venue_of

_SETTINGS = "settings"
_EXCHANGES = {
    "binance": "the real exchange, with real money",
    "binance_testnet": "a testnet behind an address of your own",
    "simulator": "the simulator",
}
_ENV_FILE = "/etc/quantum/position-state-brain.env"


def load(environ: Mapping[str, str]) -> Loaded | Finding:
    """Return the settings that the daemon would run with, or why it would not start."""
    try:
        return settings.load(environ)
    except SettingsError as error:
        return failed(
            _SETTINGS,
            str(error),
            f"correct {error.variable} where it is set: the unit reads {_ENV_FILE}, this command its own "
            "environment",
        )


def settings_findings(loaded: Loaded) -> Iterator[Finding]:
    """Yield the findings on settings that passed every rule."""
    origins = Counter(loaded.origins.values())
    detail = f"valid: {origins['env']} from the environment, {origins['file']} from files, "
    yield ok(_SETTINGS, f"{detail}{origins['default']} defaults")
    for line in loaded.warnings:
        yield warning(
            _SETTINGS, line, "correct or remove it; deploy/position-state-brain.env lists all settings"
        )
    yield _credentials(loaded)
    if not is_loopback_host(loaded.settings.bind):
        yield warning(
            "HTTP address",
            f"P33_BIND={loaded.settings.bind}: any host that reaches this one reads page, status and metrics",
            "P33_BIND=127.0.0.1, or let a firewall or a proxy decide who may read",
        )


def _credentials(loaded: Loaded) -> Finding:
    name = "credentials"
    try:
        used = loaded.settings.require_credentials()
    except SettingsError as error:
        return failed(name, str(error), "make a key with reading rights on Binance's API management page")
    testnet = used.api_key is loaded.settings.binance_testnet_api_key
    variable = "BINANCE_TESTNET_API_KEY" if testnet else "BINANCE_API_KEY"
    venue = venue_of(loaded.settings.binance_rest_url)
    where = venue.name if venue and not venue.real_money else _EXCHANGES[loaded.settings.snapshot_source]
    return ok(name, f"{variable} ({loaded.origins[variable]}), for {where}")
