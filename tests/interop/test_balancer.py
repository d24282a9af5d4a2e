"""HAProxy before the SBC, as docs/balancer.md has it: mutual TLS end to end, and the peer's own address."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import gevent
import pytest
from gevent import socket

from tests.edge.balanced import BALANCER, FILES, LIAR, Lab, answer, ended
from tests.peers.asking import ask
from tests.peers.haproxy import Haproxy
from tests.peers.ports import free_ports
from tests.peers.waiting import until_said

pytestmark = pytest.mark.slow

PAGE = (Path(__file__).parents[2] / "docs" / "balancer.md").read_text("utf-8")
(EXAMPLE,) = re.findall(r"^```text\n# haproxy.cfg\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
ADMITTED, STRANGER = "127.0.0.21", "127.0.0.22"


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    """The SBC, whose trunks admit one address, and HAProxy before its TLS listener."""
    made = Lab(tmp_path)
    for name in ("tcp", "tls"):
        text = FILES[f"trunks.d/{name}.yaml"].replace("203.0.113.0/24, 127.0.0.6", ADMITTED)
        (tmp_path / "trunks.d" / f"{name}.yaml").write_text(text)
    with made:
        yield made


def configured(lab: Lab, port: int) -> str:
    """The page's configuration of HAProxy, on ``port`` and before the SBC's TLS listener."""
    config: str = EXAMPLE.replace("bind :5061", f"bind 127.0.0.1:{port}")
    config = config.replace("source 10.0.0.5", f"source {BALANCER}")
    return config.replace("10.0.0.9:5061", f"127.0.0.1:{lab.where['tls'][1]}")


def test_mutual_tls_through_haproxy_with_the_peer_s_own_address(lab: Lab, tmp_path: Path) -> None:
    tls, tcp = free_ports(2)
    config = EXAMPLE.replace("bind :5061", f"bind 127.0.0.1:{tls}").replace(
        "source 10.0.0.5", f"source {BALANCER}"
    )
    config = config.replace("10.0.0.9:5061", f"127.0.0.1:{lab.where['tls'][1]}")
    assert "10.0.0." not in config
    plain = re.sub(r"sips|sbc\b", lambda name: f"{name[0]}-plain", config.partition("frontend")[2])
    plain = plain.replace(f":{tls}", f":{tcp}").replace(str(lab.where["tls"][1]), str(lab.where["tcp"][1]))
    with Haproxy("haproxy", tmp_path, f"{config}\nfrontend{plain}", [tls, tcp]) as balancer:
        lab.where |= {"tls": ("127.0.0.1", tls), "tcp": ("127.0.0.1", tcp)}
        secure = lab.secure(lab.connect("tls", ADMITTED))
        port = secure.getsockname()[1]
        said = answer(secure, "TLS")
        assert (said.status, said.via.received) == (200, ADMITTED)
        until_said(lab.log, f"remote={ADMITTED}:{port}")
        plain_peer = lab.connect("tcp", ADMITTED)
        assert answer(plain_peer).via.received == ADMITTED
        for listener in ("tls", "tcp"):
            assert ended(lab.connect(listener, STRANGER))
        until_said(lab.log, STRANGER)
        assert BALANCER not in lab.log(), "nothing is taken for the balancer's own"
        (tmp_path / "acl.d" / "20.yaml").write_text(
            f"rules: [{{deny: {{address: {ADMITTED}}}, force: true}}]\n"
        )
        ask(tmp_path / "run" / "sbc.sock", "reload")
        with gevent.Timeout(10):
            assert secure.recv(1) == b"", "whom the access list denies is gone"
        secure.close()
        plain_peer.close()
        assert balancer.process.poll() is None


def test_version_1_of_haproxy_is_named_with_its_remedy(lab: Lab, tmp_path: Path) -> None:
    (port,) = free_ports(1)
    config = EXAMPLE.replace("bind :5061", f"bind 127.0.0.1:{port}").replace(
        "source 10.0.0.5", f"source {BALANCER}"
    )
    config = config.replace("10.0.0.9:5061", f"127.0.0.1:{lab.where['tls'][1]}")
    with Haproxy("haproxy", tmp_path, config.replace("send-proxy-v2", "send-proxy"), [port]):
        lab.where["tls"] = ("127.0.0.1", port)
        assert ended(lab.connect("tls", ADMITTED))
        until_said(lab.log, "let the balancer send version 2 (haproxy: send-proxy-v2)")
    config = config.replace(BALANCER, LIAR)
    (port,) = free_ports(1)
    config = re.sub(r"bind \S+", f"bind 127.0.0.1:{port}", config)
    with Haproxy("other", tmp_path, config, [port]):
        sock = socket.create_connection(("127.0.0.1", port), 5, (ADMITTED, 0))
        assert ended(sock), "it is a balancer that nobody has listed"
