"""The torture messages of RFC 4475 and RFC 5118, over TLS, from an admitted peer to a running SBC.

Each comes on a connection of its own, whatever transport its Via names. What is due is in
``expected.json`` beside the messages. On a stream there is more to it than on a datagram, because
Content-Length alone says where a message ends (RFC 3261 18.3):

* without one, or with one that is nonsense, nothing that follows can be believed: 400, and close;
* where it promises more than comes, the SBC waits; when the peer closes, the rest is forgotten;
* where it promises less, what is left over begins the next message, and spoils it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import gevent
import pytest

from sbc.sip.message import Request, Response
from tests.edge.attacked import CORPORA, Attacked, attacked
from tests.edge.raw_sip import PROBE, Reluctant, Stream, options
from tests.peers.waiting import until, until_equal

RFC4475, RFC5118 = CORPORA / "rfc4475", CORPORA / "rfc5118"
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not RFC4475.is_dir(), reason=f"the torture messages are not at {RFC4475}"),
]

EXPECTED: dict[str, list[object]] = {}
if RFC4475.is_dir():
    EXPECTED = {
        name: each["expect"] for name, each in json.loads((RFC4475 / "expected.json").read_text()).items()
    }
# "test" is none of the RFC's: it has neither a SIP version nor a Via, and a line without a colon.
NAMES = sorted(set(EXPECTED) - {"test"})

# What "process" means here: we speak INVITE and its kin alone, so a registrar's requests are refused as
# such; OPTIONS is for ourselves; a request within a dialog that we do not have is refused.
NO_REGISTRAR, UNKNOWN_METHOD, NO_DIALOG, OURS = 405, 501, 481, 200
PROCESSED = {
    "cparam01": NO_REGISTRAR, "cparam02": NO_REGISTRAR, "dblreq": NO_REGISTRAR, "escnull": NO_REGISTRAR,
    "regescrt": NO_REGISTRAR, "mpart01": NO_REGISTRAR, "esc02": UNKNOWN_METHOD, "intmeth": UNKNOWN_METHOD,
    "lwsdisp": OURS, "semiuri": OURS, "transports": OURS, "wsinv": NO_DIALOG,
    "ipv6-good": NO_REGISTRAR, "port-ambiguous": NO_REGISTRAR, "port-unambiguous": NO_REGISTRAR,
    "ipv6-correct-abnf-2-colons": OURS, "via-received-param-no-delim": OURS,
    "via-received-param-with-delim": NO_DIALOG, "mult-ip-in-header": NO_DIALOG,
}  # fmt: skip
# Valid responses, but to nothing that we asked.
STRAY = {"noreason", "unreason"}
# RFC 5118 4.2: the brackets are missing; 4.10: three colons in a row.
# 4.7: all its media is IPv6, of which an SBC whose media is IPv4 has no socket (RFC 3264 6: 488).
IPV6_EXPECTED: dict[str, list[object]] = {
    "ipv6-bad": [400], "ipv6-bug-abnf-3-colons": [400, "process"], "ipv6-in-sdp": [488],
}  # fmt: skip
# Max-Forwards says whether a request may go on. OPTIONS is not sent on, it is answered here.
ALSO = {"zeromf": [OURS]}
# Without Content-Length: right on a datagram, but the end of any stream.
ON_A_STREAM: dict[str, list[object]] = {"inv2543": [400, "close"]}


@pytest.fixture(scope="module")
def sbc(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Attacked]:
    with attacked(tmp_path_factory.mktemp("torture"), srtp="accept", carrier=Reluctant) as made:
        yield made


@pytest.fixture(scope="module")
def probe(sbc: Attacked) -> Iterator[Stream]:
    """A connection that nobody tortures, open all the time."""
    stream = Stream(sbc.stream())
    yield stream
    stream.close()


def octets(path: Path) -> bytes:
    """One message; where the corpus's copy lacks the empty line at the end (baddn), with it."""
    data = path.read_bytes()
    return data if b"\r\n\r\n" in data else data + b"\r\n"


