"""A call as ``sbc route test`` describes it: its facts, what the rules decide, and what nobody has said."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, replace
from ipaddress import ip_address, ip_network
from typing import TYPE_CHECKING, Any

from dsl.addresses import is_uri, read_party
from dsl.answers import NoAnswer, parse_answer
from dsl.arrival import NOBODY, Arrival, written
from dsl.clock import CLOCK_FACTS
from dsl.facts import FACTS, Facts
from dsl.services import Answer, Answers
from sbc.b2bua.customers import Unfit, written_customer
from sbc.b2bua.dry_run import describe
from sbc.b2bua.unsaid import left_out, told_of_hooks, unsaid
from sbc.base import LocalError
from sbc.config.arrivals import arrival

if TYPE_CHECKING:
    from sbc.config.model import Trunk
    from sbc.config.snapshot import Snapshot

_PEER = ("peer_sans", "peer_issuer", "peer_subject", "peer_pin")
_TLS = ("tls_version", "tls_group", "tls_cipher")
_ASKED = re.compile(r"; (\w+) is asked, and does not answer")
_SETTLED = (
    "trunk",
    "tenant",
    "listener",
    "transport",
    "method",
    "now",
    "header",
    "user_agent",
    "sips",
    "redirected_from",
    "referred_by",
    "emergency",
)


def simulated(
    snapshot: Snapshot, options: argparse.Namespace, headers: Mapping[str, str], now: float
) -> dict[str, Any]:
    """What would become of the call, as JSON types: ``lines`` say it in words, ``trace`` rule by rule why."""
    comes, notes = _arrival(snapshot, options, now)
    facts = _facts(snapshot, options, comes, headers, now)
    customer = _customer(snapshot, options, comes)
    if isinstance(customer, Unfit):
        return _refused(facts, customer, notes)
    if customer != comes.trunk:
        notes = [*notes, f"the call is trunk {customer}'s: {_why(snapshot, customer)}", ""]
        facts = replace(facts, trunk=customer, tenant=snapshot.trunks[customer].tenant or "")
    answers = _answers(snapshot, options.lookup)
    decision, trace = snapshot.rules.explain(facts, answers)
    hooks = left_out(snapshot.hooks, decision)
    assumed = {
        name: _shown(getattr(facts, attribute))
        for attribute, name in unsaid(snapshot.rules, set(_said(snapshot, options, headers))).items()
    }
    unasked = _unasked(trace, answers)
    lines = [*describe(snapshot, facts, decision), *_told(assumed), *unasked, *told_of_hooks(hooks)]
    if facts.emergency:
        lines.insert(0, "an emergency call: within its trunk's reserve no limit and no password stops it")
    return {
        "facts": _named(facts),
        "trace": trace,
        "decision": {"kind": type(decision).__name__.lower(), **asdict(decision)},
        "lines": lines,
        "notes": notes,
        "assumed": assumed,
        "hooks_not_run": hooks,
    }


def _customer(snapshot: Snapshot, options: argparse.Namespace, comes: Arrival) -> str | Unfit:
    """Whose the call is of the trunks that share its address, or why it is nobody's."""
    called = read_party(options.called)
    caller = read_party(options.caller).host if options.caller else ""
    if options.redirected_from:  # the call is that of the trunk that redirected it
        return comes.trunk
    return written_customer(snapshot, snapshot.trunks[comes.trunk], comes.source, called, caller)


def _why(snapshot: Snapshot, trunk: str) -> str:
    return snapshot.customers[trunk].members[trunk].says()


def _refused(facts: Facts, unfit: Unfit, notes: list[str]) -> dict[str, Any]:
    """The answer for a call that is refused before any rule is asked."""
    status, reason, _ = unfit.refusal
    lines = [f"refused with {status} {reason}: {unfit.reason}", f"remedy: {unfit.remedy}"]
    decision = {"kind": "reject", "status": status, "reason": reason}
    return {
        "facts": _named(facts), "trace": [], "decision": decision, "lines": lines, "notes": notes,
        "assumed": {}, "hooks_not_run": [],
    }  # fmt: skip


def _facts(
    snapshot: Snapshot, options: argparse.Namespace, comes: Arrival, headers: Mapping[str, str], now: float
) -> Facts:
    user, _, realm = options.user.partition("@")
    codecs = tuple(name.strip().upper() for name in options.codecs.split(",") if name.strip())
    caller = read_party(options.caller) if options.caller else NOBODY
    called, services = read_party(options.called), snapshot.settings.emergency
    emergency = options.method == "INVITE" and services is not None and services.means(called)
    return written(
        comes, called, caller, headers, now=now, sdp_codecs=codecs,
        sdp_srtp=options.srtp or "none", auth_user=user, auth_realm=realm,
        redirected_from=read_party(options.redirected_from).user if options.redirected_from else "",
        referred_by=read_party(options.referred_by).user if options.referred_by else "",
        emergency=emergency, unchallenged=emergency, method=options.method,
    )  # fmt: skip


def _arrival(snapshot: Snapshot, options: argparse.Namespace, now: float) -> tuple[Arrival, list[str]]:
    """How the call comes, and what is to be said about its certificate."""
    comes = arrival(snapshot.trunks[options.trunk], snapshot.settings)
    if options.source:
        comes = comes._replace(source=_address(options.source))
    notes = _from_elsewhere(snapshot.trunks[options.trunk], comes.source)
    if options.cert is None:
        return comes, notes
    proved, said = _with_certificate(snapshot, comes, options, now)
    return proved, [*notes, *said]


