"""HMAC-SHA256 over a permit's exact text.

The signature is the last member of the permit's JSON object, `,"signature":"<64 lowercase hex digits>"`; what
was signed is the text without it, byte for byte, closing brace included. So nothing has to be put into a
canonical form, and nothing is parsed before it is known to be genuine. The text names the key prefix of its
account (`key_prefix`), so the signature binds it.
"""

from __future__ import annotations

import hmac
import re
from hashlib import sha256

_MEMBER = re.compile(rb',"signature":"([0-9a-f]{64})"\}\Z')


class SignatureMissingError(ValueError):
    """The text does not end with a signature."""


class SignatureWrongError(ValueError):
    """The text ends with a signature that the key did not make for it."""


def sign(text: bytes, key: bytes) -> str:
    """The signature that belongs to a permit's text: lowercase hex."""
    return hmac.new(key, text, sha256).hexdigest()


def verified(text: bytes, key: bytes) -> bytes:
    """The text that was signed, after its signature was checked in constant time.

    Raises SignatureMissingError, SignatureWrongError.
    """
    member = _MEMBER.search(text)
    if member is None:
        raise SignatureMissingError("the permit does not end with a signature")
    signed = text[: member.start()] + b"}"
    if not hmac.compare_digest(member[1], sign(signed, key).encode()):
        raise SignatureWrongError("the permit's signature is not of this key and this text")
    return signed
