"""Fetch a revocation list or an OCSP answer over plain HTTP, from an address that a certificate names.

Who names the address may mean ill: it could point into our own network, give no end of data, send
it a byte a minute, or redirect in a circle. So the whole fetch has one time limit, whatever comes
has a size limit, redirects are counted, and each host is resolved here, its addresses are held
against what may be asked, and the connection goes to the very address that was checked: a name
that resolves differently a moment later changes nothing. What comes back is believed by nobody
until its signature is verified, which is why HTTP without TLS will do (RFC 5280 8).
"""

from __future__ import annotations

import http.client
import ipaddress
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import SplitResult, urljoin, urlsplit

import gevent
from gevent import socket

from sbc.base import Address
from sbc.net.system.resolver import ResolveFailed, resolve
from sbc.net.system.sockets import reach
from sbc.net.system.turn import readable

_CHUNK = 65536
_REDIRECTS = (301, 302, 303, 307, 308)
_Ip = ipaddress.IPv4Address | ipaddress.IPv6Address
# RFC 6052: an IPv4 address in the last four bytes, wherever a NAT64 leads.
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
# What of IPv6 is routed between networks at all (RFC 4291 2.4): outside lie site-local addresses, NAT64
# prefixes of one's own, and every form that hides an IPv4 address.
_ROUTED = ipaddress.ip_network("2000::/3")
# What is reserved (RFC 6890 and its registries), spelled out: what Python calls global goes by its version.
_RESERVED: tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...] = tuple(
    map(
        ipaddress.ip_network,
        (
            "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12",
            "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15",
            "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/3", "2001::/23", "2001:db8::/32", "3fff::/20",
        ),
    )
)  # fmt: skip


class _Fair(socket.socket):  # type: ignore[misc]
    """A socket that lets others run before each read: whoever always has data would hold up the hub."""

    def recv_into(self, *arguments: Any) -> int:
        readable(self)
        return int(super().recv_into(*arguments))


class FetchFailed(Exception):
    """Nothing was fetched; the text names the address, why, and what to do."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one fetch may cost, and the private networks (CIDR) that it may go to; ``timeout`` in seconds."""

    max_bytes: int = 32 << 20
    timeout: float = 10.0
    redirects: int = 3
    allow_private: tuple[str, ...] = ()


def fetch(url: str, limits: Limits, question: bytes | None = None, content_type: str = "") -> bytes:
    """The body that ``url`` gives, with ``question`` posted where there is one; FetchFailed."""
    try:
        with gevent.Timeout(limits.timeout):
            return _follow(url, limits, question, {"Content-Type": content_type} if content_type else {})
    except gevent.Timeout:
        reason = f"no answer within {limits.timeout:g} s; look at the server, or raise `revocation.timeout`"
    except (OSError, http.client.HTTPException) as error:
        what = getattr(error, "strerror", None) or str(error) or type(error).__name__
        reason = f"{what}; let this machine reach it"
    except ValueError:  # a name or a path that no resolver and no request can carry
        reason = "this is no address; correct it"
    raise FetchFailed(f"{url}: {reason}")


def _follow(url: str, limits: Limits, question: bytes | None, headers: Mapping[str, str]) -> bytes:
    seen = [url]
    try:
        while True:
            target = _step(seen[-1], limits, question, headers)
            if isinstance(target, bytes):
                return target
            if target in seen:
                raise FetchFailed("it redirects in a circle; correct the address")
            if len(seen) > limits.redirects:
                raise FetchFailed(f"over {limits.redirects} redirects; give the address where they end")
            seen.append(target)
    except FetchFailed as error:
        led = f"{url}: it leads to {seen[-1]!r}" if len(seen) > 1 else url
        raise FetchFailed(f"{led}: {error}") from None


def _step(url: str, limits: Limits, question: bytes | None, headers: Mapping[str, str]) -> bytes | str:
    """The body that one address gives, or the address that it redirects to."""
    connection = _connect(url, limits)
    try:
        response = _ask(connection, url, question, headers)
        if response.status in _REDIRECTS:
            return urljoin(url, response.getheader("Location") or "")
        return _body(response, limits)
    finally:
        connection.close()


def _ask(
    connection: http.client.HTTPConnection, url: str, question: bytes | None, headers: Mapping[str, str]
) -> http.client.HTTPResponse:
    parts = urlsplit(url)
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    connection.request("GET" if question is None else "POST", path, question, dict(headers))
    return connection.getresponse()


def _body(response: http.client.HTTPResponse, limits: Limits) -> bytes:
    if response.status != 200:
        raise FetchFailed(
            f"HTTP {response.status} {response.reason[:40]}; correct the address, or tell the CA"
        )
    parts, size = list[bytes](), 0
    while data := response.read1(_CHUNK):
        size += len(data)
        if size > limits.max_bytes:
            hint = "raise `revocation.max_bytes` if a list is really that long"
            raise FetchFailed(f"it is over {limits.max_bytes} bytes; {hint}")
        parts.append(data)
    return b"".join(parts)


def _connect(url: str, limits: Limits) -> http.client.HTTPConnection:
    parts = _checked(url)
    host, port = parts.hostname or "", parts.port or 80
    try:
        addresses = resolve(Address(host, port))
    except ResolveFailed as error:
        raise FetchFailed(f"{error}; correct the address or this machine's DNS") from None
    refused = [each.host for each in addresses if not may_ask(each.host, limits.allow_private)]
    if refused:
        hint = f"if that is meant, write revocation: {{allow_private: [{refused[0]}]}} in sbc.yaml"
        raise FetchFailed(f"{host} is at {refused[0]}, which is no public address; {hint}")
    connection = http.client.HTTPConnection(f"[{host}]" if ":" in host else host, port)
    connection.sock = reach(addresses, _Fair)
    return connection


def _checked(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        port_is_right = parts.port is None or parts.port > 0
    except ValueError:
        port_is_right = False
    if not port_is_right or parts.scheme.lower() != "http" or not parts.hostname or not _plain(url):
        raise FetchFailed("only http:// is fetched; give an address of that kind, or a file")
    return parts


def _plain(url: str) -> bool:
    return url.isascii() and url.isprintable() and " " not in url


def may_ask(host: str, allowed: Iterable[str]) -> bool:
    """Whether a literal address is public, or in one of the ``allowed`` networks."""
    address = _really(ipaddress.ip_address(host.partition("%")[0]))
    if any(address in ipaddress.ip_network(network) for network in allowed):
        return True
    if address.version == 6 and address not in _ROUTED:
        return False
    return not any(address in network for network in _RESERVED)


def _really(address: _Ip) -> _Ip:
    """The IPv4 address that an IPv6 one stands for, where it does."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or (address.teredo or (None, None))[1] or address
