"""Waits for a plan's permits: woken by pushes of the server, until the deadline or the first denial."""

from __future__ import annotations

import json
from contextlib import suppress
from decimal import Decimal

import trio
from structlog.typing import FilteringBoundLogger

from actors.executor.plans import GrantedPlan, PlanInHand, RefusedPlan, TakenPlan
from actors.executor.rules import ExecutorRules
from brain.execution import reasons
from brain.identifiers import PlanId
from brain.plans.plan import Plan, PlanDecision
from permit_gate.answers import Refusal
from permit_gate.judging import PlanPermits
from permit_gate.reading import Yes
from permit_gate.sources import GOVERNOR, P33
from store.errors import StoreRefusedError, StoreUnavailableError
from store.execution_protocol import ExecutorStore
from store.execution_records import PermitLook
from supervision import Heartbeat

#: Longest time between two looks with pushes (seconds), in case the server or a proxy drops one.
LOOK_AGAIN_SEC = 0.25
#: Time between two looks without pushes (seconds).
POLL_SEC = 0.005
_RECONNECT_SEC = 0.1
_REFUSED_PAUSE_SEC = 5.0
_PLAN_ID_SHOWN = 8
_WHILE_HELD = "reconcile_close_bypass"
#: Creation times from here on (epoch seconds) are no times.
_LATEST_SEC = Decimal(10) ** 11


class PermitWatch:
    """The connection on which the server pushes changes of permits; it wakes the plans that wait for them."""

    def __init__(self, store: ExecutorStore, log: FilteringBoundLogger) -> None:
        self._store = store
        self._log = log
        self._waiting: dict[PlanId, trio.Event] = {}
        self.pushes = False

    async def follow(self, heartbeat: Heartbeat) -> None:
        """Take in pushes until cancelled."""
        refused = False
        with heartbeat.task() as task, task.idle():
            while True:
                pause_sec = _RECONNECT_SEC
                try:
                    async with self._store.permit_changes() as changes:
                        self.pushes, refused = True, False
                        self._wake(frozenset())
                        while True:
                            self._wake(await changes.next())
                except StoreUnavailableError:
                    pass
                except StoreRefusedError as error:
                    if not refused:
                        self._log.warning("Redis does not push changes of permits: polling", error=str(error))
                    refused, pause_sec = True, _REFUSED_PAUSE_SEC
                finally:
                    self.pushes = False
                    self._wake(frozenset())
                await trio.sleep(pause_sec)

    async def changed(self, plan_id: PlanId, deadline_sec: float) -> None:
        """Wait until a permit of the plan may have changed, until the next look is due, or the deadline."""
        event = self._waiting[plan_id]
        pause_sec = LOOK_AGAIN_SEC if self.pushes else POLL_SEC
        with trio.move_on_at(min(deadline_sec, trio.current_time() + pause_sec)):
            await event.wait()
        self._waiting[plan_id] = trio.Event()

    def expect(self, plan_id: PlanId) -> None:
        """Keep pushes for this plan from now on."""
        self._waiting.setdefault(plan_id, trio.Event())

    def forget(self, plan_id: PlanId) -> None:
        """End the wait of a plan."""
        self._waiting.pop(plan_id, None)

    def wake_all(self) -> None:
        """Let every waiting plan look again: the service stops."""
        self._wake(frozenset())

    def _wake(self, plan_ids: frozenset[str]) -> None:
        for plan_id in plan_ids or list(self._waiting):
            with suppress(KeyError):
                self._waiting[PlanId(plan_id)].set()


