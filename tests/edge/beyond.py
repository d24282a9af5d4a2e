"""A gateway, somebody beyond it whom rules may lead to, and an address that nobody may dial."""

from __future__ import annotations

from sbc.base import Address
from sbc.demo.lab import HOST
from sbc.sip.message import response_to, serialize
from tests.edge.raw_sip import Datagrams
from tests.edge.test_udp_calls import GATEWAY, Gateway


class Beyond(Gateway):
    """``beyond`` is on a trunk of that name, and ``trap`` is nobody's."""

    beyond: Datagrams
    trap: Datagrams

    def extend(self, trunk: str, text: str, routes: str) -> None:
        """The file of ``trunk`` is ``text`` now, the rules are ``routes``, and there is ``beyond``."""
        self.beyond, self.trap = (Datagrams(Address(HOST, self.sbc.udp)) for _ in range(2))
        trunks = self.sbc.directory / "trunks.d"
        (trunks / f"{trunk}.yaml").write_text(text)
        beyond = (GATEWAY % (HOST, self.beyond.port)).replace("gateway", "beyond")
        (trunks / "beyond.yaml").write_text(beyond)
        (self.sbc.directory / "routes.d" / "10-lab.yaml").write_text(routes)
        self.reload()

    def takes(self) -> str:
        """Whoever is beyond takes the call; the request URI by which it was called."""
        invite = self.hears(self.beyond, "INVITE")
        answer = response_to(invite, 200, "", "beyond")
        answer.headers.add("Contact", f"<sip:beyond@{HOST}:{self.beyond.port}>")
        self.beyond.send(serialize(answer))
        return invite.uri

    def close(self) -> None:
        super().close()
        self.beyond.close()
        self.trap.close()
