"""docs/contract.md against the code and a running service, in both directions."""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Mapping
from functools import partial
from typing import Any

import msgspec
import pytest

import commands
from brain.decisions.checks import CHECKS
from brain.decisions.permit_text import AuditRecord
from brain.execution.record import OrderPhase
from brain.ledger import refusal_words
from brain.ledger.refusal_words import Proof, proof_of
from brain.ledger.result import read_result
from brain.plans.permit import Reason
from brain.plans.plan_fields import LARGEST_ENTRY, LARGEST_FIELD, read_plan
from commands import calls, cli
from monitoring.metrics.catalogue import CATALOGUE
from monitoring.status.document import RolesShown, StatusDocument
from permit_gate import GOVERNOR
from settings import VARIABLES
from store.execution_values import encode_record
from store.keys import ExecutorKeys, Keys
from tests.docs.documents import ROOT, codes, section, table, tables
from tests.docs.observed_service import Observed, matching, observe
from tests.docs.test_documents import ALLOWS
from tests.store.executions import RECORD

Both = tuple[Observed, Observed]
CONTRACT = "docs/contract.md"


@pytest.fixture(scope="module")
def one_way() -> Observed:
    return observe(hedge_mode=False)


@pytest.fixture(scope="module")
def hedged() -> Observed:
    return observe(hedge_mode=True)


@pytest.fixture(scope="module")
def both(one_way: Observed, hedged: Observed) -> Both:
    return one_way, hedged


def documented(title: str, number: int = 0) -> dict[str, list[str]]:
    return table(section(CONTRACT, title), number)


def named_keys() -> set[str]:
    """Every key that the code names, with `<symbol>` or `<plan_id>` where its name has one."""
    keys = Keys("quantum")
    found: set[str] = set()
    for name in dir(keys):
        value = getattr(keys, name)
        if name.startswith("_") or name == "prefix":
            continue
        if inspect.ismethod(value):
            value = value(*(f"<{parameter}>" for parameter in inspect.signature(value).parameters))
        found.add(value)
    return found


def documented_keys() -> dict[str, list[str]]:
    """All keys and streams with the first cell behind their name."""
    neighbours = documented("Keys", 2)
    assert GOVERNOR.key("quantum", "<plan_id>") in neighbours
    keys = {**documented("Keys", 0), **documented("Keys", 1), **neighbours, **documented("State of its own")}
    return keys | {name: ["STREAM"] for name in documented("Streams")}


def test_every_key_and_stream_of_the_code_is_in_the_contract() -> None:
    assert documented_keys().keys() == named_keys() | {GOVERNOR.key("quantum", "<plan_id>")}


def test_the_service_writes_the_keys_of_the_contract_with_their_types_and_no_others(both: Both) -> None:
    listed = {name: cells[0].partition(",")[0].partition(" ")[0] for name, cells in documented_keys().items()}
    seen: dict[str, str] = {}
    for observed in both:
        for key, kind in observed.keys.items():
            (name,) = [name for name in listed if matching(name, "[^:]+").fullmatch(key)]
            seen[name] = kind.upper()
    assert seen == {name: listed[name] for name in seen}
    others = {
        *documented("Keys", 0),
        GOVERNOR.key("quantum", "<plan_id>"),
        "quantum:stream:trade.intent",
        Keys("quantum").players,  # of roles, which are off
        Keys("quantum").republished,  # of operators
        Keys("quantum").seen,
        Keys("quantum").own_events,
    }
    # The first minute ends during the observation, or after it.
    assert listed.keys() - seen.keys() - {Keys("quantum").history} == others


def test_the_executors_keys_groups_fields_and_states_are_those_of_the_code() -> None:
    keys = ExecutorKeys(Keys("quantum"))
    _, written, read, fields, states, results = map(partial(documented, "Executor"), range(6))
    streams = (keys.plans, keys.dry_runs, keys.manual_plans)
    groups = [codes(stream + group) for stream, group, _ in tables(section(CONTRACT, "Executor"))[0]]
    assert groups == [[each.key, each.group] for each in streams]
    named = {keys.open, keys.audit, keys.dry_run, keys.counts, keys.manual_plans.dead}
    named |= {stream.last_id for stream in streams if stream.last_id}
    named |= {keys.order("<plan_id>"), keys.plan_of("<client_order_id>")}
    named |= {keys.hold_reason("<symbol>"), keys.hold_sig("<symbol>")}
    assert written.keys() == named
    switches = {*keys.switches, keys.lockdown, keys.manual_lane, keys.block("<plan_id>")}
    assert read.keys() == switches | {keys.manual_plans.key}
    assert list(fields) == list(encode_record(RECORD)[::2])
    assert list(states) == list(OrderPhase)
    assert {"plan_id", "executed", "error", "details"} <= results.keys()


