"""Delivery of the account's events to the connections: dropped, delayed, reordered, repeated or passed on."""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappop, heappush
from itertools import count

import trio

from simulator.events import UserEvent
from simulator.faults import FaultDice, Faults


class EventDelivery:
    """Applies the stream faults. Without any, an event is handed on in the very call that announces it.

    `sec_until_shown` gives the seconds until the latest change may be shown.
    """

    def __init__(
        self,
        faults: Faults,
        dice: FaultDice,
        hand_on: Callable[[UserEvent], None],
        sec_until_shown: Callable[[], float],
    ) -> None:
        self._sec_until_shown = sec_until_shown
        self._faults = faults
        self._dice = dice
        self._hand_on = hand_on
        self._waiting: list[tuple[float, int, UserEvent]] = []
        self._serial = count()
        self._last_due = 0.0
        self._woken = trio.Event()

    def deliver(self, event: UserEvent) -> None:
        """Take an event. Only held ones are overtaken: delays keep the order."""
        if self._dice.drops_event(event.event_type):
            return
        now = trio.current_time()
        earliest = now + self._sec_until_shown()
        held = self._dice.holds_event()
        for _ in range(self._dice.event_copies()):
            due = max(earliest, now + self._dice.event_delay_ms() / 1000)
            if held:
                due += self._faults.reorder_hold_ms / 1000
            else:
                due = self._last_due = max(due, self._last_due)
            if due <= now and not self._waiting:
                self._hand_on(event)
            else:
                heappush(self._waiting, (due, next(self._serial), event))
                self._woken.set()

    async def run(self) -> None:
        """Hand on delayed events when they are due, until cancelled."""
        while True:
            if not self._waiting:
                self._woken = trio.Event()
                await self._woken.wait()
                continue
            due = self._waiting[0][0]
            if due > trio.current_time():
                self._woken = trio.Event()
                with trio.move_on_at(due):
                    await self._woken.wait()
                continue
            self._hand_on(heappop(self._waiting)[2])
