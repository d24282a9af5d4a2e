"""``sbc support``: one file for whoever is asked for help, and nothing secret in it.

Every part stands for itself: what cannot be had, because nothing runs, because the configuration is broken or
because of a right that is missing, is a line in the pack and no reason for there to be none.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from sbc.base import ConfigError, LocalError
from sbc.commands.parser import Commands

_ABOUT = """\
What `sbc support` packed on {date} of {directory}.

Keys, passphrases, passwords, tokens, the hashes of users and the comments of the configuration are left out,
hooks and tables too. The journal and the records tell who called whom: give the pack to nobody who may not
know that.
"""


def add(commands: Commands) -> None:
    """Add this command."""
    text = (
        "pack configuration without secrets, versions, status and last lines into one file, for whoever helps"
    )
    support = commands.add("support", _support, text)
    text = "the pack; portcullis-support-TIME.tar.gz without it"
    support.add_argument("-o", "--output", type=Path, metavar="FILE", help=text)
    text = "the journal; without it what /etc/default/portcullis names"
    support.add_argument("--log", type=Path, metavar="FILE", help=text)


def _support(options: argparse.Namespace) -> int:
    now = time.time()
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now))
    name = f"portcullis-support-{stamp}"
    path = options.output or Path(f"{name}.tar.gz")
    texts, missing = gathered(options.config, options.log, now)
    from sbc.commands.support_file import write_pack

    left = write_pack(path, name, texts, now)
    for each in (*missing, *left):
        print(each, file=sys.stderr)
    print(f"{path}: look at it before you send it")
    return 0


def gathered(directory: Path, log: Path | None, now: float) -> tuple[dict[str, str], list[str]]:
    """The texts of the pack by name, nothing secret in them, and what is not there and why."""
    from sbc.commands import support_parts as parts

    blotter = parts.blotter(directory)
    texts: dict[str, str] = {}
    missing: list[str] = []
    sources: tuple[tuple[str, Callable[[], Iterator[tuple[str, str]]]], ...] = (
        ("configuration", lambda: parts.configuration(directory, blotter)),
        ("versions", parts.versions),
        ("check", lambda: parts.checked(directory, now)),
        ("files", lambda: parts.files(directory)),
        ("certificates", lambda: parts.certificates(directory)),
        ("running", lambda: parts.running(directory)),
        ("trace", lambda: parts.traces(directory)),
        ("journal", lambda: parts.journal(log)),
        ("records", lambda: parts.records(directory)),
    )
    for part, source in sources:
        try:
            texts.update(source())
        except OSError as error:
            missing.append(f"{part}: {error.filename}: {error.strerror}")
        except (LocalError, ConfigError, ValueError, RecursionError) as error:
            missing.append(f"{part}: {error}")
    blotted = {
        name: blotter.without_known(text) if name.startswith(parts.CONFIGURATION) else blotter.told(text)
        for name, text in texts.items()
    }
    about = _ABOUT.format(date=time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(now)), directory=directory)
    missing = [blotter.told(each) for each in missing]
    blotted["about.txt"] = "\n".join([about, *(f"Missing: {each}" for each in missing), ""])
    return blotted, missing
