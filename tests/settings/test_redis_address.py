from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from redis.connection import SSLConnection, UnixDomainSocketConnection
from redis.connection import parse_url as untyped_parse_url

from settings import SettingsError, load


def parse_url(url: str) -> dict[str, object]:
    read: dict[str, object] = untyped_parse_url(url)  # type: ignore[no-untyped-call]
    return read


passwords = st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1, max_size=30)


@given(
    passwords,
    st.sampled_from(["redis.internal", "10.0.0.7", "::1"]),
    st.integers(1, 65535),
    st.integers(0, 99),
)
def test_redis_py_reads_from_the_url_what_the_parts_said(
    password: str, host: str, port: int, db: int
) -> None:
    environ = {"REDIS_HOST": host, "REDIS_PORT": str(port), "REDIS_DB": str(db), "REDIS_PASSWORD": password}
    address = load(environ).settings.redis
    assert parse_url(address.url()) == {"host": host, "port": port, "db": db, "password": password}


@given(passwords)
def test_a_password_beside_a_url_without_one_is_used(password: str) -> None:
    environ = {"REDIS_URL": "rediss://operator@cache.example/2", "REDIS_PASSWORD": password}
    read = parse_url(load(environ).settings.redis.url())
    assert read.pop("connection_class") is SSLConnection
    # No port in what redis-py read would mean its default; the address spells it out.
    assert read == {
        "host": "cache.example",
        "port": 6379,
        "db": 2,
        "username": "operator",
        "password": password,
    }


@pytest.mark.parametrize(
    ("url", "printed"),
    [
        ("redis://cache", "redis://cache:6379/0"),
        ("redis://cache:7000/3", "redis://cache:7000/3"),
        ("redis://[::1]:7000", "redis://[::1]:7000/0"),
        ("redis://:p%40ss@cache", "redis://***@cache:6379/0"),
        ("rediss://user:pass@cache/1?ssl_cert_reqs=none", "rediss://***@cache:6379/1"),
        # A password in the place of the user is a common slip.
        ("redis://pass@cache", "redis://***@cache:6379/0"),
        ("unix:///run/redis.sock", "unix:///run/redis.sock?db=0"),
        ("unix://:pass@/run/redis.sock?db=2", "unix://***@/run/redis.sock?db=2"),
    ],
)
def test_addresses_are_printed_without_their_login(url: str, printed: str) -> None:
    assert str(load({"REDIS_URL": url}).settings.redis) == printed


def test_the_url_keeps_its_login_its_options_and_its_socket() -> None:
    url = "rediss://user:p%40ss@cache:6380/1?ssl_ca_certs=/etc/ca.pem"
    assert load({"REDIS_URL": url}).settings.redis.url() == url
    read = parse_url(load({"REDIS_URL": "unix://:p%2Fw@/run/redis.sock?db=2"}).settings.redis.url())
    assert read.pop("connection_class") is UnixDomainSocketConnection
    assert read == {"path": "/run/redis.sock", "db": 2, "password": "p/w"}


@pytest.mark.parametrize(
    "url",
    [
        "cache:6379",
        "http://cache",
        "redis://",
        "redis:///0",
        "redis://cache/db",
        "redis://cache:0",
        "redis://cache:port",
        "redis://[::1",
        "redis://:p#ss@cache",
        "redis://user:12#ss@cache",
        "redis://:p/ss@cache",
        "redis://:12?ss@cache",
        "redis://:p@ss@cache",
        "redis://ca che",
        "redis://cache?socket_timeout=1",
        "redis://cache?password=x",
        "unix://run/redis.sock",
        "unix:///",
        "unix:///run/redis.sock?password=x",
    ],
)
def test_text_that_is_no_address_is_refused_and_masked(url: str) -> None:
    with pytest.raises(SettingsError, match=r"^REDIS_URL=\*\*\* is not allowed: redis://\[user") as raised:
        load({"REDIS_URL": url})
    assert raised.value.variable == "REDIS_URL"
