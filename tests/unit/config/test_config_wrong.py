"""One mistake at a time in a right configuration: exactly what the operator is told, and where.

Each case replaces one text of one file and names every diagnostic that must come of it, as
``path:line:col: severity: message | hint``.
"""

from __future__ import annotations

import time

import pytest

from sbc.base import ConfigError
from sbc.config.load import build_snapshot
from tests.unit.config.configuration import FILES, Write

Case = tuple[str, str, str, list[str]]
SBC, TRUNK = "sbc.yaml", "trunks.d/carrier.yaml"

FORM: dict[str, Case] = {
    "unknown key": (
        TRUNK, "srtp: accept", "strp: accept",
        ["trunks.d/carrier.yaml:11:1: error: unknown key 'strp' | did you mean 'srtp'?"],
    ),
    "unknown key in a block": (
        TRUNK, "  mode: required", "  mode: required\n  verify: full",
        [
            "trunks.d/carrier.yaml:7:3: error: unknown key 'verify' | known: client_eku, client_identity,"
            " groups, min_version, mode, name_match, names, peer_trusts, revocation, server_identity, trust"
        ],
    ),
    "a word in place of a truth": (
        TRUNK, "srtp: accept", "srtp: accept\nsdes_in_clear: off",
        [
            "trunks.d/carrier.yaml:12:16: error: sdes_in_clear: expected true or false, found the text 'off'"
            " | write false"
        ],
    ),
    "a number in place of a truth": (
        SBC, "carrier-ca: {ca: tls/carrier-ca.pem}", "carrier-ca: {ca: tls/carrier-ca.pem, public: 1}",
        ["sbc.yaml:10:48: error: public: expected true or false, found the number 1 | write true"],
    ),
    "key in the wrong block": (
        TRUNK, "srtp: accept", "srtp: accept\ncps: 20",
        ["trunks.d/carrier.yaml:12:1: error: unknown key 'cps' | it belongs under `limits:`"],
    ),
    "a pin that is none": (
        SBC, "carrier-ca: {ca: tls/carrier-ca.pem}", "carrier-ca: {pin: sha256/00}",
        [
            "sbc.yaml:10:16: error: pin: the pin is not sha256/ and 64 hexadecimal digits"
            " | openssl x509 -in FILE -noout -pubkey | openssl pkey -pubin -outform der | sha256sum"
            " gives the digits; write sha256/DIGITS"
        ],
    ),
    "a session timer that is neither off nor keys": (
        TRUNK, "srtp: accept", "srtp: accept\nsession_timer: on",
        [
            "trunks.d/carrier.yaml:12:16: error: session_timer: 'on' says nothing"
            " | write off, or {expires: 1800s, min: 90s}"
        ],
    ),
    "a session timer with nothing": (
        TRUNK, "srtp: accept", "srtp: accept\nsession_timer:",
        [
            "trunks.d/carrier.yaml:12:1: error: session_timer: nothing is given"
            " | write off, or {expires: 1800s, min: 90s}"
        ],
    ),
    "a session shorter than may be": (
        TRUNK, "srtp: accept", "srtp: accept\nsession_timer: {min: 30s}",
        [
            "trunks.d/carrier.yaml:12:1: error: session_timer: min is 30s"
            " | write 90s or more, the least that RFC 4028 allows"
        ],
    ),
    "a session shorter than its own least": (
        TRUNK, "srtp: accept", "srtp: accept\nsession_timer: {expires: 10m, min: 20m}",
        [
            "trunks.d/carrier.yaml:12:1: error: session_timer: expires, 600s, is under min, 1200s"
            " | write an expires of at least 1200s, such as 1800s, or a lower min"
        ],
    ),
    "a word that session timers do not have": (
        TRUNK, "srtp: accept", "srtp: accept\nsession_timer: {expire: 1800s}",
        ["trunks.d/carrier.yaml:12:17: error: unknown key 'expire' | did you mean 'expires'?"],
    ),
    "a cap of no streams": (
        SBC, "media: {", "caps: {streams_per_call: 0}\nmedia: {",
        ["sbc.yaml:11:26: error: streams_per_call: 0 is too small | the least is 1"],
    ),
    "a mark that is the whole byte": (
        SBC, "media: {", "dscp: {rtp: 184}\nmedia: {",
        [
            "sbc.yaml:11:13: error: rtp: 184 is not a DSCP | write ef, cs0 to cs7, af11 to af43 or a number"
            " from 0 to 63; that of a TOS or traffic class byte divided by 4"
        ],
    ),
    "a rate that is none": (
        SBC, "media: {", "caps: {messages_per_flow: many}\nmedia: {",
        [
            "sbc.yaml:11:27: error: messages_per_flow: 'many' is not a rate"
            " | write a number a second, such as 2000/s"
        ],
    ),
    "a rate that leaves nothing": (
        SBC, "media: {", "caps: {messages_per_flow: 5/s}\nmedia: {",
        ["sbc.yaml:11:27: error: messages_per_flow: 5.0 is too small | the least is 10"],
    ),
    "a cap of no handshakes": (
        SBC, "media: {", "caps: {handshakes_per_source: 0}\nmedia: {",
        ["sbc.yaml:11:31: error: handshakes_per_source: 0 is too small | the least is 1"],
    ),
    "a limit of one port pair, where a call takes two": (
        TRUNK, "srtp: accept", "limits: {ports: 1}",
        ["trunks.d/carrier.yaml:11:17: error: ports: 1 is too small | the least is 2"],
    ),
    "trust of two kinds": (
        SBC, "carrier-ca: {ca: tls/carrier-ca.pem}", "carrier-ca: {ca: tls/carrier-ca.pem, leaf: x.pem}",
        [
            "sbc.yaml:10:3: error: carrier-ca: ca and leaf together"
            " | write one of ca: FILE, leaf: FILE, pin: sha256/DIGITS; one kind an entry"
        ],
    ),
    "missing key points to the file": (
        TRUNK, "listener: tls\n", "",
        ["trunks.d/carrier.yaml:1:1: error: key 'listener' is missing | write listener: trunk-tls"],
    ),
    "missing key points to the parent": (
        SBC, "{bind: 127.0.0.1:5060, transport: udp}", "{bind: 127.0.0.1:5060}",
        ["sbc.yaml:3:3: error: key 'transport' is missing | write transport: tls"],
    ),
    "duplicate key": (
        TRUNK, "srtp: accept", "srtp: accept\nsrtp: required",
        [
            "trunks.d/carrier.yaml:12:1: error: key 'srtp' is given twice"
            " | it is already on line 11; keep one of them"
        ],
    ),
    "tab": (
        TRUNK, "  mode: required", "\tmode: required",
        ["trunks.d/carrier.yaml:6:1: error: a tab indents this line | YAML takes only spaces"],
    ),
    "unclosed bracket": (
        TRUNK, "sources: [10.0.0.0/8]", "sources: [10.0.0.0/8",
        [
            "trunks.d/carrier.yaml:4:9: error: a list or mapping in brackets is not closed"
            " | close it, or add the comma"
        ],
    ),
    "second colon": (
        TRUNK, "srtp: accept", "srtp: accept: now",
        [
            "trunks.d/carrier.yaml:11:13: error: a colon stands where none may be"
            " | quote the value, or indent it"
        ],
    ),
    "list where text is due": (
        TRUNK, "srtp: accept", "domain: [a.example]",
        ["trunks.d/carrier.yaml:11:1: error: domain: expected text, found a list"],
    ),
    "text where a list is due": (
        TRUNK, "sources: [10.0.0.0/8]", "sources: 10.0.0.0/8",
        [
            "trunks.d/carrier.yaml:3:10: error: sources: expected a list, found the text '10.0.0.0/8'"
            " | write [10.0.0.0/8]"
        ],
    ),
    "number where text is due": (
        TRUNK, "trunk: carrier", "trunk: 42",
        ["trunks.d/carrier.yaml:1:8: error: trunk: expected text, found the number 42 | put it in quotes"],
    ),
    "nothing where keys are due": (
        TRUNK, "srtp: accept", "limits:",
        [
            "trunks.d/carrier.yaml:11:1: error: limits: expected keys and values, found nothing"
            " | give it a value, or remove the key"
        ],
    ),
    "no such choice": (
        TRUNK, "mode: required", "mode: requird",
        [
            "trunks.d/carrier.yaml:6:9: error: mode: 'requird' is not a choice"
            " | did you mean 'required'? write one of off, server, optional, required"
        ],
    ),
    "no duration": (
        TRUNK, "srtp: accept", "dial_timeout: 5 sec",
        [
            "trunks.d/carrier.yaml:11:15: error: dial_timeout: '5 sec' is not a duration"
            " | write a number and ms, s, m, h or d, such as 60s"
        ],
    ),
    "negative limit": (
        TRUNK, "srtp: accept", "limits: {calls: -1}",
        ["trunks.d/carrier.yaml:11:17: error: calls: -1 is too small | the least is 0"],
    ),
    "peer without a port": (
        TRUNK, "peers: [127.0.0.1:16061]", "peers: [127.0.0.1:16061, 192.0.2.7]",
        [
            "trunks.d/carrier.yaml:2:26: error: peers: '192.0.2.7' is not an address with a port"
            " | write 192.0.2.7:5061"
        ],
    ),
    "DNS server by name": (
        SBC, "media:", "dns: {servers: [10.0.0.53, ns.example]}\nmedia:",
        [
            "sbc.yaml:11:28: error: servers: 'ns.example' is not the address of a DNS server"
            " | write one such as 10.0.0.53; no names"
        ],
    ),
    "IPv6 without brackets": (
        SBC, "bind: 127.0.0.1:5060", "bind: '::1'",
        ["sbc.yaml:3:15: error: bind: '::1' is not an address with a port | write [::1]:5061"],
    ),
    "source is a name": (
        TRUNK, "sources: [10.0.0.0/8]", "sources: [10.0.0.0/8, pbx.example]",
        [
            "trunks.d/carrier.yaml:3:23: error: sources: 'pbx.example' is not a network"
            " | write an address or CIDR, such as 52.112.0.0/14; no names"
        ],
    ),
    "source with host bits": (
        TRUNK, "sources: [10.0.0.0/8]", "sources: [10.1.2.3/8]",
        [
            "trunks.d/carrier.yaml:3:11: error: sources: '10.1.2.3/8' has bits set behind its prefix"
            " | write 10.0.0.0/8, or 10.1.2.3 for one host"
        ],
    ),
    "unknown suite": (
        TRUNK, "srtp: accept", "suites: [AES_CM_128_HMAC_SHA1_96]",
        [
            "trunks.d/carrier.yaml:11:10: error: suites: 'AES_CM_128_HMAC_SHA1_96' is not an SRTP suite"
            " | write one of AES_CM_128_HMAC_SHA1_80, AES_256_CM_HMAC_SHA1_80, AEAD_AES_128_GCM,"
            " AEAD_AES_256_GCM, AES_CM_128_HMAC_SHA1_32, AES_256_CM_HMAC_SHA1_32"
        ],
    ),
    "port range backwards": (
        SBC, "ports: 20000-29999", "ports: 29999-20000",
        [
            "sbc.yaml:11:36: error: ports: '29999-20000' holds no pair of ports"
            " | write first-last, from 1024 to 65535, such as 20000-29999"
        ],
    ),
    "media on a name": (
        SBC, "address: 127.0.0.1", "address: localhost",
        [
            "sbc.yaml:11:18: error: address: 'localhost' is not an IP address"
            " | media needs a literal one, such as 203.0.113.9"
        ],
    ),
    "name with a blank": (
        SBC, "  udp: {", "  my udp: {",
        [
            "sbc.yaml:3:3: error: 'my udp' cannot be a name"
            " | write letters, digits, dots and hyphens, such as carrier-a"
        ],
    ),
    "empty file": (
        TRUNK, "*", "# nothing yet\n",
        ["trunks.d/carrier.yaml:1:1: error: the file is empty | write keys and values, or remove the file"],
    ),
    "list at the top": (
        TRUNK, "*", "- trunk: carrier\n",
        [
            "trunks.d/carrier.yaml:1:1: error: expected keys and values, found a list"
            " | write `key: value` lines"
        ],
    ),
    "tag": (
        TRUNK, "srtp: accept", "domain: !!python/name:os.system x",
        [
            "trunks.d/carrier.yaml:11:9: error: tag tag:yaml.org,2002:python/name:os.system is not"
            " supported | write the plain value"
        ],
    ),
}  # fmt: skip

