"""A booted host, which leaves nothing behind."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.deploy.booted_host import booted

pytestmark = pytest.mark.systemd


def test_a_failing_test_leaves_no_process_no_mount_and_no_cgroup(tmp_path: Path) -> None:
    processes: list[Path] = []

    def fail() -> None:
        with booted(tmp_path, hidden=["/opt"]) as host:
            host.run("systemd-run", "--unit=endless", "sleep", "infinity")
            endless = host.shows("endless", "ControlGroup", "MainPID")
            assert endless["MainPID"] != "0"
            host.run("touch", "/etc/of-the-host", "/opt/of-the-host")
            assert host.written() >= {"/etc/of-the-host", "/opt/of-the-host"}
            processes.append(Path(f"/proc/{host.leader}"))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert not [process for process in processes if process.exists()]
    assert not list(Path("/sys/fs/cgroup").glob("**/endless.service"))
    assert str(tmp_path) not in Path("/proc/self/mounts").read_text()
    assert list((tmp_path / "mounted").iterdir()) == []
    assert not Path("/etc/of-the-host").exists()
