"""Questions to a DNS server and what it answers, as octets (RFC 1035, 2782, 3403, 6891).

dnspython makes and reads the packets; of it nothing else is used, and it is loaded with the first question.
What arrives is an answer only where it has our number and our very question: all else may be anybody's.
"""

from __future__ import annotations

from typing import Any, Final, Literal, NamedTuple

Kind = Literal["A", "AAAA", "SRV", "NAPTR"]

# How many CNAMEs are followed, and what an answer may hold, over UDP, without being cut (RFC 9715).
MOST_ALIASES: Final = 8
UDP_PAYLOAD: Final = 1232
TOO_MANY: Final = f"over {MOST_ALIASES} CNAMEs behind one another"
REFERRAL: Final = "only who else might know: it asks nobody for us"
# How long it is kept that there is nothing, in seconds, where the answer does not say it (RFC 2308 5).
NOTHING_FOR: Final = 60.0


class Question(NamedTuple):
    """What is asked for: the records of one kind that a name has."""

    name: str
    kind: Kind


class Srv(NamedTuple):
    """One server of a service (RFC 2782); the target "." says that there is none at all."""

    priority: int
    weight: int
    port: int
    target: str


class Naptr(NamedTuple):
    """One way to reach a domain (RFC 3403 4.1); ``replacement`` is where its SRV records are."""

    order: int
    preference: int
    flags: str
    service: str
    replacement: str


Record = str | Srv | Naptr


class Answer(NamedTuple):
    """What a server said: the records, to be kept for ``ttl`` seconds, none where there are none.

    ``alias`` is the name that it leads on to and tells nothing of, after ``aliases`` CNAMEs.
    ``failure`` is why nothing was learned, "" where it was; ``cut`` that not all of it came (TC).
    """

    records: tuple[Record, ...] = ()
    ttl: float = NOTHING_FOR
    alias: str = ""
    aliases: int = 0
    failure: str = ""
    cut: bool = False


class NotTheAnswer(Exception):
    """What arrived does not answer what was asked: another number, another question, or no DNS at all."""


def load() -> None:
    """Load what the first question would wait for; for a thread."""
    import dns.message
    import dns.rdtypes.ANY.CNAME
    import dns.rdtypes.ANY.SOA
    import dns.rdtypes.IN.A
    import dns.rdtypes.IN.AAAA
    import dns.rdtypes.IN.NAPTR
    import dns.rdtypes.IN.SRV  # noqa: F401


def query(question: Question, number: int, edns: bool = True) -> bytes:
    """The packet that asks ``question`` under ``number``, 16 bits by chance; ValueError for no name."""
    import dns.exception
    import dns.message

    payload = {"use_edns": 0, "payload": UDP_PAYLOAD} if edns else {"use_edns": False}
    try:
        made = dns.message.make_query(question.name, question.kind, id=number, **payload)
    except (dns.exception.DNSException, UnicodeError):
        raise ValueError(f"{question.name} is no name: a part of it is empty or too long") from None
    return bytes(made.to_wire())


def read(question: Question, number: int, data: bytes) -> Answer:
    """What ``data`` answers to ``question``; NotTheAnswer where it does not."""
    import dns.exception
    import dns.flags
    import dns.message
    import dns.opcode
    import dns.rcode

    try:
        found = dns.message.from_wire(data, one_rr_per_rrset=False, ignore_trailing=True)
    except (dns.exception.DNSException, ValueError) as error:
        raise NotTheAnswer(f"it is no DNS: {error}") from None
    if found.id != number or not found.flags & dns.flags.QR or found.opcode() != dns.opcode.QUERY:
        raise NotTheAnswer("it has another number, or is no answer")
    code = found.rcode()
    if code in (dns.rcode.FORMERR, dns.rcode.NOTIMP) and not found.question:
        return Answer(failure=dns.rcode.to_text(code))
    if not _asks(found, question):
        raise NotTheAnswer("it answers another question")
    if found.flags & dns.flags.TC:
        return Answer(cut=True, failure="the answer was cut")
    if code not in (dns.rcode.NOERROR, dns.rcode.NXDOMAIN):
        return Answer(failure=dns.rcode.to_text(code))
    return _follow(found, question)


def _asks(found: Any, question: Question) -> bool:
    import dns.name
    import dns.rdataclass
    import dns.rdatatype

    if len(found.question) != 1:
        return False
    asked = found.question[0]
    kind, here = dns.rdatatype.from_text(question.kind), dns.rdataclass.IN
    return bool((asked.name, asked.rdtype, asked.rdclass) == (dns.name.from_text(question.name), kind, here))


def _follow(found: Any, question: Question) -> Answer:
    """The records of the name, or of what it is an alias of (RFC 1034 3.6.2)."""
    import dns.name
    import dns.rdataclass
    import dns.rdatatype

    kind = dns.rdatatype.from_text(question.kind)
    sets = {(each.name, each.rdtype): each for each in found.answer if each.rdclass == dns.rdataclass.IN}
    name, ttl, aliases = dns.name.from_text(question.name), float("inf"), 0
    while (name, kind) not in sets and (name, dns.rdatatype.CNAME) in sets:
        alias = sets[name, dns.rdatatype.CNAME]
        ttl, aliases = min(ttl, float(alias.ttl)), aliases + 1
        name = alias[0].target
        if aliases > MOST_ALIASES:
            return Answer(failure=TOO_MANY)
    rrset = sets.get((name, kind))
    if rrset is not None:
        return Answer(tuple([_record(each) for each in rrset]), min(ttl, float(rrset.ttl)), aliases=aliases)
    nothing = _nothing_for(found)
    if not aliases and nothing is None and _refers(found):
        return Answer(failure=REFERRAL)
    if aliases and nothing is None:  # this server does not know what is at the other end
        return Answer((), ttl, _text(name), aliases)
    return Answer((), min(ttl, NOTHING_FOR if nothing is None else nothing), aliases=aliases)


def _refers(found: Any) -> bool:
    """Whether it says only who might know: that is not that there is nothing (RFC 2308 2.2)."""
    import dns.rdatatype

    return any(each.rdtype == dns.rdatatype.NS for each in found.authority)


def _nothing_for(found: Any) -> float | None:
    """How long it may be kept that there is nothing (RFC 2308 5), None where the answer does not say."""
    import dns.rdatatype

    for each in found.authority:
        if each.rdtype == dns.rdatatype.SOA:
            return float(min(each.ttl, each[0].minimum))
    return None


def _record(rdata: Any) -> Record:
    import dns.rdatatype

    if rdata.rdtype == dns.rdatatype.SRV:
        return Srv(rdata.priority, rdata.weight, rdata.port, _text(rdata.target))
    if rdata.rdtype == dns.rdatatype.NAPTR:
        flags, service = _octets(rdata.flags), _octets(rdata.service)
        return Naptr(rdata.order, rdata.preference, flags, service, _text(rdata.replacement))
    return str(rdata.address)


def _text(name: Any) -> str:
    return str(name.to_text(omit_final_dot=True)).lower()


def _octets(data: bytes) -> str:
    return data.decode("ascii", "replace").lower()
