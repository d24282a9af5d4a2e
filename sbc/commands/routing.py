"""``sbc route``: ask the rules about a call that is not made, or about those of yesterday."""

from __future__ import annotations

import argparse
import time
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from sbc.base import LocalError
from sbc.commands.parser import Commands, configured

if TYPE_CHECKING:
    from dsl.facts import Facts
    from sbc.config.snapshot import Snapshot
    from sbc.flow import PeerIdentity


def add(commands: Commands) -> None:
    """Add these commands."""
    group = commands.group("route", "ask the rules about calls")
    text = "what would become of a call, and why"
    test = configured(group.add_parser("test", help=text, description=text), _test)
    test.add_argument("--trunk", required=True, help="the trunk it comes from")
    test.add_argument("--from", dest="caller", default="", metavar="A", help="number, user@host or URI")
    test.add_argument("--to", dest="called", required=True, metavar="B", help="number, user@host or URI")
    test.add_argument("--header", action="append", default=[], metavar="NAME:VALUE", help="of the INVITE")
    test.add_argument("--at", metavar="TIME", help="such as 2026-07-01T09:30, here or with an offset; now")
    test.add_argument("--cert", type=Path, metavar="FILE", help="the chain that the peer shows, as PEM")
    test.add_argument("--source", metavar="ADDRESS", help="the first address of the trunk")
    test.add_argument("--codecs", default="", metavar="A,B", help="offered, such as PCMA,OPUS")
    test.add_argument("--srtp", choices=("none", "offered", "required"), default="none", help="of the offer")
    test.add_argument("--user", default="", metavar="NAME@REALM", help="who has proved a password")
    text = "put the calls of a file of call records to the rules; say what would change"
    replay = configured(group.add_parser("replay", help=text, description=text), _replay)
    replay.add_argument("records", type=Path, metavar="FILE", help="such as run/calls.jsonl")


def _test(options: argparse.Namespace) -> int:
    from sbc.b2bua.dry_run import describe
    from sbc.config.load import build_snapshot

    now = _moment(options.at)
    snapshot = build_snapshot(options.config, time.time())
    if options.trunk not in snapshot.trunks:
        raise LocalError(f"there is no trunk {options.trunk!r}; there are {', '.join(snapshot.trunks)}")
    facts = _facts(snapshot, options, now)
    decision, trace = snapshot.rules.explain(facts)
    for line in [*trace, "", *describe(snapshot, facts, decision)]:
        print(line)
    return 0


def _replay(options: argparse.Namespace) -> int:
    from sbc.b2bua.replay import replay
    from sbc.config.load import build_snapshot

    snapshot = build_snapshot(options.config, time.time())
    try:
        with options.records.open(encoding="utf-8", errors="replace") as records:
            result = replay(snapshot, records)
    except OSError as error:
        raise LocalError(f"{options.records}: {(error.strerror or '').lower()}") from None
    for line in result.lines(snapshot):
        print(line)
    return 0


def _moment(text: str | None) -> float:
    if text is None:
        return time.time()
    try:
        return datetime.fromisoformat(text).timestamp()
    except (ValueError, OverflowError, OSError):
        raise LocalError(f"--at {text!r} is not a time; such as 2026-07-01T09:30") from None


def _facts(snapshot: Snapshot, options: argparse.Namespace, now: float) -> Facts:
    from dsl.cases import call_to, caller_from
    from dsl.facts import facts_from

    trunk = snapshot.trunks[options.trunk]
    headers = _headers(options.header)
    transport = snapshot.settings.listeners[trunk.listener].transport
    user, _, realm = options.user.partition("@")
    facts = facts_from(
        trunk=trunk.trunk, tenant=trunk.tenant or "", listener=trunk.listener, transport=transport,
        source=options.source or _first_address(trunk.sources), now=now,
        header=lambda name: headers.get(name.lower()),
        sdp_codecs=tuple(name.strip().upper() for name in options.codecs.split(",") if name.strip()),
        sdp_srtp=options.srtp, auth_user=user, auth_realm=realm,
        user_agent=headers.get("user-agent", ""), **caller_from(options.caller), **call_to(options.called),
    )  # fmt: skip
    facts = replace(facts, sips=transport == "tls" and facts.ruri_scheme == "sips")
    return _with_certificate(snapshot, facts, options) if options.cert is not None else facts


def _first_address(sources: tuple[str, ...]) -> str:
    return str(sources[0]).partition("/")[0] if sources else ""


def _headers(written: list[str]) -> dict[str, str]:
    headers: dict[str, str] = {}
    for each in written:
        name, colon, value = each.partition(":")
        if not colon or not name.strip():
            raise LocalError(f"--header {each!r} is not NAME:VALUE")
        headers.setdefault(name.strip().lower(), value.strip())
    return headers


def _with_certificate(snapshot: Snapshot, facts: Facts, options: argparse.Namespace) -> Facts:
    """What a handshake with this chain would tell the rules; it is really verified, as a handshake would."""
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import Encoding

    from sbc.net.tls.verify import verify
    from sbc.tls.admission import build_table
    from sbc.tls.material.certificate import read_certificate

    try:
        chain = x509.load_pem_x509_certificates(options.cert.read_bytes())
    except (OSError, ValueError) as error:
        raise LocalError(f"--cert {options.cert}: {getattr(error, 'strerror', None) or error}") from None
    ders = [each.public_bytes(Encoding.DER) for each in chain]
    settings = snapshot.settings
    table = build_table(
        snapshot.trunks, settings.tenants, snapshot.anchors, settings.listeners, snapshot.bound,
        snapshot.quarantined,
    )  # fmt: skip
    admission = table.admit(facts.listener, facts.source, "")
    if admission is None:
        raise LocalError(f"no trunk of listener {facts.listener!r} is admitted from {facts.source}")
    verified = verify(admission, ders, facts.now)
    if verified.trunk != facts.trunk:
        why = verified.failure.detail if verified.failure is not None else f"it is {verified.trunk}'s"
        print(f"this certificate does not make the peer {facts.trunk}: {why}\n")
    return _proved(facts, read_certificate(ders[0]).identity, verified.trunk == facts.trunk)


def _proved(facts: Facts, peer: PeerIdentity, verified: bool) -> Facts:
    return replace(
        facts, peer_verified=verified, peer_sans=peer.sans, peer_issuer=peer.issuer,
        peer_subject=peer.subject, peer_pin=peer.pin, tls_version="TLSv1.3", tls_group="X25519MLKEM768",
    )  # fmt: skip
