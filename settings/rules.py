"""Rules between settings: a broken rule stops the start, a risky combination is a warning."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Final, NamedTuple
from urllib.parse import urlsplit

from settings.bridge_limits import risky_intents
from settings.error import SettingsError
from settings.governor_limits import contradictions
from settings.hosts import is_loopback, is_loopback_host, venue_of
from settings.reconcile_limits import without_effect
from settings.show import shown
from settings.universe import universe_mode
from settings.variables import FIELD_OF, Settings


class Below(NamedTuple):
    """Rule: `variable` must be less than `limit`, or with `or_equal` at most that."""

    variable: str
    limit: str
    because: str
    or_equal: bool = False


BELOW: Final = (
    Below(
        "P33_AUDIT_SEC",
        "P33_STALE_THRESHOLD_SEC",
        "an event that was lost silently must be found before what rests on it counts as stale",
    ),
    Below(
        "P33_AUDIT_SEC",
        "P33_AUDIT_MAX_AGE_SEC",
        "else every snapshot ages between two audits that both succeed",
        or_equal=True,
    ),
    Below(
        "P33_STREAM_PROOF_SEC",
        "P33_STALE_THRESHOLD_SEC",
        "else snapshots go stale between two proofs that the stream lives",
    ),
    Below(
        "P33_PERMIT_TTL",
        "P33_DECISION_TTL_SEC",
        "a plan must stay decided for longer than its permit lives, or it could be allowed twice",
    ),
    Below(
        "P33_PLAN_MAX_AGE_SEC",
        "P33_DECISION_TTL_SEC",
        "a plan must stay decided for longer than it counts as new, or it could be allowed twice",
    ),
    Below(
        "P33_STALE_THRESHOLD_SEC",
        "P33_EXECUTION_GRACE_SEC",
        "a permit must count as in flight until no snapshot from before its fill is fresh any more, or the "
        "same position could be closed twice",
    ),
)

#: Of the reconcile engine, where it is not off.
BELOW_OF_RECONCILE: Final = (
    Below(
        "P34_QTY_DRIFT_TOLERANCE_PCT",
        "P33_QTY_TOLERANCE_PCT",
        "else P3.3 denies for a difference that nothing examines",
        or_equal=True,
    ),
)

#: Of the intent bridge, where it is not off.
BELOW_OF_BRIDGE: Final = (
    Below(
        "INTENT_BRIDGE_MAX_AGE_SEC",
        "P33_DECISION_TTL_SEC",
        "a plan has the time of its intent, and P3.3 takes an older one for one that was published again",
    ),
)

#: Binance ends a connection that sends more than 10 messages in a second, and bans an address that does so
#: repeatedly ("WebSocket Market Streams", Websocket limits); 5 pings in a second leave room for pongs.
_SHORTEST_PROOF_SEC = 0.2


def hold_rules(settings: Settings, origins: Mapping[str, str]) -> None:
    """Raise SettingsError for the first broken rule, in the order of declaration.

    Of the two variables of a rule the error names the one that was set rather than a default.
    """
    broken = [
        *_wrong_exchange(settings),
        *_two_exchanges(settings, origins),
        *_too_many_pings(settings),
        *_orders_for_real(settings),
        *_universe_of_another_exchange(settings),
        *_universe_that_expires(settings, origins),
        *_closes_elsewhere(settings),
        *_not_below(BELOW, settings, origins),
        *_not_below(BELOW_OF_RECONCILE if settings.reconcile != "off" else (), settings, origins),
        *_not_below(BELOW_OF_BRIDGE if settings.intent_bridge != "off" else (), settings, origins),
    ]
    if broken:
        declared = list(FIELD_OF)
        variable, allowed = min(broken, key=lambda rule: declared.index(rule[0]))
        raise SettingsError.refused(variable, f"{shown(settings, variable)} ({origins[variable]})", allowed)


def risky_combinations(settings: Settings, origins: Mapping[str, str]) -> Iterator[str]:
    """Yield a line for each combination that is allowed but probably not intended."""
    if settings.redis_url is not None:
        for variable in ("REDIS_HOST", "REDIS_PORT", "REDIS_DB"):
            if origins[variable] != "default":
                yield f"{variable} is ignored: REDIS_URL is set"
        if settings.redis_url.password and settings.redis_password:
            yield "REDIS_PASSWORD is ignored: REDIS_URL has a password of its own"
    if settings.redis_sentinel_password:
        if not settings.redis.names_sentinels:
            yield "REDIS_SENTINEL_PASSWORD is ignored: REDIS_URL names no Sentinels"
        elif settings.redis_url is not None and settings.redis_url.has_sentinel_password:
            yield "REDIS_SENTINEL_PASSWORD is ignored: REDIS_URL has a sentinel_password of its own"
    for variable, url in _exchange_urls(settings).items():
        if urlsplit(url).scheme in ("http", "ws") and not is_loopback(url):
            yield f"{variable}={url} is not encrypted: any host on the route can read and change the traffic"
    if settings.poll_sec >= settings.stale_threshold_sec:
        yield (
            f"P33_POLL_SEC={settings.poll_sec} is not below "
            f"P33_STALE_THRESHOLD_SEC={settings.stale_threshold_sec}: "
            "while the stream is away, snapshots will be stale between two reads"
        )
    if settings.universe != "off" and settings.universe_refresh_sec >= settings.universe_max_age_sec:
        yield (
            f"UNIVERSE_REFRESH_SEC={settings.universe_refresh_sec} is not below "
            f"P33_UNIVERSE_MAX_AGE_S={settings.universe_max_age_sec}: "
            "the universe will be stale between two refreshes"
        )
    if settings.allowlist_source == "env" and not settings.allowlist:
        yield "P33_ALLOWLIST is empty and P33_ALLOWLIST_SOURCE=env: nothing will be opened"
    if settings.page_token is not None and not is_loopback_host(settings.bind):
        yield (
            f"P33_PAGE_TOKEN with P33_BIND={settings.bind}: the token crosses the network as plain text; "
            "bind to loopback, and put TLS before it (P33_PAGE_ORIGIN)"
        )
    yield from contradictions(settings)
    yield from without_effect(settings)
    yield from risky_intents(settings)


def _not_below(
    rules: Sequence[Below], settings: Settings, origins: Mapping[str, str]
) -> Iterator[tuple[str, str]]:
    for rule in rules:
        value: float | Decimal = getattr(settings, FIELD_OF[rule.variable])
        limit: float | Decimal = getattr(settings, FIELD_OF[rule.limit])
        if value > limit or (value == limit and not rule.or_equal):
            blamed, other, relation = rule.variable, rule.limit, "at most" if rule.or_equal else "less than"
            if origins[blamed] == "default" and origins[other] != "default":
                blamed, other, relation = other, blamed, "at least" if rule.or_equal else "more than"
            limit_text = f"{other}={shown(settings, other)} ({origins[other]})"
            yield blamed, f"{relation} {limit_text}, because {rule.because}"


def _wrong_exchange(settings: Settings) -> Iterator[tuple[str, str]]:
    testnet = settings.binance_testnet
    right = "testnet" if testnet else "real exchange"
    for variable, url in _exchange_urls(settings).items():
        venue = venue_of(url)
        if venue is not None and venue.real_money is testnet:
            yield variable, f"an address of the {right}, because BINANCE_TESTNET={str(testnet).lower()}"


def _two_exchanges(settings: Settings, origins: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Find REST and stream of two exchanges: positions of one account, events of another."""
    rest, stream = venue_of(settings.binance_rest_url), venue_of(settings.binance_ws_url)
    if rest is None or stream is None or rest is stream:
        return
    blamed, other, of, right = "BINANCE_WS_URL", "BINANCE_REST_URL", rest, rest.ws_url
    if origins[blamed] == "default" and origins[other] != "default":
        blamed, other, of, right = other, blamed, stream, stream.rest_url
    setting = f"{other}={shown(settings, other)} ({origins[other]})"
    yield blamed, f"{right}, because {setting} belongs to {of.name} and each exchange has accounts of its own"


