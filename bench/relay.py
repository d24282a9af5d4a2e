"""CPU per RTP packet relayed to SRTP: rtpengine in user space beside MediaIO in its own process.

Both get the same ng commands, the same SDP and the same packets from the same generator: plain RTP
in on every stream, SRTP out to one sink. The sink counts, and undoes the SRTP of one packet of each
stream, so that neither is credited for a packet that nobody could play.

What a recording costs is measured on calls in which both sides speak, for both stand in one file: SRTP goes
back from the sink, and what arrives as plain RTP is counted.
"""

from __future__ import annotations

import base64
import re
import socket
import struct
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import pylibsrtp

from bench.measure import LOAD_CORE, SERVER_CORE, cpu_seconds, on_core
from bench.ng import NgClient
from bench.report import Row
from tests.peers.ports import free_port, wide_range
from tests.peers.process import PeerProcess, find, listening
from tests.peers.product import environment

PAYLOAD = bytes(range(160))
PACKETS_A_SECOND = 50

_SDP = """\
v=0
o=- 1 1 IN IP4 127.0.0.1
s=-
c=IN IP4 127.0.0.1
t=0 0
m=audio {port} {profile} 0
a=rtpmap:0 PCMU/8000
{crypto}a=sendrecv
"""
_OUR_KEY = "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz\n"
_CRYPTO = re.compile(rb"a=crypto:(\d+) AES_CM_128_HMAC_SHA1_80 inline:([A-Za-z0-9+/=]+)")
_MEDIA = re.compile(rb"m=audio (\d+) ")


class MediaProxy(PeerProcess):
    """A process that speaks ng on ``port``."""

    def __init__(self, name: str, directory: Path, argv: Sequence[str], port: int) -> None:
        self.port = port
        super().__init__(name, directory, argv, cpu=SERVER_CORE)

    def ready(self) -> None:
        """Wait until its ng port is bound."""
        self.wait_until(lambda: listening(self.port, udp=True), 30, f"ng port {self.port}")


def rtpengine(directory: Path) -> MediaProxy:
    """rtpengine without its kernel module."""
    port = free_port()
    argv = [find("rtpengine"), "--config-file=none", "--table=-1", "--foreground", "--log-stderr"]
    argv += ["--log-level=3", "--interface=127.0.0.1", f"--listen-ng=127.0.0.1:{port}", "--num-threads=2"]
    argv += ["--delete-delay=0"]  # or ports rest so long that a few hundred calls a second use all of them
    argv += [f"--port-min={wide_range().start}", f"--port-max={wide_range().stop - 1}"]
    return MediaProxy("rtpengine", directory, argv, port)


def media_io(directory: Path, python: Sequence[str] = (), more: Sequence[str] = ()) -> MediaProxy:
    """MediaIO in a process of its own; ``python`` starts another tree's, ``more`` are further arguments."""
    port = free_port()
    own = ["env", f"PYTHONPATH={environment()['PYTHONPATH']}", sys.executable, "-P"]
    ports = f"{wide_range().start}-{wide_range().stop - 1}"
    argv = [*(python or own), "-m", "bench.media_process", str(port), ports, *more]
    return MediaProxy("portcullis", directory, argv, port)


def recorded(directory: Path) -> MediaProxy:
    """The same, and every call is recorded."""
    return media_io(directory, more=[str(directory)])


PROXIES: dict[str, Callable[[Path], MediaProxy]] = {
    "rtpengine": rtpengine, "portcullis": media_io, "portcullis, recording": recorded,
}  # fmt: skip
#: Whose cost is measured by calls in which both sides speak.
BOTH_WAYS = ("portcullis", "portcullis, recording")


@dataclass(frozen=True, slots=True)
class Stream:
    """One stream: the socket it is sent from, where to, how to undo what comes out, and how to answer it."""

    source: socket.socket
    towards: tuple[str, int]
    leaves_from: int
    receiver: pylibsrtp.Session
    sender: pylibsrtp.Session


@dataclass(frozen=True, slots=True)
class Run:
    """CPU seconds a packet, packets sent and received, streams whose SRTP was undone."""

    per_packet: float
    sent: int
    received: int
    played: int


class Sink:
    """Where all streams end: counts packets and undoes the first of each stream."""

    def __init__(self) -> None:
        self.socket = _udp_socket(1 << 23)
        self.port = int(self.socket.getsockname()[1])
        self.streams: dict[int, Stream] = {}
        self.received = 0
        self.played: set[int] = set()

    def answer(self, stream: Stream, packet: bytes) -> None:
        """Say something on a stream, and take what has come of what was said before."""
        self.socket.sendto(stream.sender.protect(packet), ("127.0.0.1", stream.leaves_from))
        self.take(stream)

    def take(self, stream: Stream) -> None:
        """Take what has come back of a stream."""
        with suppress(BlockingIOError):
            while stream.source.recv(2048).endswith(PAYLOAD):
                self.received += 1

    def drain(self) -> None:
        """Take what has arrived."""
        while True:
            try:
                data, source = self.socket.recvfrom(2048)
            except BlockingIOError:
                return
            self.received += 1
            if source[1] not in self.played and source[1] in self.streams:
                plain = self.streams[source[1]].receiver.unprotect(data)
                if plain.endswith(PAYLOAD):
                    self.played.add(source[1])


