"""Environment variables of the guard itself (P3.3): Redis, exchange, decisions, reads, HTTP."""

# The declarations below are calls that return dataclass fields, like `dataclasses.field`.
# ruff: noqa: RUF009

from __future__ import annotations

import socket
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Literal, NamedTuple

from settings import kinds
from settings.error import SettingsError
from settings.hosts import DEMO, PRODUCTION, Venue, is_loopback, venue_of
from settings.redis_address import MAX_DB, RedisAddress, redis_at
from settings.secret import Secret
from settings.variable import derived, optional, setting

_DAY_SEC = 86400


class Credentials(NamedTuple):
    """Key pair that signs requests to Binance."""

    api_key: Secret
    api_secret: Secret


def _venue(known: Mapping[str, Any]) -> Venue:
    return DEMO if known.get("binance_testnet", True) else PRODUCTION


def _rest_url(known: Mapping[str, Any]) -> str:
    return _venue(known).rest_url


def _ws_url(known: Mapping[str, Any]) -> str:
    return _venue(known).ws_url


def _instance(known: Mapping[str, Any]) -> str:
    return f"{socket.gethostname()}:{known.get('metrics_port', 8045)}"


@dataclass(frozen=True, kw_only=True)
class ServiceSettings:
    """Settings of the guard. Durations are seconds."""

    redis_url: RedisAddress | None = optional(
        "REDIS_URL", kinds.redis_url(), "Redis as a URL; the parts then only add a password"
    )
    redis_host: str = setting("REDIS_HOST", kinds.host(), "localhost", "Redis in parts: host")
    redis_port: int = setting("REDIS_PORT", kinds.whole(1, 65535), "6379", "Redis in parts: port")
    redis_db: int = setting("REDIS_DB", kinds.whole(0, MAX_DB), "0", "Redis in parts: number of the database")
    redis_password: Secret | None = optional("REDIS_PASSWORD", kinds.password(), "Redis in parts: password")
    redis_sentinel_password: Secret | None = optional(
        "REDIS_SENTINEL_PASSWORD", kinds.password(), "password of the Sentinels that REDIS_URL names"
    )

    binance_api_key: Secret | None = optional(
        "BINANCE_API_KEY", kinds.credential(), "API key, required to run"
    )
    binance_api_secret: Secret | None = optional(
        "BINANCE_API_SECRET",
        kinds.api_secret(),
        "API secret, required to run; for an RSA or Ed25519 key its private key in PEM",
    )
    binance_testnet_api_key: Secret | None = optional(
        "BINANCE_TESTNET_API_KEY", kinds.credential(), "taken on the testnet when BINANCE_API_KEY is not set"
    )
    binance_testnet_api_secret: Secret | None = optional(
        "BINANCE_TESTNET_API_SECRET", kinds.api_secret(), "belongs to BINANCE_TESTNET_API_KEY"
    )
    binance_testnet: bool = setting(
        "BINANCE_TESTNET",
        kinds.flag(),
        "true",
        "the demo exchange or another testnet; false is the real exchange and real money",
    )
    binance_rest_url: str = derived(
        "BINANCE_REST_URL", kinds.base_url("https", "http"), _rest_url, "base address of the REST API"
    )
    binance_ws_url: str = derived(
        "BINANCE_WS_URL", kinds.base_url("wss", "ws"), _ws_url, "base address of the streams"
    )

    poll_sec: float = setting(
        "P33_POLL_SEC", kinds.seconds(0.01, 3600), "5", "REST refresh while the stream is not trusted"
    )
    audit_sec: float = setting(
        "P33_AUDIT_SEC",
        kinds.seconds(0.01, 3600),
        "8",
        "how often a bulk REST read must agree with the stream-fed state",
    )
    audit_max_age_sec: float = setting(
        "P33_AUDIT_MAX_AGE_SEC",
        kinds.seconds(0.01, 3600),
        "60",
        "how long the stream alone is trusted when no audit gets through",
    )
    stream_proof_sec: float = setting(
        "P33_STREAM_PROOF_SEC",
        kinds.seconds(0.01, 3600),
        "1",
        "how often the stream proves that it lives; off this machine at least 0.2",
    )
    stale_threshold_sec: float = setting(
        "P33_STALE_THRESHOLD_SEC",
        kinds.seconds(0.01, 3600),
        "10",
        "a snapshot older than this allows nothing",
    )
    cooldown_sec: float = setting(
        "P33_COOLDOWN_SEC", kinds.seconds(0, _DAY_SEC), "15", "pause of a symbol after an execution"
    )
    qty_tolerance_pct: Decimal = setting(
        "P33_QTY_TOLERANCE_PCT",
        kinds.percent(0, 100),
        "1.0",
        "how far exchange and ledger may differ, of the exchange's amount",
    )
    permit_ttl_sec: int = setting("P33_PERMIT_TTL", kinds.whole_seconds(1, 3600), "60", "life of a permit")
    plan_max_age_sec: float = setting(
        "P33_PLAN_MAX_AGE_SEC",
        kinds.seconds(0.01, 3600),
        "5",
        "an older plan is expired; the Apply Layer waits 1.2 s",
    )
    execution_grace_sec: float = setting(
        "P33_EXECUTION_GRACE_SEC",
        kinds.seconds(0, _DAY_SEC),
        "30",
        "how long after its TTL a consumed permit still counts as in flight",
    )
    decision_ttl_sec: int = setting(
        "P33_DECISION_TTL_SEC",
        kinds.whole_seconds(1, 30 * _DAY_SEC),
        "3600",
        "how long a plan id stays decided after its permit is gone",
    )

    allowlist_source: Literal["universe", "env"] = setting(
        "P33_ALLOWLIST_SOURCE",
        kinds.one_of("universe", "env"),
        "universe",
        "where the tradable symbols come from first",
    )
    allowlist: tuple[str, ...] = setting(
        "P33_ALLOWLIST",
        kinds.symbols(),
        "",
        "tradable symbols, with commas: the last resort, or the only source",
    )
    universe_max_age_sec: float = setting(
        "P33_UNIVERSE_MAX_AGE_S",
        kinds.seconds(1, 30 * _DAY_SEC),
        "300",
        "an older active universe is not used",
    )
    universe_last_ok_max_age_sec: float = setting(
        "P33_UNIVERSE_LAST_OK_MAX_AGE_S",
        kinds.seconds(1, 365 * _DAY_SEC),
        "86400",
        "an older last good universe is not used",
    )
    allowlist_refresh_sec: float = setting(
        "P33_ALLOWLIST_REFRESH_S", kinds.seconds(0.1, _DAY_SEC), "60", "how often the allowlist is read again"
    )

    fetch_mode: Literal["auto", "bulk", "per_symbol"] = setting(
        "P33_FETCH_MODE",
        kinds.one_of("auto", "bulk", "per_symbol"),
        "auto",
        "how positions are read: bulk in one request, auto bulk until that is refused",
    )
    shards: int = setting("P33_SHARDS", kinds.whole(1, 64), "4", "snapshot fetchers")
    intent_window_sec: int = setting(
        "P33_INTENT_WINDOW_SEC",
        kinds.whole_seconds(1, 7 * _DAY_SEC),
        "1800",
        "symbols of intents this recent are candidates",
    )
    target_cycle_sec: float = setting(
        "P33_TARGET_CYCLE_SEC",
        kinds.seconds(0.1, 3600),
        "3.0",
        "candidates: a cycle of single reads should take no longer",
    )
    min_top_k: int = setting(
        "P33_MIN_TOP_K", kinds.whole(0, 1000), "20", "candidates: at least so many by volume"
    )
    ondemand_snapshot: bool = setting(
        "P33_ONDEMAND_SNAPSHOT", kinds.flag(), "true", "read a missing or stale snapshot inside the decision"
    )
    ondemand_ttl_sec: int = setting(
        "P33_ONDEMAND_TTL_SEC", kinds.whole_seconds(1, _DAY_SEC), "300", "life of a snapshot read on demand"
    )
    weight_budget_per_min: int = setting(
        "P33_WEIGHT_BUDGET_PER_MIN", kinds.whole(10, 2400), "1200", "our share of Binance's 2400"
    )
    connections_per_5min: int = setting(
        "P33_CONNECTIONS_PER_5MIN",
        kinds.whole(10, 300),
        "60",
        "our share of the 300 streams that Binance lets an address open in 5 minutes",
    )
    mark_price_stream: bool = setting(
        "P33_MARK_PRICE_STREAM", kinds.flag(), "true", "mark prices from the stream; else from REST"
    )

    metrics_port: int = setting(
        "P33_METRICS_PORT", kinds.whole(0, 65535), "8045", "port of the HTTP side; 0: any free one"
    )
    bind: str = setting("P33_BIND", kinds.host(), "127.0.0.1", "address of the HTTP side")
    page_token: Secret | None = optional(
        "P33_PAGE_TOKEN", kinds.token(), "when set, who types it on the page can act there"
    )
    page_origin: str | None = optional(
        "P33_PAGE_ORIGIN", kinds.origin(), "when set, where a proxy with TLS on this host serves the page"
    )
    instance: str = derived(
        "P33_INSTANCE",
        kinds.matching(r"[!-~]{1,300}", "1 to 300 printable ASCII characters, no spaces"),
        _instance,
        "who holds the lease: host name and port unless set",
    )
    key_prefix: str = setting(
        "P33_KEY_PREFIX",
        kinds.matching(r"[A-Za-z0-9_:-]{1,64}", "1 to 64 letters, digits, _ : and -"),
        "quantum",
        "start of every key in Redis",
    )
    permit_signing_key: Secret | None = optional(
        "P33_PERMIT_SIGNING_KEY", kinds.password(), "when set, permits carry an HMAC that the gate checks"
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = setting(
        "P33_LOG_LEVEL",
        kinds.one_of("DEBUG", "INFO", "WARNING", "ERROR"),
        "INFO",
        "least level that is logged",
    )
    log_format: Literal["text", "json"] = setting(
        "P33_LOG_FORMAT", kinds.one_of("text", "json"), "text", "lines for people, or a JSON object a line"
    )

    @property
    def redis(self) -> RedisAddress:
        """Address of Redis. `str()` of it is for messages, `.url()` for the client."""
        if self.redis_url is not None:
            return self.redis_url.with_passwords(self.redis_password, self.redis_sentinel_password)
        return redis_at(self.redis_host, self.redis_port, self.redis_db, self.redis_password)

    @property
    def snapshot_source(self) -> str:
        """`source` of snapshots: `binance`, `binance_testnet` or `simulator`."""
        if is_loopback(self.binance_rest_url):
            return "simulator"
        return "binance_testnet" if self.binance_testnet else "binance"

    @property
    def wallet_url(self) -> str | None:
        """Base address of the API for key permissions, if any. A simulator is its own wallet."""
        venue = venue_of(self.binance_rest_url)
        if venue is not None:
            return venue.wallet_url
        return self.binance_rest_url if is_loopback(self.binance_rest_url) else None

    def require_credentials(self) -> Credentials:
        """Return the key pair. Raises SettingsError when there is none, or half of one.

        `BINANCE_API_KEY` goes before `BINANCE_TESTNET_API_KEY`, which is for the testnet only. Halves of
        different pairs are never mixed.
        """
        key, secret, prefix = self.binance_api_key, self.binance_api_secret, "BINANCE_API_"
        if key is secret is None and self.binance_testnet:
            key, secret = self.binance_testnet_api_key, self.binance_testnet_api_secret
            prefix = "BINANCE_API_" if key is secret is None else "BINANCE_TESTNET_API_"
        if key and secret:
            return Credentials(key, secret)
        name = f"{prefix}SECRET" if key else f"{prefix}KEY"
        on_testnet = " or, on the testnet, BINANCE_TESTNET_API_KEY" if key is secret is None else ""
        raise SettingsError(name, f" is not set but required to run: set it, {name}_FILE{on_testnet}")
