from __future__ import annotations

import msgspec
import pytest

from brain.identifiers import FencingToken
from channels import Lease
from monitoring.status.readiness import ReadinessFacts, unready

READY = ReadinessFacts(
    stopping=False,
    waits=(),
    needed_actors=(("permit_evaluator", "running"),),
    lease=Lease(FencingToken("7"), "here"),
    symbols_known=569,
    hedge_mode_known=True,
    allowlist_known=True,
    ledgers_adopted=True,
    snapshots=569,
    snapshots_fresh=569,
    stale_threshold_sec=10.0,
)

ALONE_IN_THE_WAY: list[tuple[dict[str, object], str]] = [
    ({"stopping": True}, "the service is stopping"),
    ({"needed_actors": (("permit_evaluator", "backing_off"),)}, "permit_evaluator is backing off"),
    ({"needed_actors": (("permit_evaluator", "starting"),)}, "permit_evaluator is starting"),
    ({"needed_actors": (("permit_evaluator", "stopped"),)}, "permit_evaluator is stopped"),
    ({"needed_actors": (("permit_evaluator", "missing"),)}, "permit_evaluator is missing"),
    (
        {"waits": (("brain/permit_evaluator", "something new"),)},
        "waiting for something new (permit_evaluator)",
    ),
    (
        {"waits": (("brain/ledger_writer", "Redis at r:6379"), ("brain/lease_holder", "Redis at r:6379"))},
        "waiting for Redis at r:6379 (ledger_writer, lease_holder)",
    ),
    (
        {"waits": (("brain/ledger_writer", "Redis at r:6379"), ("brain/ledger_writer", "Redis at r:6379"))},
        "waiting for Redis at r:6379 (ledger_writer)",
    ),
    ({"lease": None}, "it is not known who holds the lease"),
    ({"lease": Lease(None, "there")}, "standing by: the lease is held by there"),
    (
        {"lease": Lease(None, "here", "trade-2/71/ab")},
        "standing by: the lease is held by here, by another process of the same P33_INSTANCE "
        "(trade-2/71/ab): give each its own",
    ),
    ({"symbols_known": None}, "exchangeInfo was not read yet"),
    ({"symbols_known": 0}, "exchangeInfo lists no symbol"),
    ({"hedge_mode_known": False}, "the account's position mode is not known yet"),
    ({"allowlist_known": False}, "the allowlist is not known yet"),
    ({"ledgers_adopted": False}, "the first ledgers are not adopted yet"),
    (
        {"clocks_apart": "this host's clock is 7.0 s ahead of Redis's"},
        "this host's clock is 7.0 s ahead of Redis's",
    ),
    ({"snapshots": 0, "snapshots_fresh": 0}, "there is no snapshot yet"),
    ({"snapshots_fresh": 0}, "all 569 snapshots are older than 10 s or not trusted"),
    ({"snapshots": 569, "snapshots_fresh": 284}, "285 of 569 snapshots are older than 10 s or not trusted"),
]

NOT_IN_THE_WAY: list[dict[str, object]] = [
    {},
    {"needed_actors": (("permit_evaluator", "waiting"),)},
    {
        "waits": (("brain/ledger_writer", "the exchange's positions"),),
        "needed_actors": (("permit_evaluator", "running"), ("ledger_writer", "waiting")),
    },
    {"waits": (("brain/user_stream", "Binance's private stream"),)},
    {"waits": (("brain/roles/decision_intelligence", "Redis at r:6379: WRONGTYPE q:p35:status"),)},
    {"waits": (("brain/snapshot_fetcher_0", "the exchange's positions"),)},
    {"snapshots": 569, "snapshots_fresh": 285},
    {"snapshots": 2, "snapshots_fresh": 1},
]


@pytest.mark.parametrize(("change", "reason"), ALONE_IN_THE_WAY)
def test_each_thing_that_is_missing_is_the_one_reason(change: dict[str, object], reason: str) -> None:
    assert unready(msgspec.structs.replace(READY, **change)) == [reason]


@pytest.mark.parametrize("change", NOT_IN_THE_WAY)
def test_a_state_in_which_plans_are_decided_is_no_reason(change: dict[str, object]) -> None:
    assert unready(msgspec.structs.replace(READY, **change)) == []


def test_all_reasons_are_reported_at_once() -> None:
    nothing = ReadinessFacts(
        stopping=True,
        waits=(("brain/permit_evaluator", "Redis at r:6379"),),
        needed_actors=(("permit_evaluator", "waiting"),),
        lease=None,
        symbols_known=None,
        hedge_mode_known=False,
        allowlist_known=False,
        ledgers_adopted=False,
        snapshots=0,
        snapshots_fresh=0,
        stale_threshold_sec=10.0,
    )
    assert len(unready(nothing)) == 8