def relay(
    who: Sequence[str] = tuple(PROXIES), streams: int = 200, seconds: float = 10, runs: int = 3
) -> list[Row]:
    """``runs`` interleaved runs of each: one side speaks on each stream, or both of half as many calls."""
    kinds = [(name, False) for name in who if name != "portcullis, recording"]
    kinds += [(name, True) for name in who if name in BOTH_WAYS]
    done: dict[tuple[str, bool], list[Run]] = {kind: [] for kind in kinds}
    for _ in range(runs):
        for name, both in kinds:
            done[name, both].append(measure(PROXIES[name], streams, seconds, both))
    return [_row(name, streams, both, results) for (name, both), results in done.items()]


def measure(make: Callable[[Path], MediaProxy], count: int, seconds: float, both: bool = False) -> Run:
    """Relay ``count`` streams, or with ``both`` half as many calls, for ``seconds`` through a fresh proxy."""
    calls = count // 2 if both else count
    with TemporaryDirectory(prefix="bench-") as root, make(Path(root)) as proxy, on_core(LOAD_CORE):
        client, sink = NgClient(proxy.port), Sink()
        streams = [_set_up(client, sink, number) for number in range(calls)]
        try:
            send(streams, sink, 0.5, both)
            time.sleep(0.2)
            sink.drain()
            for stream in streams:
                sink.take(stream)
            before, received = cpu_seconds(proxy.pid), sink.received
            sent = send(streams, sink, seconds, both)
            time.sleep(0.2)
            sink.drain()
            for stream in streams:
                sink.take(stream)
            spent, arrived = cpu_seconds(proxy.pid) - before, sink.received - received
            for number in range(calls):
                client.ask("delete", call_id=f"bench-{number}", from_tag="a")
        finally:
            client.close()
            sink.socket.close()
            for stream in streams:
                stream.source.close()
    return Run(spent / max(1, arrived), sent, arrived, len(sink.played))


def send(streams: list[Stream], sink: Sink, seconds: float, both: bool = False) -> int:
    """Send 50 packets a second on each stream, spread over each 20 ms, and back; returns how many."""
    rounds, started = int(seconds * PACKETS_A_SECOND), time.monotonic()
    step = 1 / PACKETS_A_SECOND / len(streams)
    base = _clock()
    for turn in range(rounds):
        header = struct.pack("!BBHI", 0x80, 0, (base + turn) & 0xFFFF, (base + turn) * 160 & 0xFFFFFFFF)
        for number, stream in enumerate(streams):
            due = started + turn / PACKETS_A_SECOND + number * step
            while (ahead := due - time.monotonic()) > 0:
                sink.drain()
                time.sleep(min(ahead, 0.001))
            stream.source.sendto(header + struct.pack("!I", number + 1) + PAYLOAD, stream.towards)
            if both:
                sink.answer(stream, header + struct.pack("!I", 1000 + number) + PAYLOAD)
        sink.drain()
    return rounds * len(streams) * (2 if both else 1)


def _clock() -> int:
    """A packet count that goes on from one round of sending to the next."""
    return int(time.monotonic() * PACKETS_A_SECOND)


def _set_up(client: NgClient, sink: Sink, number: int) -> Stream:
    source = _udp_socket()
    call, port = f"bench-{number}", source.getsockname()[1]
    plain = _SDP.format(port=port, profile="RTP/AVP", crypto="").replace("\n", "\r\n")
    keyed = _SDP.format(port=sink.port, profile="RTP/SAVP", crypto="{}").replace("\n", "\r\n")
    options: dict[str, list[str] | str] = {"ICE": "remove", "DTLS": "off", "replace": ["origin"]}
    offered = client.ask(
        "offer", call_id=call, from_tag="a", sdp=plain, transport_protocol="RTP/SAVP", **options
    )["sdp"]
    crypto, media = _CRYPTO.search(offered), _MEDIA.search(offered)
    assert crypto is not None and media is not None, offered
    own = _OUR_KEY.replace("crypto:1", f"crypto:{crypto[1].decode()}").replace("\n", "\r\n")
    answered = client.ask("answer", call_id=call, from_tag="a", to_tag="b", sdp=keyed.format(own), **options)[
        "sdp"
    ]
    towards = _MEDIA.search(answered)
    assert towards is not None, answered
    back = pylibsrtp.Policy(
        key=base64.b64decode(_OUR_KEY.partition("inline:")[2]),
        ssrc_type=pylibsrtp.Policy.SSRC_ANY_OUTBOUND,
        srtp_profile=pylibsrtp.Policy.SRTP_PROFILE_AES128_CM_SHA1_80,
    )
    stream = Stream(
        source, ("127.0.0.1", int(towards[1])), int(media[1]), _receiver(crypto[2]), pylibsrtp.Session(back)
    )
    sink.streams[stream.leaves_from] = stream
    return stream


def _receiver(key: bytes) -> pylibsrtp.Session:
    policy = pylibsrtp.Policy(
        key=base64.b64decode(key + b"=="),
        ssrc_type=pylibsrtp.Policy.SSRC_ANY_INBOUND,
        srtp_profile=pylibsrtp.Policy.SRTP_PROFILE_AES128_CM_SHA1_80,
    )
    return pylibsrtp.Session(policy=policy)


def _udp_socket(buffer: int = 0) -> socket.socket:
    opened = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    opened.setblocking(False)
    if buffer:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
    opened.bind(("127.0.0.1", 0))
    return opened


def _row(name: str, streams: int, both: bool, runs: list[Run]) -> Row:
    lost = sum(run.sent - run.received for run in runs) / sum(run.sent for run in runs)
    played = min(run.played for run in runs)
    costs = tuple(run.per_packet * 1e6 for run in runs)
    work = f"RTP packet to SRTP, {streams} streams"
    if both:
        work = f"RTP packet, {streams // 2} calls with SRTP on one side"
    return Row(work, name, costs, "us CPU", f"{lost:.1%} lost; {played} streams decrypted")
