"""Two redis-servers behind one address: the primary, and a replica that takes over."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import redis

from commands.demo.children import free_port
from tests.integration.waiting import until
from tests.store.movable_address import MovableAddress, movable_address


class ReplicatingServer:
    """A redis-server with a TCP port for its replica and a Unix socket for its clients."""

    def __init__(self, program: Path, folder: Path) -> None:
        self._program = program
        self._folder = folder
        self.socket = str(folder / "redis.sock")
        self.url = f"unix://{self.socket}?db=0"
        self.port = free_port()
        self.admin: Any = redis.Redis(unix_socket_path=self.socket, decode_responses=True)

    @contextmanager
    def running(self, *options: str) -> Iterator[None]:
        """Run it for the length of the block, with further `options` of redis-server."""
        process = subprocess.Popen(  # noqa: S603 - the test's own choice of program
            [
                str(self._program),
                *("--port", str(self.port), "--bind", "127.0.0.1", "--unixsocket", self.socket),
                *("--dir", str(self._folder), "--save", "", "--appendonly", "yes"),
                *("--repl-diskless-sync-delay", "0"),
                *options,
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            yield
        finally:
            self.admin.close()
            process.kill()
            process.wait()

    async def answers(self) -> None:
        """Wait until it answers."""
        await until(self._answers, "redis-server answers", within_sec=10)

    def _answers(self) -> bool:
        try:
            return bool(self.admin.ping())
        except redis.ConnectionError:
            return False

    def follow(self, other: ReplicatingServer) -> None:
        """Become the other one's replica; connections of clients live on."""
        self.admin.execute_command("REPLICAOF", "127.0.0.1", other.port)

    def lead(self) -> None:
        """Become a primary."""
        self.admin.execute_command("REPLICAOF", "NO", "ONE")

    def has_all_of(self, other: ReplicatingServer) -> bool:
        """Return whether it is a replica that has received what the other one has written."""
        own, theirs = self.admin.info("replication"), other.admin.info("replication")
        linked = own.get("master_link_status") == "up" and not own.get("master_sync_in_progress")
        return linked and own["slave_repl_offset"] == theirs["master_repl_offset"]


class RedisPair:
    """`primary` takes writes; `replica` has all that it wrote; `address` leads to the primary."""

    def __init__(
        self, primary: ReplicatingServer, replica: ReplicatingServer, address: MovableAddress
    ) -> None:
        self.primary = primary
        self.replica = replica
        self.address = address

    async def fail_over(self, *, promote_first: bool = False) -> None:
        """Demote the primary, promote its replica, and move the address. Returns at its first write.

        `promote_first`: for a moment both are primaries, as with a Sentinel or a managed Redis.
        """
        await until(lambda: self.replica.has_all_of(self.primary), "the replica has followed", within_sec=20)
        old, new = self.primary, self.replica
        if not promote_first:
            old.follow(new)
        new.lead()
        self.address.lead_to(new.socket)
        if promote_first:
            old.follow(new)
        self.primary, self.replica = new, old
        new.admin.set("test:first-write", "1")


@asynccontextmanager
async def redis_pair(program: Path) -> AsyncIterator[RedisPair]:
    """Both run for the length of the block."""
    with tempfile.TemporaryDirectory(prefix="psb-pair-", dir="/tmp") as name:
        servers = []
        for part in ("a", "b"):
            folder = Path(name) / part
            folder.mkdir()
            servers.append(ReplicatingServer(program, folder))
        first, second = servers
        with first.running(), second.running():
            for server in servers:
                await server.answers()
            second.follow(first)
            async with movable_address(first.socket) as address:
                yield RedisPair(first, second, address)
