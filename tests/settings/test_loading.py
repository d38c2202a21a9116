from __future__ import annotations

import socket
from dataclasses import FrozenInstanceError
from decimal import Decimal
from pathlib import Path

import pytest

from settings import VARIABLES, Loaded, Secret, Settings, describe, load
from tests.settings.refusal import refusal

SECRETS = [variable.name for variable in VARIABLES if variable.kind.is_secret]


def test_an_empty_environment_gives_the_contracts_defaults() -> None:
    loaded = load({})
    settings = loaded.settings
    assert str(settings.redis) == settings.redis.url() == "redis://localhost:6379/0"
    assert settings.binance_testnet is True
    assert settings.binance_rest_url == "https://demo-fapi.binance.com"
    assert settings.binance_ws_url == "wss://demo-fstream.binance.com"
    assert (settings.poll_sec, settings.audit_sec, settings.audit_max_age_sec) == (5, 8, 60)
    assert (settings.stream_proof_sec, settings.stale_threshold_sec, settings.cooldown_sec) == (1, 10, 15)
    assert settings.qty_tolerance_pct == Decimal("1.0")
    assert isinstance(settings.qty_tolerance_pct, Decimal)
    assert (settings.permit_ttl_sec, settings.plan_max_age_sec) == (60, 5)
    assert (settings.execution_grace_sec, settings.decision_ttl_sec) == (30, 3600)
    assert (settings.allowlist_source, settings.allowlist) == ("universe", ())
    assert (settings.universe_max_age_sec, settings.universe_last_ok_max_age_sec) == (300, 86400)
    assert settings.allowlist_refresh_sec == 60
    assert (settings.fetch_mode, settings.shards) == ("auto", 4)
    assert (settings.intent_window_sec, settings.target_cycle_sec, settings.min_top_k) == (1800, 3, 20)
    assert (settings.ondemand_snapshot, settings.ondemand_ttl_sec) == (True, 300)
    assert (settings.weight_budget_per_min, settings.mark_price_stream) == (1200, True)
    assert (settings.metrics_port, settings.bind, settings.key_prefix) == (8045, "127.0.0.1", "quantum")
    assert settings.instance == f"{socket.gethostname()}:8045"
    assert settings.permit_signing_key is None
    assert (settings.log_level, settings.log_format) == ("INFO", "text")
    assert loaded.warnings == ()
    assert set(loaded.origins.values()) == {"default"}
    assert settings == Settings()


def test_settings_are_frozen() -> None:
    with pytest.raises(FrozenInstanceError):
        load({}).settings.poll_sec = 1.0  # type: ignore[misc]


def test_an_empty_text_is_the_same_as_none() -> None:
    empty = {variable.name: "" for variable in VARIABLES} | {f"{name}_FILE": " " for name in SECRETS}
    assert load(empty) == load({})


def test_each_value_says_where_it_came_from(tmp_path: Path) -> None:
    key_file = tmp_path / "key"
    key_file.write_text("k-from-file\r\n")
    loaded = load({"P33_POLL_SEC": "2.5", "BINANCE_API_KEY_FILE": str(key_file)})
    assert loaded.settings.binance_api_key == Secret("k-from-file")
    assert loaded.origins["P33_POLL_SEC"] == "env"
    assert loaded.origins["BINANCE_API_KEY"] == "file"
    assert loaded.origins["P33_AUDIT_SEC"] == "default"
    lines = describe(loaded)
    assert "P33_POLL_SEC=2.5 (env)" in lines
    assert "BINANCE_API_KEY=*** (file)" in lines
    assert "P33_AUDIT_SEC=8.0 (default)" in lines
    assert [line.split("=")[0] for line in lines] == [variable.name for variable in VARIABLES]


SWITCHED = {True: ["true", "TRUE", "1", "Yes", "on"], False: ["false", "False", "0", "NO", "off"]}


@pytest.mark.parametrize(("text", "on"), [(text, on) for on, texts in SWITCHED.items() for text in texts])
def test_a_switch_takes_each_word_for_true_and_false(text: str, on: bool) -> None:
    settings = load({"P33_ONDEMAND_SNAPSHOT": text, "BINANCE_TESTNET": text}).settings
    assert settings.ondemand_snapshot is settings.binance_testnet is on


