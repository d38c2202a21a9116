"""TLS to Redis, with a throw-away certificate authority."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
import trio
import trustme

from commands.demo.children import free_port
from permit_gate import GOVERNOR, P33, GateRules, Granted, PermitGate
from simulator import RunningSimulator
from tests.deploy.guarded_redis import PASSWORD, GuardedRedis, guarded_redis
from tests.integration.conftest import simulator as simulator
from tests.integration.daemon_process import daemon_process
from tests.integration.pipeline import Pipeline, entry
from tests.integration.surroundings import environment, is_unready
from tests.store.sentinel_servers import Server

pytestmark = pytest.mark.system_tools

WITHIN_SEC = 20.0


class TlsRedis(msgspec.Struct, frozen=True):
    """A Redis that is reached over TLS alone, and the files that make a client accept it."""

    server: GuardedRedis
    port: int
    authority: Path
    certificate: Path
    key: Path

    def url(self, *, host: str = "localhost", user: str = "p33", **options: Path | str) -> str:
        query = "&".join(f"{name}={value}" for name, value in options.items())
        login = f"{user}:{PASSWORD.replace(' ', '%20')}"
        return f"rediss://{login}@{host}:{self.port}/0{'?' if query else ''}{query}"


def tls_redis(program: Path, folder: Path, *options: str) -> Iterator[TlsRedis]:
    authority = trustme.CA()
    served = authority.issue_cert("localhost")
    client = authority.issue_cert("position-state-brain")
    paths = {name: folder / f"{name}.pem" for name in ("authority", "served", "client", "client_key")}
    authority.cert_pem.write_to_path(str(paths["authority"]))
    served.private_key_and_cert_chain_pem.write_to_path(str(paths["served"]))
    client.cert_chain_pems[0].write_to_path(str(paths["client"]))
    client.private_key_pem.write_to_path(str(paths["client_key"]))
    port = free_port()
    with guarded_redis(
        program,
        folder,
        *("--tls-port", str(port), "--bind", "127.0.0.1"),
        *("--tls-cert-file", str(paths["served"]), "--tls-key-file", str(paths["served"])),
        *("--tls-ca-cert-file", str(paths["authority"])),
        *options,
    ) as server:
        yield TlsRedis(server, port, paths["authority"], paths["client"], paths["client_key"])


@pytest.fixture
def tls(system_redis: Path, tmp_path: Path) -> Iterator[TlsRedis]:
    yield from tls_redis(system_redis, tmp_path, "--tls-auth-clients", "no")


@pytest.fixture
def mutual_tls(system_redis: Path, tmp_path: Path) -> Iterator[TlsRedis]:
    yield from tls_redis(system_redis, tmp_path, "--tls-auth-clients", "yes")


async def test_plans_are_decided_over_tls_with_the_authority_that_the_url_names(
    tls: TlsRedis, simulator: RunningSimulator
) -> None:
    url = tls.url(ssl_ca_certs=tls.authority)
    async with daemon_process(environment(url, simulator, {"P33_PLAN_MAX_AGE_SEC": "60"})) as daemon:
        await daemon.ready()
        pipeline = Pipeline(tls.server.url("test-admin"))
        answer = await pipeline.ask("over-tls", entry("BTCUSDT", "0.05"), WITHIN_SEC)
        assert answer["allow"] is True
        # Nothing but the host and the port of all that is in a log line.
        assert PASSWORD not in daemon.output
        assert str(tls.authority) not in daemon.output
    assert pipeline.decisions() == {"over-tls": 1}


async def test_a_server_of_an_authority_that_is_not_named_is_refused(
    tls: TlsRedis, simulator: RunningSimulator
) -> None:
    async with daemon_process(environment(tls.url(), simulator, {})) as daemon:
        await is_unready(await daemon.url(), "waiting for Redis", within_sec=WITHIN_SEC)
        assert daemon.alive
    assert tls.server.admin().dbsize() == 0


async def test_a_server_by_another_name_than_its_certificates_is_not_believed(
    tls: TlsRedis, simulator: RunningSimulator
) -> None:
    url = tls.url(host="127.0.0.1", ssl_ca_certs=tls.authority)
    async with daemon_process(environment(url, simulator, {})) as daemon:
        await is_unready(await daemon.url(), "waiting for Redis", within_sec=WITHIN_SEC)
    assert tls.server.admin().dbsize() == 0


async def test_a_server_that_asks_for_a_certificate_gets_ours(
    mutual_tls: TlsRedis, simulator: RunningSimulator
) -> None:
    anonymous = mutual_tls.url(ssl_ca_certs=mutual_tls.authority)
    async with daemon_process(environment(anonymous, simulator, {})) as daemon:
        await is_unready(await daemon.url(), "waiting for Redis", within_sec=WITHIN_SEC)
    known = mutual_tls.url(
        ssl_ca_certs=mutual_tls.authority, ssl_certfile=mutual_tls.certificate, ssl_keyfile=mutual_tls.key
    )
    async with daemon_process(environment(known, simulator, {})) as daemon:
        await daemon.ready()


async def test_the_gate_speaks_tls_too(tls: TlsRedis) -> None:
    permit = json.dumps({"plan_id": "x", "symbol": "BTCUSDT", "granted": True})
    tls.server.admin().set("quantum:permit:x", permit)
    url = tls.url(user="p33-gate", ssl_ca_certs=tls.authority)

    def acquire() -> object:
        with PermitGate(url, GateRules(consumer="executor")) as gate:
            return gate.acquire("x", "BTCUSDT", [GOVERNOR], timeout_sec=WITHIN_SEC)

    assert isinstance(await trio.to_thread.run_sync(acquire), Granted)


SENTINEL = """
port 0
tls-port {{port}}
bind 127.0.0.1
tls-cert-file {served}
tls-key-file {served}
tls-ca-cert-file {authority}
tls-auth-clients no
tls-replication yes
sentinel resolve-hostnames yes
sentinel announce-hostnames yes
sentinel monitor quantum localhost {port} 1
sentinel auth-user quantum test-admin
sentinel auth-pass quantum "{password}"
"""


async def test_sentinels_are_asked_over_tls_and_their_primary_is_spoken_to_over_tls(
    tls: TlsRedis, simulator: RunningSimulator, tmp_path: Path
) -> None:
    served = tls.authority.with_name("served.pem")
    text = SENTINEL.format(served=served, authority=tls.authority, port=tls.port, password=PASSWORD)
    sentinel = Server(tmp_path / "sentinel", text, "--sentinel")
    sentinel.start()
    try:
        login = f"p33:{PASSWORD.replace(' ', '%20')}"
        place = f"localhost:{sentinel.port}/quantum/0?ssl_ca_certs={tls.authority}"
        environ = environment(f"rediss+sentinel://{login}@{place}", simulator, {})
        async with daemon_process({**environ, "P33_PLAN_MAX_AGE_SEC": "60"}) as daemon:
            await daemon.ready()
            pipeline = Pipeline(tls.server.url("test-admin"))
            answer = await pipeline.ask("over-tls", entry("BTCUSDT", "0.05"), WITHIN_SEC)
            assert answer["allow"] is True
            permit = json.dumps({"symbol": "BTCUSDT", "granted": True})
            tls.server.admin().set("quantum:permit:over-tls", permit)

            def acquire() -> object:
                url = f"rediss+sentinel://{login.replace('p33', 'p33-gate')}@{place}"
                with PermitGate(url, GateRules(consumer="executor"), command_timeout_sec=5) as gate:
                    return gate.acquire("over-tls", "BTCUSDT", [GOVERNOR, P33], timeout_sec=WITHIN_SEC)

            assert isinstance(await trio.to_thread.run_sync(acquire), Granted)
    finally:
        sentinel.kill()
