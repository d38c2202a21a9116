"""HMAC-SHA256 over a permit's exact text.

The signature is the last member of the permit's JSON object, `,"signature":"<64 lowercase hex digits>"`. The
signed text is the rest, byte for byte, closing brace included. So no canonical form is needed, and nothing is
parsed before it is verified. The text has the account's `key_prefix`, so the signature covers it.
"""

from __future__ import annotations

import hmac
import re
from hashlib import sha256

_MEMBER = re.compile(rb',"signature":"([0-9a-f]{64})"\}\Z')


class SignatureMissingError(ValueError):
    """Text does not end with a signature."""


class SignatureWrongError(ValueError):
    """Text ends with a signature that is not valid for it."""


def sign(text: bytes, key: bytes) -> str:
    """Return the signature of a permit's text: lowercase hex."""
    return hmac.new(key, text, sha256).hexdigest()


def verified(text: bytes, key: bytes) -> bytes:
    """Return the signed text, after a check of its signature in constant time.

    Raises SignatureMissingError, SignatureWrongError.
    """
    member = _MEMBER.search(text)
    if member is None:
        raise SignatureMissingError("the permit does not end with a signature")
    signed = text[: member.start()] + b"}"
    if not hmac.compare_digest(member[1], sign(signed, key).encode()):
        raise SignatureWrongError("the permit's signature is not of this key and this text")
    return signed