class Reads(dict[bytes, bytes]):
    """The fields of an entry, and which of them were looked at."""

    def __init__(self, fields: Mapping[bytes, bytes]) -> None:
        super().__init__(fields)
        self.names: set[str] = set()

    def get(self, name: Any, default: Any = None) -> Any:
        self.names.add(name.decode())
        return super().get(name, default)

    def __contains__(self, name: object) -> bool:
        assert isinstance(name, bytes)
        self.names.add(name.decode())
        return super().__contains__(name)


def fields_in(title: str) -> set[str]:
    return {name for first, *_ in tables(section(CONTRACT, title))[0] for name in codes(first)}


def test_the_fields_of_a_plan_are_those_that_are_read() -> None:
    plan = Reads({b"plan_id": b"p", b"symbol": b"BTCUSDT", b"decision": b"EXECUTE"})
    read_plan(plan)
    assert plan.names == fields_in("Plans")
    limits = f"at most {LARGEST_ENTRY // 1024} KB, a field at most {LARGEST_FIELD // 1024} KB"
    assert limits in section(CONTRACT, "Plans")


def test_the_fields_of_a_result_are_those_that_are_read() -> None:
    begin = {b"plan_id": b"p", b"symbol": b"BTCUSDT"}
    order = b'{"order_id": 1, "filled_qty": 1, "executed_qty": 1, "side": "BUY"}'
    dialects = (
        Reads({**begin, b"executed": b"1", b"order_id": b"1", b"filled_qty": b"1", b"side": b"BUY"}),
        Reads({**begin, b"executed": b"1", b"details": order}),
        Reads({**begin, b"executed": b"1", b"steps_results": b"[%b]" % order}),
        Reads({**begin, b"executed": b"0", b"error": b"-1007"}),
    )
    for fields in dialects:
        read_result(fields)
    assert set[str]().union(*(fields.names for fields in dialects)) == fields_in("Results")


def test_a_refused_result_is_concluded_from_as_the_contract_says() -> None:
    rows = tables(section(CONTRACT, "Results"))[1]
    beginnings: dict[str, set[str]] = {}
    for texts, where, conclusion in rows:
        for text in codes(texts):
            whole = f"{text} and more" if where == "beginning" else f"the order: {text} (and more)"
            assert proof_of([whole]) is Proof(conclusion), text
            if where == "beginning":
                beginnings.setdefault(conclusion, set()).add(text)
    assert beginnings == {
        Proof.NO_PERMIT: set(refusal_words._NO_PERMIT),
        Proof.REFUSED: set(refusal_words._NOT_SENT),
    }


def test_the_reasons_are_those_of_the_code() -> None:
    answers = {reason: cells[0] for reason, cells in documented("Reasons").items()}
    assert answers == {reason.value: "allow" if reason in ALLOWS else "deny" for reason in Reason}


def test_the_checks_are_in_the_order_of_the_code() -> None:
    (order,) = [part for part in section(CONTRACT, "Checks").split("\n\n") if "→" in part]
    assert order.replace("\n", " ").strip().split(" → ") == [check.name for check in CHECKS]


def test_a_permit_has_the_members_of_the_contract(both: Both) -> None:
    members = {name: cells[0] for name, cells in documented("Permits").items()}
    answers: set[tuple[bool, bool]] = set()
    for observed, signed in zip(both, (True, False), strict=True):
        for permit in observed.permits:
            given = {"all", "allow" if permit["allow"] else "deny", *(["signed"] if signed else [])}
            assert list(permit) == [name for name, where in members.items() if where in given]
            answers.add((permit["allow"], signed))
    assert len(answers) == 4


@pytest.mark.parametrize("title", ["Snapshots", "Ledgers"])
def test_a_hash_has_the_fields_of_the_contract(both: Both, title: str) -> None:
    given = {name: cells[0] for name, cells in documented(title).items()}
    always = {name for name, when in given.items() if when == "always"}
    legs = {name for name, when in given.items() if when == "hedge mode"}
    seen: set[str] = set()
    for observed, hedge_mode in zip(both, (False, True), strict=True):
        for stored in getattr(observed, title.lower()):
            assert always <= stored.keys() <= given.keys()
            assert legs & stored.keys() == (legs if hedge_mode else set())
            seen |= stored.keys()
    assert seen == given.keys()


