"""What passes on the loopback, read below every program: a capture of UDP, and the kernel's queues."""

from __future__ import annotations

import ctypes
import struct
from collections.abc import Container
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gevent
import pytest
from gevent import socket

_ALL_FRAMES = 0x0003  # ETH_P_ALL
_OUTGOING = 4  # PACKET_OUTGOING: on the loopback each packet is seen leaving and coming
_ETHERNET = 14
_ATTACH_FILTER, _RETURN = 26, 0x06  # SO_ATTACH_FILTER, BPF_RET | BPF_K: the rest is 0 octets


@dataclass(frozen=True, slots=True)
class Datagram:
    """One UDP datagram as it was on the wire."""

    source: tuple[str, int]
    destination: tuple[str, int]
    payload: bytes


class Capture:
    """All UDP of the loopback that comes from or goes to one of ``ports``, from now on.

    Skips the test where this user may not capture.
    """

    def __init__(self, ports: Container[int]) -> None:
        self.ports = ports
        self.seen: list[Datagram] = []
        try:
            self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_ALL_FRAMES))
        except (OSError, AttributeError) as error:
            pytest.skip(f"cannot capture on the loopback: {error}; run as root on Linux (CAP_NET_RAW)")
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 25)
        self._socket.bind(("lo", 0))
        self._reader = gevent.spawn(self._read)

    def stop(self) -> list[Datagram]:
        """End the capture; what was seen."""
        gevent.sleep(0.1)
        self._reader.kill()
        self._socket.close()
        return self.seen

    def sent_by(self, ports: Container[int]) -> list[Datagram]:
        """What left one of ``ports``."""
        return [each for each in self.seen if each.source[1] in ports]

    def _read(self) -> None:
        while True:
            frame, address = self._socket.recvfrom(65535)
            if address[2] != _OUTGOING:
                datagram = _udp(frame[_ETHERNET:])
                if datagram and (datagram.source[1] in self.ports or datagram.destination[1] in self.ports):
                    self.seen.append(datagram)


def _udp(packet: bytes) -> Datagram | None:
    if len(packet) < 28 or packet[0] >> 4 != 4 or packet[9] != socket.IPPROTO_UDP:
        return None
    at = (packet[0] & 15) * 4
    source, destination, length = struct.unpack_from("!HHH", packet, at)
    return Datagram(
        (socket.inet_ntoa(packet[12:16]), source),
        (socket.inet_ntoa(packet[16:20]), destination),
        packet[at + 8 : at + length],
    )


def vanish(sock: Any) -> None:
    """Let nothing reach ``sock`` from now on, and nobody know: as if its host had lost its power (Linux)."""
    nothing = ctypes.create_string_buffer(struct.pack("HBBI", _RETURN, 0, 0, 0))
    program = struct.pack("@HP", 1, ctypes.addressof(nothing))
    sock.setsockopt(socket.SOL_SOCKET, _ATTACH_FILTER, program)


def queue(port: int) -> tuple[int, int]:
    """Octets that wait in the kernel for the UDP socket on ``port``, and datagrams it has dropped."""
    for line in Path("/proc/net/udp").read_text().splitlines()[1:]:
        fields: list[Any] = line.split()
        if int(fields[1].partition(":")[2], 16) == port:
            return int(fields[4].partition(":")[2], 16), int(fields[-1])
    return 0, 0
