"""One side of a call: the flow it uses, the addresses it shows, its dialogs' common part.

What it demands of its media is the trunk's setting, made stricter by the rule.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final, Literal

from dsl.decision import Codecs, Srtp
from sbc.base import Address, is_wildcard
from sbc.config.model import Listener, Trunk
from sbc.config.snapshot import Snapshot
from sbc.flow import Flow
from sbc.media.codecs import first_codec
from sbc.media.policy import STREAMS, MediaPolicy
from sbc.policy.identity import Boundary, Trust
from sbc.sip import session_timer
from sbc.sip.message import Request
from sbc.sip.session_timer import Terms

Side = Literal["a", "b"]
NO_PHONE: Final = ("", "")
NO_LOGIN: Final = ("", "")
DEFAULT_PORT: Final = {"udp": 5060, "tcp": 5060, "tls": 5061}
_VIA_TRANSPORT: Final = {"udp": "SIP/2.0/UDP ", "tcp": "SIP/2.0/TCP ", "tls": "SIP/2.0/TLS "}


def other(side: Side) -> Side:
    """The opposite side of the call."""
    return "b" if side == "a" else "a"


def format_host(host: str) -> str:
    """A host as a URI writes it: IPv6 literals in brackets (RFC 3261 25.1)."""
    return f"[{host}]" if ":" in host else host


def format_target(address: Address, transport: str) -> str:
    """``host[:port]`` of a request URI; the transport's own port is left out, and a domain has none."""
    host = format_host(address.host)
    return host if address.port in (0, DEFAULT_PORT[transport]) else f"{host}:{address.port}"


def local_address(listener: Listener, trunk: Trunk, flow: Flow) -> str:
    """Where the peer finds us again: the trunk's domain, or what the listener advertises, or its address.

    A connection that we opened has a port that nobody listens on, so the port is always the
    listener's: a BYE that arrives after the connection closed still finds us.
    """
    shown = listener.advertise or listener.bind
    host = trunk.domain or shown.host
    if is_wildcard(host):
        host = flow.local.host
    return f"{format_host(host)}:{shown.port}"


class Leg:
    """The addresses and identifiers that we use towards one peer.

    ``peer`` is which, where we dialled it, and ``target`` how the configuration names that: a domain, where
    it is one of its servers. ``host`` is ours in what we write there. ``name`` is the trunk's, ``standing``
    what is asked of it for each message.
    """

    __slots__ = (
        "call_id",
        "contact",
        "cseq",
        "flow",
        "host",
        "invited",
        "inviting",
        "late",
        "least",
        "local_tag",
        "local_uri",
        "login",
        "lost",
        "made",
        "name",
        "peer",
        "phone",
        "proof",
        "raised",
        "refreshing",
        "remote_uri",
        "scheme",
        "sent_by",
        "session",
        "side",
        "standing",
        "target",
        "trunk",
        "updates",
        "via_head",
        "waiting",
    )  # fmt: skip

    def __init__(
        self, side: Side, trunk: Trunk, flow: Flow, sent_by: str, scheme: str, peer: Address | None = None,
        name: Address | None = None,
    ) -> None:  # fmt: skip
        self.side = side
        self.peer = peer
        self.target = name or peer or flow.remote
        self.trunk = trunk
        self.standing = standing = trunk.standing
        self.name = standing.name
        self.flow = flow
        self.scheme = scheme
        self.sent_by = sent_by
        self.host = sent_by.rpartition(":")[0]
        self.call_id = ""
        self.local_tag = ""
        self.local_uri = ""
        self.remote_uri = ""
        self.contact = ""
        self.cseq = 1
        self.phone = NO_PHONE  # whose phone it is that was rung here, and its instance (RFC 5626)
        self.login = NO_LOGIN  # who has proved a password before the rules were asked, and its realm
        self.made = False  # the offer of our INVITE is our own, for the caller made none
        self.proof: tuple[
            tuple[str, str], ...
        ] = ()  # the credentials of our last INVITE, which its ACK repeats
        self.late: tuple[str, ...] = ()  # tags of the forks that answered too late and were hung up
        self.lost = 0  # how often it was dialled for an answer that was still to be given
        self.waiting: list[Any] = []  # who wants a new connection, while one is asked for; of the desk alone
        # Whether an INVITE of ours, or of the peer's, is under way here (RFC 3261 14).
        self.inviting = False
        self.invited = False
        # The session timer that was agreed here, the Min-SE that a 422 of the peer taught us, and how often
        # one did; whether it allows UPDATE, and whether a re-INVITE of ours refreshes the session (RFC 4028).
        self.session: Terms | None = None
        self.least = self.raised = 0
        self.updates = self.refreshing = False
        self.via_head = (
            _VIA_TRANSPORT[flow.transport]
            + sent_by
            + (";rport" if flow.transport == "udp" else ";alias" if flow.secure and standing.alias else "")
        )

    @property
    def believed(self) -> Trust:
        """How far its peer is believed when it says who a user is (RFC 3325 5)."""
        return self.standing.into or ("trusted" if self.flow.trusted else "none")

    @property
    def told(self) -> Trust:
        """What its peer is told of who a user is (RFC 3325 5)."""
        return self.standing.outward or ("trusted" if self.flow.trusted else "none")

    def address_of(self, user: str, parameters: str = "") -> str:
        """How the peer writes to ``user`` through us: an address of ours, as a Contact has it."""
        at = f"{user}@" if user else ""
        transport = "" if self.flow.transport == "udp" else f";transport={self.flow.transport}"
        return f"<{self.scheme}:{at}{self.sent_by}{parameters}{transport}>"

    def ask_for_session(self, request: Request) -> None:
        """Say in an INVITE or UPDATE of ours what we want of the session here (RFC 4028 7.1)."""
        standing, former = self.standing, self.session
        if not standing.timed:
            return
        interval = former.interval if former is not None else standing.expires
        session_timer.ask(request.headers, interval, max(standing.least, self.least), former)

    def via(self, branch: str) -> str:
        """A Via value of ours with ``branch`` (RFC 3261 8.1.1.7; rport by RFC 3581 on UDP)."""
        return f"{self.via_head};branch={branch}"

    def opening(self, request: Request, branch: str) -> list[tuple[str, str]]:
        """The headers of every request that begins something here, for ``request`` (RFC 3261 8.1.1)."""
        hops = request.max_forwards
        return [
            ("Via", self.via(branch)),
            ("Max-Forwards", str(69 if hops is None else hops - 1)),
            ("From", f"{self.local_uri};tag={self.local_tag}"),
            ("To", self.remote_uri),
            ("Call-ID", self.call_id),
            ("CSeq", f"{self.cseq} {request.method}"),
        ]


