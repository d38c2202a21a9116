from typing import Any

import pytest

from supervision import ChildSpec, SupervisorSpec
from tests.supervision.rig import ONE_SECOND, PLENTY, child, obedient, supervisor


@pytest.mark.parametrize(
    "bad",
    [{"name": ""}, {"name": "a/b"}, {"restart": "temporary"}, {"stall_limit_sec": 0}, {"stop_grace_sec": -1}],
)
def test_a_child_that_makes_no_sense_is_refused(bad: dict[str, Any]) -> None:
    good: dict[str, Any] = {"name": "a", "start": obedient, "stall_limit_sec": None}
    with pytest.raises(ValueError, match=r"name|restart|stall_limit_sec|stop_grace_sec"):
        ChildSpec(**good | bad)


def test_a_supervisor_without_children_is_refused() -> None:
    with pytest.raises(ValueError, match="needs children"):
        supervisor()


def test_two_children_of_one_name_are_refused() -> None:
    with pytest.raises(ValueError, match="repeat"):
        supervisor(child("a"), child("a"))


def test_an_unknown_strategy_is_refused() -> None:
    with pytest.raises(ValueError, match="strategy"):
        SupervisorSpec(
            name="root",
            strategy="one_for_all",  # type: ignore[arg-type]
            children=(child("a"),),
            intensity=PLENTY,
            backoff=ONE_SECOND,
        )
