"""Metrics, log lines and status of the Governor in docs/contract.md, against a Governor at work."""

from __future__ import annotations

import re
from pathlib import Path

import trio
from structlog.testing import capture_logs

from brain.governor.rules import GovernorRules
from channels import Count, SetGauge
from monitoring.metrics.catalogue import GOVERNOR_CATALOGUE
from monitoring.status.governor import GovernorShown
from tests.actors.governor_rig import GovernorRig, actor_rules, running_governor
from tests.docs.documents import codes, section, table
from tests.docs.observed_service import matching
from tests.virtual_time import virtual_time

METRICS, LINES = 11, 12


def documented(number: int) -> dict[str, list[str]]:
    return table(section("docs/contract.md", "Governor"), number)


def test_the_metrics_are_those_of_the_catalogue_with_their_types_and_labels() -> None:
    listed = documented(METRICS)
    assert list(listed) == [each.name for each in GOVERNOR_CATALOGUE]
    for each in GOVERNOR_CATALOGUE:
        kind, labels, meaning = listed[each.name]
        assert (kind, tuple(codes(labels)), meaning) == (each.kind, each.labels, each.meaning)


@virtual_time
async def test_the_log_has_the_lines_of_the_contract_and_every_metric_has_its_labels() -> None:
    rig = GovernorRig(actor_rules(symbol_cooldown_sec=0.0, max_exec_per_hour=0))
    rig.position("ETHUSDT", "1")
    with capture_logs() as logs:
        async with running_governor(rig):
            for number in range(3):
                rig.publish(f"plan-{number}", kill_score="0.4")
            rig.publish_close("close-1", "ETHUSDT")
            await trio.sleep(95)
            rig.redis.delete(rig.own.reserved)
            rig.redis.set(rig.own.reserved, "x")
            await trio.sleep(2)
    lines = [line for each in logs for line in str(each["event"]).splitlines()]
    for template in documented(LINES):
        pattern = matching(template, r"\S+", limits=".+")
        assert any(map(pattern.fullmatch, lines)), template
    declared = {each.name: each.labels for each in GOVERNOR_CATALOGUE}
    sent = await rig.metrics.receive_all()
    for event in sent:
        if isinstance(event, Count | SetGauge) and event.name in declared:
            assert len(event.labels) == len(declared[event.name]), event.name


def test_the_status_of_the_governor_has_the_members_of_the_contract() -> None:
    (cell,) = table(section("docs/contract.md", "Roles"))["governor"]
    assert set(codes(cell)) >= set(GovernorShown.__struct_fields__) - {"limits"}


def test_every_rule_of_judgements_comes_from_a_setting() -> None:
    wiring = (Path(__file__).parents[2] / "wiring/rules.py").read_text()
    for name in GovernorRules.__struct_fields__:
        assert re.search(rf"^        {name}=.*settings\.", wiring, flags=re.M), name
