"""The status page in a real Chromium: it is styled, nothing is blocked, and it fits a telephone."""

from __future__ import annotations

import html
import re
import shutil
import struct
import subprocess
import threading
import zlib
from collections.abc import Iterator
from pathlib import Path
from wsgiref.simple_server import WSGIRequestHandler, make_server

import pytest

from sbc.observe.metrics import exposition
from sbc.observe.trust import TrustView
from sbc.observe.views import StatusView
from tests.unit.observe.pictures import picture, trust
from webui import create_app

pytestmark = pytest.mark.slow

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


class _Showing:
    def status(self) -> StatusView:
        return picture()

    def trust(self) -> tuple[TrustView, ...]:
        return trust()

    def metrics(self) -> str:
        return exposition(picture())


class _Quiet(WSGIRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    server = make_server("127.0.0.1", 0, create_app(_Showing()), handler_class=_Quiet)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join(5)


def chromium(profile: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    if CHROMIUM is None:
        pytest.skip("CHROMIUM IS MISSING: apt-get install chromium; the pages were NOT tried in a browser")
    return subprocess.run(
        [
            CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
            "--hide-scrollbars", "--enable-logging=stderr", f"--user-data-dir={profile}", *arguments,
        ],
        capture_output=True, text=True, timeout=90, check=True,
    )  # fmt: skip


def complaints(log: str) -> list[str]:
    """What the browser says of the page; of a slow machine its own pages complain, too."""
    said = [line for line in log.splitlines() if "CONSOLE" in line or "Refused to" in line]
    return [line for line in said if "source: chrome://" not in line]


def test_chromium_sees_the_page_and_blocks_nothing(address: str, tmp_path: Path) -> None:
    run = chromium(tmp_path, "--dump-dom", address)
    text = html.unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", run.stdout)))
    assert "office.lab.example" in text and "no certificate was presented" in text
    assert complaints(run.stderr) == []


def test_chromium_sees_the_trust_page(address: str, tmp_path: Path) -> None:
    run = chromium(tmp_path, "--dump-dom", f"{address}/trust")
    text = html.unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", run.stdout)))
    assert "CN=Carrier CA,O=Carrier" in text and "one way only" in text
    assert complaints(run.stderr) == []


@pytest.mark.parametrize(("width", "height"), [(1280, 300), (500, 400)])
def test_the_page_is_drawn_with_its_colours(address: str, tmp_path: Path, width: int, height: int) -> None:
    shot = tmp_path / "page.png"
    chromium(tmp_path / "profile", f"--window-size={width},{height}", f"--screenshot={shot}", address)
    drawn_width, _, pixels = read_png(shot)
    assert drawn_width == width
    colours = {pixels[at : at + 3] for at in range(0, len(pixels) - 3, 3)}
    bar, ground = bytes.fromhex("16243a"), bytes.fromhex("f4f6f9")
    assert bar in colours and ground in colours, "the style sheet was not applied"
    assert len(colours) > 50, "nothing was drawn"


def read_png(path: Path) -> tuple[int, int, bytes]:
    """Width, height and RGB bytes of an 8-bit RGB or RGBA PNG."""
    data = path.read_bytes()
    width, height, depth, kind = struct.unpack(">IIBB", data[16:26])
    assert depth == 8 and kind in (2, 6), "Chromium writes 8-bit RGB or RGBA"
    packed, at = b"", 8
    while at < len(data):
        length, name = struct.unpack(">I4s", data[at : at + 8])
        if name == b"IDAT":
            packed += data[at + 8 : at + 8 + length]
        at += length + 12
    size = 3 if kind == 2 else 4
    rows = _unfilter(zlib.decompress(packed), width * size, height, size)
    return width, height, b"".join(rows[at : at + 3] for at in range(0, len(rows), size))


def _unfilter(raw: bytes, stride: int, height: int, size: int) -> bytes:
    rows = bytearray()
    above = bytearray(stride)
    for row in range(height):
        kind = raw[row * (stride + 1)]
        line = bytearray(raw[row * (stride + 1) + 1 : (row + 1) * (stride + 1)])
        for at in range(stride):
            left = line[at - size] if at >= size else 0
            corner = above[at - size] if at >= size else 0
            line[at] = (line[at] + _predict(kind, left, above[at], corner)) & 0xFF
        rows += line
        above = line
    return bytes(rows)


def _predict(kind: int, left: int, up: int, corner: int) -> int:
    if kind == 4:
        guess = left + up - corner
        return min((left, up, corner), key=lambda each: abs(guess - each))
    return (0, left, up, (left + up) // 2)[kind]
