"""Rows that differ from what they should be: missing, null, misspelt or unheard-of values.

``changes`` maps field names to JSON values. ``"<missing>"`` removes the field. A text that begins with
``<raw>`` is written as it stands, without quotes (``"<raw>NaN"``). A name ``FILTER.field`` means a field of
that filter (``"LOT_SIZE.stepSize"``), ``FILTER.`` the filter itself. The name ``<row>`` stands for the whole
row (``{"<row>": null}``).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

MISSING = "<missing>"
_RAW = "<raw>"
_WHOLE_ROW = "<row>"


def odd_row(row: Mapping[str, Any], changes: Mapping[str, Any]) -> Any:
    """Return the row with the changes merged into it, ready to be encoded by ``msgspec.json``."""
    if _WHOLE_ROW in changes:
        return _value(changes[_WHOLE_ROW])
    changed = dict(row)
    for name, value in changes.items():
        if "." in name:
            changed["filters"] = _odd_filters(changed.get("filters", []), name, value)
        else:
            _put(changed, name, value)
    return changed


def _odd_filters(filters: list[dict[str, Any]], name: str, value: Any) -> list[dict[str, Any]]:
    filter_type, _, field = name.partition(".")
    changed = [dict(each) for each in filters]
    for each in changed:
        if each["filterType"] == filter_type and field:
            _put(each, field, value)
    if field:
        return changed
    replaced = [_value(value) if each["filterType"] == filter_type else each for each in changed]
    return [each for each in replaced if each != MISSING]


def _put(row: dict[str, Any], name: str, value: Any) -> None:
    if value == MISSING:
        row.pop(name, None)
    else:
        row[name] = _value(value)


def _value(value: Any) -> Any:
    if isinstance(value, str) and value.startswith(_RAW):
        return msgspec.Raw(value.removeprefix(_RAW).encode())
    return value
