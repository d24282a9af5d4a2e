"""What hooks are told beside the facts of a call: frozen records, filled by whoever calls the hook.

Times are POSIX seconds; text is empty where a thing is absent.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Handshake:
    """A TLS handshake that has ended well, before a byte of SIP was read or written.

    ``trunk`` is whom the address and the certificate belong to. ``peer_*`` are of the certificate
    that TLS verified, as in ``Facts``; with a trunk whose mode is ``server`` or ``optional`` there may
    be none, and ``peer_verified`` is False. ``identity`` is the name of the certificate that we showed.
    """

    direction: Literal["inbound", "outbound"] = "inbound"
    trunk: str = ""
    tenant: str = ""
    listener: str = ""
    source: str = ""
    port: int = 0
    sni: str = ""
    identity: str = ""
    tls_version: str = ""
    tls_group: str = ""
    tls_cipher: str = ""
    peer_verified: bool = False
    peer_sans: tuple[str, ...] = ()
    peer_issuer: str = ""
    peer_subject: str = ""
    peer_pin: str = ""
    peer_not_before: float = 0.0
    peer_not_after: float = 0.0
    now: float = 0.0


@dataclass(frozen=True, slots=True)
class Registration:
    """A phone that registers, after it has proved its password and before anything is changed.

    ``user`` is whose it is, ``contacts`` the URIs that it wants to be reached at, ``*`` for all that it has;
    ``expires`` the seconds that it asks for, 0 where it takes them back and -1 where it asks for nothing.
    ``registered`` says whether the user had a binding before.
    """

    user: str = ""
    contacts: tuple[str, ...] = ()
    expires: int = -1
    user_agent: str = ""
    registered: bool = False
    now: float = 0.0


@dataclass(frozen=True, slots=True)
class Answer:
    """A call that was answered and whose answer the caller has acknowledged.

    ``trunk`` is where it went, ``peer_*`` and ``tls_version`` are of that side; ``setup_time`` is the
    seconds from the INVITE to the caller's ACK.
    """

    trunk: str = ""
    rule: str = ""
    setup_time: float = 0.0
    now: float = 0.0
    tls_version: str = ""
    peer_verified: bool = False
    peer_sans: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class End:
    """A call that is over, answered or not.

    ``trunk`` is where it went last, empty where it went nowhere; ``status`` is the final SIP status,
    ``by`` who ended it; ``seconds`` is how long it was up, 0 where it was never answered.
    """

    trunk: str = ""
    rule: str = ""
    status: int = 200
    reason: str = ""
    by: Literal["caller", "callee", "us"] = "caller"
    seconds: float = 0.0
    now: float = 0.0

    @property
    def answered(self) -> bool:
        """Whether somebody answered."""
        return 200 <= self.status < 300


@dataclass(frozen=True, slots=True)
class Frame:
    """One RTP packet of a call, as a leg of it sent it: ``a`` is the caller, ``b`` the callee.

    ``samples`` are 16 bit, little-endian, 8000 a second, where the codec is G.711 or L16 of that rate, and
    empty for any other; ``payload`` is what came, decrypted. ``codec`` is in capitals, ``clock`` what
    ``timestamp`` counts in a second. ``seconds`` is when it came, since the hook began to hear.
    """

    leg: Literal["a", "b"] = "a"
    codec: str = ""
    clock: int = 8000
    sequence: int = 0
    timestamp: int = 0
    seconds: float = 0.0
    samples: bytes = b""
    payload: bytes = b""


_NEVER_CHANGE = frozenset((str, int, float, bool, bytes, type(None)))


def apart(value: T) -> T:
    """A copy: what a hook forces into the frozen records that it has, nobody else sees.

    Rules give the same decision to many calls, and hooks one after the other the same facts.
    """
    copied: Any = value
    kind: Any = type(value)
    if kind in _NEVER_CHANGE:
        return value
    if kind is tuple:
        copied = tuple([apart(each) for each in copied])
    elif hasattr(kind, "__dataclass_fields__"):
        copied = kind(*[apart(getattr(value, name)) for name in kind.__dataclass_fields__])
    found: T = copied
    return found