def _too_many_pings(settings: Settings) -> Iterator[tuple[str, str]]:
    if settings.stream_proof_sec < _SHORTEST_PROOF_SEC and not is_loopback(settings.binance_ws_url):
        yield (
            "P33_STREAM_PROOF_SEC",
            f"at least {_SHORTEST_PROOF_SEC} unless BINANCE_WS_URL is on this machine, because Binance ends "
            "connections that send more than 10 messages a second",
        )


def _orders_for_real(settings: Settings) -> Iterator[tuple[str, str]]:
    if settings.executing == "on" and not settings.binance_testnet and settings.real_money != "yes":
        yield (
            "EXEC_REAL_MONEY",
            "yes, because P33_EXECUTOR=on sends orders to the real exchange (BINANCE_TESTNET=false)",
        )


def _universe_of_another_exchange(settings: Settings) -> Iterator[tuple[str, str]]:
    testnet = settings.binance_testnet
    right = universe_mode({"binance_testnet": testnet})
    if settings.universe != "off" and settings.universe_mode != right:
        yield "UNIVERSE_MODE", f"{right}, because BINANCE_TESTNET={str(testnet).lower()}"


def _universe_that_expires(settings: Settings, origins: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Find a list that could end between two refreshes of a publisher that works."""
    if settings.universe == "off" or 2 * settings.universe_refresh_sec < settings.universe_active_ttl_sec:
        return
    blamed, other, relation = "UNIVERSE_REFRESH_SEC", "UNIVERSE_ACTIVE_TTL_SEC", "less than half of"
    if origins[blamed] == "default" and origins[other] != "default":
        blamed, other, relation = other, blamed, "more than twice"
    limit = f"{other}={shown(settings, other)} ({origins[other]})"
    yield blamed, f"{relation} {limit}, because the active list must outlive a refresh that fails"


def _closes_elsewhere(settings: Settings) -> Iterator[tuple[str, str]]:
    """Find a stream of closes that is none of plans: the service has rights to two of them."""
    allowed = [f"{settings.key_prefix}:stream:{name}" for name in ("apply.plan", "reconcile.close")]
    if settings.reconcile != "off" and settings.close_stream not in (None, *allowed):
        yield "P34_CLOSE_STREAM", " or ".join(allowed)


def _exchange_urls(settings: Settings) -> dict[str, str]:
    return {"BINANCE_REST_URL": settings.binance_rest_url, "BINANCE_WS_URL": settings.binance_ws_url}
