"""Session timers: how long a dialog lives unless it is refreshed, and who has to refresh it (RFC 4028).

A dialog has ``Terms`` once a 2xx to its INVITE or UPDATE settled them: Session-Expires asks, the answer
decides (table 2). Whoever does not name the extension in Supported cannot refresh; then the other does it
alone. Nothing here keeps time: ``refresh_after`` and ``expires_after`` say what to wait for.
"""

from __future__ import annotations

from typing import Final

from sbc.base import PeerError
from sbc.sip.grammar import decimal, find_param, parse_params
from sbc.sip.headers import Headers
from sbc.sip.message import Message, Request, Response

OPTION: Final = "timer"
LEAST: Final = 90  # seconds; no session may be shorter (RFC 4028 4, 5)
_LAST_CALL: Final = (
    32.0  # seconds before the end at most at which who waits for a refresh hangs up (RFC 4028 10)
)


class Terms:
    """What holds in one dialog: the ``interval`` in seconds, and whether the refreshes are ``ours`` to send.

    ``known``: the peer knows the extension too; otherwise any answer of it shows that it is alive.
    """

    __slots__ = ("interval", "known", "ours")

    def __init__(self, interval: int, ours: bool, known: bool) -> None:
        self.interval = interval
        self.ours = ours
        self.known = known

    @property
    def refresh_after(self) -> float:
        """Seconds after which the refresher refreshes: half of the interval (RFC 4028 7.2)."""
        return self.interval / 2

    @property
    def expires_after(self) -> float:
        """Seconds without a refresh after which the session counts as over (RFC 4028 10).

        Who waits for the other's refresh hangs up a little before the end.
        """
        if self.ours:
            return float(self.interval)
        return self.interval - min(_LAST_CALL, self.interval / 3)

    def __repr__(self) -> str:
        return f"<Terms {self.interval} ours={self.ours} known={self.known}>"


def session_expires(message: Message) -> tuple[int, str] | None:
    """Seconds and refresher (``uac``, ``uas`` or nothing) of Session-Expires; None without; PeerError 400."""
    value = message.headers.get("Session-Expires")
    if value is None:
        return None
    seconds, _, parameters = value.partition(";")
    interval = decimal(seconds.strip(" \t"))
    if interval is None:
        raise PeerError("malformed Session-Expires")
    refresher = (find_param(parse_params(f";{parameters}"), "refresher") or "") if parameters else ""
    refresher = refresher.lower()
    return interval, refresher if refresher in ("uac", "uas") else ""


def min_se(message: Message) -> int:
    """Seconds of Min-SE, the ``LEAST`` where there is none or a lower one (RFC 4028 5); PeerError 400."""
    value = message.headers.get("Min-SE")
    if value is None:
        return LEAST
    seconds = decimal(value.partition(";")[0].strip(" \t"))
    if seconds is None:
        raise PeerError("malformed Min-SE")
    return max(seconds, LEAST)


def supports(message: Message) -> bool:
    """Whether whoever sent ``message`` knows session timers."""
    headers = message.headers
    for name in ("Supported", "Require"):
        if name in headers and any(tag.lower() == OPTION for tag in headers.values(name)):
            return True
    return False


def too_small(request: Request, least: int) -> bool:
    """Whether ``request`` asks for less than ``least`` and can be told so with 422 (RFC 4028 9)."""
    asked = session_expires(request)
    return asked is not None and asked[0] < max(least, LEAST) and supports(request)


def as_uas(request: Request, wanted: int, former: Terms | None) -> Terms | None:
    """The terms with which we accept ``request`` (RFC 4028 9, table 2); None for a session without end.

    ``wanted`` is the interval that we would have (0: what the peer asks for), ``former`` what held before.
    Where the peer leaves the choice the refreshes are ours: then they depend on nobody else.
    """
    asked, known = session_expires(request), supports(request)
    if asked is None:
        interval = former.interval if former is not None else wanted
        return Terms(max(interval, min_se(request)), True, known) if interval else None
    interval, refresher = asked
    if wanted and wanted < interval:
        interval = min(interval, max(wanted, min_se(request)))
    if not known:
        return Terms(interval, True, False) if interval >= LEAST else None
    return Terms(max(interval, LEAST), refresher != "uac", True)


def as_uac(request: Request, response: Response) -> Terms | None:
    """The terms after the 2xx to our ``request`` (RFC 4028 7.2); None for a session without end.

    What the peer writes badly counts as nothing, and where it answers nothing to what we asked we refresh
    alone.
    """
    try:
        agreed = session_expires(response)
    except PeerError:
        agreed = None
    if agreed is not None:
        return Terms(max(agreed[0], LEAST), agreed[1] != "uas", True)
    asked = session_expires(request)
    return Terms(max(asked[0], LEAST), True, False) if asked is not None else None


def ask(headers: Headers, interval: int, least: int, former: Terms | None) -> None:
    """Ask in a request for a session of ``interval`` seconds (0: for none), not under ``least``.

    The roles stay as they are (RFC 4028 7.4), and the first time the peer has the choice.
    """
    add_option(headers, "Supported")
    if interval:
        role = "" if former is None else ";refresher=uac" if former.ours else ";refresher=uas"
        headers.set("Session-Expires", f"{max(interval, least)}{role}")
    if least > LEAST:
        headers.set("Min-SE", str(least))


def grant(headers: Headers, terms: Terms | None) -> None:
    """Write ``terms`` into a 2xx of ours (RFC 4028 9)."""
    add_option(headers, "Supported")
    if terms is not None:
        headers.set("Session-Expires", f"{terms.interval};refresher={'uas' if terms.ours else 'uac'}")
        if terms.known:
            add_option(headers, "Require")


def add_option(headers: Headers, name: str) -> None:
    """Name the extension in Supported or Require, beside what is there."""
    former = headers.get(name)
    headers.set(name, f"{former}, {OPTION}" if former else OPTION)
