"""Private keys in PEM, RSA and Ed25519, which Binance accepts besides its own secrets."""

from __future__ import annotations

from typing import Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

ALLOWED_PEM: Final = "an unencrypted RSA or Ed25519 private key in PEM"
_BEGINS = "-----BEGIN "


def is_pem(text: str) -> bool:
    """Return True if the text is meant to be a key in PEM rather than a secret."""
    return text.lstrip().startswith(_BEGINS)


def parse_pem(text: str) -> str:
    r"""Return the PEM text with real line ends (`\n` may be written out). Raises ValueError."""
    pem = text.strip().replace("\\n", "\n")
    try:
        key = load_pem_private_key(pem.encode(), password=None)
    except TypeError:
        raise ValueError("encrypted") from None
    except UnsupportedAlgorithm:
        raise ValueError("of another kind") from None
    if not isinstance(key, RSAPrivateKey | Ed25519PrivateKey):
        raise ValueError("of another kind")  # noqa: TRY004 - a wrong value of the right type
    return f"{pem}\n"
