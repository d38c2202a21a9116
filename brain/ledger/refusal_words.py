"""Reads from a refusal's own words what it proves: no permit, a refused order, or an unknown outcome."""

from __future__ import annotations

import re
from collections.abc import Iterable
from enum import StrEnum

#: A text is read so far and no further (characters).
LONGEST_READ = 4_096

#: Beginnings of the texts of a consumer that had no permit. `redis_error` is the gate's word for an answer of
#: Redis that got lost: that consumer sends no order, but another one may hold the permit.
_NO_PERMIT = ("permit_", "missing_or_denied", "no_permit", "redis_error")
#: Beginnings of texts that say that no order was sent, whatever follows.
_NOT_SENT = ("not_sent",)

#: -1006 UNEXPECTED_RESP and -1007 TIMEOUT ("execution status unknown"); -4116: an open order already has the
#: client order id, so an earlier request was taken.
#: Source: Binance USDⓈ-M Futures, "Error Codes".
_CODE = re.compile(r"(?<!\d)-(?:1006|1007|4116)(?!\d)|(?:code|error)\W{0,3}100[67](?!\d)")
#: 408, and 5xx without a code; a 503 is unknown by its text alone ("Unknown error, please check …").
#: Source: Binance USDⓈ-M Futures, "General Info", "HTTP Return Codes".
_HTTP_STATUS = re.compile(
    r"(?:^|http[/\d.]*|status(?:[ _-]?code)?|code|error|response|returned|gateway|binance)[^a-z0-9]{0,4}"
    r"(?:408|5(?!03)\d\d)(?!\.?\d)|bad[\s_-]?gateway"
)
_SAYS_UNKNOWN = re.compile(
    r"^\W*unknown\W*$|(?:status|outcome|execution|result)[\s_:-]{0,3}(?:is[\s_-])?unknown"
    r"|unknown[\s_-](?:error|status|outcome|result|execution)"
)
_TIME_OUT = re.compile(r"tim(?:e|ed)[\s_-]?out")
#: By their names and by their texts: which of them is published depends on the executor.
_NO_ANSWER = re.compile(
    r"reset by peer|connection[\s_-]?(?:was[\s_-])?(?:reset|aborted|lost|closed)|econnreset|econnaborted"
    r"|(?:server|remote)[\s_-]?disconnected|disconnected without|remote end closed|closed connection without"
    r"|without (?:sending a )?response|no (?:answer|response|reply)\b|incomplete[\s_-]?(?:read|chunked)"
    r"|read[\s_-]?error|payload[\s_-]?error|socket hang up|broken[\s_-]?pipe|\bepipe\b|errno (?:32|104)\b"
    r"|unexpected[\s_-]?eof|eof[\s_-]?error|deadline[\s_-]?exceeded|cancellederror"
)
#: A connection that was never made carried no order.
_BEFORE_SENDING = re.compile(r"connect[\s_-]?(?:time[\s_-]?out|error)|pool[\s_-]?time[\s_-]?out")
_READING = re.compile(r"\bread")

#: Source: Binance USDⓈ-M Futures, "Error Codes", -1111 BAD_PRECISION.
_PRECISION = re.compile(r"(?<!\d)-1111(?!\d)")


class Proof(StrEnum):
    """The conclusion from an `executed=false`: REFUSED means that nothing was and will be filled."""

    REFUSED = "refused"
    NO_PERMIT = "no permit"
    UNKNOWN = "unknown"


def proof_of(texts: Iterable[str]) -> Proof:
    """Conclude from each `error` and `reason` of a refusal.

    One that says that the outcome is unknown outweighs the others: to take an unknown outcome for a refusal
    frees a quantity that may be filled.
    """
    no_permit = False
    for text in texts:
        if _says_unknown(text):
            return Proof.UNKNOWN
        no_permit = no_permit or _begins(text, _NO_PERMIT)
    return Proof.NO_PERMIT if no_permit else Proof.REFUSED


def says_wrong_precision(texts: Iterable[str]) -> bool:
    """Return True if an order was refused for more digits than its symbol takes."""
    return any(_PRECISION.search(text) for text in texts)


def _says_unknown(text: str) -> bool:
    if _begins(text, _NO_PERMIT) or _begins(text, _NOT_SENT):
        return False
    words = text.lower()
    if _CODE.search(words) or _HTTP_STATUS.search(words.strip()) or _SAYS_UNKNOWN.search(words):
        return True
    if _TIME_OUT.search(words) or _NO_ANSWER.search(words):
        return not _BEFORE_SENDING.search(words) or _READING.search(words) is not None
    return False


def _begins(text: str, beginnings: tuple[str, ...]) -> bool:
    return text.lstrip().lower().startswith(beginnings)
