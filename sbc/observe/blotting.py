"""Texts for somebody else's eyes: a configuration, a journal or a record without anything secret in it.

A configuration that has a mistake is what help is asked for most, so nothing here trusts that it is well
formed: a text is looked at line by line, and where it could be read in two ways, the one is taken that shows
less. What was found to be a secret in one place is blotted out everywhere (``Blotter.learn``), for an error
may quote it. Lines stay where they are, so that a mistake's line number leads to its line.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any, Final

import re2  # type: ignore[import-untyped, unused-ignore]

from sbc.observe.text import redact

BLOT: Final = "***"
# A shorter one would blot out half of the numbers and words that are no secret; nor are these.
_SHORTEST: Final = 5
_WORDS: Final = frozenset({"false", "never", "always", "required", "optional"})
# Of an address of the web a part as long as this is taken for a token.
_TOKEN: Final = 16

_PEM = re.compile(r"-----BEGIN [^\n]*(?:\n(?![ \t]*-----END)[^\n]*)*(?:\n[ \t]*-----END[^\n]*)?")
# What a name has in it whose value is a secret, and what may stand between the two. By RE2 is read what would
# take Python's own patterns the square of a line's length.
_NAME = re2.compile(
    r"(?i)[\w-]*(?:pass|pwd|secret|token|credential|authoriz|cookie|webhook|ha1|digest|hmac|psk|key"
    r"|\bauth\b|\bpw\b)[\w-]*"
)
# Of these the value may be the name of a file, which is no secret.
_NAMES_FILE = ("file", "key")
_mark = re.compile(r"[\"'\])]*\s*[:=]+\s*").match
_GIVEN = re.compile(r"\"([^\"]*)\"?|'([^']*)'?|([^\s,}\]]*)")
_SCHEME = re.compile(r"\b(bearer|basic|digest)(\s+)[^\s\"',}\]]+", re.IGNORECASE)
_URL = re2.compile(r"(?i)\b([a-z][a-z0-9+.-]*)://([^\s\"'<>,}\]]*)")
_USERINFO = re.compile(r"(://)[^\s/@\"']+@")
_PARTS = re.compile(r"[/:@?&=]+")
# Schemes whose addresses name a place; of all others, such as a messenger's, the address itself is secret.
_PLACES = ("http", "https", "ldap", "ldaps", "tcp", "udp", "tls")
# A hash alone, and one as a users file has it; no fingerprint, which is public.
_HASH = re.compile(r"(?<![\w/:])(?:[0-9a-fA-F]{64}|[0-9a-fA-F]{40}|[0-9a-fA-F]{32})(?!\w)")
_HEXADECIMAL = re.compile(r"\b(?:[0-9a-fA-F]{64}|[0-9a-fA-F]{32})\b")
_USER_HASH = re2.compile(r"([^\s:]+:[^:]+:)(?:[0-9a-fA-F]{64}|[0-9a-fA-F]{32})\b")
_COMMENT = re.compile(r"(?:^|\s)#.*")
# A quote only begins where a value may: an apostrophe is none.
_QUOTED = re.compile(r"(?:^[\s-]*|[:,\[{]\s*)(?:\"(?:[^\"\\]|\\.)*\"|'[^']*')")


class Blotter:
    """``is_file`` says whether a value names a file that is there: then it is a name and no secret."""

    def __init__(self, is_file: Callable[[str], bool]) -> None:
        self._is_file = is_file
        self._known: set[str] = set()
        self._hashes: set[str] = set()  # there may be one for each of many thousand users

    def learn(self, secrets: Iterable[str]) -> None:
        """Blot these out wherever they occur from now on; what is too short to be told apart is left."""
        fresh = {each for each in secrets if len(each) >= _SHORTEST and each not in _WORDS}
        for each in fresh:
            if _HEXADECIMAL.fullmatch(each):
                self._hashes.add(each.lower())
            elif not self._is_file(each):
                self._known.add(each)

    def without_known(self, text: str) -> str:
        """``text`` without any secret that was learned."""
        for each in sorted(self._known, key=len, reverse=True):
            text = text.replace(each, BLOT)
        return _HEXADECIMAL.sub(self._hash, text) if self._hashes else text

    def _hash(self, found: re.Match[str]) -> str:
        return BLOT if found[0].lower() in self._hashes else found[0]

    def told(self, text: str) -> str:
        """A text of ours, such as a journal: without keys, digests, passwords and what was learned."""
        return self.without_known("\n".join(map(_told, _without_pem(text).splitlines())))

    def configuration(self, text: str) -> str:
        """A YAML file of the operator's, whatever is wrong with it: without comments, and without secrets.

        What is learned in a later file may stand in this one too: ``without_known`` comes last.
        """
        return "\n".join(_Lines(self).shown(_without_pem(text).splitlines()))

    def names_file(self, value: str) -> bool:
        """Whether ``value`` is the name of a file."""
        return bool(value) and self._is_file(value)

    def bare(self, line: str) -> str:
        """What has no name that tells of a secret."""
        line = _HASH.sub(BLOT, _USER_HASH.sub(rf"\1{BLOT}", _URL.sub(self._address, line)))
        return redact(_SCHEME.sub(rf"\1\2{BLOT}", line))

    def _address(self, found: Any) -> str:
        scheme, (user, _, rest) = found[1], found[2].rpartition("@")
        host, slash, path = rest.partition("/")
        secret = _PARTS.split(user)
        if scheme.lower() not in _PLACES:
            self.learn([*secret, *_PARTS.split(rest)])
            return f"{scheme}://{BLOT}"
        self.learn([*secret, *(each for each in _PARTS.split(path) if len(each) >= _TOKEN)])
        return f"{scheme}://{host.partition('?')[0]}{slash}{BLOT if path else ''}"


class _Lines:
    """The lines of one file, and what of a secret goes on behind its own line."""

    def __init__(self, blotter: Blotter) -> None:
        self._blotter = blotter
        self._within = -1  # lines deeper than this column are a secret's
        self._quote = ""  # those up to this quote are
        self._next = False  # the next one is, wherever it begins

    def shown(self, lines: list[str]) -> list[str]:
        return [self._of_secret(line) or self._line(_without_comment(line)) for line in lines]

    def _of_secret(self, line: str) -> str:
        """What is shown of a line that goes on with a secret; empty where it does not."""
        bare = line.strip()
        if self._quote:
            before, ended, _ = line.partition(self._quote)
            self._blotter.learn([before.strip()])
            self._quote = "" if ended else self._quote
        elif not bare:
            return ""
        elif self._next or (self._within >= 0 and _column(line) > self._within):
            self._next = False
            if ":" not in bare:
                self._blotter.learn([bare.strip("\"' ,}]")])
        else:
            self._within = -1
            return BLOT if bare.startswith(("? ", ": ")) else ""
        return BLOT

    def _line(self, line: str) -> str:
        found = _NAME.search(line)
        while found is not None:
            mark = _mark(line, found.end())
            if mark is not None:
                given = _GIVEN.match(line, mark.end())
                assert given is not None, "it matches the empty text"
                value = given[1] or given[2] or given[3] or ""
                named = found[0].lower().endswith(_NAMES_FILE)
                if not (named and self._blotter.names_file(value)):
                    return self._hide(line, mark.end(), value)
            found = _NAME.search(line, found.end() if mark is None else mark.end())
        return self._blotter.bare(line)

    def _hide(self, line: str, at: int, value: str) -> str:
        self._blotter.learn([value])
        rest = line[at:].strip()
        self._within = _column(line)
        self._next = not rest
        if rest[:1] in ("'", '"') and rest.count(rest[0]) % 2:
            self._quote = rest[0]
        return self._blotter.bare(line[:at]) + (BLOT if rest else "")


def _column(line: str) -> int:
    """Where its key begins, behind the hyphens of a list."""
    return len(line) - len(line.lstrip(" \t-"))


def _told(line: str) -> str:
    line = _USERINFO.sub(rf"\1{BLOT}@", _USER_HASH.sub(rf"\1{BLOT}", line))
    return redact(_SCHEME.sub(rf"\1\2{BLOT}", line))


def _without_pem(text: str) -> str:
    """Without what stands in PEM, a line each so that lines keep their numbers."""
    return _PEM.sub(lambda found: "\n".join([BLOT] * (found[0].count("\n") + 1)), text)


def _without_comment(line: str) -> str:
    """Nobody knows what is in a comment. Of a quote that is not closed all behind a # is taken for one."""
    bare = _QUOTED.sub(lambda found: "x" * len(found[0]), line)
    found = _COMMENT.search(bare)
    return line[: found.start()] if found is not None else line
