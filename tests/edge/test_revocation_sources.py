"""When each address is asked: ahead of need, later after each failure, and no more once nobody needs it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

import gevent
import pytest

from sbc.config.model import Revocation as Settings
from sbc.net.revocation.sources import Sources
from sbc.net.system.clock import Clock
from sbc.tls.revocation.cache import RevocationCache
from sbc.tls.revocation.finding import Method
from sbc.tls.revocation.issuer import read_issuer
from sbc.tls.revocation.source import RevocationSource, list_source, next_attempt, next_fetch
from tests.edge.web import Web, response, web
from tests.peers.waiting import until, until_equal
from tests.unit.tls.certs import GOOD, NOW, OTHER
from tests.unit.tls.revoking import HOUR, der_of, link_of, revocation_list

ISSUER = read_issuer(der_of(GOOD))
LINK = link_of(GOOD.issue(dns=["peer.example"]), GOOD)
REVOKING = revocation_list(GOOD, NOW, [LINK.serial])


class Still:
    """A clock that stands until it is put forward; no subclass, for the product's may be compiled."""

    def __init__(self) -> None:
        self.at = NOW

    def now(self) -> float:
        return self.at


class Asked:
    """Sources with what they told."""

    def __init__(self, server: Web) -> None:
        self.clock, self.cache, self.told = Still(), RevocationCache(), list[str]()
        self.sources = Sources(
            self.cache,
            cast(Clock, self.clock),
            lambda source, news: self.told.append("new" if news else "again"),
            lambda source, problem: self.told.append(problem),
        )
        self.sources.settings = Settings(allow_private=("127.0.0.0/8",), timeout=1.0)
        self.source = list_source(server.url("/crl"), ISSUER)

    def ask(self, source: RevocationSource | None = None) -> None:
        """Want it, and wait until it was asked where it is."""
        waiting = self.sources.want(source or self.source)
        if waiting is not None:
            assert waiting.wait(3)

    @property
    def said(self) -> str:
        """What the lists that are known say of a certificate."""
        methods: tuple[Method, ...] = ("crl",)
        return self.cache.look(LINK, methods, NOW).state

    @property
    def due(self) -> float:
        """When it is asked again, seconds from now."""
        return self.sources.states[self.source].due - self.clock.at


@pytest.fixture
def server() -> Iterator[Web]:
    with web() as made:
        yield made


def test_it_is_asked_halfway_to_its_end_and_at_least_once_in_refresh() -> None:
    assert next_fetch(NOW, NOW + 1000, 3600) == NOW + 500
    assert next_fetch(NOW, NOW + 86400, 3600) == NOW + 3600
    assert next_fetch(NOW, NOW - 5, 3600) == NOW + 30
    assert next_fetch(NOW, NOW + 86400, 0.1) == NOW + 0.1


def test_each_failure_puts_the_next_attempt_off_up_to_refresh() -> None:
    assert [next_attempt(NOW, count, 3600) - NOW for count in (1, 2, 3, 7, 8, 1000)] == [
        30, 60, 120, 1920, 3600, 3600,
    ]  # fmt: skip


def test_a_good_source_is_left_alone_until_it_is_due(server: Web) -> None:
    server.pages["/crl"] = revocation_list(GOOD, NOW, [7])
    asked = Asked(server)
    asked.ask()
    asked.ask()
    assert server.asked == ["/crl"] and asked.told == ["new"]
    assert 0.89 * HOUR < asked.due <= HOUR
    asked.clock.at += HOUR
    asked.sources.tick()
    until_equal(lambda: asked.told, ["new", "again"])
    assert asked.said == "good"


def test_a_failing_source_is_said_once_and_asked_ever_later(server: Web) -> None:
    asked = Asked(server)
    for least, most in ((26, 30), (53, 60), (107, 120)):
        asked.ask()
        assert least < asked.due <= most
        asked.ask()
        asked.clock.at += asked.due
    assert len(server.asked) == 3 and len(asked.told) == 1
    assert asked.cache.problems[asked.source.url] == asked.told[0]
    server.pages["/crl"] = revocation_list(GOOD, NOW)
    asked.ask()
    assert asked.told[1:] == ["new"] and asked.cache.problems == {}


def test_what_nobody_needed_for_a_week_is_forgotten_unless_it_is_configured(server: Web) -> None:
    server.pages.update({"/crl": REVOKING, "/own": revocation_list(GOOD, NOW)})
    asked, own = Asked(server), list_source(server.url("/own"), ISSUER)
    asked.sources.keep([own])
    asked.ask()
    asked.ask(own)
    assert asked.said == "revoked"
    asked.clock.at += 8 * 86400
    asked.sources.tick()
    until_equal(lambda: list(asked.sources.states), [own])
    assert asked.said == "good"
    asked.sources.keep([])
    assert not asked.sources.states[own].kept


