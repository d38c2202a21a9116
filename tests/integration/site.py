"""A Redis and an exchange of the test's own, and the daemon between them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager

from simulator import Order, RunningSimulator, SimulatedExchange
from tests.integration.daemon_process import RUN, DaemonProcess, daemon_process
from tests.integration.pipeline import Pipeline
from tests.integration.service_in_process import (
    USUAL_RIGGING,
    Rigging,
    ServiceInProcess,
    running_service,
)
from tests.integration.surroundings import environment, trade


class Site(Pipeline):
    """The services around the daemon, with the account that they trade on."""

    def __init__(self, redis_url: str, simulator: RunningSimulator) -> None:
        super().__init__(redis_url)
        self.redis_url = redis_url
        self.simulator = simulator

    @property
    def exchange(self) -> SimulatedExchange:
        """The account, in the test's process."""
        return self.simulator.exchange

    def environ(self, settings: Mapping[str, str] | None = None) -> dict[str, str]:
        """Return the daemon's whole environment."""
        return environment(self.redis_url, self.simulator, settings or {})

    def daemon(
        self, settings: Mapping[str, str] | None = None, program: Sequence[str] = RUN
    ) -> AbstractAsyncContextManager[DaemonProcess]:
        """Start the daemon as a process; `program`: the arguments of Python instead."""
        return daemon_process(self.environ(settings), program)

    def service(
        self, rigging: Rigging = USUAL_RIGGING, /, **settings: str
    ) -> AbstractAsyncContextManager[ServiceInProcess]:
        """Run the service in the test's process."""
        return running_service(self.redis_url, self.simulator, rigging, **settings)

    def fill(self, plan_id: str, symbol: str, side: str, quantity: str) -> Order:
        """Fill an order of ours, and publish its result."""
        order = trade(self.exchange, symbol, side, quantity)
        self.publish_fill(plan_id, order)
        return order