def test_events_have_the_fields_of_the_contract(one_way: Observed) -> None:
    listed = {name: codes(cells[0]) for name, cells in documented("Events").items()}
    assert {fields["event"]: list(fields) for fields in one_way.events} == listed


def test_a_decision_in_the_audit_has_the_fields_of_the_contract(one_way: Observed) -> None:
    for fields in one_way.audit:
        assert list(fields) == list(documented("The audit"))
        assert list(json.loads(fields["record"])) == list(documented("The audit", 1))
    assert list(AuditRecord.__struct_fields__) == list(documented("The audit", 1))


def test_a_dead_letter_has_the_fields_of_the_contract(one_way: Observed) -> None:
    assert len(one_way.dead) == 2
    for letter, original in one_way.dead:
        listed = documented("Dead letters").keys()
        renamed = {f"original_{name}" if name in listed else name for name in original}
        assert letter.keys() == renamed | listed


def test_the_paths_over_http_are_those_that_are_served() -> None:
    files = (ROOT / "monitoring/http").glob("*.py")
    routes = [path for file in files for path in re.findall(r'Route\("(.+?)"', file.read_text())]
    assert documented("HTTP").keys() == set(routes)


def test_the_status_document_has_the_members_of_the_contract(one_way: Observed) -> None:
    listed = list(documented("HTTP", 1))
    # A member that is left out without its role is described with that.
    always = [
        each.name for each in msgspec.structs.fields(StatusDocument) if each.default is not msgspec.UNSET
    ]
    assert list(one_way.status) == listed == always
    assert list(documented("Roles")) == list(RolesShown.__struct_fields__)


def labels_of(name: str, text: str) -> set[str]:
    """The labels of a metric: as declared, or of live state as exposed."""
    for declared in CATALOGUE:
        if declared.name == name:
            return set(declared.labels)
    samples = re.findall(rf"^{name}\{{(.*)\}} ", text, flags=re.M)
    return {label for sample in samples for label in re.findall(r'(\w+)="', sample)}


def test_the_metrics_are_those_that_are_exposed(one_way: Observed) -> None:
    listed = {name: (cells[0], set(codes(cells[1]))) for name, cells in documented("Metrics").items()}
    families = re.findall(r"^# TYPE (\S+) (\S+)$", one_way.metrics, flags=re.M)
    exposed = {name: (kind, labels_of(name, one_way.metrics)) for name, kind in families}
    assert listed == exposed


def test_the_log_has_the_lines_of_the_contract_and_no_other_of_their_kind(both: Both) -> None:
    log = [line for observed in both for line in observed.log]
    patterns = [matching(line, r"\S+", details=r".*") for line in documented("Log lines")]
    for pattern in patterns:
        assert any(map(pattern.fullmatch, log)), pattern
    fixed = [line for line in log if "P3.3" in line]
    assert [line for line in fixed if not any(each.fullmatch(line) for each in patterns)] == []


def test_the_settings_have_the_defaults_and_limits_of_the_contract() -> None:
    listed = documented("Settings")
    derived = {f"by `{name}`" for name in ("BINANCE_TESTNET", "P33_EXECUTOR", "P33_QTY_TOLERANCE_PCT")}
    derived.add("by `ENABLE_SYMBOL_BREAKDOWN`")
    derived.add("host name and port")
    assert list(listed) == [variable.name for variable in VARIABLES]
    for variable in VARIABLES:
        default, allowed = listed[variable.name]
        assert allowed == variable.kind.allowed, variable.name
        if variable.derive is None:
            assert default == (f"`{variable.default}`" if variable.default else "–"), variable.name
        else:
            assert default in derived, variable.name


def test_the_commands_are_those_of_the_command_line() -> None:
    (action,) = [each for each in cli.parser()._actions if each.dest not in ("help", "version")]
    assert list(documented("Commands")) == list(action.choices or ())


def test_the_exit_codes_are_those_of_the_code() -> None:
    wrapper = re.findall(r"exit (\d+) # EX_", (ROOT / "deploy/position-state-brain").read_text())
    ends = (commands.EXIT_CONFIG, commands.EXIT_INTERRUPTED, commands.EXIT_CLOSED_PIPE)
    named = (0, 1, calls.EXIT_USAGE, commands.EXIT_INCONCLUSIVE, *wrapper, *ends)
    assert list(documented("Commands", 1)) == [str(code) for code in named]
