"""Where alerts arrive in tests: a mail server and a web server over TLS, each in a thread of its own."""

from __future__ import annotations

import json
import ssl
import threading
from email import message_from_bytes
from email.header import decode_header, make_header
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

from aiosmtpd.controller import Controller

from tests.peers.lab import Credentials


class Mail(NamedTuple):
    """A mail that has arrived."""

    to: list[str]
    subject: str
    text: str


class MailServer:
    """Takes mail at 127.0.0.1 on ``port``."""

    def __init__(self, port: int) -> None:
        self.mails: list[Mail] = []
        self._controller = Controller(self, hostname="127.0.0.1", port=port)
        self._controller.start()

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        """aiosmtpd's word for a whole mail."""
        found = message_from_bytes(envelope.content)
        parts = [each for each in found.walk() if each.get_content_maintype() == "text"]
        text = b"".join([each.get_payload(decode=True) for each in parts]).decode()  # type: ignore[misc]
        subject = str(make_header(decode_header(found["Subject"])))
        self.mails.append(Mail(envelope.rcpt_tos, subject, text))
        return "250 OK"

    def close(self) -> None:
        """Take no more."""
        self._controller.stop()


class WebSink:
    """Takes what is posted over HTTPS at 127.0.0.1 on ``port``; ``posts`` are paths and JSON bodies."""

    def __init__(self, port: int, own: Credentials, status: int = 200) -> None:
        self.posts: list[tuple[str, Any]] = []
        self.status = status
        sink = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                sink.posts.append((self.path, json.loads(body)))
                self.send_response(sink.status)
                self.send_header("Content-Length", "2")
                self.end_headers()
                self.wfile.write(b"ok")

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(own.cert, own.key)
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Take no more."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
