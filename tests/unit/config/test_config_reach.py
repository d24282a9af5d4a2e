"""Addresses that no peer can reach are refused where they are written, and the remedy that is named works."""

from __future__ import annotations

import time

import pytest

from sbc.base import ConfigError
from sbc.config.load import build_snapshot
from tests.unit.config.configuration import FILES, Write

SBC, TRUNK = "sbc.yaml", "trunks.d/carrier.yaml"
MEDIA = "media: {address: 127.0.0.1, ports: 20000-29999}"
TLS, UDP = "{bind: 127.0.0.1:5061, transport: tls}", "{bind: 127.0.0.1:5060, transport: udp}"
TWO = (
    "media: {{networks: {{a: {{address: 10.0.0.9, ports: 20000-20099}},"
    " b: {{address: 10.0.0.9, ports: {}}}}}}}"
)
PLAIN = "trunk: carrier\npeers: [%s]\nsources: [10.0.0.0/8]\nlistener: udp\n"

# file, text in it, what stands there instead, the place and the beginning of what is said, what mends it
WRONG = {
    "media on every address": (
        SBC, MEDIA, "media: {address: 0.0.0.0}", "sbc.yaml:11:18: error: SDP would tell peers 0.0.0.0",
        "media: {address: 0.0.0.0, advertise: 203.0.113.9}",
    ),
    "media on every address of IPv6": (
        SBC, MEDIA, "media: {address: '::'}", "sbc.yaml:11:18: error: SDP would tell peers ::",
        "media: {address: '::', advertise: '2001:db8::9'}",
    ),
    "media that advertises every address": (
        SBC, MEDIA, "media: {address: 127.0.0.1, advertise: 0.0.0.0}",
        "sbc.yaml:11:40: error: no peer can reach 0.0.0.0",
        "media: {address: 127.0.0.1, advertise: 203.0.113.9}",
    ),
    "a listener that advertises every address": (
        SBC, TLS, "{bind: 0.0.0.0:5061, transport: tls, advertise: 0.0.0.0:5061}",
        "sbc.yaml:2:56: error: no peer can reach 0.0.0.0:5061", "{bind: 0.0.0.0:5061, transport: tls}",
    ),
    "a listener that advertises no port": (
        SBC, TLS, "{bind: 0.0.0.0:5061, transport: tls, advertise: 203.0.113.9:0}",
        "sbc.yaml:2:56: error: no peer can reach 203.0.113.9:0",
        "{bind: 0.0.0.0:5061, transport: tls, advertise: 203.0.113.9:5061}",
    ),
    "every address spelt otherwise": (
        SBC, TLS, "{bind: 127.0.0.1:5061, transport: tls, advertise: '[0:0::0]:5061'}",
        "sbc.yaml:2:58: error: no peer can reach [0:0::0]:5061", TLS,
    ),
    "a network on every address": (
        SBC, MEDIA, "media: {networks: {lan: {address: 0.0.0.0}}}",
        "sbc.yaml:11:35: error: SDP would tell peers 0.0.0.0",
        "media: {networks: {lan: {address: 0.0.0.0, advertise: 203.0.113.9}}}",
    ),
    "a network on every address of IPv6": (
        SBC, MEDIA, "media: {networks: {lan: {address6: '::'}}}",
        "sbc.yaml:11:36: error: media of a network cannot be on ::",
        "media: {networks: {lan: {address6: '2001:db8::9'}}}",
    ),
    "a network without an address": (
        SBC, MEDIA, "media: {networks: {lan: {ports: 20000-20099}}}",
        "sbc.yaml:11:20: error: lan: neither address nor address6",
        "media: {networks: {lan: {address: 10.0.0.9}}}",
    ),
    "an IPv6 address as the IPv4 one": (
        SBC, MEDIA, "media: {networks: {lan: {address: '2001:db8::9'}}}",
        "sbc.yaml:11:20: error: lan: address 2001:db8::9 is of the other family",
        "media: {networks: {lan: {address6: '2001:db8::9'}}}",
    ),
    "an advertised address with nothing behind it": (
        SBC, MEDIA, "media: {networks: {lan: {address: 10.0.0.9, advertise6: '2001:db8::9'}}}",
        "sbc.yaml:11:20: error: lan: 2001:db8::9 is advertised and nothing bound",
        "media: {networks: {lan: {address: 10.0.0.9, address6: 'fd00::9', advertise6: '2001:db8::9'}}}",
    ),
    "an address beside the networks": (
        SBC, MEDIA, "media: {ports: 20000-20099, networks: {lan: {address: 10.0.0.9}}}",
        "sbc.yaml:11:1: error: media: ports beside networks",
        "media: {networks: {lan: {address: 10.0.0.9, ports: 20000-20099}}}",
    ),
    "two networks on the same ports": (
        SBC, MEDIA,
        TWO.format("20099-20199"), "sbc.yaml:11:94: error: network 'b' takes the ports of another",
        TWO.format("20100-20199"),
    ),
    "a listener in a network that is not there": (
        SBC, TLS, "{bind: 127.0.0.1:5061, transport: tls, network: wan}",
        "sbc.yaml:2:56: error: unknown media network 'wan'", TLS,
    ),
    "a trunk in a network that is not there": (
        TRUNK, "srtp: accept", "network: wan",
        "trunks.d/carrier.yaml:11:10: error: unknown media network 'wan'",
        "srtp: accept",
    ),
    "a peer that is every address": (
        TRUNK, "127.0.0.1:16061", "0.0.0.0:16061",
        "trunks.d/carrier.yaml:2:9: error: 0.0.0.0:16061 is nobody's",
        "192.0.2.7:16061",
    ),
    "a domain that is every address": (
        TRUNK, "srtp: accept", "domain: 0.0.0.0",
        "trunks.d/carrier.yaml:11:9: error: no peer can reach 0.0.0.0",
        "domain: sbc.example",
    ),
    "an IPv6 peer of an IPv4 socket": (
        TRUNK, FILES[TRUNK], PLAIN % "'[2001:db8::7]:5060'",
        "trunks.d/carrier.yaml:2:9: error: [2001:db8::7]:5060 cannot be reached over UDP",
        PLAIN % "192.0.2.7:5060",
    ),
}  # fmt: skip


