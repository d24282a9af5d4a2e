"""The machine's own resolv.conf and hosts file."""

from __future__ import annotations

from sbc.base import Address
from sbc.dns.files import host_addresses, name_servers


def test_resolv_conf() -> None:
    text = (
        "# made by\nsearch example\nnameserver 192.0.2.53 # ours\nnameserver ::1\nnameserver\noptions edns0\n"
    )
    assert name_servers(text) == (Address("192.0.2.53", 53), Address("::1", 53))
    many = "".join(f"nameserver 192.0.2.{index}\n" for index in range(9))
    assert len(name_servers(many)) == 3, "as resolv.conf(5) has it"
    assert name_servers("nameserver ns.example\n") == ()


def test_hosts() -> None:
    text = "127.0.0.1 localhost\n::1 localhost ip6\n192.0.2.1\tSip.Carrier.Example carrier # theirs\n"
    text += "nonsense here\n\n"
    found = host_addresses(text)
    assert found["localhost"] == ("127.0.0.1", "::1")
    assert found["sip.carrier.example"] == found["carrier"] == ("192.0.2.1",)
    assert "here" not in found
