"""What an ACME directory refuses, in plain words and with what to do (RFC 8555 6.7)."""

from __future__ import annotations

import josepy.errors
import requests
from acme import errors, messages

from sbc.tls.lifetime.renewal import RenewalFailed

# What the library lets through when an answer is missing, late, refused or not what it should be.
FAILURES = (
    errors.Error, josepy.errors.Error, OSError, ValueError, KeyError, TypeError, AttributeError,
    RecursionError,
)  # fmt: skip

_LOOK = "look whether port 80 of that name leads to acme.listen of this machine"
_REMEDIES = {
    "accountDoesNotExist": "the directory closed our account: ask its operator",
    "caa": "let the name's CAA record in DNS permit this CA",
    "connection": _LOOK,
    "dns": "let the name resolve, in public DNS, to this machine",
    "externalAccountRequired": "give acme.external_account as the directory's operator gave it",
    "incorrectResponse": f"another server answered: {_LOOK}",
    "invalidContact": "correct acme.email",
    "rateLimited": "the next attempt is made by itself; use the directory's staging URL for trials",
    "rejectedIdentifier": "this CA does not issue for that name: correct the tenant's domains",
    "serverInternal": "the directory has a fault of its own: the next attempt is made by itself",
    "tls": _LOOK,
    "unauthorized": f"another server answered, or the name is another's: {_LOOK}",
    "unsupportedContact": "correct acme.email",
    "unsupportedIdentifier": "this CA does not issue for that name: correct the tenant's domains",
    "userActionRequired": "somebody must visit the address that the directory names, to agree to its terms",
}
_OTHERWISE = "the directory's operator can say more"
_LONGEST = 300


def explain(error: Exception, directory: str) -> RenewalFailed:
    """What ``error``, one of FAILURES, says of an order at ``directory``."""
    if isinstance(error, errors.ValidationError):
        return _refused(error)
    if isinstance(error, errors.IssuanceError):
        error = error.error
    if isinstance(error, messages.Error):
        return _problem(error)
    if isinstance(error, errors.TimeoutError):
        return RenewalFailed("the directory did not decide in time", "the next attempt is made by itself")
    if isinstance(error, requests.exceptions.SSLError):
        remedy = "give the CA of its HTTPS as acme.ca_file if it is a private one, and compare the clocks"
        return RenewalFailed(f"the certificate of {directory} does not verify", remedy)
    if isinstance(error, requests.Timeout):
        return RenewalFailed(
            f"{directory} does not answer", "look at the network and the firewall towards it"
        )
    if isinstance(error, requests.exceptions.InvalidSchema):
        return RenewalFailed(f"{directory} leads to an address that is not https", "ask its operator")
    if isinstance(error, requests.ConnectionError):
        remedy = "correct acme.directory, or look at DNS, the network and the firewall towards it"
        return RenewalFailed(f"{directory} cannot be reached: {_innermost(error)}", remedy)
    if isinstance(error, OSError) and not isinstance(error, requests.RequestException):
        text = f"a file that acme names cannot be used: {error.strerror or type(error).__name__}"
        return RenewalFailed(
            text, "correct acme.ca_file (PEM certificates) or acme.external_account.key_file"
        )
    answer = next((each for each in error.args if isinstance(each, requests.Response)), None)
    what = f"HTTP {answer.status_code}" if answer is not None else type(error).__name__
    text = f"{directory} answered what no ACME directory does: {what}"
    return RenewalFailed(text, "correct acme.directory, or ask its operator")


def _refused(error: errors.ValidationError) -> RenewalFailed:
    said, kinds = [], []
    for authorization in error.failed_authzrs:
        for challenge in authorization.body.challenges:
            if challenge.error is not None:
                kinds.append(_code(challenge.error))
                said.append(f"{authorization.body.identifier.value}: {kinds[-1]}: {_text(challenge.error)}")
    if not kinds:  # RFC 8555 8 leaves it to the directory whether it says why
        return RenewalFailed("the directory could not validate a name and does not say why", _OTHERWISE)
    reason = "the directory could not validate " + "; ".join(said)
    return RenewalFailed(reason[:_LONGEST], _REMEDIES.get(kinds[0], _OTHERWISE), kinds[0])


def _problem(error: messages.Error) -> RenewalFailed:
    code = _code(error)
    parts = [f"{each.identifier.value}: {_text(each)}" for each in error.subproblems or () if each.identifier]
    reason = "; ".join([f"the directory refused ({code}): {_text(error)}", *parts])
    return RenewalFailed(reason[:_LONGEST], _REMEDIES.get(code, _OTHERWISE), code)


def _code(error: messages.Error) -> str:
    return str(error.code or error.typ).rpartition(":")[2]


def _text(error: messages.Error) -> str:
    # What a stranger wrote: one line, without control characters.
    text = str(error.detail or error.title or "no detail")
    return "".join(each if each.isprintable() else " " for each in text)


def _innermost(error: BaseException) -> str:
    while True:
        inner = error.__cause__ or error.__context__
        if inner is None:
            return getattr(error, "strerror", None) or type(error).__name__
        error = inner
