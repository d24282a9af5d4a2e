"""Fetching from addresses that certificates name, whatever a server, a name or a redirect does."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import gevent
import pytest

from sbc.base import Address
from sbc.net.system import fetch as fetching
from sbc.net.system.fetch import FetchFailed, Limits, fetch, may_ask
from sbc.net.system.resolver import ResolveFailed, resolve
from tests.edge.web import Web, redirect, response, silent, web
from tests.peers.waiting import PATIENCE

LIMITS = Limits(max_bytes=100_000, timeout=0.5, redirects=3, allow_private=("127.0.0.0/8",))


@pytest.fixture
def server() -> Iterator[Web]:
    with web() as made:
        yield made


def why(url: str, limits: Limits = LIMITS) -> str:
    with pytest.raises(FetchFailed) as failed:
        fetch(url, limits)
    return str(failed.value)


def test_a_page_is_fetched(server: Web) -> None:
    server.pages["/one.crl?x=1"] = b"list" * 1000
    assert fetch(server.url("/one.crl?x=1"), LIMITS) == b"list" * 1000


def test_a_question_is_posted(server: Web) -> None:
    server.pages["/"] = lambda sock, body: sock.sendall(response(b"asked " + body))
    assert fetch(server.url(""), LIMITS, b"who", "application/ocsp-request") == b"asked who"


def test_chunks_are_put_together(server: Web) -> None:
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
    server.pages["/"] = lambda sock, _: sock.sendall(chunked)
    assert fetch(server.url("/"), LIMITS) == b"abcde"


def test_a_redirect_is_followed_and_a_relative_one_too(server: Web) -> None:
    server.pages.update({"/a": redirect(server.url("/b")), "/b": redirect("c"), "/c": b"here"})
    assert fetch(server.url("/a"), LIMITS) == b"here"


def endless(sock: Any, _body: bytes) -> None:
    sock.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
    while True:
        sock.sendall(bytes(65536))


def slow(sock: Any, _body: bytes) -> None:
    sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
    while True:
        sock.sendall(b"x")
        gevent.sleep(0.05)


def always_continue(sock: Any, _body: bytes) -> None:
    while True:
        sock.sendall(b"HTTP/1.1 100 Continue\r\n\r\n" * 500)


def long_headers(sock: Any, _body: bytes) -> None:
    sock.sendall(b"HTTP/1.1 200 OK\r\n")
    while True:
        sock.sendall(b"X: y\r\n" * 1000)


def huge(sock: Any, _body: bytes) -> None:
    sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 104857600\r\n\r\n")
    for _ in range(1600):
        sock.sendall(bytes(65536))


BROKEN: dict[str, tuple[Any, str]] = {
    "endless": (endless, "it is over 100000 bytes; raise `revocation.max_bytes`"),
    "100 MB": (huge, "it is over 100000 bytes"),
    "a byte now and then": (slow, "no answer within 0.5 s; look at the server"),
    "silent": (silent, "no answer within 0.5 s"),
    "always more headers to come": (always_continue, "no answer within 0.5 s"),
    "headers without end": (long_headers, "got more than 100 headers"),
    "not HTTP": (lambda sock, _: sock.sendall(b"hello\r\n\r\n"), "let this machine reach it"),
    "nothing": (lambda sock, _: None, "let this machine reach it"),
    "to itself": (redirect("/x"), "it redirects in a circle"),
    "to the inside": (redirect("http://10.0.0.1/"), "it leads to 'http://10.0.0.1/': 10.0.0.1 is at 10"),
    "to metadata": (redirect("http://169.254.169.254/latest"), "no public address"),
    "to a file": (redirect("file:///etc/passwd"), "only http:// is fetched"),
    "to https": (redirect("https://example.com/"), "only http:// is fetched"),
    "to nothing": (redirect(""), "it redirects in a circle"),
    "to no address": (redirect("http://["), "this is no address; correct it"),
    "absent": (None, "HTTP 404 Not Found; correct the address"),
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("case", BROKEN.values(), ids=list(BROKEN))
def test_a_broken_server_costs_a_bounded_time_and_is_named(server: Web, case: tuple[Any, str]) -> None:
    page, expected = case
    if page is not None:
        server.pages["/x"] = page
    with gevent.Timeout(PATIENCE):
        text = why(server.url("/x"))
    assert text.startswith(server.url("/x") + ": ") and expected in text


def test_a_chain_of_redirects_is_cut(server: Web) -> None:
    for number in range(9):
        server.pages[f"/{number}"] = redirect(f"/{number + 1}")
    assert "over 3 redirects" in why(server.url("/0"))
    assert server.asked == ["/0", "/1", "/2", "/3"]


@pytest.mark.slow
def test_a_server_that_always_has_data_lets_others_run(server: Web) -> None:
    # The server is in this process: unless the reader steps aside it never stops, nor does the timeout.
    server.pages["/x"] = endless
    turns = 0

    def turn() -> None:
        nonlocal turns
        while True:
            turns += 1
            gevent.sleep(0)

    other = gevent.spawn(turn)
    why(server.url("/x"), Limits(20_000_000, 5, 3, ("127.0.0.1/32",)))
    other.kill()
    assert turns > 50


def test_private_addresses_are_asked_only_where_allowed(server: Web) -> None:
    text = why(server.url("/x"), Limits(timeout=0.5))
    assert text.endswith(
        "127.0.0.1 is at 127.0.0.1, which is no public address; "
        "if that is meant, write revocation: {allow_private: [127.0.0.1]} in sbc.yaml"
    )
    assert server.asked == []


@pytest.mark.parametrize("host", [
    "127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0", "::1",
    "fe80::1%eth0", "fc00::1", "224.0.0.1", "ff02::1", "::ffff:127.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::",
    "255.255.255.255", "::", "64:ff9b:1::808:808", "fec0::1", "::808:808", "::ffff:0:808:808", "3fff::1",
    "2001:db8::1", "5f00::1", "100::1", "192.0.0.8", "192.88.99.1", "198.18.0.1", "203.0.113.1", "240.0.0.1",
    "2001:2::1", "2001:10::1", "2002:a00:1::", "64:ff9b::a00:1", "2001:0:4136:e378:8000:63bf:f5ff:fffe",
])  # fmt: skip
def test_no_spelling_of_a_private_address_is_public(host: str) -> None:
    assert not may_ask(host, ())


@pytest.mark.parametrize("host", [
    "8.8.8.8", "223.255.255.254", "192.0.1.1", "2606:4700::1111", "2001:4860:4860::8888", "2a00::1",
    "2002:808:808::", "64:ff9b::808:808",
])  # fmt: skip
def test_public_ones_are_public_in_every_spelling(host: str) -> None:
    assert may_ask(host, ())


def test_public_addresses_and_allowed_ones_may_be_asked() -> None:
    assert may_ask("8.8.8.8", ()) and may_ask("2606:4700::1111", ())
    assert may_ask("10.1.2.3", ("10.1.0.0/16",)) and not may_ask("10.2.2.3", ("10.1.0.0/16",))
    assert may_ask("::ffff:10.1.2.3", ("10.1.0.0/16",))


def test_a_name_with_one_private_address_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    # A name that anybody may point anywhere: one bad address among good ones is enough to refuse it.
    found = [Address("8.8.8.8", 80), Address("127.0.0.1", 80)]
    monkeypatch.setattr(fetching, "resolve", lambda target: found)
    assert "which is no public address" in why("http://rebound.example/x", Limits(timeout=0.5))


def test_the_connection_goes_to_the_address_that_was_checked(
    server: Web, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = [[Address("127.0.0.1", server.port)], [Address("127.0.0.2", server.port)]]
    monkeypatch.setattr(fetching, "resolve", lambda target: answers.pop(0))
    server.pages["/x"] = b"once"
    assert (
        fetch(f"http://rebound.example:{server.port}/x", Limits(allow_private=("127.0.0.1/32",))) == b"once"
    )
    assert len(answers) == 1


@pytest.mark.parametrize("url", [
    "https://ca.example/x", "ftp://ca.example/x", "ldap://x/", "http://", "http:///x", "http://x:99999/",
    "http://ca.example/\r\nHost: evil", "",
])  # fmt: skip
def test_other_addresses_are_not_fetched(url: str) -> None:
    assert "only http:// is fetched" in why(url)


@pytest.mark.parametrize(
    "url",
    [
        "http://a..b/",
        "http://[::1/",
        "http://x:80:80/",
        "http://" + "a" * 70 + ".example/",
        "http://x.example/é",
        "http://x.example/a b",
    ],
)
def test_an_address_that_is_none_is_said(url: str) -> None:
    assert why(url).startswith(url)


def test_nobody_listens(server: Web) -> None:
    server.close()
    assert "refused; let this machine reach it" in why(server.url("/x")).lower()


@pytest.mark.parametrize("host", ["a..b", "a" * 64 + ".example"])
def test_a_name_that_is_none_does_not_resolve(host: str) -> None:
    with pytest.raises(ResolveFailed, match="is no name: a part of it is empty or too long"):
        resolve(Address(host, 80))