BAD_VALUES = {
    "P33_POLL_SEC": ["0", "-1", "nan", "inf", "1e2", "5s", "1_0", "٥", "3601"],
    "P33_QTY_TOLERANCE_PCT": ["101", "Infinity"],
    "P33_PERMIT_TTL": ["60.5"],
    "P33_SHARDS": ["0"],
    "P33_METRICS_PORT": ["65536"],
    "REDIS_PORT": ["0"],
    "REDIS_HOST": ["localhost:6379"],
    "REDIS_DB": ["-1"],
    "P33_BIND": ["http://127.0.0.1"],
    "BINANCE_TESTNET": ["maybe"],
    "BINANCE_REST_URL": [
        "ftp://127.0.0.1",
        "wss://127.0.0.1",
        "https://",
        "https://127.0.0.1:99999",
        "127.0.0.1:8080",
    ],
    "BINANCE_WS_URL": ["https://127.0.0.1"],
    "P33_ALLOWLIST_SOURCE": ["file"],
    "P33_ALLOWLIST": ["BTC USDT"],
    "P33_FETCH_MODE": ["fast"],
    "P33_KEY_PREFIX": ["quantum*", "a b", "x" * 65],
    "P33_INSTANCE": ["a b"],
    "P33_LOG_LEVEL": ["LOUD"],
    "P33_LOG_FORMAT": ["xml"],
}


@pytest.mark.parametrize(
    ("variable", "text"), [(variable, text) for variable, texts in BAD_VALUES.items() for text in texts]
)
def test_a_bad_value_is_one_line_with_the_variable_the_value_and_what_is_allowed(
    variable: str, text: str
) -> None:
    [declared] = [own for own in VARIABLES if own.name == variable]
    assert refusal({variable: text}) == f"{variable}={text!r} is not allowed: {declared.kind.allowed}"


def test_the_first_bad_value_in_the_order_of_declaration_is_named() -> None:
    assert refusal({"P33_LOG_LEVEL": "x", "P33_SHARDS": "x", "P33_POLL_SEC": "x"}).startswith("P33_POLL_SEC=")


def test_a_long_or_unprintable_value_stays_one_line_of_bounded_length() -> None:
    message = refusal({"P33_POLL_SEC": "\n\x1b[31m\u2028\udc80" + "9" * 10_000})
    assert message.isprintable()
    assert len(message) < 300


@pytest.mark.parametrize(
    ("environ", "blamed", "limit"),
    [
        ({"P33_AUDIT_SEC": "10"}, "P33_AUDIT_SEC=10.0 (env)", "P33_STALE_THRESHOLD_SEC=10.0 (default)"),
        (
            {"P33_STALE_THRESHOLD_SEC": "8"},
            "P33_STALE_THRESHOLD_SEC=8.0 (env)",
            "more than P33_AUDIT_SEC=8.0 (default)",
        ),
        (
            {"P33_AUDIT_MAX_AGE_SEC": "7.9"},
            "P33_AUDIT_MAX_AGE_SEC=7.9 (env)",
            "at least P33_AUDIT_SEC=8.0 (default)",
        ),
        ({"P33_DECISION_TTL_SEC": "60"}, "P33_DECISION_TTL_SEC=60 (env)", "P33_PERMIT_TTL=60 (default)"),
        (
            {"P33_EXECUTION_GRACE_SEC": "10"},
            "P33_EXECUTION_GRACE_SEC=10.0 (env)",
            "more than P33_STALE_THRESHOLD_SEC=10.0 (default)",
        ),
        (
            {"P33_STALE_THRESHOLD_SEC": "30"},
            "P33_STALE_THRESHOLD_SEC=30.0 (env)",
            "less than P33_EXECUTION_GRACE_SEC=30.0 (default)",
        ),
        ({"P33_STREAM_PROOF_SEC": "10"}, "P33_STREAM_PROOF_SEC=10.0 (env)", "P33_STALE_THRESHOLD_SEC"),
        ({"P33_PERMIT_TTL": "3600"}, "P33_PERMIT_TTL=3600 (env)", "P33_DECISION_TTL_SEC=3600 (default)"),
        ({"P33_DECISION_TTL_SEC": "61", "P33_PLAN_MAX_AGE_SEC": "61"}, "P33_PLAN_MAX_AGE_SEC", "_TTL_SEC=61"),
    ],
)
def test_a_broken_rule_between_variables_names_both_and_says_why(
    environ: dict[str, str], blamed: str, limit: str
) -> None:
    message = refusal(environ)
    assert message.startswith(blamed)
    assert limit in message
    assert "because" in message or "else" in message
    assert message.isprintable()


@pytest.mark.parametrize("text", ["0.05", "0.1", "0.19"])
def test_pings_faster_than_binance_bears_are_refused_off_this_machine(text: str) -> None:
    message = refusal({"P33_STREAM_PROOF_SEC": text})
    assert message.startswith(f"P33_STREAM_PROOF_SEC={text} (env) is not allowed: at least 0.2 unless")
    assert "10 messages a second" in message
    proxied = {"P33_STREAM_PROOF_SEC": text, "BINANCE_REST_URL": "http://127.0.0.1:9000"}
    assert refusal(proxied).startswith("P33_STREAM_PROOF_SEC=")


def test_pings_may_be_as_fast_as_a_simulator_on_this_machine_bears() -> None:
    assert load({"P33_STREAM_PROOF_SEC": "0.2"}).settings.stream_proof_sec == 0.2
    local = {"P33_STREAM_PROOF_SEC": "0.05", "BINANCE_WS_URL": "ws://127.0.0.1:9000"}
    assert load(local).settings.stream_proof_sec == 0.05


