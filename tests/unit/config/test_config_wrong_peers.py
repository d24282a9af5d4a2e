"""Mistakes in what is said of a trunk's peers, one at a time: what the operator is told, and where."""

from __future__ import annotations

import pytest

from tests.unit.config.configuration import FILES, Write
from tests.unit.config.test_config_wrong import TRUNK, Case, told

PEERS: dict[str, Case] = {
    "a peer's word misspelt": (
        TRUNK, "peers: [127.0.0.1:16061]", "peers: [{host: 127.0.0.1, port: 16061, wieght: 2}]",
        ["trunks.d/carrier.yaml:2:40: error: unknown key 'wieght' | did you mean 'weight'?"],
    ),
    "an address without a port among its words": (
        TRUNK, "peers: [127.0.0.1:16061]", "peers: [{host: 127.0.0.1, priority: 1}]",
        [
            "trunks.d/carrier.yaml:2:9: error: peers: '127.0.0.1' is an address and has no port"
            " | write port: 5061 beside it"
        ],
    ),
    "an address without a port": (
        TRUNK, "peers: [127.0.0.1:16061]", "peers: [127.0.0.1]",
        [
            "trunks.d/carrier.yaml:2:9: error: peers: '127.0.0.1' is not an address with a port"
            " | write 127.0.0.1:5061"
        ],
    ),
    "a domain beside peers": (
        TRUNK, "srtp: accept", "srtp: accept\nsrv: carrier.example",
        [
            "trunks.d/carrier.yaml:12:1: error: srv beside peers"
            " | keep one of them; `peers: [carrier.example]` says the same as `srv`"
        ],
    ),
    "an address where a domain belongs": (
        TRUNK, "peers: [127.0.0.1:16061]", "srv: 127.0.0.1",
        [
            "trunks.d/carrier.yaml:2:6: error: srv: '127.0.0.1' is not a domain"
            " | write the domain alone, such as carrier.example; an address goes to `peers`, with its port"
        ],
    ),
    "a domain with a port": (
        TRUNK, "peers: [127.0.0.1:16061]", "srv: carrier.example:5061",
        [
            "trunks.d/carrier.yaml:2:6: error: srv: 'carrier.example:5061' is not a domain"
            " | write the domain alone, such as carrier.example; an address goes to `peers`, with its port"
        ],
    ),
    "a port that does not exist": (
        TRUNK, "peers: [127.0.0.1:16061]", "peers: [{host: 127.0.0.1, port: 70000}]",
        ["trunks.d/carrier.yaml:2:33: error: port: 70000 is too much | the most is 65535"],
    ),
    "host and port in one": (
        TRUNK, "peers: [127.0.0.1:16061]", "peers: [{host: '127.0.0.1:16061', port: 16061}]",
        [
            "trunks.d/carrier.yaml:2:16: error: host: '127.0.0.1:16061' is neither a host nor an address"
            " | write the host alone, and its port as `port:`"
        ],
    ),
    "a peer's word beside the peers": (
        TRUNK, "srtp: accept", "srtp: accept\ntry_for: 4s",
        ["trunks.d/carrier.yaml:12:1: error: unknown key 'try_for' | it belongs under `peers:`"],
    ),
    "the model's own name for the peers": (
        TRUNK, "peers: [127.0.0.1:16061]", "servers: [127.0.0.1:16061]",
        [
            "trunks.d/carrier.yaml:1:1: warning: no peers, but rule out (routes.d/10.yaml:2) routes to it"
            " | write peers: [host:port]; until then each call to it fails over or gets 503",
            "trunks.d/carrier.yaml:2:1: error: unknown key 'servers' | did you mean 'peers'?",
        ],
    ),
    "a peer without a priority among others": (
        TRUNK, "peers: [127.0.0.1:16061]", "peers: [{host: 127.0.0.1, port: 1, priority: 1}, a.example:5061]",
        [
            "trunks.d/carrier.yaml:2:50: error: a.example:5061 has no priority, but others have"
            " | write `priority` beside each peer, the lowest is tried first; or beside none"
        ],
    ),
    "a weight without a priority": (
        TRUNK, "peers: [127.0.0.1:16061]", "peers: [{host: 127.0.0.1, port: 1, weight: 2}, a.example:5061]",
        [
            "trunks.d/carrier.yaml:2:44: error: a weight without a priority"
            " | write priority: 1 beside it, and beside every peer that shares the calls with it"
        ],
    ),
    "long requests where there are no datagrams": (
        TRUNK, "srtp: accept", "srtp: accept\nlong_requests: udp",
        [
            "trunks.d/carrier.yaml:12:16: warning: long_requests has no effect here"
            " | remove it; it is for trunks on a udp listener"
        ],
    ),
    "connections of peers that prove nothing": (
        TRUNK, "tls:\n  mode: required", "alias: true\ntls:\n  mode: server",
        [
            "trunks.d/carrier.yaml:5:8: warning: alias has no effect in mode server"
            " | remove it: a peer that shows no certificate has not proved that it is one of `peers`"
        ],
    ),
    "a peer that stands twice": (
        TRUNK, "peers: [127.0.0.1:16061]", "peers: [127.0.0.1:16061, {host: 127.0.0.1, port: 16061}]",
        [
            "trunks.d/carrier.yaml:2:26: error: 127.0.0.1:16061 stands twice"
            " | remove one; a greater `weight` gives it more of the calls"
        ],
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", PEERS.values(), ids=PEERS)
def test_one_mistake(write: Write, case: Case) -> None:
    path, right, wrong, expected = case
    assert FILES[path].count(right) == 1, "the case does not fit the file"
    assert told(write, {path: FILES[path].replace(right, wrong)}) == expected
