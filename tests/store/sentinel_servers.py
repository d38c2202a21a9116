"""Two redis-servers and the three Sentinels that watch them, each with users of its own."""

from __future__ import annotations

import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from tests.integration.waiting import until

SERVICE = "quantum"
SENTINEL_PASSWORD = "of-asker"
DOWN_AFTER_MS = 1_000
_SERVER = """
port {port}
bind 127.0.0.1
save ""
appendonly yes
repl-diskless-sync-delay 0
masteruser replica
masterauth of-replica
user default off
user client on >of-client ~* &* +@all
{users}
"""
#: As docs/operations.md gives them.
_USERS = """\
user sentinel on >of-sentinel allchannels -@all +multi +slaveof +ping +exec +subscribe +config|rewrite +role \
+publish +info +client|setname +client|kill +script|kill
user replica on >of-replica resetchannels -@all +psync +replconf +ping
"""
_SENTINEL = """
port {port}
bind 127.0.0.1
user default off
user asker on >of-asker resetchannels -@all +ping +sentinel|get-master-addr-by-name
user admin on >of-admin ~* &* +@all
sentinel sentinel-user admin
sentinel sentinel-pass of-admin
sentinel monitor {service} 127.0.0.1 {primary} 2
sentinel auth-user {service} sentinel
sentinel auth-pass {service} of-sentinel
sentinel down-after-milliseconds {service} {down_after_ms}
sentinel failover-timeout {service} 4000
"""


