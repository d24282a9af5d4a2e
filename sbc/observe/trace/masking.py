"""What a trace may show of a message: all but its secrets, each octet of which becomes an ``x``.

Its length stays what it was, and what was Base64 is, so that a reader of packets finds no fault. Of
credentials and challenges only what is known to be harmless is shown, so that what nobody has thought of is
not: a realm, a name, an algorithm. Everything else is masked where it stands: keys of SDES and of other key
management (RFC 4568, RFC 4567, ``k=``), passwords of ICE, of URIs and by name, parts of digests also where
they are quoted in a body (message/sipfrag). What people write to each other (MESSAGE, RFC 3428) is no more
shown than what they say: of the body of such a request only its lines are left.

Numbers are shortened elsewhere (``sbc.observe.masking``), where the configuration says so.
"""

from __future__ import annotations

import re
from typing import Any, Final

import re2  # type: ignore[import-untyped, unused-ignore]

# Where nothing of this is, there is no secret: a look that is taken at every message, in linear time.
_options = re2.Options()
_options.case_sensitive = False
_options.encoding = re2.Options.Encoding.LATIN1
_OTHER: Final = (
    rb"authori|authenti|assword|-pwd|key-mgmt|\nk=|nonce|response[ \t]*=|ha1[ \t]*=|inline%3a"
    rb"|sips?:[^\s:@<>\"]*:[^\s@<>\"]*@|://[^\s:@/<>\"]*:[^\s@/<>\"]*@"
)
_sign_in = re2.compile(rb"inline:|" + _OTHER, _options).search
# Most messages with a secret have keys of SDES: what is still there when they are blotted out.
_sign_left_in = re2.compile(rb"inline:[ \t]*[x=\"]*[^x=\"\s|;]|" + _OTHER, _options).search

# By RE2, for Python's own patterns would begin anew at each of many `sip:`.
_URI = re2.compile(rb"(sips?:[^\s:@<>\"]*:)([^\s@<>\"]+)(@)", _options)
_WEB = re2.compile(rb"(://[^\s:@/<>\"]*:)([^\s@/<>\"]+)(@)", _options)
_INLINE = re.compile(rb"(inline:[ \t]*+)([^\s|;]++)", re.IGNORECASE)
_USUAL_INLINE = re.compile(rb"(inline:[ \t]*+)([^\s|;]++)")
# An attribute or a line of SDP whose whole value is a key or a password.
_LINES = re.compile(
    rb"^(a=key-mgmt:[ \t]*+[^\s:]*+[ \t]|a=ice-pwd:|k=[a-z0-9-]*+:)([^\r\n]++)", re.IGNORECASE | re.MULTILINE
)
# By name; also what a URI holds escaped as a header field (RFC 3261 19.1.1) or within a body.
_NAMED = re.compile(
    rb"((?:nonce|response|password|ha1|authorization)[ \t]*+=[ \t]*+|inline%3a)"
    rb"(\\?\"(?:[^\"\\\r\n]|\\.)*\\?\"?|[^\s\";,<>]++)",
    re.IGNORECASE,
)
# Credentials and challenges as header fields, with the lines that they are folded into; in their short words.
_FIELDS = re.compile(
    rb"^((?:proxy-|www-)?(?:authorization|authenticate)|(?:proxy-)?authentication-info)([ \t]*+:)"
    rb"((?:[^\r\n]|\r?\n[ \t]|\r(?!\n))*)",
    re.IGNORECASE | re.MULTILINE,
)
_scheme_of = re.compile(rb"\s*+[A-Za-z][A-Za-z0-9-]*+(?=\s|$)").match
_PART = re.compile(rb"([A-Za-z0-9-]++)(\s*+=\s*+)(\"(?:[^\"\\]|\\.)*\"?|[^\s,\"]++)|[^\s,]++", re.DOTALL)
_BLOTS: Final = bytes([each if each in b'"=\r\n' else ord("x") for each in range(256)])
_TEXT: Final = b"MESSAGE "
_UNREAD: Final = bytes([each if each in b"\r\n" else ord("x") for each in range(256)])
_HARMLESS: Final = frozenset(
    (b"username", b"realm", b"uri", b"algorithm", b"qop", b"nc", b"stale", b"domain", b"userhash", b"charset")
)


def has_secret(octets: bytes) -> bool:
    """Whether something in ``octets`` may be secret."""
    return _sign_in(octets) is not None


def _unread(octets: bytes) -> bytes:
    """A text without what it says; where its head does not end all is head."""
    end = octets.find(b"\r\n\r\n") + 4
    return octets[:end] + octets[end:].translate(_UNREAD) if end > 4 else octets


def masked(octets: bytes) -> bytes:
    """``octets`` with every secret blotted out; as long as they were."""
    if octets.startswith(_TEXT):
        octets = _unread(octets)
    if not has_secret(octets):
        return octets
    if b"inline:" in octets:
        octets = _USUAL_INLINE.sub(_value, octets)
        if _sign_left_in(octets) is None:
            return octets
    small = octets.lower()  # each pattern takes far longer than a look for what it needs
    authorization = b"authori" in small
    if authorization or b"authenti" in small:
        octets = _FIELDS.sub(_field, octets)
    if small.count(b"inline:") > octets.count(b"inline:"):
        octets = _INLINE.sub(_value, octets)
    if b"key-mgmt" in small or b"-pwd" in small or b"k=" in small:
        octets = _LINES.sub(_value, octets)
    ha1 = b"ha1=" in small or b"ha1 " in small or b"ha1\t" in small  # and not only SHA1, as suites are called
    named = ha1 or authorization or b"nonce" in small or b"response" in small or b"password" in small
    if named or b"inline%3a" in small:
        octets = _NAMED.sub(_value, octets)
    if b"@" in small and b"sip" in small:
        octets = _URI.sub(_password, octets)
    if b"://" in small and b"@" in small:
        octets = _WEB.sub(_password, octets)
    return octets


def _password(found: Any) -> bytes:
    before: bytes = found[1]
    return before + _blotted(found[2]) + b"@"


def _value(found: re.Match[bytes]) -> bytes:
    return found[1] + _blotted(found[2])


def _blotted(text: bytes) -> bytes:
    """An x in place of all but quotes, padding and the ends of lines, which a reader needs."""
    return text.translate(_BLOTS)


def _field(found: re.Match[bytes]) -> bytes:
    value = found[3]
    scheme = _scheme_of(value)
    start = scheme.end() if scheme is not None else 0
    return found[1] + found[2] + value[:start] + _PART.sub(_part, value[start:])


def _part(found: re.Match[bytes]) -> bytes:
    name = found[1]
    if name is None:  # no name and value: a token that says all by itself
        return _blotted(found[0])
    if name.lower() in _HARMLESS:
        return found[0]
    return name + found[2] + _blotted(found[3])
