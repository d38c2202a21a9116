"""Issuers of permits: key and verdict member of each."""

from __future__ import annotations

from dataclasses import dataclass

_PLAN_ID = "{plan_id}"


@dataclass(frozen=True)
class PermitSource:
    """Service whose permit a plan needs.

    `name` is for refusals. `key_pattern` is the permit's key, with `{prefix}` for the key prefix
    and `{plan_id}`, which must occur in it. The permit is a JSON object in a STRING; its member `verdict`
    is `true` for yes and `false` for no, and anything else is unreadable. A service that writes no object has
    `plain_yes`, the whole text that means yes.
    """

    name: str
    key_pattern: str
    verdict: str
    plain_yes: str | None = None

    def __post_init__(self) -> None:
        if _PLAN_ID not in self.key_pattern:
            raise ValueError(f"{self.name}: the key pattern {self.key_pattern!r} names no {_PLAN_ID}")

    def key(self, prefix: str, plan_id: str) -> str:
        """Return the key of a plan's permit."""
        return self.key_pattern.replace("{prefix}", prefix).replace(_PLAN_ID, plan_id)


GOVERNOR = PermitSource("Governor", "{prefix}:permit:{plan_id}", "granted")

#: The Position State Brain. Its permits have a signature where a key is configured, an age and a quantity.
P33 = PermitSource("P3.3", "{prefix}:permit:p33:{plan_id}", "allow")
