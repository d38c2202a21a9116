"""One process of the service: the production wiring over a world of memory, its life, death and rebirth."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from random import Random

import httpx
import trio
from structlog.typing import FilteringBoundLogger

import supervisor
from brain.moment import Moment
from channels import Channels, DropOldest, MetricEvent
from exchange.rest import BinanceRest
from exchange.server_time import ServerTime
from exchange.weight_budget import WeightBudget
from monitoring.service_log import report_supervision
from settings import Loaded
from store.errors import StoreError
from store.keys import Keys
from store.memory.memory_redis import MemoryRedis
from supervision import ChildCrashed, ChildStarted, RestartIntensityExceeded, SupervisionEvent, Tree
from tests.simulation.bridge_steps import ChainSteps
from tests.simulation.clocks import HostClock, true_ms
from tests.simulation.field_watch import Requests
from tests.simulation.governor_steps import GovernorSteps
from tests.simulation.history import WatchedHistory
from tests.simulation.links import Servers
from tests.simulation.network import MarkConnector, OrderSide, PrivateConnector, Reach, RestNetwork
from tests.simulation.reconcile_steps import ReconcileSteps
from tests.simulation.store import Judge, WatchedStore
from tests.simulation.streams import PrivateStreams
from tests.simulation.tripwire import Sabotage, SabotageError, Tripwire
from tests.simulation.unhurried import application_of
from tests.simulation.venue import Venue
from tests.supervision.rig import rigged
from wiring.edges import Edges
from wiring.roles import channels_of, order_entry_of

#: From the end of a process to its next start, as systemd has it here.
_RESTART_SEC = 1.0
_STOP_SEC = 4.5
_NO_IDEA_MS = 60_000
#: What the service allows for clocks that run at different speeds.
_DRIFT = 100e-6


class Process:
    """One instance on a host of its own. `life` runs it again whenever it ends, as systemd does."""

    def __init__(
        self,
        name: str,
        loaded: Loaded,
        *,
        seed: str,
        venue: Venue,
        streams: PrivateStreams,
        redis: MemoryRedis,
        servers: Servers,
        keys: Keys,
        judge: Judge,
        requests: Requests,
        orders: OrderSide,
        governing: GovernorSteps,
        reconciling: ReconcileSteps,
        chain: ChainSteps,
        history_page: int,
        mark_interval_sec: float | None,
        log: FilteringBoundLogger,
        note: Callable[[str], None],
        on_failure: Callable[[str, Exception], None],
    ) -> None:
        """`on_failure` is called with every failure of an actor."""
        self.name = name
        self.clock = HostClock()
        self.reach = Reach()
        self.starts = 0
        #: How often the stream of mark prices was connected.
        self.mark_connections = 0
        self.escalations = 0
        self.channels: Channels | None = None
        self.store: WatchedStore | None = None
        self.sabotage = Sabotage()
        self.tripwires = {way: Tripwire(way) for way in ("store", "rest", "stream")}
        self.tree: Tree | None = None
        self._loaded = loaded
        self._seed = seed
        self._venue = venue
        self._streams = streams
        self._redis = redis
        self._servers = servers
        self._keys = keys
        self._judge = judge
        self.requests = requests
        self._orders = orders
        self._governing = governing
        self._reconciling = reconciling
        self._chain = chain
        self._history_page = history_page
        self._mark_interval_sec = mark_interval_sec
        self._log = log
        self._note = note
        self._on_failure = on_failure
        self._scope = trio.CancelScope()
        self._down_sec = _RESTART_SEC
        #: When the exchange's clock was asked for (true ms), and how far off the answer left it (ms).
        self._unsure: list[tuple[int, int]] = []

    def unsure_ms(self, since_ms: int) -> int:
        """Return the greatest error (ms) of its exchange clock since then, by server time alone.

        It grows with time, since clocks may drift.
        """
        ends_ms = [at_ms for at_ms, _ in self._unsure[1:]] + [true_ms()]
        return max(
            (
                unsure_ms + math.ceil((end_ms - at_ms) * _DRIFT)
                for (at_ms, unsure_ms), end_ms in zip(self._unsure, ends_ms, strict=False)
                if end_ms >= since_ms
            ),
            default=_NO_IDEA_MS,
        )

    def _marks_connected(self) -> None:
        self.mark_connections += 1

    def _compared(self, round_trip_sec: float) -> None:
        self._unsure.append((true_ms(), math.ceil(round_trip_sec * 500)))

    async def life(self) -> None:
        """Start, and start again after every end, until cancelled."""
        while True:
            self.starts += 1
            self._note(f"{self.name} starts")
            self._down_sec = _RESTART_SEC
            try:
                with trio.CancelScope() as self._scope:
                    await self._run()
            except* RestartIntensityExceeded:
                self.escalations += 1
            self.channels = self.store = self.tree = None
            self._note(f"{self.name} ended")
            await trio.sleep(self._down_sec)

    def kill(self, down_sec: float) -> None:
        """SIGKILL: everything stops where it is."""
        self._down_sec = down_sec
        self._scope.cancel()

    def terminate(self, down_sec: float) -> None:
        """SIGTERM."""
        self._down_sec = down_sec
        if self.tree is not None:
            self.tree.stop()
            self._scope.deadline = trio.current_time() + _STOP_SEC

    @property
    def trust_lost_at(self) -> Moment | None:
        """Return the time at which it last lost trust in its stream."""
        return None if self.channels is None else self.channels.book.trust_lost_at

    async def readiness(self) -> str:
        """Return the reasons in `/readyz`: empty when ready."""
        app = application_of(self._log)
        if app is None:
            return "not running"
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app)) as client:
            response = await client.get("http://in.process/readyz")
        return "" if response.status_code == 200 else response.text

    async def _run(self) -> None:
        rng = Random(f"{self._seed}:{self.name}:{self.starts}")
        self.requests.started()
        self._reconciling.started(self.name)
        settings = self._loaded.settings
        credentials = settings.require_credentials()
        channels = channels_of(settings)
        server_time = ServerTime()
        budget = WeightBudget(
            self.clock,
            settings.weight_budget_per_min,
            exchange_ms=server_time.exchange_ms,
            on_ban=channels.bans.send,
        )
        self.store = WatchedStore(
            self._redis,
            self._keys,
            self.name,
            consumer=settings.instance,
            servers=self._servers,
            judge=self._judge,
            orders=self._orders.judge,
            governing=self._governing,
            reconciling=self._reconciling,
            chain=self._chain,
            shadow=settings.governor == "shadow",
            reconcile_shadow=settings.reconcile == "shadow",
            bridge_shadow=settings.intent_bridge == "shadow",
            points=self._orders.points,
            reach=self.reach,
            tripwire=self.tripwires["store"],
            rng=Random(rng.random()),
        )
        async with BinanceRest(
            settings.binance_rest_url,
            credentials.api_key.reveal(),
            credentials.api_secret.reveal(),
            clock=self.clock,
            budget=budget,
            server_time=server_time,
            metrics=channels.metrics,
            rng=Random(rng.random()),
            network=RestNetwork(
                self._venue,
                self.reach,
                self.tripwires["rest"],
                Random(rng.random()),
                self._compared,
                self.requests,
                self._orders,
            ),
        ) as rest:
            edges = Edges(
                store=self.store,
                exchange=rest,
                orders=rest,
                account=rest,
                history=None
                if settings.reconcile == "off"
                else WatchedHistory(
                    rest.account_history(page=self._history_page),
                    self.name,
                    self._reconciling,
                    self._orders.points,
                ),
                connector=PrivateConnector(
                    self._streams, self.reach, self.tripwires["stream"], self.clock, self.requests.connected
                ),
                mark_prices=None
                if self._mark_interval_sec is None
                else MarkConnector(self._venue, self._mark_interval_sec, self.clock, self._marks_connected),
                budget=budget,
                order_entry=order_entry_of(settings, rest, self.clock, server_time),
            )
            service = supervisor.Service(
                self._loaded, channels, edges, clock=self.clock, rng=Random(rng.random()), log=self._log
            )
            self.sabotage = Sabotage()
            service.tree = Tree(
                rigged(service.spec, self.sabotage.rigged),
                rng=Random(rng.random()),
                on_event=partial(self._on_supervision_event, channels.metrics),
            )
            self.channels, self.tree = channels, service.tree
            await service.tree.run()
            await self._release_lease(channels, self.store)

    def _on_supervision_event(self, metrics: DropOldest[MetricEvent], event: SupervisionEvent) -> None:
        report_supervision(metrics, self._log, event)
        match event:
            case ChildCrashed():
                self._note(f"{self.name} {event.name} failed: {event.exception_type}")
                self._on_failure(f"{self.name}: {event.name}", event.failure)
            case ChildStarted(restart_number=number) if number:
                self._note(f"{self.name} {event.name} restarted")

    async def _release_lease(self, channels: Channels, store: WatchedStore) -> None:
        lease = channels.lease.value
        if lease is not None and lease.fence is not None:
            with trio.move_on_after(0.5):
                try:
                    await store.release_lease(lease.fence)
                except (StoreError, SabotageError):
                    self._note(f"{self.name}: the lease was not released")