def between(near: Leg | None, far: Leg) -> Boundary:
    """What a message of the peer on ``near`` crosses on its way to the one on ``far``."""
    believed: Trust = near.believed if near is not None else "none"
    return Boundary(believed, far.told, not far.flow.trusted, far.standing.written, far.host)


# Media


def network_of(snapshot: Snapshot, trunk: Trunk) -> str:
    """The network that the trunk's media is received in: its own or its listener's; '' is the first."""
    return trunk.network or snapshot.settings.listeners[trunk.listener].network or ""


def caller_srtp(trunk: Srtp, rule: Srtp | None) -> Srtp:
    """``require srtp`` binds both legs; any other wish of a rule is about the callee's alone."""
    return "required" if rule == "required" else trunk


def callee_srtp(trunk: Srtp, rule: Srtp | None) -> Srtp:
    """A rule chooses, but never below a trunk that requires SRTP: that is a floor."""
    return trunk if rule is None or trunk == "required" else rule


def leg_policy(
    leg: Leg, srtp: Srtp, codecs: Codecs | None = None, streams: int = STREAMS, network: str = "",
    always: bool = False,
) -> MediaPolicy:  # fmt: skip
    """The media policy of ``leg``, which is in ``network``.

    Keys cross only TLS unless the trunk says otherwise (row M8). ``always``: an emergency call, whose ports
    count against no trunk.
    """
    standing = leg.standing
    return MediaPolicy(
        srtp=srtp,
        sdes=leg.flow.secure or leg.trunk.sdes_in_clear,
        suites=standing.suites,
        signalling_host=leg.flow.remote.host,
        network=network,
        codecs=codecs,
        asymmetric=standing.asymmetric,
        streams=streams,
        labels="siprec" in standing.bodies,
        trunk="" if always else leg.name,
        ports=None if always else standing.ports,
    )


def undescribed(policy: MediaPolicy) -> MediaPolicy:
    """That of a caller for whom we make the offer: how its own leg is keyed is settled when it says so."""
    return replace(policy, srtp="accept", unheard=True)


def agreed_alone(policy: MediaPolicy, answer: bytes) -> MediaPolicy:
    """That of a leg which is offered the codec that an ``answer`` of the other one chose, and no other."""
    codec = first_codec(answer)
    return replace(policy, codecs=Codecs(allow=(codec,))) if codec else policy
