"""The initial state of the simulated world by its seed."""

from __future__ import annotations

from random import Random
from typing import Literal

import msgspec

import settings
from settings import Loaded
from tests.simulation.chain_scene import (
    BridgeMode,
    UniverseMode,
    bridge_environment,
    bridge_of,
    has_intelligence,
    intelligence_environment,
    universe_environment,
    universe_of,
)
from tests.simulation.clocks import EPOCH_MS
from tests.simulation.governor_scene import begin_ms, governor_environment, wallet_of
from tests.simulation.reconcile_scene import HISTORY_LAGS_MS, HISTORY_PAGES, reconcile_environment

#: The share of dry runs among the seeds with played executors.
_DRY_RUNS = 0.1
#: A third source of permits, whose plain `1` grants.
EXTRA_PERMIT = "P26=quantum:permit:p26:{plan_id}"
#: The service's own Governor judges (`on`), or does so beside a played one (`shadow`).
GovernorMode = Literal["off", "shadow", "on"]
#: The service's own reconcile engine holds and repairs (`on`), or says what it would do (`shadow`).
ReconcileMode = Literal["off", "shadow", "on"]
SYMBOLS = ("BTCUSDT", "ETHUSDT", "SOLUSDT", "XRPUSDT", "DOGEUSDT")
#: No other service permits anything beside a Governor of the service.
_ONLY_ITS_OWN = {"EXEC_EXTRA_PERMITS": "", "EXEC_MANUAL_LANE": "false"}
_WITHOUT_GOVERNOR = 0.5
_WITHOUT_RECONCILE = 0.5
_SHADOWS = 0.15


class Roles(msgspec.Struct, frozen=True):
    """Roles of the service that decide in the place of the seed; None: the seed does.

    See `has_executor`, `governor_of`, `reconcile_of`, and those of `chain_scene`.
    """

    executor: bool | None = None
    governor: bool | None = None
    reconcile: bool | None = None
    intent_bridge: BridgeMode | None = None
    intelligence: bool | None = None
    universe: bool | None = None


BY_SEED = Roles()


class Scene(msgspec.Struct, frozen=True):
    """One seed's account, settings and distances. Milliseconds for the exchange, seconds elsewhere."""

    seed: str
    symbols: tuple[str, ...]
    hedge_mode: bool
    standby: bool
    rest_ms: float
    rest_jitter_ms: float
    push_sec: float
    mark_interval_sec: float | None
    environment: dict[str, str]
    #: Whether the service's own executor sends the orders; otherwise played consumers do.
    executor: bool = False
    #: The service's own executor runs dry beside them.
    dry_run: bool = False
    governor: GovernorMode = "off"
    reconcile: ReconcileMode = "off"
    bridge: BridgeMode = "off"
    intelligence: bool = False
    universe: UniverseMode = "off"
    #: How far the exchange's lists of trades and orders are behind, and how many rows a page of them has.
    history_lag_ms: float = 0.0
    history_page: int = 1000
    #: True time when the run begins, and what the account begins with (USDT).
    epoch_ms: int = EPOCH_MS
    wallet: int = 1_000_000

    def loaded(self, instance: str) -> Loaded:
        """Return the settings of one process."""
        return settings.load({**self.environment, "P33_INSTANCE": instance})


def has_executor(seed: str, wanted: bool | None = None) -> bool:
    """Return whether the seed's orders are sent by the service's own executor: in half of the seeds.

    `wanted` decides instead, where it is given.
    """
    return Random(f"{seed}:orders").random() < 0.5 if wanted is None else wanted


def governor_of(seed: str, wanted: bool | None = None) -> GovernorMode:
    """Return what the service's own Governor does: it judges in half of the seeds, at times in the shadow.

    `wanted` decides instead whether it is there at all, where that is given.
    """
    rng = Random(f"{seed}:governor")
    there = rng.random() > _WITHOUT_GOVERNOR if wanted is None else wanted
    return "off" if not there else "shadow" if rng.random() < _SHADOWS else "on"


def reconcile_of(seed: str, wanted: bool | None = None) -> ReconcileMode:
    """Return what the service's own reconcile engine does: it runs in half of the seeds, some in the shadow.

    `wanted` decides instead whether it is there at all, where that is given.
    """
    rng = Random(f"{seed}:reconcile")
    there = rng.random() > _WITHOUT_RECONCILE if wanted is None else wanted
    return "off" if not there else "shadow" if rng.random() < _SHADOWS else "on"