def test_what_is_forgotten_takes_no_list_from_who_has_it_from_the_same_address(server: Web) -> None:
    server.pages["/crl"] = revocation_list(GOOD, NOW, [7])
    asked = Asked(server)
    bundle = list_source(asked.source.url, ISSUER, read_issuer(der_of(OTHER)))
    asked.sources.keep([bundle])
    asked.ask()
    asked.ask(bundle)
    asked.clock.at += 8 * 86400
    asked.sources.tick()
    assert list(asked.sources.states) == [bundle]
    assert asked.said == "good"


@pytest.mark.parametrize("answer", [REVOKING, b"junk"])
def test_what_is_forgotten_while_it_is_asked_leaves_nothing(
    server: Web, monkeypatch: pytest.MonkeyPatch, answer: bytes
) -> None:
    monkeypatch.setattr("sbc.net.revocation.sources._MOST", 1)
    answering = gevent.event.Event()

    def later(sock: Any, _body: bytes) -> None:
        answering.wait(30)
        sock.sendall(response(answer))

    server.pages.update({"/crl": later, "/other": revocation_list(GOOD, NOW)})
    asked = Asked(server)
    waiting = asked.sources.want(asked.source)
    asked.ask(list_source(server.url("/other"), ISSUER))
    answering.set()
    assert waiting is not None and waiting.wait(30)
    until(lambda: asked.source not in asked.sources.states)
    assert asked.said == "good" and asked.cache.problems == {}


def test_the_number_of_sources_is_bounded(server: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sbc.net.revocation.sources._MOST", 3)
    asked = Asked(server)
    for number in range(5):
        asked.clock.at += 1
        asked.ask(list_source(server.url(f"/{number}"), ISSUER))
    assert [source.url[-2:] for source in asked.sources.states] == ["/2", "/3", "/4"]


def test_a_certificate_that_names_another_cas_list_spoils_nothing(server: Web) -> None:
    server.pages["/crl"] = revocation_list(GOOD, NOW, [7])
    asked = Asked(server)
    asked.ask()
    stranger = list_source(asked.source.url, read_issuer(der_of(type(GOOD)("stranger CA", now=NOW))))
    asked.ask(stranger)
    assert "issued by CN=good CA, not by CN=stranger CA" in asked.told[1]
    assert asked.said == "good"


def test_a_bundle_of_lists_at_one_address_is_refused(server: Web) -> None:
    one = revocation_list(GOOD, NOW)
    server.pages["/crl"] = one + one
    asked = Asked(server)
    asked.ask()
    assert "this is no revocation list" in asked.told[0]


def test_a_clock_put_back_and_a_shorter_refresh_leave_nobody_waiting(server: Web) -> None:
    server.pages["/crl"] = revocation_list(GOOD, NOW, begins=-30 * 86400)
    asked = Asked(server)
    asked.ask()
    asked.clock.at -= 86400
    asked.sources.tick()
    assert asked.due <= HOUR
    asked.sources.settings = Settings(refresh=60)
    asked.sources.tick()
    assert asked.due <= 60


class TestOneTrunksPeers:
    """Who has a CA of his own, and so as many lists of any length as he likes, takes no room from others."""

    def list_of(self, asked: Asked, server: Web, path: str, entries: int, trunk: str) -> RevocationSource:
        server.pages[path] = revocation_list(GOOD, NOW, range(1, entries + 1))
        source = list_source(server.url(path), ISSUER)
        asked.clock.at += 1
        waiting = asked.sources.want(source, trunk)
        assert waiting is not None and waiting.wait(30)
        return source

    def known(self, asked: Asked) -> list[str]:
        return [each.url.rpartition("/")[2] for each in asked.sources.states]

    def test_their_lists_are_bounded_together(self, server: Web, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("sbc.net.revocation.sources._ENTRIES", 10)
        asked = Asked(server)
        own = list_source(server.url("/own"), ISSUER)
        asked.sources.keep([own])
        self.list_of(asked, server, "/own", 9, "other")
        self.list_of(asked, server, "/first", 8, "acme")
        for number in range(5):
            self.list_of(asked, server, f"/{number}", 4, "other")
        until_equal(lambda: self.known(asked), ["own", "first", "3", "4"])
        self.list_of(asked, server, "/long", 50, "other")
        until_equal(lambda: self.known(asked), ["own", "first", "long"])
        assert asked.cache.entries(server.url("/4"), [ISSUER]) == 0

    def test_their_addresses_drive_out_their_own(self, server: Web, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("sbc.net.revocation.sources._MOST", 4)
        asked = Asked(server)
        self.list_of(asked, server, "/first", 1, "acme")
        for number in range(9):
            self.list_of(asked, server, f"/{number}", 1, "other")
        assert self.known(asked) == ["first", "6", "7", "8"]
