"""Phones around the stage: users of ours who register, with the digest that RFC 3261 22 wants of them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from dsl.load import load
from dsl.names import Known
from dsl.ruleset import RuleSet
from sbc.config.hook_set import HookSet
from sbc.config.model import Settings, Trunk
from sbc.config.snapshot import Snapshot
from sbc.config.users import read_users
from sbc.flow import Flow
from sbc.sip.digest import Challenge, Credentials, parse_challenge, response_hash, user_hash
from sbc.sip.message import Response
from tests.playbook.stage import Peer, Stage, snapshot

REALM = "example.com"
PASSWORDS = {"alice": "wonderland", "bob": "builder", "carol": "christmas", "+4930100": "number"}
RULES = """
rules:
  - name: phones to carrier
    when: trunk in ["phones", "soft"] and auth.user != ""
    then: route "carrier"
  - name: office
    when: trunk == "office"
    then: route "carrier"
"""


def lines(name: str, fields: str = "", algorithms: tuple[str, ...] = ("SHA-256", "MD5")) -> str:
    """The lines of a user in the users file."""
    hashes = [user_hash(each, name, REALM, PASSWORDS[name]) for each in algorithms]
    return "".join(f"{name}:{REALM}:{each}{' ' + fields if fields else ''}\n" for each in hashes)


USERS = "".join(lines(name) for name in PASSWORDS)


def configured(
    users: str = USERS, rules: str = RULES, hooks: HookSet | None = None, **registrar: object
) -> Snapshot:
    """The stage's snapshot with phones on TLS (trunk phones) and on UDP (trunk soft)."""
    known, problems = read_users("users", users)
    assert problems == []
    base = snapshot(OFFICE)
    settings = Settings.model_validate(
        {
            "listeners": {
                "main": {"bind": "192.0.2.1:5061", "transport": "tls"},
                "udp": {"bind": "192.0.2.1:5060", "transport": "udp"},
            },
            "registrar": {"realm": REALM, "users": "users", "contacts": 3, **registrar},
            "users": "users",
        }
    )
    trunks = dict(base.trunks)
    for name, listener in (("phones", "main"), ("soft", "udp")):
        trunks[name] = Trunk.model_validate(
            {"trunk": name, "listener": listener, "phones": True, "sources": ["0.0.0.0/0"]}
        )
    ruleset = loaded(rules, frozenset(trunks))
    made = Snapshot("phones", Path("."), settings, trunks, ruleset, phones=known, logins=known)
    return made if hooks is None else replace(made, hooks=hooks)


OFFICE = 'rules: [{name: x, when: trunk == "office", then: route "carrier"}]'


def loaded(rules: str, trunks: frozenset[str]) -> RuleSet:
    """The rules, which may name these trunks."""
    known = Known(trunks=trunks, listeners=frozenset(("main", "udp")), tenants=frozenset())
    ruleset, problems = load({"test.yaml": rules}, known)
    assert ruleset is not None, problems
    return ruleset


class Phone:
    """One user's phone; ``peer`` is its connection."""

    def __init__(self, stage: Stage, user: str = "alice", trunk: str = "phones", name: str = "") -> None:
        self.stage = stage
        self.user = user
        self.peer = Peer(stage, name or user, stage.flow(stage.engine.store.current.trunks[trunk]))
        stage.peers[self.peer.name] = self.peer
        self.realm, self.password = REALM, PASSWORDS.get(user, "guessed")
        self.call_id = f"registers-{self.peer.name}"
        self.challenge: Challenge | None = None
        self.count = 0

    @property
    def flow(self) -> Flow:
        """Its connection."""
        return self.peer.flow

    def headers(self, **more: str) -> dict[str, str]:
        """Those of a REGISTER."""
        transport = self.flow.transport
        branch = f"z9hG4bK{self.stage.cseq}{self.peer.name}"
        return {
            "Via": f"SIP/2.0/{transport.upper()} {self.peer.name}.invalid;rport;branch={branch}",
            "From": f"<sip:{self.user}@{REALM}>;tag=reg",
            "To": f"<sip:{self.user}@{REALM}>",
            "Call-ID": self.call_id,
            "Contact": f"<sip:{self.user}@10.0.0.7:5060;transport={transport}>",
            **{name.replace("_", "-"): value for name, value in more.items()},
        }

    def asks(self, method: str = "REGISTER", uri: str = f"sip:{REALM}", **headers: str) -> None:
        """Send a request without credentials."""
        self.peer.request(method, uri, b"", **self.headers(**headers))

    def hears(self, status: int) -> Response:
        """The next thing that it hears; a challenge is kept for ``proves``."""
        response = self.peer.hears_response(status)
        name = {401: "WWW-Authenticate", 407: "Proxy-Authenticate"}.get(status)
        if name is not None:
            offered = [parse_challenge(each) for each in response.headers.get_all(name)]
            self.challenge, self.count = offered[0], 0
        return response

    def credentials(self, method: str, uri: str, body: bytes = b"", user: str = "") -> Credentials:
        """What its password makes of the last challenge."""
        assert self.challenge is not None
        self.count += 1
        name, algorithm = user or self.user, self.challenge.algorithm
        empty = Credentials(
            name, self.realm, self.challenge.nonce, uri, "", algorithm, "auth", "cnonce", self.count
        )
        secret = user_hash(algorithm, name, self.realm, self.password)
        return replace(empty, response=response_hash(secret, empty, method, body))

    def proves(
        self, method: str = "REGISTER", uri: str = f"sip:{REALM}", body: bytes = b"", **headers: str
    ) -> None:
        """Send a request with credentials."""
        given = str(self.credentials(method, uri, body))
        name = "Authorization" if method == "REGISTER" else "Proxy_Authorization"
        self.peer.request(method, uri, body, **self.headers(**{name: given, **headers}))

    def registers(self, **headers: str) -> Response:
        """The whole of it: asked, challenged, proved, confirmed."""
        self.asks(**headers)
        self.hears(401)
        self.proves("REGISTER", f"sip:{REALM}", b"", **headers)
        return self.hears(200)


def stage(**options: object) -> Stage:
    """Trunks with phones, at a date."""
    made = Stage(configured(**options))  # type: ignore[arg-type]
    made.engine.epoch = 1_795_000_000.0
    return made


def registered(made: Stage, user: str = "alice") -> list[str]:
    """The contacts at which the user is registered."""
    found = made.engine.registrar.contacts(user, made.engine.date(made.now))
    return [str(each.contact) for each in found]
