from __future__ import annotations

import os
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pytest

from channels import Count
from store.memory.keyspace import Keyspace
from tests.simulation.__main__ import main
from tests.simulation.faults import (
    BRIDGE_KINDS,
    GOVERNOR_KINDS,
    INTELLIGENCE_KINDS,
    KINDS,
    KINDS_ALONE,
    ORDER_KINDS,
    RECONCILE_KINDS,
    UNIVERSE_KINDS,
    draw_faults,
)
from tests.simulation.memory import remembered
from tests.simulation.mutants import search_mutant
from tests.simulation.mutation import Edit, Mutation, StaleMutationError
from tests.simulation.mutations import MUTATIONS
from tests.simulation.scene import Roles
from tests.simulation.search import rerun_command, search, shrink
from tests.simulation.simulation import simulate

_ROOT = Path(__file__).resolve().parents[2]
_HOURS = 16
#: In so many seeds from here on, each kind of fault is drawn.
_FIRST_SEED = 22
#: One seed runs on for longer: what leaks does so slowly.
_ROUNDS_OF_THE_LONG_ONE = 8
#: The hours pass on the time that tests beside them, which measure waiting, leave over.
_NICENESS = 10
_OFF = Roles(governor=False, reconcile=False, intent_bridge="off", intelligence=False, universe=False)


def test_twenty_virtual_hours_over_different_seeds_keep_every_guarantee() -> None:
    with ProcessPoolExecutor(
        1, mp_context=get_context("spawn"), initializer=os.nice, initargs=(_NICENESS,)
    ) as pool:
        long_one = pool.submit(simulate, "long", _ROUNDS_OF_THE_LONG_ONE)
        found = search(_FIRST_SEED, _HOURS, workers=os.cpu_count() or 1, quiet=True, niceness=_NICENESS)
        long_run = long_one.result()
    found.outcomes.append(long_run)
    found.failures += [long_run] if long_run.violation is not None else []
    output = [
        f"({outcome.invariant}) {outcome.violation}\n"
        f"again: {rerun_command(outcome, found.needless.get(outcome.seed, ()))}"
        for outcome in found.failures
    ]
    assert not output, "\n".join(output)
    assert sum(outcome.hours for outcome in found.outcomes) >= 20
    total: dict[str, int] = {}
    for outcome in found.outcomes:
        for name, count in outcome.counts.items():
            total[name] = total.get(name, 0) + count
    # A search in which little happens finds nothing.
    assert total["decisions"] > 100 * _HOURS
    assert total["allowed"] > 20 * _HOURS
    assert total["fills"] > 50 * _HOURS
    assert total["starts"] > 2 * _HOURS
    assert len([name for name in total if name.startswith("reason ")]) >= 20
    assert total["failure SabotageError"] > 2 * _HOURS
    assert total["failure Stalled"] > 0
    assert total["takeovers"] > 0
    kinds = (
        *KINDS, *KINDS_ALONE, *ORDER_KINDS, *GOVERNOR_KINDS, *RECONCILE_KINDS, *BRIDGE_KINDS,
        *INTELLIGENCE_KINDS, *UNIVERSE_KINDS,
    )  # fmt: skip
    assert {f"fault {kind}" for kind in kinds} <= total.keys()
    # Half of the seeds have the service's own executor.
    assert total["ordered"] > 10 * _HOURS
    assert total["unknown"] > 10
    # Half of the seeds have the service's own Governor.
    assert total["governed"] > 50 * _HOURS
    assert total["granted"] > 20 * _HOURS
    assert total["settled"] > 5 * _HOURS
    assert total["expired"] > 10
    assert len([name for name in total if name.startswith("governor ")]) >= 20
    # Half of the seeds have the service's own reconcile engine.
    assert total["held"] > 10 * _HOURS
    assert total["evidence"] > 50 * _HOURS
    assert total["repairs"] > _HOURS
    assert total["settled by hand"] > _HOURS
    assert total["lost results"] > _HOURS
    assert {"repaired own", "repaired liquidation", "repaired adl", "repaired settlement"} <= total.keys()
    # Half of the seeds have the service's own bridge, half count results, and half publish their universe.
    assert total["bridged"] > 50 * _HOURS
    assert len([name for name in total if name.startswith("bridge ")]) >= 10
    assert total["counted"] > 50 * _HOURS
    assert total["universes"] > 20 * _HOURS


