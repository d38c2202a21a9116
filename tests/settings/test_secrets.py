from __future__ import annotations

import traceback
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from settings import VARIABLES, Loaded, Secret, Settings, SettingsError, describe, load
from settings.variables import FIELD_OF

SECRETS = [variable.name for variable in VARIABLES if variable.kind.is_secret]
NAMES = [variable.name for variable in VARIABLES] + [f"{name}_FILE" for name in SECRETS]
MARK = "s3Kr1t"
"""Starts every generated secret: found nowhere else in what is printed."""

any_text = st.text(st.characters(), max_size=40)


def everything_printed(environ: dict[str, str]) -> str:
    """Return all visible text of loading `environ`: the error with its traceback, or every description."""
    outcome: Loaded | SettingsError
    try:
        outcome = load(environ)
    except SettingsError as error:
        outcome = error
    if isinstance(outcome, SettingsError):
        assert str(outcome).isprintable()
        return "".join(traceback.format_exception(outcome))
    loaded, settings = outcome, outcome.settings
    try:
        credentials = repr(settings.require_credentials())
    except SettingsError as error:
        credentials = str(error)
    lines = [*describe(loaded), *loaded.warnings]
    assert all(line.isprintable() for line in lines)
    return "\n".join([*lines, repr(settings), repr(loaded), str(settings.redis), credentials])


@given(st.dictionaries(st.sampled_from(NAMES), any_text, max_size=4))
def test_any_text_in_any_variable_is_either_accepted_or_refused_in_one_line(environ: dict[str, str]) -> None:
    everything_printed(environ)


@given(any_text, any_text)
def test_any_unknown_name_is_harmless(name: str, text: str) -> None:
    everything_printed({f"P33_{name}": text})


@given(st.sampled_from(SECRETS), any_text, st.booleans())
def test_a_secret_is_never_printed_whether_accepted_or_refused(name: str, tail: str, testnet: bool) -> None:
    environ = {name: MARK + tail, "BINANCE_TESTNET": str(testnet)}
    assert MARK not in everything_printed(environ)


@given(st.sampled_from(SECRETS), any_text)
def test_a_secret_put_where_its_files_path_belongs_is_not_printed(name: str, tail: str) -> None:
    assert MARK not in everything_printed({f"{name}_FILE": MARK + tail})


@given(
    st.sampled_from(["redis", "rediss", "unix", "http", ""]),
    st.text("abc:/@?#%[]=&. ", max_size=4),
    any_text,
    st.sampled_from(["@localhost", "@localhost:6379/0", "@/run/redis.sock", "", "@localhost/0?ssl_ca=x"]),
)
def test_the_password_in_a_redis_url_is_never_printed(scheme: str, before: str, tail: str, rest: str) -> None:
    # Without an `@` behind it, it is no password but a host, a path or a database.
    url = f"{scheme}://{before}:{MARK}{tail}{rest}"
    assume("@" in url.split(MARK, 1)[1])
    assert MARK not in everything_printed({"REDIS_URL": url})


def test_the_password_is_not_printed_either_where_the_host_was_forgotten() -> None:
    # Python's own error for such a "port" quotes it, and would stand above ours in a traceback.
    assert MARK not in everything_printed({"REDIS_URL": f"redis://user:{MARK}"})


@given(st.sampled_from(["BINANCE_REST_URL", "BINANCE_WS_URL"]), any_text)
def test_a_password_in_a_base_address_is_refused_and_not_printed(name: str, tail: str) -> None:
    scheme = "https" if "REST" in name else "wss"
    printed = everything_printed({name: f"{scheme}://user:{MARK}{tail}@host"})
    assert MARK not in printed
    assert f"{name}=*** is not allowed" in printed


#: Enough for each kind of secret.
LONG = "of-16-characters"


