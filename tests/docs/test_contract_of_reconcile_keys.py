"""Keys in the reconcile engine's section of docs/contract.md."""

from __future__ import annotations

from inspect import getmembers, ismethod, signature

from store.keys import OWN_HOLD, Keys, ReconcileKeys
from tests.docs.documents import section, table

SECTION = section("docs/contract.md", "Reconcile engine")
ENGINE, SHADOW = (ReconcileKeys(Keys("quantum"), shadow=shadow) for shadow in (False, True))


def test_keys_are_those_of_the_code() -> None:
    named = {ENGINE.closes}
    for _, method in getmembers(ENGINE, ismethod):
        if not method.__name__.startswith("_"):
            named.add(method(*(f"<{name}>" for name in signature(method).parameters)))
    assert table(SECTION).keys() == named
    for key in (ENGINE.plans, ENGINE.events, SHADOW.events, f"{SHADOW.base}:"):
        assert f"`{key}`" in SECTION
    assert f"`{OWN_HOLD}`" in SECTION


def test_the_shadows_own_keys_lie_where_the_section_says() -> None:
    assert SHADOW.state("S") == "quantum:reconcile:shadow:state:S"
    assert SHADOW.close_cooldown("S", f"{OWN_HOLD}0a", 1) == "quantum:reconcile:shadow:close:cooldown:S:0a:1"
