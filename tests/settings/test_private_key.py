"""Private keys in PEM as the secret that signs requests."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
)

from settings import SettingsError, load

PrivateKey = ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey


def pem(
    key: PrivateKey,
    encryption: KeySerializationEncryption | None = None,
    form: PrivateFormat = PrivateFormat.PKCS8,
) -> str:
    return key.private_bytes(Encoding.PEM, form, encryption or NoEncryption()).decode()


ED25519 = pem(ed25519.Ed25519PrivateKey.generate())
RSA = rsa.generate_private_key(65_537, 2048)


@pytest.mark.parametrize("text", [ED25519, pem(RSA), pem(RSA, form=PrivateFormat.TraditionalOpenSSL)])
@pytest.mark.parametrize("written", [lambda text: text, lambda text: text.strip().replace("\n", "\\n")])
def test_a_pem_key_is_taken_with_real_or_written_out_line_ends(text: str, written: object) -> None:
    assert callable(written)
    secret = load({"BINANCE_API_SECRET": written(text)}).settings.binance_api_secret
    assert secret is not None
    assert secret.reveal() == text
    assert text not in repr(secret)


def test_a_pem_key_is_taken_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "key.pem"
    file.write_text(pem(RSA))
    secret = load({"BINANCE_TESTNET_API_SECRET_FILE": str(file)}).settings.binance_testnet_api_secret
    assert secret is not None
    assert secret.reveal() == pem(RSA)


@pytest.mark.parametrize(
    "text",
    [
        pem(RSA, BestAvailableEncryption(b"password")),
        pem(ec.generate_private_key(ec.SECP256R1())),
        ED25519.replace("MC4C", "XXXX"),
        "-----BEGIN PRIVATE KEY-----",
        "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEI\n-----END PRIVATE KEY-----",
        "-----BEGIN PUBLIC KEY-----\n-----END PUBLIC KEY-----",
    ],
)
def test_an_unusable_pem_key_is_refused_in_one_line_that_shows_nothing_of_it(text: str) -> None:
    with pytest.raises(SettingsError) as refused:
        load({"BINANCE_API_SECRET": text})
    assert refused.value.variable == "BINANCE_API_SECRET"
    line = str(refused.value)
    assert "\n" not in line and "RSA or Ed25519 private key in PEM" in line and "=***" in line
    assert "BEGIN" not in line
