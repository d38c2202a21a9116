"""Finds the page of what a text names: a symbol, a plan, an order or an intent."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping

from brain.identifiers import is_symbol
from explanation.entry_texts import orders_of
from explanation.printable import printable
from monitoring.find.audit_index import AuditIndex
from monitoring.find.stream_search import StreamSearch
from monitoring.pacing import pause
from page.find_content import Candidate, Candidates
from page.links import plan_link, symbol_link
from store.desk_protocol import DeskStore
from store.errors import StoreError
from store.keys import BridgeNames, ExecutorKeys, Keys

_ENTRY_ID = re.compile(r"[0-9]{1,15}-[0-9]{1,15}")
#: What surrounds an id that is copied from a log line, a table or JSON.
_SURROUNDINGS = " \t\r\n'\"`,;"
_INDEX_READS_SEC = 3.0
_LEAST_BEGINNING, _MOST_FOUND = 6, 20
_AT_A_TIME = 2_000


class Finding:
    """Answers `/find`. `symbols` are those that are known now."""

    def __init__(
        self,
        store: DeskStore,
        keys: Keys,
        index: AuditIndex,
        search: StreamSearch,
        symbols: Callable[[], frozenset[str]],
    ) -> None:
        self._store = store
        self._keys = keys
        self._index = index
        self._search = search
        self._symbols = symbols

    async def find(self, pasted: str) -> str | Candidates:
        """Return the address of what a text names, or what it may name.

        White space and quotes around it, and line breaks that a terminal has put into it, do not count.
        """
        text = pasted.strip(_SURROUNDINGS)
        notes: list[str] = []
        found: dict[str, Candidate] = {}
        for each in dict.fromkeys((text, "".join(text.split()))):
            if not each:
                continue
            try:
                exact = await self._exact(each, notes)
                if exact is not None:
                    return exact
                for candidate in await self._beginning(each, notes):
                    found.setdefault(candidate.link, candidate)
            except StoreError as error:
                notes.append(f"Redis cannot be read: {error}")
        if len(found) == 1:
            return next(iter(found))
        shown = tuple(found.values())[:_MOST_FOUND]
        return Candidates(text=printable(text), found=shown, notes=tuple(dict.fromkeys(notes)))

    async def _exact(self, text: str, notes: list[str]) -> str | None:
        name = text.upper()
        if is_symbol(name) and name in self._symbols():
            return symbol_link(name)
        executor = ExecutorKeys(self._keys)
        read = await self._store.read_keys(
            [self._keys.plan_mark(text), self._keys.permit(text), executor.plan_of(text)],
            [executor.order(text)],
        )
        mark, permit, plan_of = read.strings
        if mark is not None or permit is not None or read.hashes[0]:
            return plan_link(text)
        if plan_of is not None:
            return plan_link(plan_of.decode(errors="backslashreplace"))
        plan_id = await self._decided(text, notes)
        if plan_id is None and _ENTRY_ID.fullmatch(text):
            plan_id = await self._of_entry(text)
        if plan_id is None:
            plan_id = await self._of_order_or_intent(text, notes)
        return None if plan_id is None else plan_link(plan_id)

    async def _decided(self, text: str, notes: list[str]) -> str | None:
        """Return the plan of that id, or of the entry of that id, that an index has."""
        for role in self._index.roles:
            held = await self._index.follow(role, _INDEX_READS_SEC)
            if not held.complete:
                notes.append(f"The audit of {role} is still being read: ask again for what is older.")
            columns = held.columns
            if await columns.place_of(text) is not None:
                return text
            place = await columns.place_of_entry(text) if _ENTRY_ID.fullmatch(text) else None
            if place is not None:
                return columns.plan_id[place]
            await pause()
        return None

    async def _of_entry(self, entry_id: str) -> str | None:
        for stream in (self._keys.plans, self._keys.results):
            entry = await self._search.entry(stream, entry_id)
            plan_id = ((entry.fields if entry else None) or {}).get(b"plan_id", b"")
            if plan_id:
                return plan_id.decode(errors="backslashreplace")
        return None

    async def _of_order_or_intent(self, text: str, notes: list[str]) -> str | None:
        """Return the plan of an order by an id of it, or of an intent, or one that is not decided."""
        if len(text) < _LEAST_BEGINNING:
            return None

        def names_it(fields: Mapping[str, str]) -> bool:
            if not fields.get("plan_id"):
                return False
            ids = ("plan_id", "order_id", "client_order_id", "intent_id", "entry_id")
            if any(fields.get(each) == text for each in ids):
                return True
            return f'"intent_id":"{text}"' in fields.get("record", "") or text in orders_of(fields)

        executor = ExecutorKeys(self._keys)
        bridge = BridgeNames(self._keys.prefix, shadow=False)
        for stream in (self._keys.results, executor.audit, bridge.audit, self._keys.plans):
            found = await self._search.back(stream, text, names_it, most=1)
            notes += [found.note] if found.note else []
            if found.entries:
                return found.entries[-1].fields["plan_id"]
        return None

    async def _beginning(self, text: str, notes: list[str]) -> list[Candidate]:
        """Return symbols and plans that begin so; plans by six characters at least."""
        found = [
            Candidate("symbol", name, symbol_link(name))
            for name in sorted(self._symbols())
            if len(text) > 1 and name.startswith(text.upper())
        ][:_MOST_FOUND]
        if len(text) < _LEAST_BEGINNING:
            return found
        plans: dict[str, None] = {}
        for role in self._index.roles:
            columns = self._index.held[role].columns
            for place in range(len(columns) - 1, -1, -1):
                if columns.plan_id[place].startswith(text):
                    plans[columns.plan_id[place]] = None
                    if len(plans) == _MOST_FOUND:
                        break
                if place % _AT_A_TIME == 0:
                    await pause()
        undecided = await self._search.back(
            self._keys.plans, text, lambda fields: fields.get("plan_id", "").startswith(text), most=5
        )
        notes += [undecided.note] if undecided.note else []
        plans.update((each.fields["plan_id"], None) for each in reversed(undecided.entries))
        return [*found, *_plans(plans)]


def _plans(plan_ids: Mapping[str, None]) -> Iterator[Candidate]:
    for plan_id in plan_ids:
        yield Candidate("plan", printable(plan_id), plan_link(plan_id))