def said(write: Write, name: str, old: str, new: str) -> list[str]:
    assert old in FILES[name]
    try:
        found = build_snapshot(write({name: FILES[name].replace(old, new)}), time.time()).warnings
    except ConfigError as error:
        found = error.diagnostics
    return [str(each) for each in found if "no intermediate" not in each.message]


@pytest.mark.parametrize("case", WRONG)
def test_it_is_refused_and_the_remedy_is_accepted(write: Write, case: str) -> None:
    name, old, new, begins, mended = WRONG[case]
    (diagnostic,) = said(write, name, old, new)
    assert diagnostic.startswith(begins), diagnostic
    assert said(write, name, old, mended) == []


@pytest.mark.parametrize("bind", ["0.0.0.0", "'[::]", "203.0.113.9"])
def test_a_listener_needs_no_advertise(write: Write, bind: str) -> None:
    quote = "'" if "'" in bind else ""
    assert said(write, SBC, TLS, f"{{bind: {bind}:5061{quote}, transport: tls}}") == []


@pytest.mark.parametrize(
    ("bound", "peer", "right"),
    [
        ("'[::]:5060'", "192.0.2.7:5060", True),
        ("'[::]:5060'", "'[2001:db8::7]:5060'", True),
        ("'[::1]:5060'", "192.0.2.7:5060", False),
        ("0.0.0.0:5060", "'[2001:db8::7]:5060'", False),
        ("'[::1]:5060'", "sip.example:5060", True),
    ],
)
def test_a_udp_socket_reaches_its_own_family(write: Write, bound: str, peer: str, right: bool) -> None:
    files = {SBC: FILES[SBC].replace("127.0.0.1:5060", bound), TRUNK: PLAIN % peer}
    if right:
        assert build_snapshot(write(files), time.time()).trunks["carrier"].peers
    else:
        with pytest.raises(ConfigError, match="cannot be reached over UDP from here"):
            build_snapshot(write(files), time.time())


INBOUND = """\
trunk: inbound
sources: [127.0.0.1]
listener: tls
tls: {mode: MODE, server_identity: sbc, trust: [carrier-ca]}
"""


@pytest.mark.parametrize(
    ("mode", "sources", "warned"),
    [("server", "", True), ("required", "", False), ("server", "127.0.0.0/8, ", False)],
)
def test_a_peer_that_shows_no_certificate_under_its_other_trunk_is_named(
    write: Write, mode: str, sources: str, warned: bool
) -> None:
    carrier = FILES[TRUNK].replace("sources: [", f"sources: [{sources}")
    files = {"trunks.d/inbound.yaml": INBOUND.replace("MODE", mode), TRUNK: carrier}
    found = [
        str(each) for each in build_snapshot(write(files), time.time()).warnings if "BYE" in each.message
    ]
    begins = (
        "trunks.d/carrier.yaml:2:9: warning: 127.0.0.1 connects as trunk 'inbound', without a certificate"
    )
    assert [each.startswith(begins) for each in found] == [True] * warned
