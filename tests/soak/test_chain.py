"""`make soak`, short: some faults, a kill among them, under intents of all lanes; then everything adds up."""

from __future__ import annotations

import pytest

from tests.soak.chain import soak_chain

pytestmark = pytest.mark.process

SEED = 2
LASTS_SEC, FAULT_EVERY_SEC = 40.0, 3.0


async def test_every_intent_has_one_end_and_all_books_agree_behind_faults() -> None:
    report = await soak_chain(SEED, LASTS_SEC, lambda _, __: None, FAULT_EVERY_SEC)
    print(report)
    assert report.wrong() == []
    assert report.faults.keys() & {"leader_killed", "all_killed"}, report.faults
    assert report.books.executed and report.books.refused
