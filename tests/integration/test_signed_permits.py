"""Accounts that share a Redis and a signing key: the permits of one open no gate of another."""

from __future__ import annotations

from functools import partial
from typing import Any

import redis
import trio

from permit_gate import P33, GateRules, Granted, PermitGate
from permit_gate.answers import Refusal, Refused
from tests.integration.pipeline import entry
from tests.integration.site import Site
from tests.integration.waiting import until

KEY = "a key that both accounts use"


async def acquire(url: str, prefix: str) -> Granted | Refused:
    with PermitGate(url, GateRules(prefix=prefix, signing_key=KEY)) as gate:
        call = partial(gate.acquire, "plan-1", "ETHUSDT", [P33], timeout_sec=10)
        return await trio.to_thread.run_sync(call)


async def test_a_daemons_permit_that_is_copied_to_another_accounts_keys_is_refused_there(site: Site) -> None:
    settings = {"P33_PERMIT_SIGNING_KEY": KEY, "P33_KEY_PREFIX": "account-2"}
    store: Any = redis.Redis.from_url(site.redis_url)
    async with site.daemon(settings) as daemon:
        await daemon.ready()
        published: dict[Any, Any] = {"plan_id": "plan-1", **entry("ETHUSDT", "0.5")}
        store.xadd("account-2:stream:apply.plan", published)
        await until(
            lambda: store.copy("account-2:permit:p33:plan-1", "quantum:permit:p33:plan-1"),
            "the permit is written, and copied",
        )
        copied = await acquire(site.redis_url, "quantum")
        assert isinstance(copied, Refused) and copied.reason is Refusal.SIGNATURE_WRONG
        assert copied.because == "the permit was signed for account-2, not for quantum"
        assert isinstance(await acquire(site.redis_url, "account-2"), Granted)
