"""The cases of PROTOS c07-sip, filled in: each is an INVITE with one field gone mad, and what ends it.

A case is a file of parts, ``LENGTH OCTETS`` one after the other; placeholders stand in angle brackets
where the tool knew something of its target. Read straight from the archive; nothing is kept.
"""

from __future__ import annotations

import re
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.edge.attacked import CORPORA

ARCHIVE = CORPORA / "protos-c07-sip.tar.gz"
COUNT = 2264
MISSING = f"the PROTOS c07-sip cases are not at {ARCHIVE}"
TO = "sip:protos@sbc.lab.example"
_LENGTH = re.compile(rb"(\d+) ")
_BODY = re.compile(rb"\r?\n\r?\n")


@dataclass(frozen=True, slots=True)
class Case:
    """One case as it goes out: its INVITE, and the CANCEL, ACK and BYE that end it."""

    name: str
    invite: bytes
    teardown: tuple[bytes, ...]


def cases(port: int, archive: Path = ARCHIVE) -> Iterator[Case]:
    """Every case, as from a caller on ``port`` of the loopback."""
    with tarfile.open(archive) as tar:
        for number, member in enumerate(tar):
            content = tar.extractfile(member)
            if content is not None:
                yield _case(member.name, number, port, parts(content.read()))


def parts(content: bytes) -> list[bytes]:
    """The parts of one file."""
    found, at = [], 0
    while match := _LENGTH.match(content, at):
        at = match.end() + int(match[1])
        found.append(content[match.end() : at])
    assert not content[at:].strip(), "something that is no part"
    return found


def _case(name: str, number: int, port: int, found: list[bytes]) -> Case:
    invite, teardown = found
    known = {
        b"<To>": TO.removeprefix("sip:").encode(),
        b"<From>": b"attacker@127.0.0.1:%d" % port,
        b"<From-Address>": b"127.0.0.1",
        b"<From-IP>": b"127.0.0.1",
        b"<Local-Port>": b"%d" % port,
        b"<Branch-ID>": b"%d" % number,
        b"<Call-ID>": b"protos-%d-%d" % (port, number),
        b"<CSeq>": b"1",
    }
    for placeholder, value in known.items():
        invite = invite.replace(placeholder, value)
        teardown = teardown.replace(placeholder, value)
    head = _BODY.search(invite)
    length = len(invite) - head.end() if head else 0
    ends = [teardown.replace(b"<Teardown-Method>", method) for method in (b"CANCEL", b"ACK")]
    ends.append(re.sub(rb"(?m)^CSeq: 1 ", b"CSeq: 2 ", teardown).replace(b"<Teardown-Method>", b"BYE"))
    return Case(name, invite.replace(b"<Content-Length>", b"%d" % length), tuple(ends))
