"""The cable that other tests cut."""

from __future__ import annotations

import socket

from tests.interop.cable import RESET, Cable
from tests.peers.waiting import until


def test_it_is_cut_although_both_ends_were_quicker() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        cable = Cable(server.getsockname())
        ends = [socket.create_connection(("127.0.0.1", cable.port), 5), server.accept()[0]]
        until(lambda: cable.connections)
        for each in ends:
            each.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            each.close()
        with cable:
            cable.cut()
    assert cable.connections == 1
