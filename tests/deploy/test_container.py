"""The container files keep to what a careful operator would ask of them."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import redis
import yaml

from settings import VARIABLES
from tests.deploy.guarded_redis import DEPLOY
from tests.deploy.retrying import patiently

CONTAINER = DEPLOY / "container"
DOCKERFILE = (CONTAINER / "Dockerfile").read_text()
ROOT = DEPLOY.parent


def compose() -> dict[str, Any]:
    read: dict[str, Any] = yaml.safe_load((CONTAINER / "compose.yaml").read_text())
    return read


def services() -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = compose()["services"]
    return found


@pytest.mark.system_tools
def test_hadolint_finds_nothing() -> None:
    hadolint = Path(sys.executable).with_name("hadolint")
    done = subprocess.run(  # noqa: S603 - a linter of the check extra
        [hadolint, "--no-color", CONTAINER / "Dockerfile"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_it_is_built_in_one_stage_and_runs_in_another_without_privileges() -> None:
    stages = re.split(r"^FROM ", DOCKERFILE, flags=re.M)[1:]
    assert len(stages) == 2
    assert re.search(r"^USER 10001:10001$", stages[1], flags=re.M)
    assert "pip install" not in stages[1]
    assert re.search(r"^HEALTHCHECK ", stages[1], flags=re.M)
    assert 'ENTRYPOINT ["position-state-brain"]' in stages[1]


def test_every_image_is_pinned_to_a_patch_release() -> None:
    images = re.findall(r"^ARG PYTHON_IMAGE=(\S+)$", DOCKERFILE, flags=re.M)
    images += [service["image"] for service in services().values() if "build" not in service]
    assert len(images) == 2
    for image in images:
        assert re.fullmatch(r"\w+:\d+\.\d+\.\d+-[\w-]+", image), image
    assert "-c constraints.txt" in DOCKERFILE


def test_the_image_gets_the_files_that_are_installed_and_no_more() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    packages = {name.removesuffix("*") for name in project["packages"]["find"]["include"]}
    modules = {f"{name}.py" for name in project["py-modules"]}
    lines = (CONTAINER / "Dockerfile.dockerignore").read_text().splitlines()
    copied = {line[1:] for line in lines if line.startswith("!")}
    assert copied == packages | modules | {
        *("constraints.txt", "LICENSE", "permit-gate", "pyproject.toml", "README.md")
    }
    assert "*" in lines[:2]


def test_containers_may_do_little() -> None:
    for name, service in services().items():
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert "mem_limit" in service, name
        assert not service.keys() & {"privileged", "network_mode", "pid", "devices", "cap_add"}, name


def test_nothing_is_published_beyond_this_host() -> None:
    published = [port for service in services().values() for port in service.get("ports", [])]
    assert published == ["127.0.0.1:8045:8045"]
    assert compose()["networks"]["state"] == {"internal": True}
    assert services()["redis"]["networks"] == ["state"]


def test_settings_are_settings_and_secrets_are_files() -> None:
    known = {variable.name: variable for variable in VARIABLES}
    environment = services()["brain"]["environment"]
    for name, value in environment.items():
        if name.endswith("_FILE"):
            assert known[name.removesuffix("_FILE")].kind.is_secret
            assert value.removeprefix("/run/secrets/") in services()["brain"]["secrets"]
        else:
            assert not known[name].kind.is_secret
            known[name].kind.parse(value)
    assert environment["BINANCE_TESTNET"] == "true"
    assert {secret for service in services().values() for secret in service["secrets"]} == set(
        compose()["secrets"]
    )
    for secret in compose()["secrets"].values():
        assert secret["file"].startswith("./secrets/")
    assert "deploy/container/secrets/" in (ROOT / ".gitignore").read_text().splitlines()


@pytest.mark.system_tools
def test_its_redis_keeps_what_it_acknowledged_and_drops_nothing(system_redis: Path, tmp_path: Path) -> None:
    conf = (CONTAINER / "redis.conf").read_text()
    acl = tmp_path / "users.acl"
    acl.write_text("user default on nopass ~* &* +@all\n")
    config = tmp_path / "redis.conf"
    config.write_text(conf.replace("/run/secrets/users.acl", str(acl)).replace("/data", str(tmp_path)))
    socket = tmp_path / "redis.sock"
    process = subprocess.Popen(  # noqa: S603 - the system's own redis-server
        [system_redis, config, *("--port", "0", "--unixsocket", socket, "--logfile", "log")],
        stdin=subprocess.DEVNULL,
    )
    try:
        client: Any = redis.Redis(unix_socket_path=str(socket), decode_responses=True)
        patiently(client.ping, redis.ConnectionError)
        assert client.info("persistence")["aof_enabled"] == 1
        assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
        assert int(client.config_get("maxmemory")["maxmemory"]) > 0
    finally:
        process.kill()
        process.wait()