class PermitWaits:
    """Judges what is there of a plan's permits, as the gate does, until it is granted or refused."""

    def __init__(
        self, store: ExecutorStore, watch: PermitWatch, rules: ExecutorRules, log: FilteringBoundLogger
    ) -> None:
        self._store = store
        self._watch = watch
        self._rules = rules
        self._log = log

    async def wait(
        self, in_hand: PlanInHand, stopping: trio.Event
    ) -> GrantedPlan | RefusedPlan | TakenPlan | None:
        """Return what became of the wait; None where the service stops first."""
        wanted = PlanPermits(
            in_hand.plan_id, in_hand.symbol, self._rules.sources_of(in_hand.decision), self._rules.gate
        )
        keys = [source.key(self._rules.gate.prefix, in_hand.plan_id) for source in wanted.sources]
        self._watch.expect(in_hand.plan_id)
        try:
            while not stopping.is_set():
                look = await self._store.look_at_permits(in_hand.plan_id, in_hand.symbol, keys)
                answer = self._judge(in_hand, wanted, keys, look)
                if answer is not None:
                    return answer
                await self._watch.changed(in_hand.plan_id, in_hand.deadline_sec)
            return None
        finally:
            self._watch.forget(in_hand.plan_id)

    def _judge(
        self, in_hand: PlanInHand, wanted: PlanPermits, keys: list[str], look: PermitLook
    ) -> GrantedPlan | RefusedPlan | TakenPlan | None:
        waited_ms = round((trio.current_time() - in_hand.read_sec) * 1000)
        if look.consumer is not None:
            return TakenPlan(look.consumer.decode(errors="replace"), waited_ms)
        if look.block is not None and GOVERNOR in wanted.sources:
            denied = wanted.refused(
                Refusal.PERMIT_DENIED, denied_by=GOVERNOR.name, because=_block_reason(look.block)
            )
            return RefusedPlan(str(denied), waited_ms)
        found = wanted.granting(look.permits)
        if not isinstance(found, list):
            return RefusedPlan(str(found), waited_ms)
        if len(found) == len(wanted.sources):
            return self._granted(in_hand, wanted, keys, look, found, waited_ms)
        if trio.current_time() < in_hand.deadline_sec:
            return None
        missing = wanted.timed_out(look.permits)
        if P33.name in missing.missing and self._is_foreign(in_hand.source):
            return RefusedPlan(reasons.source_not_allowed(in_hand.source), waited_ms)
        return RefusedPlan(str(missing), waited_ms)

    def _granted(
        self,
        in_hand: PlanInHand,
        wanted: PlanPermits,
        keys: list[str],
        look: PermitLook,
        found: list[Yes],
        waited_ms: int,
    ) -> GrantedPlan | RefusedPlan:
        terms = next(yes.terms for yes in found if yes.terms is not None)
        if not isinstance(in_hand.plan, Plan):
            return RefusedPlan(reasons.MALFORMED_PLAN, waited_ms)
        if in_hand.decision is PlanDecision.RECONCILE_CLOSE and terms.reason != _WHILE_HELD:
            denied = wanted.refused(
                Refusal.PERMIT_DENIED, denied_by=P33.name, because=f"{terms.reason} is no {_WHILE_HELD}"
            )
            return RefusedPlan(str(denied), waited_ms)
        if self._is_foreign(in_hand.source):
            self._log.info(
                f"Plan {in_hand.plan_id[:_PLAN_ID_SHOWN]} has P3.3 permit, bypassing source check "
                f"(source='{in_hand.source[:64]}')"
            )
        governor = next((yes.permit.members for yes in found if yes.permit.source == GOVERNOR), {})
        return GrantedPlan(
            in_hand,
            in_hand.plan,
            terms,
            look,
            tuple(
                (key, text or b"", _created_ms(yes))
                for key, text, yes in zip(keys, look.permits, found, strict=True)
            ),
            tuple(source.name for source in wanted.sources),
            (governor.get("qty_scale"), governor.get("downsize_factor")),
            waited_ms,
        )

    def _is_foreign(self, source: str) -> bool:
        return bool(source) and source not in self._rules.source_allowlist


def _created_ms(yes: Yes) -> int | None:
    """Return when a permit was created (epoch ms); None where it does not say."""
    created = yes.terms.created_at_sec if yes.terms is not None else yes.permit.members.get("created_at")
    return int(created * 1000) if isinstance(created, Decimal) and 0 < created < _LATEST_SEC else None


def _block_reason(text: bytes) -> str:
    """Return the Governor's reason in its block."""
    try:
        block = json.loads(text)
    except (ValueError, RecursionError):
        return "blocked"
    reason = block.get("reason") if isinstance(block, dict) else None
    return reason[:200] if isinstance(reason, str) and reason else "blocked"
