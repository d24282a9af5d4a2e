"""What a trace shows of a message: no key, no digest, no password, however they are written."""

from __future__ import annotations

import base64
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sbc.observe.trace.masking import masked

SECRET = b"WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz"
HIDDEN = [
    b"a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:%s|2^20|1:32",
    b"a=crypto:1 AES_CM_128_HMAC_SHA1_80 INLINE:%s",
    b"a=crypto:1 AEAD_AES_256_GCM inline:QUFB;inline:%s",
    b"a=key-mgmt:mikey %s",
    b"a=ice-pwd:%s",
    b"k=base64:%s",
    b"k=clear:%s",
    b'Authorization: Digest username="bob", response="%s"',
    b'Authorization: Digest username="bob",response  =  %s',
    b"authorization: digest username=bob, cnonce=%s, nc=00000001",
    b'Proxy-Authorization: Digest username="b", nonce="%s", opaque="x"',
    b'WWW-Authenticate: Digest realm="r", nonce="%s"',
    b'Proxy-Authenticate: Digest realm="r", opaque="%s"',
    b'Proxy-Authenticate: Digest realm="a,b\\"", opaque="%s"',
    b'Authentication-Info: nextnonce="%s", rspauth="y"',
    b"Authorization: Basic %s",
    b"Authorization: Bearer %s",
    b'Authorization: Digest username="bob",\r\n response="%s"',
    b"Authorization: Digest username=bob,\r\n\tresponse=\r\n %s",
    b'Authorization : Digest username="bob", a-new-word="%s"',
    b'Authorization: Digest username="bob", response="%s',
    b"To: <sip:bob:%s@example.com>",
    b"Contact: <SIPS:bob:%s@[2001:db8::1]:5061>",
    b"X-Login: user=bob; password=%s",
    b'Subject: response="%s"',
    # RFC 3261 19.1.1: what a URI holds of a header field, or of a body, is escaped.
    b"Refer-To: <sip:b@h?Authorization=Digest%%20username%%3Db%%2Cresponse%%3D%%22%s%%22>",
    b"Refer-To: <sip:b@h?X=1&proxy-authorization=Basic%%20%s>",
    b"Refer-To: <sip:b@h?body=a%%3Dcrypto%%3A1%%20AES_CM_128_HMAC_SHA1_80%%20inline%%3A%s%%7C1%%3A4>",
    b"Call-Info: <https://bob:%s@phones.example.com/bob.xml>;purpose=info",
]


@pytest.mark.parametrize("line", HIDDEN)
@pytest.mark.parametrize("end", [b"\r\n", b""])
def test_a_secret_is_blotted_out_and_is_as_long_as_it_was(line: bytes, end: bytes) -> None:
    text = b"INVITE sip:a@b SIP/2.0\r\n" + line % SECRET + end
    shown = masked(text)
    assert SECRET not in shown and len(shown) == len(text)
    assert b"x" * len(SECRET) in shown
    assert shown.count(b"\r\n") == text.count(b"\r\n")


def test_what_is_base64_is_so_still() -> None:
    """Whoever reads packets decodes a key, and takes a message whose key is none for a broken one."""
    key = base64.b64encode(bytes(range(32)))
    found = masked(b"a=crypto:1 AEAD_AES_128_GCM inline:%s|2^20|1:4\r\n" % key)
    shown = found.partition(b"inline:")[2].partition(b"|")[0]
    assert shown != key and len(base64.b64decode(shown, validate=True)) == 32
    assert found.endswith(b"|2^20|1:4\r\n")


def test_a_message_within_a_body_hides_its_digest_too() -> None:
    body = b'NOTIFY sip:a@b SIP/2.0\r\nEvent: refer\r\n\r\nAuthorization: Digest nonce="%s"\r\n' % SECRET
    assert SECRET not in masked(body)


