"""The pairs of dialogs of all calls, and which call a request within one of them is for."""

from __future__ import annotations

from collections.abc import Container

from sbc.b2bua.call_ids import CallIds
from sbc.b2bua.leg import Leg, Side
from sbc.sip.dialog import Dialog
from sbc.sip.message import Request, Response

#: Who has made an offer, the offer, and its answer, both as they came.
Exchange = tuple[Side, bytes, bytes]


class Fork:
    """A pair of dialogs: one that a branch of the callee opened, and the one that shows it to the caller.

    ``renewed``: offers went on while it was early, so the INVITE's own answer is history; ``settled`` is the
    last of them that was answered.
    ``early`` is the last SDP with which it answered the INVITE before its 2xx, or, where that had no
    offer, its own, which the caller ``accepted``. ``withheld`` is SDP that the caller is not to be told
    before the 2xx, or before its callee is ``authorized`` to play early media. ``rseq`` is the number of the
    provisional response that we acknowledged last in the place of a caller without 100rel. ``leg`` is that of
    its callee, while several are tried at once and none is the call's.
    """

    __slots__ = (
        "a", "accepted", "authorized", "b", "early", "leg", "renewed", "rseq", "settled", "withheld",
    )  # fmt: skip

    def __init__(self, a: Dialog, b: Dialog, leg: Leg | None = None) -> None:
        self.a = a
        self.b = b
        self.leg = leg
        self.renewed = self.authorized = False
        self.rseq = 0
        self.early = self.accepted = self.withheld = b""
        self.settled: Exchange | None = None

    def dialog(self, side: Side) -> Dialog:
        """The dialog on ``side``."""
        return self.a if side == "a" else self.b

    def withhold(self, response: Response, sdp: bytes) -> bytes:
        """The SDP that counts where early media is not wanted: none before the 2xx, then the last of it.

        A callee that gave it reliably need not repeat it (RFC 3262 5).
        """
        if response.status >= 200:
            return sdp or self.withheld
        if sdp:
            self.withheld = sdp
            response.status, response.reason = 180, "Ringing"
        return b""

    def authorize(self, response: Response, sdp: bytes) -> bytes:
        """The SDP that counts where a callee has to ask for early media, by P-Early-Media (RFC 5009 8)."""
        if "p-early-media" in response.headers.first:
            asked = [each.strip(" \t").lower() for each in response.headers.values("P-Early-Media")]
            self.authorized = "sendrecv" in asked or "sendonly" in asked
        if response.status < 200 and self.authorized:
            sdp, self.withheld = sdp or self.withheld, b""
            return sdp
        return self.withhold(response, sdp)


class Dialogs:
    """The index of the calls' dialogs: by Call-ID, our tag and the peer's (RFC 3261 12).

    ``call_ids`` are those of all legs, also before there is a dialog; ``alive`` has the calls by our name.
    """

    __slots__ = ("_found", "call_ids")

    def __init__(self, alive: Container[str]) -> None:
        self.call_ids = CallIds(alive)
        self._found: dict[tuple[str, str, str], tuple[str, Fork, Side]] = {}

    def __len__(self) -> int:
        return len(self._found)

    def register(self, call_id: str, fork: Fork) -> None:
        """From now on requests within the dialogs of ``fork`` are for the call ``call_id``."""
        a, b = fork.a, fork.b
        self._found[a.call_id, a.local_tag, a.remote_tag] = (call_id, fork, "a")
        self._found[b.call_id, b.local_tag, b.remote_tag] = (call_id, fork, "b")

    def unregister(self, fork: Fork) -> None:
        """The dialogs of ``fork`` are over."""
        for dialog in (fork.a, fork.b):
            self._found.pop((dialog.call_id, dialog.local_tag, dialog.remote_tag), None)

    def find(self, request: Request) -> tuple[str, Fork, Side] | None:
        """The call, the dialogs and the side that a request within a dialog names."""
        return self._found.get((request.call_id, request.to_tag or "", request.from_tag or ""))

    def of(self, call_id: str, local_tag: str, remote_tag: str) -> tuple[str, Fork, Side] | None:
        """The call, the dialogs and the side of one that is named by its identifiers, as we see it."""
        return self._found.get((call_id, local_tag, remote_tag))
