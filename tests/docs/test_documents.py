"""What the documents say is there is there, and what is there they say."""

from __future__ import annotations

import re
import shlex

import pytest
import yaml

from brain.governor.reasons import GovernorReason
from brain.plans.permit import Reason
from channels import Channels
from commands.cli import parser
from monitoring.metrics.catalogue import CATALOGUE
from monitoring.status.readiness import ReadinessFacts, unready
from settings import VARIABLES
from tests.docs.documents import DOCUMENTS, ROOT, blocks, codes, headings, prose, section, table, tables
from tests.test_service_tree import ACTORS

OPERATIONS, ARCHITECTURE = "docs/operations.md", "docs/architecture.md"
ALLOWS = {
    Reason.SANITY_CHECKS_PASSED,
    Reason.OPEN_PERMIT_GRANTED,
    Reason.RECONCILE_CLOSE_BYPASS,
    Reason.NO_QUANTITY_CHANGE,
}
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_SETTING = re.compile(r"\b(?:P33|REDIS|BINANCE)_[A-Z][A-Z0-9_]*\b")
_METRIC = re.compile(r"\bp33_[a-z0-9_]+\b")
_MAKE = re.compile(r"\bmake ([a-z]+(?:-[a-z]+)*)\b")
#: Words of executors.
_NO_METRICS = {"p33_permit_denied"}
#: Of the tests alone.
_NO_SETTINGS = {
    "P33_TEST_EXECUTOR_KILLS",
    "P33_TEST_EXECUTOR_STOPS",
    "P33_TEST_EXECUTOR_UNKNOWN",
    "P33_TEST_FAILOVERS",
    "P33_TEST_GOVERNOR_KILLS",
    "P33_TEST_RECONCILE_KILLS",
    "P33_TEST_BRIDGE_KILLS",
    "P33_TEST_INTELLIGENCE_KILLS",
    "P33_TEST_COUNTING_HISTORIES",
    "P33_TESTS_NEED_BROWSER",
    "P33_TESTS_NEED_EVERY_REDIS",
    "P33_TESTS_NEED_SYSTEMD",
    "P33_TESTS_NEED_SYSTEM_TOOLS",
}


@pytest.mark.parametrize("document", DOCUMENTS)
def test_links_lead_somewhere(document: str) -> None:
    for target in _LINK.findall(prose(document)):
        if target.startswith(("https://", "http://")):
            continue
        path, _, anchor = target.partition("#")
        found = (ROOT / document).parent / path if path else ROOT / document
        assert found.exists(), target
        if anchor:
            assert anchor in headings(str(found.resolve().relative_to(ROOT))), target


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_setting_and_metric_that_is_named_exists(document: str) -> None:
    settings = {variable.name for variable in VARIABLES}
    settings |= {f"{variable.name}_FILE" for variable in VARIABLES if variable.kind.is_secret}
    text = re.sub(r"_\*|_\W", " ", DOCUMENTS[document])
    named = set(_SETTING.findall(text)) - _NO_SETTINGS
    prefixes = {name for name in named if any(known.startswith(f"{name}_") for known in settings)}
    assert named - settings - prefixes == set()
    metrics = {each.name for each in CATALOGUE} | exposed_elsewhere()
    assert set(_METRIC.findall(DOCUMENTS[document])) - metrics - _NO_METRICS == set()


def exposed_elsewhere() -> set[str]:
    """Metrics that are views of live state."""
    metrics = ROOT / "monitoring/metrics"
    files = ("families.py", "registry.py", "universe.py")
    code = "".join((metrics / file).read_text() for file in files)
    return set(re.findall(r'"(p33_\w+)"', code))


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_command_that_is_shown_is_one(document: str) -> None:
    text = DOCUMENTS[document]
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), flags=re.M))
    assert {name for code in code_of(document) for name in _MAKE.findall(code)} <= targets
    known = parser()
    for line in re.findall(r"^(?:sudo )?position-state-brain (.*?)(?:\s+#.*)?$", text, flags=re.M):
        known.parse_args(shlex.split(line))


def code_of(document: str) -> list[str]:
    """Fenced blocks, and code within sentences."""
    return [block.text for block in blocks(document)] + re.findall(r"`([^`\n]+)`", prose(document))


def test_every_reason_to_deny_has_something_to_do_about_it() -> None:
    documented = table(section(OPERATIONS, "Why was it denied?"))
    assert set(documented) == {str(reason) for reason in set(Reason) - ALLOWS}
    assert all(len(advice) > 40 for (advice,) in documented.values())


def test_every_refusal_of_the_governor_has_something_to_do_about_it() -> None:
    documented = table(section(OPERATIONS, "Why did the Governor refuse?"))
    assert set(documented) == {str(reason) for reason in GovernorReason if not reason.startswith("governor_")}
    assert all(len(advice) > 40 for (advice,) in documented.values())


def test_every_alert_has_something_to_do_about_it() -> None:
    rules = yaml.safe_load((ROOT / "deploy/prometheus/position-state-brain.rules.yml").read_text())
    names = [rule["alert"] for group in rules["groups"] for rule in group["rules"]]
    documented = re.findall(
        r"^### (P33\w+)\n(.{80,}?)(?=^#)", section(OPERATIONS, "Alerts") + "#", flags=re.M | re.S
    )
    assert [name for name, _ in documented] == names


def test_every_exit_code_is_documented() -> None:
    documented = table(section(OPERATIONS, "Exit codes"))
    assert {"0", "1", "78"} <= documented.keys()


def test_every_reason_not_to_be_ready_is_documented() -> None:
    documented = prose(OPERATIONS)
    worst = ReadinessFacts(
        stopping=True,
        waits=(("tree/ledger_writer", "Redis at here"),),
        needed_actors=(("permit_evaluator", "backing_off"),),
        lease=None,
        symbols_known=None,
        hedge_mode_known=False,
        allowlist_known=False,
        ledgers_adopted=False,
        snapshots=0,
        snapshots_fresh=0,
        stale_threshold_sec=10,
    )
    for reason in unready(worst):
        words = re.sub(r"Redis at .*", "Redis at …", reason).replace("backing off", "…")
        assert f"`{words}`" in documented, reason


def test_the_architecture_names_every_actor_and_every_channel() -> None:
    actors = table(section(ARCHITECTURE, "Actors"))
    assert {re.sub(r"_\d$", "_N", name) for name in ACTORS} == set(actors)
    every = Channels(
        1, universe=True, executor=True, governor=True, reconcile=True, bridge=True, intelligence=True
    ).all()
    channels = {re.sub(r"_0$", "_N", channel.name) for channel in every}
    names = {name for cell in table(section(ARCHITECTURE, "Channels")) for name in re.findall(r"\w+", cell)}
    assert names == channels


def test_objects_that_actors_share_are_made_where_the_service_is_put_together() -> None:
    made = "".join(path.read_text() for path in (ROOT / "supervisor.py", *ROOT.glob("wiring/*.py")))
    objects = {
        name for first, *_ in tables(section(ARCHITECTURE, "What actors share"))[0] for name in codes(first)
    }
    assert {name for name in objects if f"{name}(" not in made} == set()


def test_paths_in_the_repository_that_are_named_exist() -> None:
    folders = {path.name for path in ROOT.iterdir() if path.is_dir()}
    named = {
        code
        for document in DOCUMENTS
        for code in re.findall(r"`([a-z_]+/[\w./-]*)`", prose(document))
        if code.partition("/")[0] in folders
    }
    assert len(named) > 20
    ignored = set((ROOT / ".gitignore").read_text().split())
    assert {path for path in named - ignored if not (ROOT / path).exists()} == set()