@pytest.mark.parametrize("kind", ["text/plain", "message/cpim", "multipart/mixed;boundary=b"])
def test_what_people_write_to_each_other_is_not_read_by_who_traces(kind: str) -> None:
    """RFC 3428: a MESSAGE carries what is said, and a trace shows signalling."""
    head = f"MESSAGE sip:bob@b SIP/2.0\r\nFrom: <sip:alice@a>;tag=1\r\nContent-Type: {kind}\r\n\r\n".encode()
    said = 'My PIN is "4711".\r\n\r\nGr\u00fc\u00dfe, "A"='.encode()
    shown = masked(head + said)
    assert shown.startswith(head) and len(shown) == len(head + said)
    assert set(shown[len(head) :]) == set(b"x\r\n") and shown.count(b"\r\n") == (head + said).count(b"\r\n")
    assert masked(head[:-2]) == head[:-2], "what never came to its body is shown"
    other = head.replace(b"MESSAGE", b"NOTIFY") + said
    assert masked(other) == other


def test_what_is_harmless_in_credentials_is_shown() -> None:
    line = (
        b'Authorization: Digest username="bob", realm="a.example", algorithm=SHA-256, qop=auth, nc=00000001,'
    )
    assert masked(line + b' nonce="y"') == line + b' nonce="x"'


@pytest.mark.parametrize(
    "text",
    [
        b"INVITE sip:+12125550100@sbc.example:5061 SIP/2.0\r\nTo: <sip:bob@example.com:5061>\r\n\r\n",
        b"a=crypto is no key\r\nSubject: the authority of a password\r\n",
        b'Call-ID: nonce\r\nReason: Q.850;cause=16;text="no response"\r\n',
        b"a=fingerprint:sha-256 AA:BB\r\na=ice-ufrag:x\r\n",
        bytes(range(256)),
    ],
)
def test_all_else_is_shown_as_it_is(text: bytes) -> None:
    assert masked(text) == text


@pytest.mark.parametrize(
    "piece", [b"sip:a:", b"nonce=", b'response="', b"Authorization: ", b"inline:", b"\r\n ", b'="\\', b"k=a:"]
)
def test_a_megabyte_of_beginnings_is_read_once(piece: bytes) -> None:
    """Whoever repeats what could begin a secret must not keep a reader busy for seconds."""
    text = b"Authorization: Digest " + piece * (100_000 // len(piece))
    assert len(masked(text)) == len(text)
    assert len(masked(piece * (1_000_000 // len(piece)))) == 1_000_000 // len(piece) * len(piece)


# What may stand before, between and behind secrets, and what might lead a reader past one.
_BETWEEN = st.sampled_from(
    [
        b"Via: SIP/2.0/TLS h;branch=z9hG4bK1", b"", b"v=0", b" inline:", b"a=crypto:1 X inline:QUFB|2^20",
        b"a=crypto:2 X inline:QUFB;inline:", b"a=crypto:3 X INLINE:xx", b"inline:\\\"", b"inline: |;",
        b"inline:sip:a", b"Subject: sip:a:", b'username="', b"k=", b"https://h:80/a@b",
    ]
)  # fmt: skip


@given(
    st.lists(st.one_of(_BETWEEN, st.sampled_from(HIDDEN)), min_size=1, max_size=8),
    st.sampled_from([bytes, bytes.upper, bytes.lower, bytes.swapcase]),
    st.sampled_from([b"\r\n", b"\n"]),
)
def test_no_secret_hides_another_whatever_order_they_come_in(
    lines: list[bytes], spelled: Callable[[bytes], bytes], end: bytes
) -> None:
    text = end.join(spelled(each).replace(b"%S", b"%s") for each in [b"INVITE sip:a@b SIP/2.0", *lines])
    text = text.replace(b"%%", b"%").replace(b"%s", SECRET)
    shown = masked(text)
    assert SECRET not in shown and len(shown) == len(text)
    assert masked(shown) == shown, "what was masked has no secret"
