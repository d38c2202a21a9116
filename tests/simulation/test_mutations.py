"""Mutations fit the code: a text that is no longer there would show only in a search for hours."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.simulation.mutation import Mutation
from tests.simulation.mutations import MUTATIONS

_ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.name)
def test_each_text_of_a_mutation_occurs_once(mutation: Mutation) -> None:
    for edit in mutation.edits:
        assert (_ROOT / edit.path).read_text().count(edit.old) == 1, edit
        assert edit.old != edit.new
