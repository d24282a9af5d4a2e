"""What ``sbc support`` packs, a function for each part; each yields names and texts.

Nothing here is trusted to be well formed or to be there. What a function raises becomes a line of the pack.
"""

from __future__ import annotations

import json
import os
import platform
import re
import stat
import time
from collections import deque
from collections.abc import Container, Iterator
from dataclasses import replace
from importlib.metadata import distributions
from itertools import islice
from pathlib import Path
from typing import Any

from dsl.errors import Diagnostic
from sbc.base import ConfigError, LocalError
from sbc.config.control import control_path, state_path
from sbc.config.files import SETTINGS_FILE, Tree, read_acl, read_tree, shown
from sbc.config.watched import Watched, watched
from sbc.config.yaml_reader import Document
from sbc.observe.blotting import Blotter
from sbc.observe.cdr import RECORDS
from sbc.observe.text import iso_time
from sbc.tls.material.certificate import UNREADABLE, Certificate, facts_of
from sbc.tls.material.pem import labels

CONFIGURATION = "config/"
_DEFAULTS = Path("/etc/default/portcullis")
_LOG = Path("/var/log/portcullis/portcullis.log")
# Octets of the end of a journal or of records, and of a file that holds a password or hashes.
_LAST, _SECRET = 512 << 10, 4 << 20
_MOST_FILES, _MOST_MESSAGES = 2000, 2000
# Seconds without a word of the running SBC.
_PATIENCE = 30.0
_SECRETS = re.compile(
    r"\b(?:password|passphrase|token|key|url)_file\b[\"']?[ \t]*:[ \t]*[\"']?([^\"'\s,}#]+)"
)
_USERS = re.compile(r"\busers\b[\"']?[ \t]*:[ \t]*[\"']?([^\"'\s,}#{]+)")
# What is called so is a file, though it may be missing.
_FILE_NAME = re.compile(r"[\w./-]+\.(?:pem|key|crt|cer|der|txt)").fullmatch
_WORDS = re.compile(r"[/:@?&=]+")
_SYSTEM = re.compile(r"^PRETTY_NAME=\"?([^\"\n]*)", re.MULTILINE)
_LIBSRTP = re.compile(rb"libsrtp\d? \d+\.\d+\.\d+")
_LOG_OF = re.compile(r"^LOG=[\"']?([^\"'\s]+)", re.MULTILINE)
_DIGEST = re.compile(r":([0-9a-fA-F]{64}|[0-9a-fA-F]{32})\b")


def blotter(directory: Path) -> Blotter:
    """One that knows the names of files here, and what the secret ones hold."""

    def is_file(value: str) -> bool:
        if _FILE_NAME(value):
            return True
        try:
            path = directory / value
            return path.exists() or ("/" in value.strip("/") and path.parent.is_dir())
        except (OSError, ValueError):
            return False

    found = Blotter(is_file)
    for text in _texts(_tree(directory)).values():
        for name in _SECRETS.findall(text):
            for word in _read(directory / name).split():
                found.learn([word, *_WORDS.split(word.partition("://")[2])])
        for name in _USERS.findall(text):
            found.learn(_DIGEST.findall(_read(directory / name)))
    return found


def _tree(directory: Path) -> Tree:
    tree = read_tree(directory)
    acl = _settings(tree).get("acl")
    if isinstance(acl, str) and acl:
        read_acl(directory, acl, tree)
    return tree


def _settings(tree: Tree) -> dict[str, Any]:
    """The data of sbc.yaml, whatever is wrong with it."""
    data = Document(SETTINGS_FILE, tree.settings or "").data
    return data if isinstance(data, dict) else {}


def _texts(tree: Tree) -> dict[str, str]:
    settings = {SETTINGS_FILE: tree.settings} if tree.settings is not None else {}
    return {**settings, **tree.trunks, **tree.acl, **tree.routes}


def _read(path: Path) -> str:
    """The text of an ordinary file that is not too long; empty where it cannot be had."""
    try:
        found = path.stat()
        if not stat.S_ISREG(found.st_mode) or found.st_size > _SECRET:
            return ""
        return path.read_bytes().decode("utf-8", "replace")
    except (OSError, ValueError):
        return ""


def configuration(directory: Path, blotter: Blotter) -> Iterator[tuple[str, str]]:
    """sbc.yaml, trunks, access list and rules without secrets; hooks are foreign code, and only listed."""
    for name, text in _texts(_tree(directory)).items():
        yield f"{CONFIGURATION}{name.lstrip('/')}", blotter.configuration(text)


def versions() -> Iterator[tuple[str, str]]:
    """Of Portcullis, Python, the system and every package."""
    import OpenSSL
    import pylibsrtp._binding
    from cryptography.hazmat.backends.openssl import backend

    from sbc.release import line

    system = _read(Path("/etc/os-release"))
    name = _SYSTEM.search(system)
    lines = [
        line(),
        f"python {platform.python_version()} {platform.python_compiler()}",
        f"system {name[1] if name else 'unknown'}; {platform.platform()}; {os.cpu_count()} processors",
        f"openssl {backend.openssl_version_text()}; pyOpenSSL {OpenSSL.version.__version__}",
        _libsrtp(Path(pylibsrtp._binding.__file__)),
        "",
        *sorted({f"{each.name} {each.version}" for each in distributions()}, key=str.lower),
    ]
    yield "versions.txt", "\n".join(lines)


