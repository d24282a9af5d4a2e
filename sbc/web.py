"""What a running SBC serves over HTTP: the admin pages, and the metrics on a port of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sbc.admin.verbs import Verbs
from sbc.base import LocalError
from sbc.config.model import Admin, Metrics, Settings
from sbc.net.system.http_server import HttpServer

if TYPE_CHECKING:
    from flask import Flask


class Web:
    """The ports that are served, none before ``start``."""

    def __init__(self, verbs: Verbs) -> None:
        self._verbs = verbs
        self._servers: list[HttpServer] = []

    def start(self, settings: Settings) -> None:
        """Bind what ``settings`` name; LocalError, one line, where something cannot be."""
        if settings.admin is None and settings.metrics is None:
            return
        from webui import create_app, create_metrics_app  # Flask, which who serves nothing does not need

        if settings.admin is not None:
            self._serve("admin", settings.admin, create_app(self._verbs), "the admin page")
        if settings.metrics is not None:
            self._serve("metrics", settings.metrics, create_metrics_app(self._verbs), "the metrics")

    def stop(self) -> None:
        """Serve no more."""
        for server in self._servers:
            server.stop()

    def _serve(self, section: str, served: Admin | Metrics, application: Flask, what: str) -> None:
        names = ("localhost", served.bind.host, *served.hosts)
        server = HttpServer(served.bind, application, names, section)
        try:
            server.start()
        except OSError as error:
            text = f"cannot bind {what} to {served.bind}: {error.strerror}; change {section}.bind in sbc.yaml"
            raise LocalError(text) from None
        self._servers.append(server)
