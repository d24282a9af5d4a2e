"""``sbc trace``: decrypted SIP as a ladder in the terminal, or as a file for Wireshark."""

from __future__ import annotations

import argparse
import errno
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, BinaryIO

from sbc.base import LocalError
from sbc.commands.parser import GOOD, Commands

if TYPE_CHECKING:
    from sbc.observe.tap import Seen
    from sbc.observe.trace.frames import Remark

_LIVE, _FILE = 3600.0, 60.0
_MOST = 10_000
# The SBC says something every five seconds.
_PATIENCE = 60.0


def add(commands: Commands) -> None:
    """Add this command."""
    each = commands.add("trace", _trace, "show the SIP messages of the running SBC, decrypted, as they come")
    each.add_argument("--trunk", default="", metavar="T", help="only calls and messages of this trunk")
    text = "only this call: as `sbc calls` shows it, or by a Call-ID of it"
    each.add_argument("--call", default="", metavar="ID", help=text)
    text = "what was kept (trace.ring of sbc.yaml), in the place of what comes"
    each.add_argument("--last", action="store_true", help=text)
    each.add_argument("--whole", action="store_true", help="show every message, not only its first line")
    each.add_argument("-w", "--write", metavar="FILE", help="write a pcapng file, which Wireshark opens")
    text = "end after so long (30s, 5m); without it after 60s with -w, else after 1h"
    each.add_argument("--for", dest="seconds", type=_duration, metavar="TIME", help=text)
    text = f"end after so many messages; without it after {_MOST} with -w"
    each.add_argument("--most", type=_count, metavar="N", help=text)
    text = "show keys, digests and passwords; WORD, such as a ticket's number, goes to the journal"
    each.add_argument("--secrets", default="", metavar="WORD", help=text)


def _duration(text: str) -> float:
    from sbc.config.values import parse_duration

    try:
        return parse_duration(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _count(text: str) -> int:
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"{text!r} is no number of messages: write one such as 10000")
    return int(text)


def _trace(options: argparse.Namespace) -> int:
    from sbc.commands.asking import following
    from sbc.config.control import control_path

    seconds = options.seconds or (_FILE if options.write else _LIVE)
    most = options.most or (_MOST if options.write else 0)
    asked = {
        "trunk": options.trunk, "call": options.call, "last": options.last, "seconds": seconds, "most": most,
        "secrets": options.secrets,
    }  # fmt: skip
    with following(control_path(options.config), "trace", _PATIENCE, **asked) as source:
        if options.write:
            with _new_file(options.write) as file:
                _write(source, file, options.write)
        else:
            _show(source, options)
    return GOOD


def events(source: BinaryIO) -> Iterator[Seen | Remark]:
    """What comes, until it ends, Control-C is pressed, or the SBC is gone."""
    from sbc.observe.trace.frames import Broken, Decoder, Remark

    decoder = Decoder(source)
    try:
        while True:
            event = decoder.next()
            if event is None:
                yield Remark("end", 0.0, "", "the SBC has closed the connection: it stops, or is gone")
                return
            yield event
            if isinstance(event, Remark) and event.kind == "end":
                return
    except KeyboardInterrupt:
        return
    except (OSError, Broken) as error:
        raise LocalError(f"the trace ends here: {error}") from None


def _show(source: BinaryIO, options: argparse.Namespace) -> None:
    from sbc.demo.paint import Paint
    from sbc.observe.trace.ladder import Ladder

    paint = Paint(sys.stdout)
    ladder = Ladder(paint, paint.unicode and sys.stdout.isatty(), options.whole, named=not options.call)
    paint.say(ladder.head())
    for event in events(source):
        for line in ladder.lines(event):
            paint.say(line)


def _write(source: BinaryIO, file: BinaryIO, name: str) -> None:
    from sbc.observe.tap import Seen
    from sbc.observe.trace.pcapng import beginning, packet
    from sbc.release import line

    file.write(beginning(line()))
    count, missed, why = 0, 0, "ended by the keyboard"
    remarks: list[str] = []
    for event in events(source):
        if isinstance(event, Seen):
            file.write(packet(event, tuple(remarks)))
            file.flush()
            remarks.clear()
            count += 1
        elif event.kind == "lost":
            missed += int(event.text)
            remarks.append(f"{event.text} messages are missing before this one")
        elif event.kind == "end":
            why = event.text
        else:
            remarks.append(f"{event.call or '-'}: {event.text}")
            del remarks[:-20]
    missing = f"; {missed} are missing: they came faster than they were read" if missed else ""
    print(f"{count} messages are in {name}{missing}; {why}")


@contextmanager
def _new_file(name: str) -> Iterator[BinaryIO]:
    """A file that nobody else may read; LocalError where there is one already, or it cannot be made."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
    try:
        number = os.open(name, flags, 0o600)
    except OSError as error:
        text = "it is there already; name another" if error.errno == errno.EEXIST else error.strerror
        raise LocalError(f"cannot write {name}: {text}") from None
    with os.fdopen(number, "wb") as file:
        yield file