def test_of_several_broken_rules_the_first_in_the_order_of_declaration_is_named() -> None:
    both = {"P33_AUDIT_SEC": "12", "P33_STREAM_PROOF_SEC": "12"}
    assert refusal(both).startswith("P33_AUDIT_SEC=")
    wrong_exchange = {"BINANCE_REST_URL": "https://fapi.binance.com", "P33_AUDIT_SEC": "12"}
    assert refusal(wrong_exchange).startswith("BINANCE_REST_URL=")


def test_the_audit_rule_says_that_it_is_about_silently_lost_events() -> None:
    assert "lost silently" in refusal({"P33_AUDIT_SEC": "12"})


def test_values_at_the_edge_of_the_rules_pass() -> None:
    load({"P33_AUDIT_SEC": "9.99", "P33_AUDIT_MAX_AGE_SEC": "9.99", "P33_DECISION_TTL_SEC": "61"})
    load({"P33_EXECUTION_GRACE_SEC": "10.01"})


def test_the_allowlist_is_upper_cased_and_each_symbol_is_in_it_once() -> None:
    assert load({"P33_ALLOWLIST": " btcusdt, ETHUSDT,,BTCUSDT "}).settings.allowlist == ("BTCUSDT", "ETHUSDT")


def test_the_instance_is_named_after_host_and_port_unless_it_has_a_name() -> None:
    assert load({"P33_METRICS_PORT": "0"}).settings.instance == f"{socket.gethostname()}:0"
    assert load({"P33_INSTANCE": "blue"}).settings.instance == "blue"


def test_an_unknown_name_is_a_warning_with_the_nearest_known_one() -> None:
    warnings = load({"P33_STALE_TRESHOLD": "x", "P33_COOLDWN_SEC": "1", "HOME": "/", "P33_": ""}).warnings
    assert any("'P33_STALE_TRESHOLD'" in line and "P33_STALE_THRESHOLD_SEC?" in line for line in warnings)
    assert any("'P33_COOLDWN_SEC'" in line and "P33_COOLDOWN_SEC?" in line for line in warnings)
    assert len(warnings) == 3


def test_a_name_that_is_near_none_gets_no_suggestion() -> None:
    warnings = load({"P33_COLOUR_SEC": "1", "P33_": "", "P33_MOON_PHASE": "full"}).warnings
    assert sorted(warnings) == [
        "'P33_' is not a setting and is ignored",
        "'P33_COLOUR_SEC' is not a setting and is ignored",
        "'P33_MOON_PHASE' is not a setting and is ignored",
    ]


def test_an_unknown_names_value_is_not_shown() -> None:
    [warning] = load({"P33_PERMIT_SIGNING_KEI": "zebra"}).warnings
    assert "zebra" not in warning
    assert "P33_PERMIT_SIGNING_KEY?" in warning


def test_the_file_variants_of_secrets_are_known_names(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("signing")
    assert load({"P33_PERMIT_SIGNING_KEY_FILE": str(tmp_path / "key")}).warnings == ()


@pytest.mark.parametrize(
    ("environ", "words"),
    [
        ({"REDIS_URL": "redis://a", "REDIS_HOST": "b"}, "REDIS_HOST is ignored"),
        ({"REDIS_URL": "redis://:p@a", "REDIS_PASSWORD": "q"}, "REDIS_PASSWORD is ignored"),
        (
            {"REDIS_URL": "redis+sentinel://a/q?sentinel_password=p", "REDIS_SENTINEL_PASSWORD": "q"},
            "REDIS_SENTINEL_PASSWORD is ignored: REDIS_URL has a sentinel_password of its own",
        ),
        ({"REDIS_URL": "redis://a", "REDIS_SENTINEL_PASSWORD": "q"}, "REDIS_URL names no Sentinels"),
        ({"REDIS_SENTINEL_PASSWORD": "q"}, "REDIS_URL names no Sentinels"),
        ({"BINANCE_REST_URL": "http://proxy.example"}, "not encrypted"),
        ({"BINANCE_WS_URL": "ws://proxy.example"}, "not encrypted"),
        ({"P33_POLL_SEC": "10"}, "stale between two reads"),
        ({"P33_ALLOWLIST_SOURCE": "env"}, "nothing will be opened"),
    ],
)
def test_a_combination_that_is_likely_a_mistake_is_a_warning(environ: dict[str, str], words: str) -> None:
    [warning] = load(environ).warnings
    assert words in warning


def test_loading_the_same_environment_twice_gives_equal_results() -> None:
    environ = {"REDIS_URL": "redis://:pw@host/3", "P33_SHARDS": "8", "BINANCE_API_KEY": "k"}
    first: Loaded = load(environ)
    assert first == load(environ)