def free_port() -> int:
    """Return a port on which nothing listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


class Server:
    """A redis-server, or a Sentinel, with a configuration file of its own."""

    def __init__(self, folder: Path, configuration: str, *arguments: str) -> None:
        """`configuration` may name `{port}`, the server's own. `arguments` follow the file."""
        self.port = free_port()
        self._folder = folder
        self._arguments = arguments
        folder.mkdir()
        self._file = folder / "redis.conf"
        self._file.write_text(configuration.replace("{port}", str(self.port)))
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, *further: str) -> None:
        """Start it; it answers soon."""
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603 - found on PATH
                [redis_server(), self._file, *self._arguments, *further, "--dir", self._folder],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def send(self, number: signal.Signals) -> None:
        """Send it a signal."""
        assert self._process is not None
        self._process.send_signal(number)

    def kill(self) -> None:
        """SIGKILL, also where it is stopped."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def client(self, user: str = "client") -> Any:
        """Return a client of one of the users, which does not retry."""
        return redis.Redis(
            host="127.0.0.1",
            port=self.port,
            username=user,
            password=f"of-{user}",
            decode_responses=True,
            socket_timeout=1,
            retry=Retry(NoBackoff(), 0),
        )


def redis_server() -> str:
    """Return the redis-server on PATH; skip the test where there is none."""
    found = shutil.which("redis-server")
    if found is None:
        pytest.skip("needs redis-server on PATH, which is a Sentinel as well (Debian: redis-server)")
    return found


async def listens(server: Server) -> None:
    """Wait until it answers."""

    def asked() -> bool:
        try:
            return bool(redis.Redis(host="127.0.0.1", port=server.port).ping())
        except redis.ConnectionError:
            return False

    await until(asked, "it answers", 10)


class SentinelSite:
    """`url` is the address of the service, with the logins at servers and Sentinels.

    `url_without_password` lacks that of the Sentinels, `SENTINEL_PASSWORD`.
    """

    def __init__(self, servers: list[Server], sentinels: list[Server]) -> None:
        self.servers = servers
        self.sentinels = sentinels
        hosts = ",".join(f"127.0.0.1:{sentinel.port}" for sentinel in sentinels)
        self.url_without_password = (
            f"redis+sentinel://client:of-client@{hosts}/{SERVICE}/0?sentinel_username=asker"
        )
        self.url = f"{self.url_without_password}&sentinel_password={SENTINEL_PASSWORD}"

    def primary(self) -> Server:
        """Return the server that most Sentinels name."""
        named = [self.named_by(sentinel) for sentinel in self.sentinels]
        return max(set(named), key=named.count)

    def named_by(self, sentinel: Server) -> Server:
        """Return the server that a Sentinel names."""
        asker = sentinel.client("asker")
        port = int(asker.execute_command("SENTINEL", "GET-MASTER-ADDR-BY-NAME", SERVICE)[1])
        return next(server for server in self.servers if server.port == port)

    def other(self, server: Server) -> Server:
        """Return the one of the two that is not `server`."""
        return self.servers[1 - self.servers.index(server)]

    async def has_new_primary(self, old: Server) -> Server:
        """Wait until the Sentinels name the other server and it takes writes."""
        new = self.other(old)
        await _until(lambda: self.primary() is new and _role(new) == "master", "another primary")
        return new

    async def plan_failover(self) -> None:
        """Let a Sentinel fail over in order, as an operator does."""
        ask = self.sentinels[-1].client("admin")
        await _until(lambda: ask.execute_command("SENTINEL", "FAILOVER", SERVICE), "a failover begins")

    def cut_off(self, server: Server) -> None:
        """Let neither Sentinels nor replicas reach a server, which goes on answering all others."""
        admin = server.client()
        for user in ("sentinel", "replica"):
            admin.execute_command("ACL", "SETUSER", user, "off")
            admin.execute_command("CLIENT", "KILL", "USER", user)

    def cut_off_sentinel(self, sentinel: Server) -> None:
        """Let a Sentinel reach no server, and no other Sentinel reach it; it goes on answering clients."""
        admin = sentinel.client("admin")
        admin.execute_command("SENTINEL", "SET", SERVICE, "auth-pass", "wrong")
        admin.execute_command("ACL", "SETUSER", "admin", "resetpass", ">another")
        admin.execute_command("CLIENT", "KILL", "USER", "admin")

    def join(self, server: Server) -> None:
        """End `cut_off`."""
        for user in ("sentinel", "replica"):
            server.client().execute_command("ACL", "SETUSER", user, "on")

    async def is_whole(self, *, follow: bool = True) -> None:
        """Wait until one server replicates the other, and every Sentinel knows both as they are.

        `follow`: do at once what the Sentinels do with an old primary after 8 s.
        """
        primary = self.primary()
        replica = self.other(primary)

        def settled() -> bool:
            own = replica.client().info("replication")
            if own["role"] == "master" and follow:
                replica.client().execute_command("REPLICAOF", "127.0.0.1", primary.port)
            return own.get("master_link_status") == "up" and all(map(self._is_settled, self.sentinels))

        await _until(settled, "all know each other")

    def _is_settled(self, sentinel: Server) -> bool:
        state = sentinel.client("admin").sentinel_master(SERVICE)
        replicas = sentinel.client("admin").sentinel_slaves(SERVICE)
        known = [each["master-link-status"] == "ok" and each["flags"] == "slave" for each in replicas]
        return known == [True] and state["flags"] == "master" and state["num-other-sentinels"] == 2


@asynccontextmanager
async def sentinel_site() -> AsyncIterator[SentinelSite]:
    """All five run for the length of the block."""
    with tempfile.TemporaryDirectory(prefix="psb-sentinels-") as name:
        folder = Path(name)
        configuration = _SERVER.replace("{users}", _USERS)
        servers = [Server(folder / f"server-{number}", configuration) for number in range(2)]
        sentinel = _SENTINEL.format(
            port="{port}", service=SERVICE, primary=servers[0].port, down_after_ms=DOWN_AFTER_MS
        )
        sentinels = [Server(folder / f"sentinel-{number}", sentinel, "--sentinel") for number in range(3)]
        site = SentinelSite(servers, sentinels)
        try:
            for server in servers:
                server.start()
            for server in servers:
                await _until(server.client().ping, "redis-server answers")
            servers[1].client().execute_command("REPLICAOF", "127.0.0.1", servers[0].port)
            replicas = servers[0].client()
            # Sentinels ask a server for its replicas once in 10 s.
            await _until(lambda: replicas.info("replication")["connected_slaves"], "the replica follows")
            for each in sentinels:
                each.start()
            for each in sentinels:
                await _until(each.client("asker").ping, "a Sentinel answers")
                _ask_for_replicas_each_second(each)
            await site.is_whole()
            yield site
        finally:
            for each in (*sentinels, *servers):
                each.kill()


def _ask_for_replicas_each_second(sentinel: Server) -> None:
    """Shorten a period that is 10 s, where the Sentinel can (Redis 7): clients see nothing of it."""
    with suppress(redis.ResponseError):
        sentinel.client("admin").execute_command("SENTINEL", "DEBUG", "INFO-PERIOD", "1000")


def _role(server: Server) -> str:
    return str(server.client().info("replication")["role"])


async def _until(look: Callable[[], Any], what: str) -> None:
    def looked() -> Any:
        try:
            return look()
        except redis.RedisError as error:
            nonlocal what
            what = f"{what.partition(';')[0]}; {error}"
            return None

    # A Sentinel that was not given the processor for 2 s does nothing for 30 s ("TILT").
    await until(looked, what, within_sec=60)