CROSS: dict[str, Case] = {
    "unknown listener": (
        TRUNK, "listener: tls", "listener: tsl",
        ["trunks.d/carrier.yaml:4:11: error: unknown listener 'tsl' | did you mean 'tls'?"],
    ),
    "unknown tenant": (
        TRUNK, "srtp: accept", "tenant: acme",
        ["trunks.d/carrier.yaml:11:9: error: unknown tenant 'acme' | define it under `tenants:` in sbc.yaml"],
    ),
    "unknown identity": (
        TRUNK, "server_identity: sbc", "server_identity: scb",
        ["trunks.d/carrier.yaml:7:20: error: unknown identity 'scb' | did you mean 'sbc'?"],
    ),
    "unknown client identity": (
        TRUNK, "client_identity: sbc", "client_identity: nobody",
        ["trunks.d/carrier.yaml:8:20: error: unknown identity 'nobody' | known: sbc"],
    ),
    "unknown trust": (
        TRUNK, "trust: [carrier-ca]", "trust: [carrier]",
        ["trunks.d/carrier.yaml:9:11: error: unknown trust anchor 'carrier' | did you mean 'carrier-ca'?"],
    ),
    "media of neither kind": (
        TRUNK, "srtp: accept", "media: asymetric",
        [
            "trunks.d/carrier.yaml:11:8: error: media: 'asymetric' is not a choice"
            " | did you mean 'asymmetric'? write one of symmetric, asymmetric"
        ],
    ),
    "tls without TLS": (
        TRUNK, "listener: tls", "listener: udp",
        [
            "trunks.d/carrier.yaml:5:1: error: tls on a listener without TLS"
            " | listener 'udp' is UDP: remove `tls:`, or use a TLS listener"
        ],
    ),
    "TLS without tls": (
        TRUNK, "*",
        "trunk: carrier\npeers: [127.0.0.1:16061]\nsources: [10.0.0.0/8]\nlistener: tls\n",
        [
            "trunks.d/carrier.yaml:1:1: error: key 'tls' is missing"
            " | listener 'tls' is TLS: say whom to trust under `tls:`, or use a udp or tcp listener"
        ],
    ),
    "mode off on TLS": (
        TRUNK, "mode: required", "mode: off",
        [
            "trunks.d/carrier.yaml:6:9: error: mode 'off' on a TLS listener"
            " | listener 'tls' is TLS: choose server, optional or required, or a udp or tcp listener"
        ],
    ),
    "required without trust": (
        TRUNK, "  trust: [carrier-ca]\n", "",
        [
            "trunks.d/carrier.yaml:6:9: error: mode 'required' without trust"
            " | write trust: [NAME] (of `trust:` in sbc.yaml); without it nobody can be verified"
        ],
    ),
    "no server identity": (
        TRUNK, "  server_identity: sbc\n", "",
        [
            "trunks.d/carrier.yaml:5:1: error: mode 'required' without a server identity"
            " | write server_identity: NAME (of `identities:` in sbc.yaml), or give the trunk a tenant"
        ],
    ),
    "public CA without names": (
        SBC, "{ca: tls/carrier-ca.pem}", "{ca: tls/carrier-ca.pem, public: true}",
        [
            "trunks.d/carrier.yaml:9:11: error: public CA 'carrier-ca' without names"
            " | write names: [the peer's host name]; anybody can get a certificate of a public CA"
        ],
    ),
    "keys in the clear": (
        TRUNK, "*",
        "trunk: carrier\npeers: [127.0.0.1:16061]\nsources: [10.0.0.0/8]\nlistener: udp\nsrtp: required\n",
        [
            "trunks.d/carrier.yaml:5:7: error: srtp 'required' over UDP: the keys would cross in the clear"
            " | use a TLS listener, or accept it with sdes_in_clear: true"
        ],
    ),
    "an offer without effect": (
        TRUNK, "*",
        "trunk: carrier\npeers: [127.0.0.1:16061]\nsources: [10.0.0.0/8]\nlistener: udp\nsrtp: offer\n",
        [
            "trunks.d/carrier.yaml:5:7: warning: srtp 'offer' has no effect over UDP"
            " | without TLS no keys are offered: use a TLS listener, or srtp: accept"
        ],
    ),
    "sips without TLS": (
        TRUNK, "*",
        "trunk: carrier\npeers: [127.0.0.1:16061]\nsources: [10.0.0.0/8]\nlistener: udp\nscheme: sips\n",
        [
            "trunks.d/carrier.yaml:5:9: error: scheme 'sips' without TLS"
            " | listener 'udp' is UDP: write scheme: sip, or use a TLS listener"
        ],
    ),
    "one address, two listeners": (
        SBC, "  udp: {", "  tcp: {bind: 0.0.0.0:5061, transport: tcp}\n  udp: {",
        [
            "sbc.yaml:3:15: error: 'tcp' cannot bind 0.0.0.0:5061"
            " | 'tls' has TCP 127.0.0.1:5061 already; give each its own port"
        ],
    ),
    "pages on a listener's port": (
        SBC, "media:", "admin: {bind: 127.0.0.1:5061}\nmedia:",
        [
            "sbc.yaml:11:15: error: 'admin' cannot bind 127.0.0.1:5061"
            " | 'tls' has TCP 127.0.0.1:5061 already; give each its own port"
        ],
    ),
    "media takes a listener's port": (
        SBC, "ports: 20000-29999", "ports: 5000-5999",
        [
            "sbc.yaml:11:36: error: media ports take a listener's"
            " | listener 'udp' has UDP port 5060; choose another range"
        ],
    ),
    "one domain, two tenants": (
        SBC, "media:",
        "tenants:\n  a: {domains: [x.example], server_identity: sbc}\n"
        "  b: {domains: [y.example, X.example], server_identity: sbc}\nmedia:",
        [
            "sbc.yaml:13:28: error: domain 'X.example' is also that of tenant 'a'"
            " | one SNI name chooses one certificate: give it to one of them"
        ],
    ),
    "a tenant's identity": (
        SBC, "media:", "tenants:\n  a: {domains: [x.example], server_identity: acme}\nmedia:",
        ["sbc.yaml:12:46: error: unknown identity 'acme' | known: sbc"],
    ),
    "file missing": (
        SBC, "key: tls/sbc.key", "key: tls/sbc-2026.key",
        ["sbc.yaml:7:34: error: tls/sbc-2026.key: there is no such file | looked for DIR/tls/sbc-2026.key"],
    ),
    "key of somebody else": (
        SBC, "key: tls/sbc.key", "key: tls/office.key",
        [
            "sbc.yaml:7:34: error: tls/office.key: the key is not the key of tls/sbc.pem (CN=sbc.lab.example)"
            " | put the key that the certificate was requested with here, or request a new certificate"
        ],
    ),
    "a leaf in the truststore": (
        SBC, "ca: tls/carrier-ca.pem", "ca: tls/carrier.pem",
        [
            "sbc.yaml:10:20: error: tls/carrier.pem: CN=carrier.lab.example is not a CA certificate"
            " | put the issuing CA here, or pin this one certificate with `leaf:`"
        ],
    ),
    "no sources": (
        TRUNK, "sources: [10.0.0.0/8]\n", "",
        [
            "trunks.d/carrier.yaml:1:1: warning: no sources: the trunk can be called but cannot call"
            ' | write sources: [NETWORK, ...] to take calls from it; [0.0.0.0/0, "::/0"] is everybody'
        ],
    ),
    "no peers": (
        TRUNK, "peers: [127.0.0.1:16061]\n", "",
        [
            "trunks.d/carrier.yaml:1:1: warning: no peers, but rule out (routes.d/10.yaml:2) routes to it"
            " | write peers: [host:port]; until then each call to it fails over or gets 503"
        ],
    ),
    "more port pairs than there are": (
        TRUNK, "srtp: accept", "limits: {ports: 6000}",
        [
            "trunks.d/carrier.yaml:11:17: warning: 6000 pairs of media ports are more than there are"
            " | media.ports 20000-29999 holds 5000: write fewer, or widen media.ports in sbc.yaml"
        ],
    ),
    "our own address as a peer": (
        TRUNK, "peers: [127.0.0.1:16061]", "peers: [127.0.0.1:5061]",
        [
            "trunks.d/carrier.yaml:2:9: warning: 127.0.0.1:5061 is our own listener 'tls'"
            " | a trunk's peer is the other side: a call to it would come back to us"
        ],
    ),
    "no certificate of ours": (
        TRUNK, "  client_identity: sbc\n", "",
        [
            "trunks.d/carrier.yaml:5:1: warning: peers are dialled without a certificate of ours"
            " | write client_identity: NAME, or `none` to say that it is meant"
        ],
    ),
    "probe without a peer": (
        TRUNK, "*",
        "trunk: carrier\nsources: [10.0.0.0/8]\nlistener: udp\noptions: {every: 60s}\n",
        [
            "trunks.d/carrier.yaml:1:1: warning: no peers, but rule out (routes.d/10.yaml:2) routes to it"
            " | write peers: [host:port]; until then each call to it fails over or gets 503",
            "trunks.d/carrier.yaml:4:1: warning: there is no peer to probe | write peers: [host:port]",
        ],
    ),
}  # fmt: skip


def told(write: Write, files: dict[str, str]) -> list[str]:
    """Every diagnostic of a configuration, errors and warnings, on a line each."""
    directory = write(files)
    try:
        diagnostics = build_snapshot(directory, time.time()).warnings
    except ConfigError as wrong:
        diagnostics = wrong.diagnostics
    return [
        f"{d.path}:{d.line}:{d.col}: {d.severity}: {d.message}{' | ' if d.hint else ''}{d.hint}".replace(
            str(directory), "DIR"
        )
        for d in diagnostics
        if "no intermediate" not in d.message
    ]


@pytest.mark.parametrize("case", [*FORM.values(), *CROSS.values()], ids=[*FORM, *CROSS])
def test_one_mistake(write: Write, case: Case) -> None:
    path, right, wrong, expected = case
    assert right == "*" or FILES[path].count(right) == 1, "the case does not fit the file"
    text = wrong if right == "*" else FILES[path].replace(right, wrong)
    assert told(write, {path: text}) == expected