def _libsrtp(binding: Path) -> str:
    """The name and version of the library in the binding, which has no function to ask for it."""
    found = _LIBSRTP.search(binding.read_bytes())
    return found[0].decode() if found else "libsrtp of unknown version"


def checked(directory: Path, now: float) -> Iterator[tuple[str, str]]:
    """What ``sbc check`` says of the configuration, without the lines that it quotes."""
    from sbc.config.exposure import exposures
    from sbc.config.load import build_snapshot

    try:
        snapshot = build_snapshot(directory, now)
    except ConfigError as error:
        head, found = "refused", tuple(error.diagnostics)
    else:
        head, found = f"version {snapshot.version}", (*snapshot.warnings, *exposures(snapshot))
    packed = _texts(_tree(directory))
    yield "check.txt", "\n".join([head, *(str(_unquoted(each, packed)) for each in found)])


def _unquoted(each: Diagnostic, packed: Container[str]) -> Diagnostic:
    """Of a file that is not in the pack, such as a hook, a table or users, only where the mistake is."""
    if each.line and each.path not in packed:
        return replace(each, source="", message="what is wrong here `sbc check` tells", hint="")
    return replace(each, source="")


def files(directory: Path) -> Iterator[tuple[str, str]]:
    """Which files there are, with their rights, owners, sizes and dates; never what is in them."""
    lines = []
    for path in sorted(islice(directory.rglob("*"), _MOST_FILES + 1)):
        found = path.lstat()
        date = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(found.st_mtime))
        owner = f"{found.st_uid}:{found.st_gid}"
        name = str(path.relative_to(directory))
        lines.append(f"{stat.filemode(found.st_mode)} {owner:>11} {found.st_size:>9} {date} {name!a}")
    if len(lines) > _MOST_FILES:
        lines[-1] = "... and more"
    yield "files.txt", "\n".join(lines)


def certificates(directory: Path) -> Iterator[tuple[str, str]]:
    """The public facts of each certificate that the configuration names."""
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import Encoding

    found: list[dict[str, Any]] = []
    for path in dict.fromkeys(path for each in watched(directory) for path in _matching(each)):
        text = _read(path)
        if "CERTIFICATE" not in labels(text.encode()):
            continue
        try:
            for each in x509.load_pem_x509_certificates(text.encode()):
                found.append(
                    {
                        "file": shown(directory, path),
                        **_facts(facts_of(each, each.public_bytes(Encoding.DER))),
                    }
                )
        except UNREADABLE as error:
            found.append({"file": shown(directory, path), "unreadable": type(error).__name__})
    yield "certificates.json", json.dumps(found, indent=2)


def _facts(certificate: Certificate) -> dict[str, Any]:
    who = certificate.identity
    return {
        "subject": who.subject, "issuer": who.issuer, "names": who.sans, "pin": who.pin,
        "thumbprint": who.thumbprint, "from": iso_time(who.not_before), "until": iso_time(who.not_after),
        "ca": certificate.is_ca,
    }  # fmt: skip


def _matching(each: Watched) -> Iterator[Path]:
    try:
        yield from sorted(each.directory.glob(each.pattern))
    except (OSError, ValueError):
        return


def running(directory: Path) -> Iterator[tuple[str, str]]:
    """What ``sbc status --json`` says; LocalError where no SBC answers."""
    from sbc.commands.asking import ask

    yield "status.json", json.dumps(ask(control_path(directory), "status"), indent=2)


def traces(directory: Path) -> Iterator[tuple[str, str]]:
    """The last messages that the running SBC has kept, keys and digests masked; LocalError without one."""
    from sbc.commands.asking import following
    from sbc.commands.trace import events
    from sbc.observe.trace.ladder import Ladder

    ladder = Ladder(lambda _, text: text, unicode=True, whole=True)
    lines = [ladder.head()]
    with following(control_path(directory), "trace", _PATIENCE, last=True, most=_MOST_MESSAGES) as source:
        for event in events(source):
            lines += ladder.lines(event)
    yield "trace.txt", "\n".join(lines)


def journal(log: Path | None) -> Iterator[tuple[str, str]]:
    """The last lines of the journal, and what was said beside it at the start."""
    path = log or _default_log()
    yield "journal.log", _last(path)
    errors = path.parent / "stderr.out"
    if errors.exists():
        yield "stderr.out", _last(errors)


def _default_log() -> Path:
    """What the init script and the unit take."""
    named = _LOG_OF.findall(_read(_DEFAULTS))
    return Path(named[-1]) if named else _LOG


def records(directory: Path) -> Iterator[tuple[str, str]]:
    """The last call records."""
    yield RECORDS, _last(state_path(directory) / RECORDS)


def _last(path: Path) -> str:
    """The whole lines of the end of an ordinary file."""
    if not stat.S_ISREG(path.stat().st_mode):
        raise LocalError(f"{path} is not a file")
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - _LAST))
        lines = deque(file.read(_LAST).split(b"\n"))
    if size > _LAST:
        lines.popleft()  # its beginning is missing
    return b"\n".join(lines).decode("utf-8", "backslashreplace")