def test_a_broken_guarantee_is_found_and_its_needless_faults_are_left_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Nothing is ever removed from a hash any more: so no open permit ends with its order."""
    monkeypatch.setattr(Keyspace, "hdel", lambda _self, _key, _fields: None)
    failing = simulate("5", 1, roles=_OFF)
    assert failing.invariant == "c"
    assert failing.story
    # It takes no fault at all to see this one.
    needless = shrink(failing)
    assert needless == list(range(len(draw_faults("5", 1, roles=_OFF))))
    command = (
        ".venv/bin/python -m tests.simulation --seed 5 --rounds 1 --governor off --reconcile off "
        "--intent-bridge off --intelligence off --universe off"
    )
    assert rerun_command(failing) == command
    assert rerun_command(failing, needless) == f"{command} --faults none"
    assert rerun_command(failing, needless[2:]) == f"{command} --faults 0,1"


def test_the_command_that_is_printed_shows_the_same_again(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(Keyspace, "hdel", lambda _self, _key, _fields: None)
    failing = simulate("5", 1, roles=_OFF)
    _, _, arguments = rerun_command(failing).partition("-m tests.simulation ")
    monkeypatch.setattr("sys.argv", ["tests.simulation", *arguments.split()])
    assert main() == 1
    output = capsys.readouterr().out
    assert f"({failing.invariant}) {failing.violation}" in output
    assert failing.digest in output


def test_plans_that_an_object_keeps_are_found_wherever_they_are() -> None:
    """As keys, as values, in closures and structs, by their ids or by those of their entries."""
    kept = {"plan-1": 1}
    entries = [{b"1760000000001-0": object()}]

    def closed_over() -> object:
        return kept

    assert remembered([kept], [], set()) == (1, 0)
    assert remembered([closed_over], [], set()) == (1, 0)
    assert remembered([entries, ("plan-2",)], [], set()) == (2, 0)
    assert remembered([{"8886001": 1}, [8886002], "8886003"], [], {"8886001", "8886002"}) == (0, 2)
    assert remembered([entries], [entries], set()) == (0, 0)
    # Structs that the collector of cycles does not know.
    assert remembered([[Count("p33_permit_total", ("plan-1", "8886001"))]], [], {"8886001"}) == (1, 1)


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.name)
def test_every_mutation_still_fits_the_code(mutation: Mutation, tmp_path: Path) -> None:
    for edit in mutation.edits:
        copied = tmp_path / edit.path
        copied.parent.mkdir(parents=True, exist_ok=True)
        copied.write_text((_ROOT / edit.path).read_text())
    mutation.apply_to(tmp_path)
    for edit in mutation.edits:
        mutated = (tmp_path / edit.path).read_text()
        assert mutated != (_ROOT / edit.path).read_text()
        compile(mutated, edit.path, "exec")


def test_a_mutation_whose_text_is_gone_says_so(tmp_path: Path) -> None:
    (tmp_path / "code.py").write_text("one = 1\n")
    with pytest.raises(StaleMutationError, match=r"code\.py has 0"):
        Mutation("none", ("a",), (Edit("code.py", "two = 2", "two = 3"),)).apply_to(tmp_path)


@pytest.mark.parametrize(
    "name",
    [
        "no open permit is released",
        "an order without an answer is sent again",
        "a grant is not put into the window",
        "a repair writes no order memory",
        "a part of a position becomes all of it",
        "results are counted in the minutes of a local clock",
    ],
)
def test_a_mutant_is_caught_in_a_copy_of_the_tree(name: str) -> None:
    mutation = next(each for each in MUTATIONS if each.name == name)
    caught = search_mutant(mutation, hours=1, workers=1)
    assert mutation.is_seen_in(caught.invariant, caught.violation), caught
