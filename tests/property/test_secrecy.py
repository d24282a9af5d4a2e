"""No call leaves in the clear on a way that the secrecy report has not named, whatever the files say."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings

from dsl.answers import read_answer
from dsl.decision import Redirect, Route
from dsl.facts import Facts
from dsl.load import load
from dsl.names import Known
from dsl.services import Answers, Service
from sbc.b2bua.leg import callee_srtp, caller_srtp
from sbc.b2bua.secrecy import Leak, secrecy_report
from sbc.b2bua.translate import is_secure, redirect_contact
from sbc.base import PeerError
from sbc.config.hooks import load_hooks
from sbc.config.model import Settings, Trunk
from sbc.config.snapshot import Snapshot
from sbc.ids import Ids, counter_bytes
from sbc.media.policy import MediaPolicy
from sbc.media.terms import lines_to_offer
from sbc.policy.downgrade import effective_downgrade, verdict

LISTENERS = {"tls-1": "tls", "tls-2": "tls", "udp-1": "udp"}
SETTINGS = Settings.model_validate(
    {
        "listeners": {
            name: {"bind": f"192.0.2.1:{5060 + at}", "transport": transport}
            for at, (name, transport) in enumerate(LISTENERS.items())
        }
    }
)
TRUNKS = ("a", "b", "c")
TENANTS = ("acme", "bolt")
IDS = Ids(counter_bytes())

trunks = st.fixed_dictionaries(
    {
        "listener": st.sampled_from(list(LISTENERS)),
        "tenant": st.sampled_from([*TENANTS, None]),
        "srtp": st.sampled_from(["off", "accept", "offer", "required"]),
        "sips": st.sampled_from(["allow", "warn", "forbid"]),
        "sdes_in_clear": st.booleans(),
        "redirects": st.sampled_from(["refuse", "pass", "follow"]),
        "transfers": st.sampled_from(["refuse", "pass", "perform"]),
    }
)
atoms = st.one_of(
    st.builds('trunk {} "{}"'.format, st.sampled_from(["==", "!="]), st.sampled_from(TRUNKS)),
    st.builds('trunk {} ["{}", "b"]'.format, st.sampled_from(["in", "not in"]), st.sampled_from(TRUNKS)),
    st.builds('tenant {} "{}"'.format, st.sampled_from(["==", "!="]), st.sampled_from(TENANTS)),
    st.builds('listener == "{}"'.format, st.sampled_from(list(LISTENERS))),
    st.builds('transport {} "{}"'.format, st.sampled_from(["==", "!="]), st.sampled_from(["tls", "udp"])),
    st.builds('sdp.srtp == "{}"'.format, st.sampled_from(["none", "required"])),
    st.sampled_from(
        [
            "true", "sips", 'to.user starts with "0"', 'redirected_from == ""', 'referred_by == ""',
            "to.user in list.some", "trunk in list.names", "lookup.flags.vip",
        ]
    ),
)  # fmt: skip
ASKS = (
    'ask "router" else continue', 'ask "router" else route "b"', 'ask "router" else redirect "sip:x@y"',
    'ask "flags" else reject 403', 'ask "flags" else continue', 'ask "router" else route "a" then "c"',
)  # fmt: skip
SERVICES = {
    "router": Service("router"),
    "flags": Service("flags", (), {"vip": "truth"}, decides=False),
}
answers: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {},
    optional={
        "router": st.builds(
            dict, route=st.sampled_from([*TRUNKS, ["a", "b"]]),
            srtp=st.sampled_from([None, "off", "required"]), downgrade=st.sampled_from([None, "allow"]),
        ),
        "flags": st.builds(dict, vip=st.booleans()),
    },
)  # fmt: skip
conditions = st.recursive(
    atoms,
    lambda inner: st.one_of(
        st.builds("not ({})".format, inner),
        st.builds("({} and {})".format, inner, inner),
        st.builds("({} or {})".format, inner, inner),
    ),
    max_leaves=4,
)
actions = st.lists(
    st.sampled_from(
        ["require srtp", "offer srtp", "accept srtp", "no srtp", "forbid downgrade", "warn downgrade",
         "allow downgrade", 'set to.user = "0"', "follow redirects", "refuse redirects", *ASKS]
    ),
    max_size=3,
)  # fmt: skip
endings = st.one_of(
    st.just("continue"),
    st.just("reject 403"),
    st.just("route group.some"),
    st.lists(
        st.sampled_from(
            [
                '"sip:x@y"',
                '"sips:x@y"',
                '"sip:x@y;transport=tls"',
                '"sip:" + to.user + "@y;transport=tls"',
                '"sips:" + to.user + "@y"',
                '"tel:+1"',
            ]
        ),
        min_size=1,
        max_size=3,
    ).map(lambda targets: f"redirect {', '.join(targets)}"),
    st.builds('route "{}"'.format, st.sampled_from(TRUNKS)),
    st.sampled_from(['route "a" then "b"', 'route "c" then "a" on 503', 'route "b" then group.some']),
).filter(lambda text: text != 'route "b" then group.some')
rules = st.lists(st.tuples(conditions, actions, endings), min_size=1, max_size=6)
calls = st.lists(
    st.tuples(
        st.sampled_from(TRUNKS),
        st.sampled_from(["0123", "1", ""]),
        st.sampled_from(["none", "offered", "required"]),
        st.booleans(),
        answers,
    ),
    min_size=1, max_size=12,
)  # fmt: skip


def snapshot(peers: Mapping[str, Mapping[str, Any]], written: list[tuple[str, list[str], str]]) -> Snapshot:
    text = 'lists: {some: ["0123"], names: [a, c]}\ngroups: {some: [b, c]}\nrules:\n'
    for number, (when, edits, ending) in enumerate(written):
        then = "".join(f"      {line}\n" for line in (*edits, ending))
        text += f"  - name: r{number}\n    when: |\n      {when}\n    then: |\n{then}"
    known = Known(frozenset(TRUNKS), frozenset(LISTENERS), frozenset(TENANTS), services=SERVICES)
    ruleset, problems = load({"r.yaml": text}, known)
    assert ruleset is not None, problems
    made = {name: Trunk.model_validate({"trunk": name, **options}) for name, options in peers.items()}
    return Snapshot("test", Path("."), SETTINGS, made, ruleset)


def left_in_the_clear(made: Snapshot, origin: Trunk, facts: Facts, route: Route, target: Trunk) -> list[str]:
    """What the engine would let happen to a promise on this hop, by the functions that the engine asks."""
    secure = [made.settings.listeners[each.listener].transport == "tls" for each in (origin, target)]
    judged = verdict(secure[0], secure[1], effective_downgrade(target.sips, route.downgrade))
    if judged.outcome == "forbid":
        return []
    lost = ["SIPS"] if judged.downgraded else []
    here = caller_srtp(origin.srtp, route.srtp)
    keys_may_come = secure[0] or origin.sdes_in_clear
    protected = keys_may_come and (facts.sdp_srtp != "none" or here in ("offer", "required"))
    policy = MediaPolicy(callee_srtp(target.srtp, route.srtp), secure[1] or target.sdes_in_clear)
    try:
        must_be_secure, _ = lines_to_offer(IDS, policy, None)
    except PeerError:
        return lost
    return [*lost, "SRTP"] if protected and not must_be_secure else lost


@pytest.mark.slow
@settings(max_examples=400, deadline=None)
@given(st.fixed_dictionaries({name: trunks for name in TRUNKS}), rules, calls)
def test_what_leaves_in_the_clear_is_named(
    peers: dict[str, dict[str, Any]],
    written: list[tuple[str, list[str], str]],
    made_calls: list[tuple[str, str, str, bool, dict[str, Any]]],
) -> None:
    made = snapshot(peers, written)
    named = {(str(leak.promise), leak.origin, leak.target, leak.rule) for leak in secrecy_report(made)}
    for name, user, offered, sips, told in made_calls:
        said = {each: read_answer(answer, SERVICES[each], TRUNKS) for each, answer in told.items()}
        origin, waiting, seen = made.trunks[name], [(name, "")], {""}
        while waiting:
            trunk, after = waiting.pop()
            for by, how in goes_as_it_was_named(made, named, origin, trunk, after, user, offered, sips, said):
                if how not in seen:
                    seen.add(how)
                    waiting.append((by, how))


def goes_as_it_was_named(
    made: Snapshot, named: set[tuple[str, str, str, str]], origin: Trunk, trunk: str, after: str, user: str,
    offered: str, sips: bool, said: Answers,
) -> list[tuple[str, str]]:  # fmt: skip
    """A call of ``origin``, or one that ``trunk`` redirected or transferred; who may do so now, and how."""
    from_, name, secure = made.trunks[trunk], origin.trunk, LISTENERS[origin.listener] == "tls"
    transport = LISTENERS[from_.listener]
    facts = Facts(
        trunk=trunk, tenant=from_.tenant or "", listener=from_.listener, transport=transport,
        ruri_user=user, sdp_srtp=offered, sips=sips and transport == "tls",
        redirected_from="1" if "redirect" in after else "", referred_by="1" if "transfer" in after else "",
    )  # fmt: skip
    decision = made.rules.decide(facts, said)
    assert decision == made.rules.explain(facts, said)[0]
    place = f"rule {decision.rule}{after}"
    if decision.rule.endswith(", then lookup router"):
        place = f"lookup router, which may route anywhere{after}"
    if isinstance(decision, Redirect):
        for told in told_in_the_clear(secure, decision):
            assert any(
                (promise, place, rule) == ("SIPS", name, f"rule {decision.rule}{after}")
                and told.startswith(target.partition("...")[0])
                for promise, place, target, rule in named
            )
    if not isinstance(decision, Route):
        return []
    targets = [
        target
        for hop in decision.hops
        for target in ([member for member, _ in hop.group.members] if hop.group else [hop.trunk])
    ]
    for target in targets:
        for promise in left_in_the_clear(made, origin, facts, decision, made.trunks[target]):
            assert (promise, name, target, place) in named
    follows = [each for each in targets if (decision.redirects or made.trunks[each].redirects) == "follow"]
    transfers = [each for each in targets if made.trunks[each].transfers == "perform"]
    return [
        *((each, f" after a redirect from {each}") for each in follows),
        *((each, f" after a transfer by {each}") for each in transfers),
    ]


def told_in_the_clear(secure: bool, decision: Redirect) -> list[str]:
    """The targets without TLS that a caller is told, by the functions that the engine asks."""
    if None in map(redirect_contact, decision.targets):
        return []  # one that is no URI: the call is refused
    judged = [verdict(secure, is_secure(each), decision.downgrade or "warn") for each in decision.targets]
    return [
        target
        for target, each in zip(decision.targets, judged, strict=True)
        if each.downgraded and each.outcome != "forbid"
    ]


TLS_TO_UDP = {
    "a": {"listener": "tls-1"}, "b": {"listener": "udp-1"}, "c": {"listener": "tls-2", "srtp": "required"},
}  # fmt: skip


def report(*written: tuple[str, list[str], str], **more: dict[str, Any]) -> list[str]:
    peers = {name: {**options, **more.get(name, {})} for name, options in TLS_TO_UDP.items()}
    return [
        f"{leak.promise} {leak.origin} {leak.target} {leak.rule.partition(' (')[0]}"
        for leak in secrecy_report(snapshot(peers, list(written)))
    ]


def test_the_report_names_the_route_and_the_rule_that_allows_it() -> None:
    plain = ("true", list[str](), 'route "b"')
    assert report(plain) == ["SIPS a b rule r0", "SRTP a b rule r0", "SIPS c b rule r0", "SRTP c b rule r0"]
    assert report(("true", [], 'route "c"')) == []
    assert report(("true", ["forbid downgrade"], 'route "b"')) == ["SRTP a b rule r0", "SRTP c b rule r0"]
    assert report(("true", ["forbid downgrade", "require srtp"], 'route "b"')) == []
    assert report(plain, b={"sips": "forbid", "srtp": "required"}) == []


def test_a_redirect_in_the_clear_is_named_unless_it_is_forbidden() -> None:
    moved = 'redirect "sip:" + to.user + "@y;transport=tls", "sips:x@y", "sip:x@y;transport=tls", "tel:+1"'
    leaks = secrecy_report(snapshot(TLS_TO_UDP, [("true", [], moved)]))
    assert [(leak.promise, leak.origin, leak.target) for leak in leaks] == [
        ("SIPS", origin, target) for origin in ("a", "c") for target in ("sip:...@y;transport=tls", "tel:+1")
    ]
    assert str(leaks[0]).endswith(
        "forbidden by `forbid downgrade` in the rule, or by a sips: URI as its target"
    )
    assert report(("true", ["forbid downgrade"], moved)) == []
    assert report(('transport == "udp"', [], moved)) == []


def test_only_what_a_call_can_reach_is_named() -> None:
    behind = ('transport == "tls"', list[str](), "reject 488"), ("true", list[str](), 'route "b"')
    assert report(*behind) == []
    other = ('trunk == "b" or listener == "udp-1"', list[str](), 'route "b"')
    assert report(other) == []
    unprotected = ('trunk == "a" and sdp.srtp == "none"', ["forbid downgrade"], 'route "b"')
    assert report(unprotected) == []
    assert report(unprotected, a={"srtp": "offer"}) == ["SRTP a b rule r0"]


def test_what_an_earlier_rule_has_set_counts_where_it_must_have_held() -> None:
    forbids = ["forbid downgrade", "require srtp"]
    certain = ('trunk in ["a", "c"]', forbids, "continue"), ("true", list[str](), 'route "b"')
    assert report(*certain) == []
    perhaps = ("sips", forbids, "continue"), ("true", list[str](), 'route "b"')
    assert len(report(*perhaps)) == 4
    undone = (
        ("true", forbids, "continue"),
        ("sips", ["no srtp"], "continue"),
        ("true", list[str](), 'route "b"'),
    )
    assert report(*undone) == [
        "SRTP a b rule r2",
        "SRTP c b rule r2",
    ]


def test_a_hook_may_route_anywhere_that_the_trunks_allow() -> None:
    hooks, problems = load_hooks({"hooks/x.py": "def on_route(facts, decision): pass\n"})
    assert not problems
    peers = {**TLS_TO_UDP, "a": {"listener": "tls-1", "srtp": "required"}}
    made = snapshot(peers, [("true", [], "reject 403")])
    held = Snapshot("test", Path("."), SETTINGS, made.trunks, made.rules, hooks)
    leaks = secrecy_report(held)
    assert {(leak.promise, leak.origin, leak.target) for leak in leaks} == {
        (promise, origin, "b") for promise in ("SIPS", "SRTP") for origin in ("a", "c")
    }
    assert leaks[0] == Leak(
        "SIPS", "a", "b", "hook hooks/x.py, which may route anywhere", "`sips: forbid` in the trunk b"
    )


def test_a_service_may_route_anywhere_that_the_trunks_and_the_rule_before_allow() -> None:
    ask = ('trunk == "a"', list[str](), 'ask "router" else reject 503')
    assert report(ask) == ["SIPS a b lookup router, which may route anywhere"] + [
        f"SRTP a {target} lookup router, which may route anywhere" for target in ("a", "b")
    ]
    assert report(('trunk == "a"', ["forbid downgrade", "require srtp"], ask[2])) == []
    assert report(("false", [], ask[2])) == report(("true", [], 'ask "flags" else reject 503')) == []
    otherwise = ('trunk == "a"', ["forbid downgrade"], 'ask "flags" else route "b"')
    assert report(otherwise) == ["SRTP a b rule r0"]
    told = ('trunk == "a"', list[str](), 'ask "flags" else redirect "sip:x@y"')
    assert report(told) == ["SIPS a sip:x@y rule r0"]


def test_where_redirects_are_followed_the_ways_out_of_the_callees_trunk_are_named_for_the_caller() -> None:
    rules = ('trunk == "a"', list[str](), 'route "c"'), ('trunk == "c"', list[str](), 'route "b"')
    beyond = ["SIPS c b rule r1", "SRTP c b rule r1"]
    assert report(*rules) == beyond
    after = ["SIPS a b rule r1", "SRTP a b rule r1"]
    assert report(*rules, c={"redirects": "follow"}) == after + beyond
    follow = ('trunk == "a"', ["follow redirects"], 'route "c"')
    assert report(follow, rules[1]) == after + beyond
    leaks = secrecy_report(
        snapshot({**TLS_TO_UDP, "c": {"listener": "tls-2", "redirects": "follow"}}, [*rules])
    )
    assert leaks[0].rule.endswith(" after a redirect from c")


def test_where_transfers_are_carried_out_the_ways_out_of_that_trunk_are_named_for_the_other_side() -> None:
    rules = ('trunk == "a"', list[str](), 'route "c"'), ('trunk == "c"', list[str](), 'route "b"')
    beyond, after = ["SIPS c b rule r1", "SRTP c b rule r1"], ["SIPS a b rule r1", "SRTP a b rule r1"]
    assert report(*rules) == report(*rules, c={"transfers": "pass"}) == beyond
    assert report(*rules, c={"transfers": "perform"}) == after + beyond
    peers = {**TLS_TO_UDP, "c": {"listener": "tls-2", "transfers": "perform"}}
    assert secrecy_report(snapshot(peers, [*rules]))[0].rule.endswith(" after a transfer by c")
    # Who is called by it, as well as who calls it.
    called = 'trunk == "c" and to.user == "1"', list[str](), 'route "a"'
    told = set(report(called, rules[1], c={"transfers": "perform"})) - set(report(called, rules[1]))
    assert set(after) <= told
