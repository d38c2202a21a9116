"""Settings of the reconcile engine that another one leaves without effect, or that are risky together."""

from __future__ import annotations

from collections.abc import Iterator

from settings.variables import Settings


def without_effect(settings: Settings) -> Iterator[str]:
    """Yield a line for each of them; none while the reconcile engine is off."""
    if settings.reconcile == "off":
        return
    if settings.ghost_purge_interval_sec is not None:
        yield "P34_GHOST_PURGE_INTERVAL_SEC has no effect: no ledger is ever purged"
    if settings.reconcile_hmac_secret and settings.reconcile_close_secret:
        yield "RECONCILE_CLOSE_SECRET is ignored: RECONCILE_HMAC_SECRET is set"
    if settings.poll_sec >= settings.exchange_freshness_sec:
        yield (
            f"P33_POLL_SEC={settings.poll_sec} is not below "
            f"P34_EXCHANGE_FRESHNESS_SEC={settings.exchange_freshness_sec}: "
            "while the stream is away, positions are not compared between two reads"
        )
    if "manual" in settings.adopt_causes:
        yield (
            "P34_ADOPT_CAUSES has manual: trades of people and other robots are booked as if they were our "
            "own, and plans go on with them"
        )
    if settings.reconcile_close == "off":
        return
    if settings.reconcile == "shadow":
        yield "P34_CLOSE=excess has no effect: the shadow publishes no plans"
    elif settings.close_secret is None:
        yield "P34_CLOSE=excess without RECONCILE_HMAC_SECRET: proposed closes carry no HMAC"
