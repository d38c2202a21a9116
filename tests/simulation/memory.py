"""Invariant (g), in the processes themselves: which plans and orders they still remember."""

from __future__ import annotations

import gc
import re
from collections.abc import Iterable, Set
from types import BuiltinFunctionType, FunctionType, ModuleType
from typing import TYPE_CHECKING

import msgspec

from actors.executor.live_orders import RecordWriter
from actors.stream_consumer import StreamConsumer

if TYPE_CHECKING:
    from tests.simulation.process import Process

#: A plan's own id, or that of an entry on a stream.
_PLAN_ID = re.compile(r"plan-\d+|\d{13}-\d+")
_ORDER_ID = re.compile(r"\d{5,}")
#: Its own, and that of its entry.
_IDS_OF_PLAN = 2
_SHARED = (type, ModuleType, BuiltinFunctionType)


def remembered(roots: Iterable[object], others: Iterable[object], orders: Set[str]) -> tuple[int, int]:
    """Count the plans, and which of these orders, can be reached from `roots`, tasks' variables included.

    Paths through `others` do not count: the simulated world, and what may keep them.
    """
    seen = {id(each) for each in others}
    todo = list(roots)
    plans_found: set[str] = set()
    orders_found: set[str] = set()
    while todo:
        each = todo.pop()
        if id(each) in seen or isinstance(each, _SHARED):
            continue
        seen.add(id(each))
        if isinstance(each, int):
            orders_found.update(orders & {str(each)})
            continue
        if isinstance(each, bytes):
            each = each.decode(errors="replace")
        if isinstance(each, str):
            plans_found.update(_PLAN_ID.findall(each))
            orders_found.update(orders & set(_ORDER_ID.findall(each)))
        elif isinstance(each, FunctionType):
            # What it closes over; not its module.
            todo.extend(each.__closure__ or ())
        elif isinstance(each, dict):
            # Of a dict with nothing but text for keys, CPython's collector names the values only.
            todo.extend(each)
            todo.extend(each.values())
        elif isinstance(each, msgspec.Struct):
            # Not all are known to the collector (`gc=False`).
            todo.extend(getattr(each, name) for name in each.__struct_fields__)
        else:
            todo.extend(gc.get_referents(each))
    return len(plans_found), len(orders_found)


def left_in_hand(processes: Iterable[Process], objects: Iterable[object]) -> int:
    """Return how many ids name orders and entries that were in hand of standbys as they lost the lease.

    The next holder ends them. What the standbys know stays until the next take-over, and no more is added.
    """
    leases = [each.channels.lease for each in processes if each.channels and not holds_lease(each)]
    objects = list(objects)
    writers = [each for each in objects if isinstance(each, RecordWriter) and each._lease in leases]
    consumers = [each for each in objects if isinstance(each, StreamConsumer) and each._lease in leases]
    orders = sum(_IDS_OF_PLAN * len(each._live_orders.all()) for each in writers)
    return orders + sum(len(each.failures._failed) for each in consumers)


def holds_lease(process: Process) -> bool:
    """Return True for the process that has the lease, as far as it knows."""
    lease = process.channels.lease.value if process.channels is not None else None
    return lease is not None and lease.fence is not None