def scene_of(seed: str, roles: Roles = BY_SEED) -> Scene:
    """Drawn from the seed alone, but for the `roles`."""
    scene = _scene_of(seed)
    if has_executor(seed, roles.executor):
        environment = scene.environment | _executor_environment(Random(f"{seed}:executor"))
        scene = msgspec.structs.replace(scene, executor=True, environment=environment)
    elif Random(f"{seed}:dry run").random() < _DRY_RUNS:
        environment = scene.environment | {"P33_EXECUTOR": "dry_run"}
        scene = msgspec.structs.replace(scene, dry_run=True, environment=environment)
    mode = governor_of(seed, roles.governor)
    if mode != "off":
        rng = Random(f"{seed}:governed")
        switches = {"P33_GOVERNOR": mode} | (_ONLY_ITS_OWN if mode == "on" else {})
        scene = msgspec.structs.replace(
            scene,
            governor=mode,
            epoch_ms=begin_ms(rng),
            wallet=wallet_of(rng),
            environment=scene.environment | switches | governor_environment(rng),
        )
    reconcile = reconcile_of(seed, roles.reconcile)
    if reconcile != "off":
        rng = Random(f"{seed}:reconciled")
        scene = msgspec.structs.replace(
            scene,
            reconcile=reconcile,
            history_lag_ms=rng.choice(HISTORY_LAGS_MS),
            history_page=rng.choice(HISTORY_PAGES),
            environment=scene.environment | {"P33_RECONCILE": reconcile} | reconcile_environment(rng),
        )
    scene = _with_chain(scene, roles)
    if not scene.executor and scene.governor == "off" and scene.bridge == "off":
        return scene
    # The size of an open is judged by the mark price, which rows of flat positions lack.
    return msgspec.structs.replace(scene, mark_interval_sec=scene.mark_interval_sec or 8.0)


def _with_chain(scene: Scene, roles: Roles) -> Scene:
    """Return the scene with those who begin and end the chain, where they are there."""
    seed, environment = scene.seed, scene.environment
    bridge, universe = bridge_of(seed, roles.intent_bridge), universe_of(seed, roles.universe)
    intelligence = has_intelligence(seed, roles.intelligence)
    if bridge != "off":
        drawn = bridge_environment(Random(f"{seed}:bridged"), equity=scene.governor == "on")
        environment = environment | {"P33_INTENT_BRIDGE": bridge} | drawn
    if intelligence:
        drawn = intelligence_environment(Random(f"{seed}:counted"))
        environment = environment | {"P33_DECISION_INTELLIGENCE": "on"} | drawn
    if universe != "off":
        drawn = universe_environment(Random(f"{seed}:listed"))
        environment = environment | {"P33_UNIVERSE": universe} | drawn
    return msgspec.structs.replace(
        scene, bridge=bridge, intelligence=intelligence, universe=universe, environment=environment
    )


def _executor_environment(rng: Random) -> dict[str, str]:
    return {
        "P33_EXECUTOR": "on",
        "EXEC_MAX_NOTIONAL_USDT": "1000000000",
        "EXEC_RECV_WINDOW_MS": rng.choice(("1000", "3000", "3000", "5000")),
        "EXEC_ORDER_TIMEOUT_SEC": rng.choice(("2", "5")),
        # Longer than the exchange waits for its matching engine.
        "EXEC_UNKNOWN_SETTLE_SEC": rng.choice(("11", "15")),
        "EXEC_APPLY_DOWNSIZE": rng.choice(("false", "true")),
        # Not fewer than the closes of a quiet moment.
        "EXEC_MAX_PARALLEL": rng.choice(("12", "16")),
        "EXEC_EXTRA_PERMITS": rng.choice(("", "", EXTRA_PERMIT)),
        "EXEC_MANUAL_LANE": rng.choice(("false", "false", "true")),
    }


def _scene_of(seed: str) -> Scene:
    rng = Random(f"{seed}:scene")
    symbols = tuple(rng.sample(SYMBOLS, rng.choice((3, 4, 5))))
    return Scene(
        seed=seed,
        symbols=symbols,
        hedge_mode=rng.random() < 0.3,
        standby=rng.random() < 0.35,
        rest_ms=rng.choice((20.0, 100.0, 300.0)),
        rest_jitter_ms=rng.choice((0.0, 15.0)),
        push_sec=rng.choice((0.001, 0.01, 0.04)),
        mark_interval_sec=rng.choice((None, 8.0, 9.0)),
        environment={
            "BINANCE_API_KEY": "simulator-api-key",
            "BINANCE_API_SECRET": "simulator-api-secret",
            "BINANCE_REST_URL": "http://127.0.0.1:1",
            "BINANCE_WS_URL": "ws://127.0.0.1:1",
            "P33_SHARDS": str(rng.choice((1, 1, 2))),
            "P33_FETCH_MODE": rng.choice(("auto", "auto", "auto", "bulk", "per_symbol")),
            "P33_STREAM_PROOF_SEC": rng.choice(("2", "3", "4")),
            "P33_AUDIT_SEC": rng.choice(("5", "5", "8")),
            "P33_COOLDOWN_SEC": rng.choice(("0", "0.5", "3", "15")),
            "P33_PERMIT_TTL": rng.choice(("8", "20", "60")),
            "P33_ALLOWLIST_REFRESH_S": "15",
            "P33_ONDEMAND_SNAPSHOT": rng.choice(("true", "true", "false")),
        },
    )