def _address(text: str) -> str:
    try:
        return str(ip_address(text))
    except ValueError:
        raise LocalError(f"--source {text!r} is not an address; such as 203.0.113.9") from None


def _from_elsewhere(trunk: Trunk, source: str) -> list[str]:
    """That calls from an address are let in only where we have connected to it."""
    if not source or any(ip_address(source) in ip_network(each) for each in trunk.sources):
        return []
    where = (
        f"{source} is in none of the sources of {trunk.trunk} ({', '.join(trunk.sources) or 'it has none'})"
    )
    return [f"{where}: from there calls come only on a connection that we have opened", ""]


def _with_certificate(
    snapshot: Snapshot, comes: Arrival, options: argparse.Namespace, now: float
) -> tuple[Arrival, list[str]]:
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
    admission = table.admit(comes.listener, comes.source, "")
    if admission is None:
        raise LocalError(f"no trunk of listener {comes.listener!r} is admitted from {comes.source}")
    verified = verify(admission, ders, now)
    notes = []
    if verified.trunk != comes.trunk:
        why = verified.failure.detail if verified.failure is not None else f"it is {verified.trunk}'s"
        notes = [f"this certificate does not make the peer {comes.trunk}: {why}", ""]
    peer = read_certificate(ders[0]).identity
    proved = comes._replace(
        peer_verified=verified.trunk == comes.trunk, peer_sans=peer.sans, peer_issuer=peer.issuer,
        peer_subject=peer.subject, peer_pin=peer.pin,
    )  # fmt: skip
    return proved, notes


def _answers(snapshot: Snapshot, written: list[str]) -> Answers:
    """What services answer, as it was said; LocalError for what they could not."""
    answers: dict[str, Answer] = {}
    for each in written:
        name, _, said = each.partition("=")
        lookup = snapshot.lookups.get(name)
        if lookup is None:
            known = ", ".join(snapshot.lookups) or "none"
            raise LocalError(f"--lookup {name!r}: there is no such lookup; there are: {known}")
        try:
            answers[name] = parse_answer(said.encode("utf-8", "replace"), lookup.service, snapshot.trunks)
        except NoAnswer as why:
            raise LocalError(f"--lookup {name}: this is no answer of it: {why}") from None
    return answers


def _unasked(trace: list[str], answers: Answers) -> list[str]:
    """The line about services that would have been asked, and nobody has said what they answer."""
    asked = [name for line in trace for name in _ASKED.findall(line) if name not in answers]
    if not asked:
        return []
    names = ", ".join(dict.fromkeys(asked))
    return [f"services are not asked here, each `else` counts; --lookup NAME=JSON says what {names} answers"]


# What is taken for granted


def _said(snapshot: Snapshot, options: argparse.Namespace, headers: Mapping[str, str]) -> Iterator[str]:
    """The facts that are not a guess, by their attributes."""
    trunk = snapshot.trunks[options.trunk]
    yield from _SETTLED
    for side, text in (("ruri", options.called), ("from", options.caller)):
        whole = "@" in text or is_uri(text)  # a number alone says nothing of a host
        yield from (f"{side}_{name}" for name in (NOBODY._fields if whole else ("user",) * bool(text)))
    for attribute, text in (
        ("sdp_codecs", options.codecs), ("sdp_srtp", options.srtp), ("auth_user", options.user),
        ("call_id", headers.get("call-id")),
    ):  # fmt: skip
        if text:
            yield attribute
    if options.source or _is_one_address(trunk):
        yield "source"
    if not snapshot.hooks.invite:
        yield "tags"
    yield from _proved(snapshot, trunk, options.cert is not None)


def _proved(snapshot: Snapshot, trunk: Trunk, shown: bool) -> Iterator[str]:
    """What is known of TLS and the peer's certificate, which is ``shown`` or not."""
    mode = trunk.tls.mode if trunk.tls is not None else "off"
    if snapshot.settings.listeners[trunk.listener].transport != "tls":
        yield from (*_TLS, *_PEER, "peer_verified")
    elif shown or mode == "server":
        yield from (*_PEER, "peer_verified")
    elif mode == "required":
        yield "peer_verified"


def _is_one_address(trunk: Trunk) -> bool:
    return len(trunk.sources) == 1 and ip_network(trunk.sources[0]).num_addresses == 1


def _told(assumed: Mapping[str, str]) -> list[str]:
    """The line about what the rules ask and nobody has said; none where there is nothing to say."""
    if not assumed:
        return []
    return [
        "assumed, for the rules ask it: " + ", ".join(f"{name} is {value}" for name, value in assumed.items())
    ]


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if callable(value):
        return "0" if value("") == 0 else "empty"
    return str(value) if value or value == 0 else "empty"


def _named(facts: Facts) -> dict[str, Any]:
    """The facts under the names of the language; what is looked up by a name is left out."""
    values = {name: getattr(facts, fact.attribute) for name, fact in FACTS.items() if name not in CLOCK_FACTS}
    return {name: value for name, value in values.items() if not callable(value)} | {"time": facts.now}
