"""The time line of a plan for its page: its traces read from Redis, each read within 0.5 s."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import msgspec

from brain.identifiers import EntryId, PlanId, Symbol
from brain.ledger.plan_mark import decode_mark
from brain.ledger.unknown_outcomes import decode_unknown
from brain.plans.permit import OpenPermit
from brain.plans.plan import SkippedPlan, UnanswerablePlan
from brain.plans.plan_fields import read_plan
from brain.text_fields import text_fields
from explanation.deciding import symbol_of
from explanation.entry_texts import texts_of
from explanation.execution import Booked, ExecutionTraces
from explanation.explaining import explain_traces
from explanation.governing import GovernorTraces
from explanation.intents import IntentTraces
from explanation.sections import sections_of
from explanation.stored_traces import (
    booked_of,
    concerns,
    is_held_for,
    order_ids_of,
    reservation_of,
    symbol_executed,
)
from explanation.timeline import Dated, entry_ms
from explanation.traces import DeadLetter, PlanTraces, Published, Recorded
from monitoring.find.audit_index import AuditIndex
from monitoring.find.stream_search import Searched, StreamSearch, Wanted
from monitoring.patience import UnreadError, read_in_time
from page.find_content import PlanPage
from store.errors import StoreError
from store.keys import BridgeNames, ExecutorKeys, GovernorKeys, Keys, role_audits
from store.protocol import DiagnosticsStore
from store.records import PermitTraces

_INDEX_READS_SEC = 3.0
#: Of these plans nothing is written but an acknowledgement or a dead letter.
_NEVER_DECIDED = (SkippedPlan, UnanswerablePlan)
_BEFORE_MS = 1_000
#: Results and steps of a plan come within so long after it.
_BEHIND_MS = 3_600_000


class PlanLookup:
    """Answers `/plans/<plan_id>`."""

    def __init__(self, store: DiagnosticsStore, keys: Keys, index: AuditIndex, search: StreamSearch) -> None:
        self._store = store
        self._keys = keys
        self._index = index
        self._search = search

    async def page(self, plan_id: PlanId) -> PlanPage:
        """Return the page of a plan, with notes of what could not be read."""
        notes: list[str] = []
        try:
            traces, reservation = await self._traces(plan_id, notes)
        except (StoreError, UnreadError) as error:
            return PlanPage(plan_id=plan_id, unread=True, notes=(f"Redis cannot be read: {error}",))
        if not traces.found:
            return PlanPage(plan_id=plan_id, notes=tuple(dict.fromkeys(notes)))
        explained = sections_of(explain_traces(traces, reservation))
        return PlanPage(plan_id=plan_id, explained=explained, notes=tuple(dict.fromkeys(notes)))

    async def _traces(self, plan_id: PlanId, notes: list[str]) -> tuple[PlanTraces, OpenPermit | None]:
        recorded = await self._recorded(plan_id, notes)
        published = await self._published(plan_id, recorded, notes)
        governor = await self._judgement(plan_id, notes)
        entry_id = recorded.entry_id if recorded else published.entry_id if published else ""
        published_ms = entry_ms(entry_id) or None
        executor, governed = ExecutorKeys(self._keys), GovernorKeys(self._keys, shadow=False)
        read = await read_in_time(
            self._store.read_keys(
                [self._keys.plan_mark(plan_id), executor.block(plan_id)],
                [executor.order(plan_id)],
                [governed.permit(plan_id)],
            )
        )
        mark, block = map(_text, read.strings)
        dead = await self._dated(self._keys.dead_plans, plan_id, published_ms, notes)
        if published is not None and (mark or dead or isinstance(published.plan, _NEVER_DECIDED)):
            published = msgspec.structs.replace(published, progress="acknowledged")
        traces = PlanTraces(
            plan_id=plan_id,
            now_ms=read.now_ms,
            recorded=recorded,
            mark=decode_mark(mark),
            permit=None,
            permit_ttl_ms=None,
            consumed_by=None,
            published=published,
            dead_letters=tuple(DeadLetter(each.entry_id, each.fields.get("error", "")) for each in dead),
            execution=await self._execution(
                plan_id, texts_of(read.hashes[0] or {}), block, published_ms, notes
            ),
            governor=governor,
            governor_permit=any(read.exist),
            intent=await self._intent(plan_id, published_ms, notes),
            spans={name: await self._search.span(stream) for name, stream in role_audits(self._keys).items()},
        )
        permit = await self._permit(plan_id, symbol_of(traces), notes)
        traces = msgspec.structs.replace(
            traces,
            permit=permit.permit,
            permit_ttl_ms=permit.ttl_ms,
            consumed_by=permit.consumed_by,
            unknown=None if permit.unknown is None else decode_unknown(plan_id, permit.unknown),
        )
        return traces, reservation_of(plan_id, permit.reservation)

    async def _recorded(self, plan_id: PlanId, notes: list[str]) -> Recorded | None:
        found = await self._audited("p33", plan_id, notes)
        if found is None:
            return None
        audit_id, entry_id, record = found
        return Recorded(EntryId(audit_id), EntryId(entry_id), record)

    async def _judgement(self, plan_id: PlanId, notes: list[str]) -> GovernorTraces | None:
        if "governor" not in self._index.roles:
            return None
        found = await self._audited("governor", plan_id, notes)
        if found is None:
            return None
        shadow = self._index.stream("governor") != GovernorKeys(self._keys, shadow=False).audit
        return GovernorTraces(
            EntryId(found[0]), found[2], shadow=shadow, permit=msgspec.UNSET, grant=msgspec.UNSET
        )

    async def _audited(self, role: str, plan_id: PlanId, notes: list[str]) -> tuple[str, str, bytes] | None:
        """Return audit id, entry id and record of the newest decision of a role on a plan."""
        held, place = await self._index.decision_on(role, plan_id, _INDEX_READS_SEC)
        if place is None:
            if not held.complete:
                notes.append("The audit is still being read: ask again for an older decision.")
            return None
        audit_id, entry_id = held.columns.audit_id(place), held.columns.entry_id(place)
        entry = await self._search.entry(self._index.stream(role), audit_id)
        if entry is None:
            notes.append(f"The audit entry {audit_id} is not there any more.")
            return None
        return audit_id, entry_id, (entry.fields or {}).get(b"record", b"")

    async def _published(
        self, plan_id: PlanId, recorded: Recorded | None, notes: list[str]
    ) -> Published | None:
        """Return the entry of a plan that is not decided, or whose record is gone."""
        if recorded is not None:
            return None
        found = await self._search.back(
            self._keys.plans, plan_id, lambda fields: fields.get("plan_id") == plan_id, most=1
        )
        notes += [found.note] if found.note else []
        if not found.entries:
            return None
        entry = await self._search.entry(self._keys.plans, found.entries[0].entry_id)
        if entry is None:
            return None
        fields = entry.fields or {}
        return Published(entry.id, text_fields(fields), read_plan(fields), "unread")

    async def _execution(
        self,
        plan_id: PlanId,
        record: Mapping[str, str],
        block: str | None,
        published_ms: int | None,
        notes: list[str],
    ) -> ExecutionTraces:
        steps = await self._dated(ExecutorKeys(self._keys).audit, plan_id, published_ms, notes)
        results = await self._dated(self._keys.results, plan_id, published_ms, notes)
        dead = await self._dated(self._keys.dead_results, plan_id, published_ms, notes)
        orders, client_order_id = order_ids_of(record, results), record.get("client_order_id")

        def names_it(fields: Mapping[str, str]) -> bool:
            return concerns(fields, plan_id, orders, client_order_id)

        events: list[Dated] = []
        for text in filter(None, (plan_id, client_order_id, *sorted(orders)[:5])):
            events += await self._dated(self._keys.events, text, published_ms, notes, names_it)
        booked, held = await self._kept(symbol_executed(record, steps, results), orders, record)
        return ExecutionTraces(
            steps=steps,
            results=results,
            record=record,
            block=block,
            booked=booked,
            held=held,
            dead_results=dead,
            events=tuple(sorted({each.entry_id: each for each in events}.values(), key=lambda e: e.at_ms)),
        )

    async def _kept(
        self, symbol: str, orders: Collection[str], record: Mapping[str, str]
    ) -> tuple[tuple[Booked, ...], bool]:
        """Return what is booked of orders, and whether the symbol is held for that of the record."""
        if not symbol:
            return (), False
        read = await read_in_time(
            self._store.read_keys(
                [ExecutorKeys(self._keys).hold_sig(symbol)], [self._keys.order_memory(symbol)]
            )
        )
        memory = read.hashes[0] or {}
        found = (booked_of(order_id, memory.get(order_id.encode())) for order_id in sorted(orders))
        booked = tuple(each for each in found if each is not None)
        return booked, is_held_for(record, _text(read.strings[0]))

    async def _intent(
        self, plan_id: PlanId, published_ms: int | None, notes: list[str]
    ) -> IntentTraces | None:
        """Return the intent of the plan as the bridge's audit has it."""
        stream = BridgeNames(self._keys.prefix, shadow=False).audit
        found = await self._dated(
            stream, plan_id, published_ms, notes, lambda fields: fields.get("plan_id") == plan_id
        )
        if not found:
            return None
        lane = found[0].fields.get("stream", "")
        full = lane if ":" in lane or not lane else f"{self._keys.prefix}:stream:{lane}"
        return IntentTraces(stream=full, entry_id=found[0].fields.get("entry_id", ""), audit=found[0])

    async def _dated(
        self,
        stream: str,
        text: str,
        published_ms: int | None,
        notes: list[str],
        wanted: Wanted | None = None,
    ) -> tuple[Dated, ...]:
        """Return entries of the plan: of the hour behind its publication, else the newest ones."""
        chosen = wanted or (lambda fields: fields.get("plan_id") == text)
        found: Searched
        if published_ms is None:
            found = await self._search.back(stream, text, chosen)
        else:
            since_ms = max(published_ms - _BEFORE_MS, 0)
            found = await self._search.forwards(
                stream, text, chosen, since_ms=since_ms, until_ms=published_ms + _BEHIND_MS
            )
        if found.note:
            notes.append(found.note)
        return found.entries

    async def _permit(self, plan_id: PlanId, symbol: Symbol | None, notes: list[str]) -> PermitTraces:
        try:
            return await read_in_time(self._store.permit_traces(plan_id, symbol))
        except UnreadError as error:
            notes.append(f"What has become of the permit is not known: {error}.")
            return PermitTraces(0, None, None, None, None)


def _text(stored: bytes | None) -> str | None:
    return None if stored is None else stored.decode(errors="backslashreplace")
