"""A running daemon's decisions: signed for the gate, explained, replayed, and counted by reason."""

from __future__ import annotations

import signal

import pytest

from commands.explain import explain
from commands.replay import ReplayOptions, replay
from permit_gate import P33, GateRules, Granted, PermitGate, Refusal, Refused
from tests.integration.http_side import status
from tests.integration.pipeline import entry, full_close
from tests.integration.site import Site
from tests.integration.surroundings import trade

KEY = "what issuer and gate both know"


async def test_a_daemons_decisions_can_be_trusted_explained_and_made_again(
    site: Site, capsys: pytest.CaptureFixture[str]
) -> None:
    trade(site.exchange, "BTCUSDT", "BUY", "0.038")
    async with site.daemon({"P33_PERMIT_SIGNING_KEY": KEY}) as daemon:
        url = await daemon.ready()
        await site.ask("close", full_close("BTCUSDT"))
        await site.ask("open", entry("ETHUSDT", "0.5"))
        await site.ask("nothing-to-close", full_close("SOLUSDT"))
        await site.ask("malformed", {**entry("ETHUSDT", "0.5"), "price": "NaN"})

        other_key = GateRules(signing_key="another key")
        with PermitGate(site.redis_url, other_key) as gate:
            refused = gate.acquire("close", "BTCUSDT", [P33])
        assert isinstance(refused, Refused) and refused.reason is Refusal.SIGNATURE_WRONG
        with PermitGate(site.redis_url, GateRules(signing_key=KEY)) as gate:
            granted = gate.acquire("close", "BTCUSDT", [P33])
        assert isinstance(granted, Granted)
        assert (granted.terms and str(granted.terms.safe_quantity)) == "0.038"

        gates = (await status(url))["gates"]
        assert gates["last_5_min"] == gates["last_1_h"]
        assert gates["allow_by_reason"] == {"open_permit_granted": 1, "sanity_checks_passed": 1}
        assert gates["last_5_min"]["deny_by_reason"] == {"malformed_plan": 1, "no_position": 1}
        assert await daemon.stop(signal.SIGTERM) == 0
        lines = daemon.output.splitlines()
    [shown] = [line for line in lines if "P3.3 gate distribution 5m: " in line]
    assert shown.endswith(
        "allow=2 deny=2 reasons=malformed_plan:1,no_position:1,open_permit_granted:1,sanity_checks_passed:1"
    )

    environ = {"REDIS_URL": site.redis_url}
    assert explain(environ, "close", as_json=False) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert text.startswith("Plan close BTCUSDT ALLOW sanity_checks_passed SELL 0.038 Every check passed")
    assert "now consumed by permit_gate" in text
    assert explain(environ, "malformed", as_json=False) == 0
    assert "price: not a number from 0 up: NaN" in capsys.readouterr().out
    assert replay(environ, ReplayOptions()) == 0
    assert capsys.readouterr().out.startswith("Identical: 3 decisions, each the same again.")
