"""deploy/install.sh in a root folder of its own: what it leaves behind, and what it leaves alone."""

from __future__ import annotations

import os
import re
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
import trio

from monitoring.service_log import version
from simulator import RunningSimulator
from tests.deploy.wheelhouse import fill
from tests.integration.conftest import simulator as simulator
from tests.integration.surroundings import environment, is_ready
from tests.integration.waiting import until

pytestmark = pytest.mark.system_tools

ROOT = Path(__file__).resolve().parents[2]
UNIT = "quantum-position-state-brain.service"
_NOT_INSTALLED = (".*", "__pycache__", "*.egg-info", "build", "dist", "tests", "bench")
_ADDRESS = re.compile(r" HTTP address=(\S+)")


class Host(msgspec.Struct, frozen=True):
    """A root folder with systemd's own units in it, and a checkout to install from."""

    root: Path
    checkout: Path

    @property
    def settings(self) -> Path:
        return self.root / "etc/quantum/position-state-brain.env"

    @property
    def opt(self) -> Path:
        return self.root / "opt/position-state-brain"

    @property
    def command(self) -> Path:
        return self.root / "usr/local/bin/position-state-brain"

    @property
    def unit(self) -> Path:
        return self.root / f"etc/systemd/system/{UNIT}"

    @property
    def credentials(self) -> Path:
        return self.root / "etc/quantum/credentials"

    @property
    def drop_in(self) -> Path:
        return self.unit.with_suffix(".service.d") / "credentials.conf"

    def install(self, *arguments: str, stdin: str = "", code: int = 0) -> str:
        """Run the installer; what it said."""
        done = subprocess.run(  # noqa: S603 - the script under test
            ["bash", str(self.checkout / "deploy/install.sh"), "--root", str(self.root), *arguments],  # noqa: S607
            input=stdin,
            env={**os.environ, "LC_ALL": "C"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout + done.stderr

    def tree(self) -> dict[str, tuple[int, str]]:
        """All that is installed: mode, and content or target, by path."""
        return dict(_tree(self.root))

    def release(self) -> str:
        return (self.opt / "venv").readlink().name


def _tree(root: Path) -> Iterator[tuple[str, tuple[int, str]]]:
    for folder, names, files in os.walk(root):
        if "releases" in folder:
            names[:] = []
            continue
        for name in (*names, *files):
            path = Path(folder) / name
            if path.is_symlink():
                content = str(path.readlink())
            else:
                content = path.read_text(errors="replace") if path.is_file() else ""
            yield str(path.relative_to(root)), (path.lstat().st_mode, content)


def copied_checkout(folder: Path) -> None:
    """Copy what is installed of this checkout, so that a test can change it."""
    shutil.copytree(ROOT, folder, ignore=shutil.ignore_patterns(*_NOT_INSTALLED))


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture
def host(tmp_path: Path) -> Host:
    root, checkout = tmp_path / "root", tmp_path / "checkout"
    copied_checkout(checkout)
    units = root / "usr/lib/systemd/system"
    units.mkdir(parents=True)
    for kind in ("target", "slice"):
        for unit in Path("/lib/systemd/system").glob(f"*.{kind}"):
            shutil.copy(unit, units)
    return Host(root, checkout)


@pytest.fixture
def wheels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let pip take wheels in place of a package index."""
    folder = tmp_path / "wheels"
    folder.mkdir()
    fill(folder)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))


@pytest.mark.usefixtures("wheels")
async def test_install_upgrade_roll_back_uninstall(
    host: Host, redis_server: str, simulator: RunningSimulator
) -> None:
    before = host.tree()
    said = host.install("--python", sys.executable)
    assert re.search(rf"^verified .*{UNIT}$", said, flags=re.M), said
    assert "--set-secret BINANCE_API_KEY" in said
    first = host.release()
    assert [mode(path) for path in (host.settings, host.credentials)] == [0o600, 0o700]
    assert (host.opt / "venv/doc/operations.md").is_file()
    # Nothing that the build needs is left in the checkout.
    assert not list(host.checkout.glob("build")) + list(host.checkout.glob("*.egg-info"))

    # Once more: nothing changes.
    installed = host.tree()
    said = host.install("--python", sys.executable)
    assert host.tree() == installed
    assert f"{first} is installed" in said
    assert "wrote" not in said

    # Settings and secrets are the operator's.
    environ = environment(redis_server, simulator, {})
    secrets = {name: environ.pop(name) for name in ("BINANCE_API_KEY", "BINANCE_API_SECRET")}
    settings = "# mine\n" + "".join(f"{name}='{value}'\n" for name, value in environ.items())
    host.settings.write_text(settings)
    for name, value in secrets.items():
        host.install("--set-secret", name, stdin=f"{value}\n")
        assert (host.credentials / name).read_text() == f"{value}\n"
        assert mode(host.credentials / name) == 0o600
        lines = host.drop_in.read_text().splitlines()
        assert f"LoadCredential={name}:/etc/quantum/credentials/{name}" in lines
        assert f"Environment={name}_FILE=%d/{name}" in lines

    # What was installed is whole: it gets ready.
    await runs_until_ready(host)

    # An upgrade keeps what is the operator's, and the release before it.
    files = [(host.unit.read_text(), host.command.read_text())]
    for path in ("clock.py", f"deploy/{UNIT}", "deploy/position-state-brain"):
        (host.checkout / path).open("a").write("\n# another release\n")
    example = host.checkout / "deploy/position-state-brain.env"
    example.write_text(example.read_text() + "\n# Something new.\n#P33_SOMETHING_NEW=1\n")
    said = host.install("--python", sys.executable)
    second = host.release()
    assert second != first
    # With the credentials of by now.
    assert re.search(rf"^verified .*{UNIT}$", said, flags=re.M), said
    assert host.settings.read_text() == settings
    assert re.search(r"^new there .*\bP33_SOMETHING_NEW\b", said, flags=re.M)
    assert sorted(path.name for path in (host.opt / "releases").iterdir()) == sorted([first, second])

    files.append((host.unit.read_text(), host.command.read_text()))
    assert [text.count("# another release") for pair in files for text in pair] == [0, 0, 1, 1]

    # There and back with unit and command, without building anything.
    installed = host.tree()
    host.install("--rollback", "--dry-run")
    assert host.tree() == installed
    host.install("--rollback")
    assert (host.release(), host.unit.read_text(), host.command.read_text()) == (first, *files[0])
    host.install("--rollback")
    assert (host.release(), host.unit.read_text(), host.command.read_text()) == (second, *files[1])

    # A secret goes away when nothing is given for it.
    host.install("--set-secret", "BINANCE_API_KEY")
    assert "BINANCE_API_KEY" not in host.drop_in.read_text()

    # What is left is what the operator wrote.
    folders = {"opt", "etc/quantum", "etc/systemd/system", "usr/local/bin"}
    host.install("--uninstall")
    left = {path for path in host.tree().keys() - before.keys() if (host.root / path).is_file()}
    assert left == {
        "etc/quantum/position-state-brain.env",
        "etc/quantum/credentials/BINANCE_API_SECRET",
    }
    assert host.settings.read_text() == settings
    host.install("--uninstall", "--purge")
    assert not [path for path in host.tree().keys() - before.keys() if (host.root / path).is_file()]
    assert all(not list((host.root / folder).iterdir()) for folder in folders)


async def runs_until_ready(host: Host) -> None:
    """Start the installed service through the installed command, as an operator could."""
    log = host.root.parent / "log"
    with log.open("wb") as output:
        # The caller's environment leads elsewhere, and must not count.
        process = await trio.lowlevel.open_process(
            [str(host.command), "run"],
            env={"PATH": os.environ["PATH"], "REDIS_URL": "redis://elsewhere", "P33_METRICS_PORT": "1"},
            stdout=output,
            stderr=output,
            cwd="/",
        )
    try:
        found = await until(lambda: _ADDRESS.search(log.read_text()), "the address in the log", 30)
        assert found is not None
        url = found[1]
        await is_ready(lambda: url, within_sec=30)
    finally:
        with trio.CancelScope(shield=True):
            process.terminate()
            assert await process.wait() == 0, log.read_text()


def test_a_dry_run_says_what_it_would_do_and_does_nothing(host: Host) -> None:
    before = host.tree()
    said = host.install("--dry-run", "--python", sys.executable)
    for word in ("would build", "would write", UNIT):
        assert word in said
    host.install("--dry-run", "--uninstall", "--purge")
    host.install("--dry-run", "--set-secret", "BINANCE_API_KEY", stdin="key\n")
    assert host.tree() == before


@pytest.mark.parametrize(
    ("arguments", "code", "named"),
    [
        (["--unknown"], 2, "--unknown"),
        (["--python"], 2, "needs a value"),
        (["--wheel", "/nowhere.whl"], 2, "/nowhere.whl"),
        (["--wheel", str(ROOT / "LICENSE")], 2, "permit_gate-*.whl"),
        (["--purge"], 2, "--uninstall"),
        (["--python", "/nowhere/python"], 1, "/nowhere/python"),
        (["--set-secret", "PASSWORD"], 2, "none of: REDIS_PASSWORD"),
        (["--set-secret", "BINANCE_API_KEY"], 1, "install it first"),
        (["--rollback"], 1, "no release to go back to"),
    ],
)
def test_an_impossible_request_gets_one_line_and_changes_nothing(
    host: Host, arguments: list[str], code: int, named: str
) -> None:
    before = host.tree()
    said = host.install(*arguments, code=code)
    assert named in said
    assert said.startswith("install.sh: ")
    assert len(said.splitlines()) == 1
    assert host.tree() == before


def test_an_index_out_of_reach_is_one_sentence(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_INDEX_URL", "http://reader:secret@127.0.0.1:1/simple")
    monkeypatch.setenv("PIP_RETRIES", "1")
    *_, last = host.install("--python", sys.executable, code=1).splitlines()
    assert last.startswith("install.sh: the package index http://127.0.0.1:1/simple cannot be reached: ")
    assert "PIP_INDEX_URL" in last
    # Nothing runs from what is not whole.
    assert not (host.opt / "venv").exists()


def test_the_installer_says_which_version_it_installs(host: Host) -> None:
    assert host.install("--version") == f"install.sh of position-state-brain {version()}\n"
