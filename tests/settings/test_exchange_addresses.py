"""Addresses of the exchange: REST and stream belong to one exchange, the one that was chosen."""

from __future__ import annotations

import pytest

from settings import load
from tests.settings.refusal import refusal

REST = {
    "real": "https://fapi.binance.com",
    "demo": "https://demo-fapi.binance.com",
    "old testnet": "https://testnet.binancefuture.com",
    "loopback": "http://127.0.0.1:9000",
    "proxy": "https://proxy.example/binance",
}
STREAM = {
    "real": "wss://fstream.binance.com",
    "demo": "wss://demo-fstream.binance.com",
    "old testnet": "wss://fstream.binancefuture.com",
    "loopback": "ws://127.0.0.1:9000",
    "proxy": "wss://proxy.example/binance",
}


def test_the_default_addresses_follow_the_choice_of_exchange() -> None:
    settings = load({"BINANCE_TESTNET": "false"}).settings
    assert settings.binance_rest_url == "https://fapi.binance.com"
    assert settings.binance_ws_url == "wss://fstream.binance.com"
    assert settings.snapshot_source == "binance"


@pytest.mark.parametrize(
    ("testnet", "variable", "url"),
    [
        ("true", "BINANCE_REST_URL", "https://fapi.binance.com"),
        ("true", "BINANCE_WS_URL", "wss://fstream.binance.com/"),
        ("false", "BINANCE_REST_URL", "https://testnet.binancefuture.com"),
        ("false", "BINANCE_WS_URL", "wss://FSTREAM.binancefuture.com"),
        ("false", "BINANCE_REST_URL", "https://demo-fapi.binance.com:443"),
        ("false", "BINANCE_WS_URL", "wss://demo-fstream.binance.com"),
    ],
)
def test_an_address_of_the_other_exchange_is_refused(testnet: str, variable: str, url: str) -> None:
    assert refusal({"BINANCE_TESTNET": testnet, variable: url}).startswith(
        f"{variable}={url.rstrip('/')} (env)"
    )


@pytest.mark.parametrize("testnet", [True, False])
@pytest.mark.parametrize("rest", REST)
@pytest.mark.parametrize("stream", STREAM)
def test_rest_and_stream_must_belong_to_one_exchange(testnet: bool, rest: str, stream: str) -> None:
    known = {"real": not testnet, "demo": testnet, "old testnet": testnet}
    fit = rest not in known or stream not in known or rest == stream
    environ = {
        "BINANCE_TESTNET": str(testnet),
        "BINANCE_REST_URL": REST[rest],
        "BINANCE_WS_URL": STREAM[stream],
    }
    if fit and known.get(rest, True) and known.get(stream, True):
        settings = load(environ).settings
        source = "simulator" if rest == "loopback" else "binance_testnet" if testnet else "binance"
        assert settings.snapshot_source == source
    else:
        message = refusal(environ)
        assert message.isprintable()
        assert message.startswith("BINANCE_")


@pytest.mark.parametrize(
    ("testnet", "rest", "wallet"),
    [
        (False, "real", "https://api.binance.com"),
        (True, "demo", None),
        (False, "proxy", None),
        (True, "loopback", "http://127.0.0.1:9000"),
    ],
)
def test_only_the_real_exchange_and_a_simulator_have_a_wallet(
    testnet: bool, rest: str, wallet: str | None
) -> None:
    environ = {"BINANCE_TESTNET": str(testnet), "BINANCE_REST_URL": REST[rest]}
    assert load(environ).settings.wallet_url == wallet


@pytest.mark.parametrize(
    ("environ", "message"),
    [
        (
            {"BINANCE_WS_URL": "wss://fstream.binancefuture.com"},
            "BINANCE_WS_URL=wss://fstream.binancefuture.com (env) is not allowed: "
            "wss://demo-fstream.binance.com, because BINANCE_REST_URL=https://demo-fapi.binance.com "
            "(default) belongs to the demo exchange and each exchange has accounts of its own",
        ),
        (
            {"BINANCE_REST_URL": "https://testnet.binancefuture.com"},
            "BINANCE_REST_URL=https://testnet.binancefuture.com (env) is not allowed: "
            "https://demo-fapi.binance.com, because BINANCE_WS_URL=wss://demo-fstream.binance.com (default) "
            "belongs to the demo exchange and each exchange has accounts of its own",
        ),
        (
            {"BINANCE_REST_URL": REST["demo"], "BINANCE_WS_URL": STREAM["real"]},
            "BINANCE_WS_URL=wss://fstream.binance.com (env) is not allowed: an address of the testnet, "
            "because BINANCE_TESTNET=true",
        ),
    ],
)
def test_two_exchanges_are_refused_with_the_address_that_would_fit(
    environ: dict[str, str], message: str
) -> None:
    assert refusal(environ) == message


@pytest.mark.parametrize(
    ("environ", "source"),
    [
        ({}, "binance_testnet"),
        ({"BINANCE_REST_URL": "https://proxy.example/binance/"}, "binance_testnet"),
        ({"BINANCE_REST_URL": "http://127.0.0.1:9000/"}, "simulator"),
        ({"BINANCE_REST_URL": "http://[::1]:9000"}, "simulator"),
        ({"BINANCE_REST_URL": "http://localhost:9000", "BINANCE_TESTNET": "0"}, "simulator"),
    ],
)
def test_snapshots_name_the_exchange_they_come_from(environ: dict[str, str], source: str) -> None:
    settings = load(environ).settings
    assert settings.snapshot_source == source
    assert not settings.binance_rest_url.endswith("/")
