"""Sections of docs/contract.md on roles, against a running service in which they are switched on."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
import trio

from brain.symbols.publication import Change, Outcome
from brain.symbols.record import judge_universe_again
from commands.clients.embedded_redis import private_redis
from monitoring.metrics.catalogue import UNIVERSE_CATALOGUE
from simulator import running
from store.keys import UniverseNames
from tests.docs.documents import codes, section, table
from tests.docs.observed_service import matching
from tests.integration.daemon_process import daemon_process
from tests.integration.pipeline import Pipeline
from tests.integration.surroundings import environment, small_exchange
from tests.integration.waiting import until

pytestmark = pytest.mark.process

UNIVERSE = "The universe"
KEYS, LIST, META, ERRORS, EVENTS, METRICS, LINES, AUDIT = range(8)


class Observed(msgspec.Struct):
    """Keys of the universe with their types and lives, and what else the service shows of it."""

    keys: dict[str, str]
    lives_sec: dict[str, int]
    active: dict[str, Any]
    meta: dict[str, str]
    log: list[str]
    audit: dict[str, str]
    metrics: str
    roles: dict[str, Any]


@pytest.fixture(scope="module")
def observed() -> Observed:
    return trio.run(_observe)


async def _observe() -> Observed:
    async with private_redis() as url, running(small_exchange()) as simulator:
        redis: Any = Pipeline(url).redis
        names = UniverseNames("quantum", shadow=False)
        # Another list than the exchange has, so that there are events.
        redis.set(names.last_ok, '{"asof_epoch": 1760000000, "symbols": ["BTCUSDT", "GONEUSDT"]}')
        settings = {"P33_UNIVERSE": "on", "UNIVERSE_MAX_SHRINK_PCT": "90"}
        async with daemon_process(environment(url, simulator, settings)) as daemon:
            address = await daemon.ready()
            await until(lambda: redis.exists(names.volumes), "volumes", 10)
            async with httpx.AsyncClient(trust_env=False, base_url=address) as client:
                metrics = (await client.get("/metrics", timeout=10)).text
                roles = (await client.get("/status", timeout=10)).json()["roles"]
            keys = [key for key in redis.scan_iter() if "universe" in key]
            return Observed(
                keys={key: redis.type(key).upper() for key in keys},
                lives_sec={key: redis.ttl(key) for key in keys},
                active=msgspec.json.decode(redis.get(names.active)),
                meta=redis.hgetall(names.meta),
                log=daemon.output.splitlines(),
                audit=redis.xrange(names.audit)[0][1],
                metrics=metrics,
                roles=roles,
            )


def documented(number: int) -> dict[str, list[str]]:
    return table(section("docs/contract.md", UNIVERSE), number)


def test_the_keys_are_those_of_the_contract_with_their_types_and_lives(observed: Observed) -> None:
    listed = {key: cells[0].partition(",")[0] for key, cells in documented(KEYS).items()}
    assert observed.keys == listed
    names = UniverseNames("quantum", shadow=False)
    assert listed.keys() == set(vars(names).values()) - {names.base}
    lives = {key: life for key, life in observed.lives_sec.items() if life != -1}
    assert lives.keys() == {names.active, names.volumes}
    assert 880 <= lives[names.active] <= 900
    assert 7_100 <= lives[names.volumes] <= 7_200


def test_a_list_and_its_meta_have_the_members_of_the_contract(observed: Observed) -> None:
    assert list(observed.active) == list(documented(LIST))
    assert observed.meta.keys() == documented(META).keys()
    assert observed.meta["published_by"] == "first"


def test_an_entry_of_the_audit_has_the_fields_of_the_contract(observed: Observed) -> None:
    assert list(observed.audit) == [name for name in documented(AUDIT) if name != "mode"]
    assert judge_universe_again(observed.audit["record"]).identical


def test_errors_and_events_are_those_of_the_code() -> None:
    assert set(documented(ERRORS)) == set(Outcome) - {Outcome.PUBLISHED}
    assert set(documented(EVENTS)) == set(Change)


def test_the_metrics_of_the_universe_are_those_that_are_exposed(observed: Observed) -> None:
    listed = {name: (cells[0], set(codes(cells[1]))) for name, cells in documented(METRICS).items()}
    exposed = set(re.findall(r"^# TYPE (universe_\S+) (\S+)$", observed.metrics, flags=re.M))
    assert exposed == {(name, kind) for name, (kind, _) in listed.items()}
    for declared in UNIVERSE_CATALOGUE:
        assert listed[declared.name][1] == set(declared.labels)


def test_a_gauge_names_the_roles_that_are_switched_on(observed: Observed) -> None:
    shown = re.findall(r"^p33_role\{(.*)\} (\S+)$", observed.metrics, flags=re.M)
    assert [(set(labels.split(",")), value) for labels, value in shown] == [
        ({'role="universe"', f'mode="{observed.roles["universe"]["mode"]}"'}, "1.0")
    ]


def test_the_log_has_the_lines_of_the_universe(observed: Observed) -> None:
    published, stale = (matching(line, r"\S+", error=r".*") for line in documented(LINES))
    ends = [line.partition("INFO")[2].strip() or line for line in observed.log]
    assert any(published.search(line) for line in ends)
    assert stale.search("Universe marked stale: fetch_failed: no answer")
    code = (Path(__file__).parents[2] / "actors/universe_publisher/actor.py").read_text()
    assert "Universe marked stale: {" in code


def test_the_status_of_a_role_has_the_members_of_the_contract(observed: Observed) -> None:
    (cell,) = table(section("docs/contract.md", "Roles"))["universe"]
    assert list(observed.roles) == ["universe"]
    assert set(observed.roles["universe"]) == set(codes(cell)) - {"null"}