def framing(data: bytes) -> int | None:
    """How many octets Content-Length promises beyond those that come; None where it says nothing sound."""
    head, _, body = data.partition(b"\r\n\r\n")
    found = re.findall(rb"(?im)^(?:content-length|l)[ \t]*:[ \t]*([^\r\n]*)", head)
    if len(set(found)) != 1 or not found[0].strip().isdigit():
        return None
    return int(found[0]) - len(body)


def finals(stream: Stream) -> list[int]:
    """The statuses of the final responses that came, in order."""
    return [
        each.status
        for each in stream.heard
        if isinstance(each, Response) and each.status >= 200 and PROBE not in (each.headers.get("From") or "")
    ]


def invited(sbc: Attacked) -> int:
    """How many INVITEs the callee has heard."""
    return sum(
        not each.outgoing and isinstance(each.message, Request) and each.message.method == "INVITE"
        for each in sbc.carrier.record
    )


def torture(sbc: Attacked, probe: Stream, path: Path, expected: list[object]) -> None:
    data = octets(path)
    stream = Stream(sbc.stream())
    before = invited(sbc)
    stream.send(data)
    owed = framing(data)
    if owed == 0:
        assert options(stream), "the message was whole, yet the connection is of no use after it"
    if owed is None:
        until(lambda: stream.closed, "an end, for the framing cannot be believed")
    elif owed > 0 or "drop" in expected or path.stem in STRAY:
        gevent.sleep(0.2)  # nothing need come
    else:
        until(lambda: stream.closed or finals(stream), "an answer")
    answered, closed, routed = finals(stream), stream.closed, invited(sbc) - before
    stream.close()
    assert options(probe), "the SBC is gone, or busy"
    if owed is not None and owed > 0:
        assert answered == [] and not closed, "an answer to half a message"
    elif owed is None:
        assert answered in ([], [400]), "the framing was believed"
    else:
        assert closed <= (owed < 0)
        check(path.stem, answered, routed, expected)


def check(name: str, answered: list[int], routed: int, expected: list[object]) -> None:
    if not answered:
        assert "drop" in expected or name in STRAY, "no answer"
    elif answered[0] in (*expected, *ALSO.get(name, ())):
        assert not routed, "refused, and yet it went on"
    else:
        assert "process" in expected, f"{answered} where {expected} was due"
        wanted = PROCESSED.get(name)
        assert (answered[0], routed) == ((wanted, 0) if wanted else (486, 1)), "not sent on"


@pytest.mark.parametrize("name", NAMES)
def test_rfc4475(sbc: Attacked, probe: Stream, name: str) -> None:
    torture(sbc, probe, RFC4475 / f"{name}.dat", ON_A_STREAM.get(name) or EXPECTED[name])


@pytest.mark.parametrize(
    "path", sorted(RFC5118.iterdir()) if RFC5118.is_dir() else [], ids=lambda each: each.name
)
def test_rfc5118(sbc: Attacked, probe: Stream, path: Path) -> None:
    torture(sbc, probe, path, IPV6_EXPECTED.get(path.name, ["process"]))


def test_all_of_them_on_one_connection_after_another(sbc: Attacked, probe: Stream) -> None:
    """As one peer sends them: each right behind the last, reconnecting where the SBC hangs up."""
    stream = Stream(sbc.stream())
    paths = [RFC4475 / f"{name}.dat" for name in NAMES]
    for path in paths + (sorted(RFC5118.iterdir()) if RFC5118.is_dir() else []):
        if stream.closed:
            stream.close()
            stream = Stream(sbc.stream())
        stream.send(octets(path))
        gevent.sleep(0.005)
    assert options(probe)
    stream.close()


def test_nothing_is_left_over(sbc: Attacked, probe: Stream) -> None:
    until_equal(sbc.held, {"calls": 0, "ports": 0})
    assert options(probe)
