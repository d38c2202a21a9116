"""Looks once a second at what fires, and sends each address what it needs of it.

Without an address it looks all the same: since when something fires, and who has seen it, is shown anyway.
"""

from __future__ import annotations

import trio
from structlog.typing import FilteringBoundLogger

from actors.notifier.client import BodyRefusedError, NotDeliveredError, NoticeClient
from actors.notifier.messages import body_of
from channels import Count, DropOldest, MetricEvent
from clock import Clock
from monitoring.notices import Delivery, Notices
from monitoring.outbox import Notice
from supervision import Backoff, Heartbeat

#: A notice leaves within 2 s of its cause.
LOOK_SEC = 1.0
_BACKOFF = Backoff(initial_sec=1.0, maximum_sec=60.0)
#: A body that an address has refused so often is given up.
_MOST_REFUSALS = 3


class Notifier:
    """One task looks, and one for each address sends: none waits for another, and no other actor for them."""

    def __init__(
        self,
        notices: Notices,
        client: NoticeClient,
        *,
        instance: str,
        metrics: DropOldest[MetricEvent],
        clock: Clock,
        log: FilteringBoundLogger,
    ) -> None:
        self._notices = notices
        self._client = client
        self._instance = instance
        self._metrics = metrics
        self._clock = clock
        self._log = log
        self._looked = trio.Event()

    async def run(self, heartbeat: Heartbeat) -> None:
        """Look and send until cancelled."""
        async with trio.open_nursery() as nursery:
            for delivery in self._notices.deliveries:
                nursery.start_soon(self._send_to, delivery, heartbeat)
            while True:
                await self._notices.look()
                looked, self._looked = self._looked, trio.Event()
                looked.set()
                with heartbeat.idle():
                    await trio.sleep(LOOK_SEC)

    async def _send_to(self, delivery: Delivery, heartbeat: Heartbeat) -> None:
        failures = refusals = 0
        with heartbeat.task() as task:
            while True:
                notice = delivery.outbox.next(self._now_sec())
                if notice is None:
                    with task.idle():
                        await self._looked.wait()
                    continue
                with task.waiting_for(f"an answer of {delivery.address}"):
                    error = await self._attempt(delivery, notice)
                    if error is None:
                        failures = refusals = 0
                        continue
                    failures += 1
                    refusals = refusals + 1 if isinstance(error, BodyRefusedError) else 0
                    if refusals >= _MOST_REFUSALS:
                        failures = refusals = 0
                        delivery.outbox.skip(notice, self._now_sec())
                        self._count(notice, "skipped")
                    asked_sec = min(error.wait_sec, _BACKOFF.maximum_sec)
                    await trio.sleep(max(_BACKOFF.after(max(failures, 1)), asked_sec))

    async def _attempt(self, delivery: Delivery, notice: Notice) -> NotDeliveredError | None:
        """Send once; return the error where it did not arrive."""
        try:
            await self._client.post(delivery.address, body_of(delivery.address, notice, self._instance))
        except Exception as failure:  # noqa: BLE001 - a failure of one address must not stop the others
            # One that is not foreseen may come from this one notice, which is given up then.
            error = (
                failure
                if isinstance(failure, NotDeliveredError)
                else BodyRefusedError(type(failure).__name__)
            )
            if str(error) != delivery.trouble:
                self._log.warning(f"Notices do not arrive at {delivery.address}: {error}")
            delivery.trouble = str(error)
            self._count(notice, "failed")
            return error
        if delivery.trouble is not None:
            self._log.info(f"Notices arrive at {delivery.address} again")
        delivery.outbox.sent(notice, self._now_sec())
        delivery.trouble, delivery.last_sent = None, self._clock.now()
        delivery.sent += 1
        self._count(notice, "sent")
        return None

    def _count(self, notice: Notice, outcome: str) -> None:
        self._metrics.send(Count("p33_notices_total", (notice.firing.kind, outcome)))

    def _now_sec(self) -> float:
        return self._clock.now().monotonic_sec
