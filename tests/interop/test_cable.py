"""The cable that other tests cut."""

from __future__ import annotations

import socket
import time

from tests.interop.cable import RESET, Cable


def test_it_is_cut_although_both_ends_were_quicker() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        cable = Cable(server.getsockname())
        ends = [socket.create_connection(("127.0.0.1", cable.port), 5), server.accept()[0]]
        limit = time.monotonic() + 5
        while not cable.connections and time.monotonic() < limit:
            time.sleep(0.01)
        for each in ends:
            each.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            each.close()
        with cable:
            cable.cut()
    assert cable.connections == 1
