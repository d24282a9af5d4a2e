"""Which addresses are exempt: exactly those of this machine and of private networks."""

from __future__ import annotations

import pytest

from sbc.policy.exempt import exempt, touches_exempt

INSIDE = """127.0.0.1 127.255.255.255 10.0.0.0 10.255.255.255 172.16.0.0 172.31.255.255 192.168.0.0
192.168.255.255 169.254.0.1 169.254.255.255 ::1 fc00:: fdff:ffff::1 fe80::1 febf:ffff::1 fe80::1%eth0
::ffff:10.1.2.3 ::ffff:127.0.0.1 ::ffff:c0a8:101""".split()
OUTSIDE = """126.255.255.255 128.0.0.0 9.255.255.255 11.0.0.0 172.15.255.255 172.32.0.0 192.167.255.255
192.169.0.0 169.253.255.255 169.255.0.0 0.0.0.0 100.64.0.1 192.0.2.1 198.18.0.1 198.51.100.1 203.0.113.1
224.0.0.1 255.255.255.255 :: ::2 fbff::1 fe00::1 fec0::1 ff02::1 2001:db8::1 ::ffff:203.0.113.1
::ffff:9.9.9.9 sip.example 10.0.0 10.0.0.256 localhost""".split()


@pytest.mark.parametrize("host", INSIDE)
def test_this_machine_and_private_networks_are_exempt(host: str) -> None:
    assert exempt(host)


@pytest.mark.parametrize("host", ["", *OUTSIDE])
def test_nobody_else_is(host: str) -> None:
    assert not exempt(host)


@pytest.mark.parametrize(
    ("network", "touched"),
    [
        ("0.0.0.0/0", "127.0.0.0/8"), ("::/0", "::1/128"), ("10.9.8.7", "10.0.0.0/8"),
        ("172.0.0.0/8", "172.16.0.0/12"), ("fe00::/7", "fe80::/10"), ("::ffff:10.0.0.0/104", "10.0.0.0/8"),
        ("203.0.113.0/24", None), ("172.32.0.0/11", None), ("2001:db8::/32", None), ("::2", None),
    ],
)  # fmt: skip
def test_a_network_touches_what_it_shares_an_address_with(network: str, touched: str | None) -> None:
    assert touches_exempt(network) == touched
