"""A host with a systemd of its own: this machine's files under an overlay, booted by systemd-nspawn.

Nothing of it outlives the test: it runs in a mount and a process namespace whose first process ends with the
pipe that the test holds, and what it writes goes to a tmpfs in that mount namespace.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache, partial
from pathlib import Path

from tests.deploy.retrying import patiently

_CGROUPS = Path("/sys/fs/cgroup")
#: Each is one hierarchy: of cgroup v1, of v2 beside v1, of v2.
_HIERARCHIES = (_CGROUPS / "systemd", _CGROUPS / "unified", _CGROUPS)
_UNSHARED = ("unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc")
_BOOT = r"""
set -eu
cgroups=$1 folder=$2
shift 2
mount -t tmpfs tmpfs "$folder"
mkdir "$folder/upper" "$folder/work" "$folder/root"
mount -t overlay overlay -o "lowerdir=/,upperdir=$folder/upper,workdir=$folder/work" "$folder/root"
(
  for cgroup in $cgroups; do
    echo 0 >"$cgroup/cgroup.procs"
  done
  exec systemd-nspawn --quiet --register=no --keep-unit --private-network --console=pipe --link-journal=no \
    --resolv-conf=off --timezone=off --directory="$folder/root" "$@" </dev/null
) &
read -r _ || true
"""
_BOOT_SEC = 20.0
_COMMAND_SEC = 120.0


@cache
def lacking() -> str | None:
    """Say what a systemd would need to boot here; None where it can."""
    if sys.platform != "linux":
        return "needs Linux"
    if os.geteuid() != 0:
        return "needs root"
    if shutil.which("systemd-nspawn") is None:
        return "needs systemd-nspawn on PATH (Debian: systemd-container)"
    tried = subprocess.run([*_UNSHARED, "true"], capture_output=True, check=False)  # noqa: S603
    return "needs the right to make namespaces (a privileged container)" if tried.returncode else None


class BootedHost:
    """A running host; commands are run in it as root."""

    def __init__(self, leader: int, upper: Path, hidden: Sequence[str]) -> None:
        #: The process number of its systemd, outside.
        self.leader = leader
        #: The host's files, as they are seen from outside.
        self.root = Path(f"/proc/{leader}/root")
        self._upper = upper
        self._hidden = hidden

    def written(self) -> set[str]:
        """Paths of all files that the host has and this machine has not, or not so."""
        tops = [
            (self._upper, self._upper),
            *((self.root, self.root / path.lstrip("/")) for path in self._hidden),
        ]
        return {
            f"/{(Path(folder) / file).relative_to(root)}"
            for root, top in tops
            for folder, _, files in os.walk(top)
            for file in files
        }

    def run(
        self, *command: str, stdin: str = "", code: int | None = 0, environ: Mapping[str, str] | None = None
    ) -> str:
        """Run a command and return what it printed; `code` None: however it ends."""
        usual = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root"}
        done = subprocess.run(  # noqa: S603 - in a host of our own
            ["nsenter", "--target", str(self.leader), "--all", "--", *command],  # noqa: S607
            input=stdin,
            env={**usual, "LC_ALL": "C", **(environ or {})},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=_COMMAND_SEC,
            check=False,
        )
        assert code is None or done.returncode == code, (
            f"{command} ended with {done.returncode}: {done.stdout}"
        )
        return done.stdout

    def shows(self, unit: str, *properties: str) -> dict[str, str]:
        """Return properties of a unit."""
        said = self.run("systemctl", "show", "--property", ",".join(properties), unit)
        return dict(line.split("=", 1) for line in said.splitlines())


@contextmanager
def booted(
    folder: Path, *, shown: Mapping[str, Path] | None = None, hidden: Sequence[str] = ()
) -> Iterator[BootedHost]:
    """Boot a host, and take it away again with all of its processes.

    `shown`: files and folders of this machine by their path there; `hidden`: folders that are empty there.
    """
    name, mounted, console = f"booted-{uuid.uuid4().hex[:8]}", folder / "mounted", folder / "console"
    mounted.mkdir()
    cgroups = [each / name for each in _HIERARCHIES if (each / "cgroup.procs").exists()]
    for cgroup in cgroups:
        cgroup.mkdir()
    options = [
        f"--machine={name}",
        *(f"--bind-ro={source}:{target}" for target, source in (shown or {}).items()),
        *(f"--tmpfs={path}:mode=755" for path in hidden),
        *("--boot", "systemd.unit=basic.target"),
    ]
    with console.open("wb") as output:
        process = subprocess.Popen(  # noqa: S603
            [*_UNSHARED, "bash", "-c", _BOOT, "bash", " ".join(map(str, cgroups)), str(mounted), *options],
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=output,
        )

    def find() -> BootedHost:
        assert process.poll() is None, console.read_text(errors="replace")
        return BootedHost(_leader(cgroups), Path(f"/proc/{process.pid}/root{mounted}/upper"), hidden)

    try:
        host = patiently(find, OSError, within_sec=_BOOT_SEC)
        patiently(lambda: host.run("systemctl", "is-active", "basic.target"), AssertionError)
        yield host
    finally:
        # The pipe closes, the first process of the namespace ends, and the kernel ends all others in it.
        process.communicate()
        for cgroup in cgroups:
            patiently(partial(_remove, cgroup), OSError)


def _leader(cgroups: list[Path]) -> int:
    """Return the process number of the systemd in the cgroups. Raises OSError when there is none yet."""
    scopes = [cgroup / "payload/init.scope/cgroup.procs" for cgroup in cgroups]
    found = " ".join(scope.read_text() for scope in scopes if scope.exists()).split()
    if not found:
        raise ProcessLookupError(f"there is no systemd in {cgroups}")
    return int(found[0])


def _remove(cgroup: Path) -> None:
    """Remove a cgroup with those in it. Raises OSError while a process is left in one."""
    for folder, _, _ in os.walk(cgroup, topdown=False):
        Path(folder).rmdir()
