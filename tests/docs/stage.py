"""Where the documents' examples run: a service on a simulated exchange, and a host that is only played.

What belongs to the host (systemd, other users, containers) is a small program in front of PATH which checks
that it is asked for something that is there. All else is real: service, commands, Redis and its tools.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
UNIT = "quantum-position-state-brain"

_SUDO = """#!/usr/bin/env bash
exec "$@"
"""
_SYSTEMCTL = f"""#!/usr/bin/env bash
[[ "$*" =~ ^(restart|status|reset-failed)\\ {UNIT}$ ]]
"""
_JOURNALCTL = f"""#!/usr/bin/env bash
[[ "$*" =~ ^-u\\ {UNIT}(\\ -f|\\ --since\\ -[0-9]+min|\\ -p\\ warning)*$ ]]
"""
_CHOWN = """#!/usr/bin/env bash
[[ $1 =~ ^[0-9]+$ && -f $2 ]]
"""
_DOCKER = """#!/usr/bin/env bash
[[ $1 == compose && $2 == -f && -f $3 && $4 == up ]]
"""
_CURL = """#!{python}
import sys, urllib.request
assert sys.argv[1] == "-s", sys.argv
url = sys.argv[2].replace("http://127.0.0.1:8045", "{url}")
print(urllib.request.urlopen(url, timeout=10).read().decode())
"""
_COMMAND = """#!/usr/bin/env bash
cd {root} && exec {python} -m commands "$@"
"""
_REDIS_CLI = """#!/usr/bin/env bash
said=$({redis_cli} -s {socket} "$@" 2>&1) || exit
echo "$said"
[[ $said != *ERR* && $said != *WRONGTYPE* ]]
"""
#: Nothing is installed, but what is asked of it has to be something that it can do.
_INSTALL = """#!/usr/bin/env bash
exec {real}/deploy/install.sh --root {host} --dry-run --python {python} "$@"
"""


def build_stage(folder: Path, *, url: str, socket: Path) -> Path:
    """A checkout in which the examples run, with the programs in `bin` beside it. The checkout."""
    checkout, host, programs = folder / "checkout", folder / "host", folder / "bin"
    shutil.copytree(ROOT / "deploy", checkout / "deploy")
    releases = host / "opt/position-state-brain/releases"
    for name in ("this", "that"):
        (releases / name).mkdir(parents=True)
        (releases / name / ".complete").touch()
    (releases.parent / "venv").symlink_to("releases/this")
    (releases.parent / "previous").symlink_to("releases/that")
    programs.mkdir()
    values = {
        "python": sys.executable,
        "url": url,
        "root": ROOT,
        "real": ROOT,
        "host": host,
        "socket": socket,
        "redis_cli": shutil.which("redis-cli"),
    }
    for name, text in {
        "sudo": _SUDO,
        "systemctl": _SYSTEMCTL,
        "journalctl": _JOURNALCTL,
        "chown": _CHOWN,
        "docker": _DOCKER,
        "curl": _CURL.format(**values),
        "position-state-brain": _COMMAND.format(**values),
        "redis-cli": _REDIS_CLI.format(**values),
        "../checkout/deploy/install.sh": _INSTALL.format(**values),
    }.items():
        path = programs / name
        path.write_text(text)
        path.chmod(0o755)
    return checkout


def stage_environment(checkout: Path, environ: Mapping[str, str]) -> dict[str, str]:
    """The environment of an example's shell."""
    return {**environ, "PATH": f"{checkout.parent / 'bin'}:{os.environ['PATH']}", "LC_ALL": "C.UTF-8"}
