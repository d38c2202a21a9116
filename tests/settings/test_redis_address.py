from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from redis.connection import SSLConnection, UnixDomainSocketConnection
from redis.connection import parse_url as untyped_parse_url

from settings import SettingsError, load
from store.redis.sentinels import read_sentinel_address


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
        (
            "redis+sentinel://a,b:27000,[::1]/quantum",
            "redis+sentinel://a:26379,b:27000,[::1]:26379/quantum/0",
        ),
        ("redis+sentinel://[::1]:7/the-one.2/", "redis+sentinel://[::1]:7/the-one.2/0"),
        ("rediss+sentinel://p33:p%40ss@a/q/2?sentinel_password=secret", "rediss+sentinel://***@a:26379/q/2"),
        ("redis+sentinel://pass@a/q", "redis+sentinel://***@a:26379/q/0"),
        ("unix:///run/redis.sock", "unix:///run/redis.sock?db=0"),
        ("unix://:pass@/run/redis.sock?db=2", "unix://***@/run/redis.sock?db=2"),
    ],
)
def test_addresses_are_printed_without_their_login(url: str, printed: str) -> None:
    assert str(load({"REDIS_URL": url}).settings.redis) == printed


def test_the_url_keeps_its_login_its_options_and_its_socket() -> None:
    url = "rediss://user:p%40ss@cache:6380/1?ssl_ca_certs=/etc/ca.pem"
    assert load({"REDIS_URL": url}).settings.redis.url() == url
    url = "rediss+sentinel://p33:p%2Fw@a:1,b:2/quantum/3?sentinel_username=p&sentinel_password=q&ssl_ca_certs=/c"
    assert load({"REDIS_URL": url}).settings.redis.url() == url
    read = parse_url(load({"REDIS_URL": "unix://:p%2Fw@/run/redis.sock?db=2"}).settings.redis.url())
    assert read.pop("connection_class") is UnixDomainSocketConnection
    assert read == {"path": "/run/redis.sock", "db": 2, "password": "p/w"}


def test_sentinels_get_the_password_of_the_servers_from_its_own_setting() -> None:
    environ = {"REDIS_URL": "redis+sentinel://p33@a/quantum", "REDIS_PASSWORD": "p/w"}
    assert load(environ).settings.redis.url() == "redis+sentinel://p33:p%2Fw@a:26379/quantum/0"


@given(
    passwords, st.sampled_from(["", "?sentinel_username=asker", "?ssl_ca_certs=/ca&sentinel_username=asker"])
)
def test_sentinels_are_asked_with_the_password_of_its_own_setting(password: str, options: str) -> None:
    environ = {"REDIS_URL": f"redis+sentinel://p33@a/quantum{options}", "REDIS_SENTINEL_PASSWORD": password}
    address = read_sentinel_address(load(environ).settings.redis.url())
    assert address is not None
    (sentinel,) = address.sentinels.values()
    assert parse_url(sentinel)["password"] == password
    assert ("asker" in sentinel) is ("asker" in options)
    assert "password" not in parse_url(address.server)


def test_a_password_of_sentinels_in_the_url_goes_before_the_setting() -> None:
    url = "redis+sentinel://p33@a:1/quantum/0?sentinel_password=first"
    assert load({"REDIS_URL": url, "REDIS_SENTINEL_PASSWORD": "second"}).settings.redis.url() == url


def test_one_server_is_not_given_the_password_of_sentinels() -> None:
    environ = {"REDIS_URL": "rediss://a:1/0?ssl_ca_certs=/ca", "REDIS_SENTINEL_PASSWORD": "secret"}
    assert load(environ).settings.redis.url() == environ["REDIS_URL"]


@pytest.mark.parametrize("given_beside", [{}, {"REDIS_SENTINEL_PASSWORD": "second"}])
def test_no_password_is_in_the_text_of_an_address_for_debugging(given_beside: dict[str, str]) -> None:
    option = "" if given_beside else "?sentinel_password=second"
    environ = {"REDIS_URL": f"redis+sentinel://p33:first@a/quantum{option}", **given_beside}
    address = load(environ).settings.redis
    assert "second" in address.url()
    for shown in (repr(address), str(address)):
        assert "first" not in shown and "second" not in shown


@pytest.mark.parametrize(
    "url",
    [
        "redis+sentinel://a:26379",
        "redis+sentinel://a:26379/",
        "redis+sentinel:///quantum",
        "redis+sentinel://a,/quantum",
        "redis+sentinel://a:0/quantum",
        "redis+sentinel://a:port/quantum",
        "redis+sentinel://a:70000/quantum",
        "redis+sentinel://a/quantum/db",
        "redis+sentinel://a/quantum/0/1",
        "redis+sentinel://a/quant%20um",
        "redis+sentinel://a b/quantum",
        "redis+sentinel://::1/quantum",
        "redis+sentinel://:p/w@a/quantum",
        "redis+sentinel://a/quantum?sentinel_kwargs=x",
        "redis+sentinel://a/quantum?password=x",
        "unix+sentinel://a/quantum",
        "redis://a,b/0",
        "redis://a/0?sentinel_password=x",
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