#: Addresses are no text of any kind: tests/settings/test_notices.py.
@pytest.mark.parametrize("name", [name for name in SECRETS if name != "P33_NOTICE_URL"])
def test_a_secret_may_come_from_a_file_without_its_final_newline(name: str, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text(f"{MARK}{LONG}+/=\n")
    loaded = load({f"{name}_FILE": str(tmp_path / "secret")})
    assert loaded.origins[name] == "file"
    assert Secret(f"{MARK}{LONG}+/=") in vars_of(loaded.settings)
    assert f"{name}=*** (file)" in describe(loaded)


def vars_of(settings: Settings) -> list[object]:
    return [getattr(settings, name) for name in FIELD_OF.values()]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty"),
        (b"\n", "empty"),
        (b"x" * 5000, "longer than"),
        (b"\xff\xfe" + MARK.encode(), "as text"),
    ],
)
def test_a_file_without_a_usable_secret_is_refused(content: bytes, reason: str, tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(content)
    printed = everything_printed({"REDIS_PASSWORD_FILE": str(tmp_path / "secret")})
    assert "REDIS_PASSWORD_FILE=" in printed
    assert reason in printed
    assert MARK not in printed


def test_an_unreadable_file_is_refused_with_its_path_and_the_reason(tmp_path: Path) -> None:
    missing = tmp_path / "missing"
    with pytest.raises(SettingsError, match=r"No such file") as raised:
        load({"BINANCE_API_SECRET_FILE": str(missing)})
    assert repr(str(missing)) in str(raised.value)
    assert raised.value.variable == "BINANCE_API_SECRET_FILE"
    with pytest.raises(SettingsError, match=r"directory"):
        load({"BINANCE_API_SECRET_FILE": str(tmp_path)})


def test_a_secret_and_its_file_together_are_refused(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("b")
    environ = {"REDIS_PASSWORD": MARK, "REDIS_PASSWORD_FILE": str(tmp_path / "secret")}
    with pytest.raises(SettingsError, match=r"REDIS_PASSWORD_FILE is set too"):
        load(environ)
    assert MARK not in everything_printed(environ)


@pytest.mark.parametrize(
    ("environ", "pair"),
    [
        ({"BINANCE_API_KEY": "k", "BINANCE_API_SECRET": "s"}, ("k", "s")),
        ({"BINANCE_TESTNET_API_KEY": "tk", "BINANCE_TESTNET_API_SECRET": "ts"}, ("tk", "ts")),
        (
            {
                "BINANCE_API_KEY": "k",
                "BINANCE_API_SECRET": "s",
                "BINANCE_TESTNET_API_KEY": "tk",
                "BINANCE_TESTNET_API_SECRET": "ts",
            },
            ("k", "s"),
        ),
    ],
)
def test_the_testnets_credentials_apply_only_where_the_usual_ones_are_missing(
    environ: dict[str, str], pair: tuple[str, str]
) -> None:
    key, secret = load(environ).settings.require_credentials()
    assert (key.reveal(), secret.reveal()) == pair


@pytest.mark.parametrize(
    ("environ", "missing"),
    [
        ({}, "BINANCE_API_KEY"),
        ({"BINANCE_API_KEY": "k"}, "BINANCE_API_SECRET"),
        ({"BINANCE_API_SECRET": "s"}, "BINANCE_API_KEY"),
        ({"BINANCE_TESTNET_API_KEY": "k"}, "BINANCE_TESTNET_API_SECRET"),
        # Halves of two pairs are no pair.
        ({"BINANCE_API_KEY": "k", "BINANCE_TESTNET_API_SECRET": "s"}, "BINANCE_API_SECRET"),
        # Testnet keys do not open the real exchange.
        (
            {"BINANCE_TESTNET": "no", "BINANCE_TESTNET_API_KEY": "k", "BINANCE_TESTNET_API_SECRET": "s"},
            "BINANCE_API_KEY",
        ),
    ],
)
def test_missing_credentials_are_an_error_only_for_those_who_require_them(
    environ: dict[str, str], missing: str
) -> None:
    settings = load(environ).settings
    with pytest.raises(SettingsError, match=rf"^{missing} is not set but required") as raised:
        settings.require_credentials()
    assert raised.value.variable == missing


def test_a_secret_shows_nothing_of_itself_in_any_form() -> None:
    secret = Secret(MARK)
    assert MARK not in f"{secret} {secret!r} {secret:>20}" + "%s %r" % (secret, secret)  # noqa: UP031
    assert secret.reveal() == MARK
    assert secret == Secret(MARK) != Secret("other")
    assert hash(secret) == hash(Secret(MARK))
