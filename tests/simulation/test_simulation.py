from __future__ import annotations

import os
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pytest

from store.memory.keyspace import Keyspace
from tests.simulation.faults import draw_faults
from tests.simulation.mutations import MUTATIONS, Edit, Mutation, StaleMutationError
from tests.simulation.search import rerun_command, search, shrink
from tests.simulation.simulation import simulate

_ROOT = Path(__file__).resolve().parents[2]
_HOURS = 16
#: One seed runs on for longer: what leaks does so slowly.
_ROUNDS_OF_THE_LONG_ONE = 8


def test_twenty_virtual_hours_over_different_seeds_keep_every_guarantee() -> None:
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        long_one = pool.submit(simulate, "long", _ROUNDS_OF_THE_LONG_ONE)
        found = search(1, _HOURS, workers=os.cpu_count() or 1, quiet=True)
        long_run = long_one.result()
    found.outcomes.append(long_run)
    found.failures += [long_run] if long_run.violation is not None else []
    told = [
        f"({outcome.invariant}) {outcome.violation}\n"
        f"again: {rerun_command(outcome, found.needless.get(outcome.seed, ()))}"
        for outcome in found.failures
    ]
    assert not told, "\n".join(told)
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
    assert len([name for name in total if name.startswith("reason ")]) >= 18


def test_a_broken_guarantee_is_found_and_its_needless_faults_are_left_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Nothing is ever removed from a hash any more: so no open permit ends with its order."""
    monkeypatch.setattr(Keyspace, "hdel", lambda _self, _key, _fields: None)
    failing = simulate("3", 1)
    assert failing.invariant == "c"
    assert failing.story
    # It takes no fault at all to see this one.
    needless = shrink(failing)
    assert needless == list(range(len(draw_faults("3", 1))))
    command = "python -m tests.simulation --seed 3 --rounds 1"
    assert rerun_command(failing) == command
    assert rerun_command(failing, needless) == f"{command} --faults none"
    assert rerun_command(failing, needless[2:]) == f"{command} --faults 0,1"


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
        Mutation("none", (Edit("code.py", "two = 2", "two = 3"),)).apply_to(tmp_path)
