"""The status page, the health endpoint and the metrics, as a Flask application.

The pages need no login and change nothing, so they belong on the loopback or behind a proxy that
asks for one. What a peer sent is shown as text: templates escape it, and the Content-Security-
Policy forbids scripts altogether. An octet of it that was no UTF-8 is written as an escape, for a page
that cannot be encoded is none, and so is what would turn the direction of the text around it.
"""

from __future__ import annotations

from typing import Any, Protocol

from flask import Flask, Response, jsonify, render_template

from sbc.observe.health import health, overall
from sbc.observe.metrics import CONTENT_TYPE
from sbc.observe.text import printable
from sbc.observe.times import ago, day, span, time_of_day
from sbc.observe.trust import TrustView
from sbc.observe.views import StatusView
from webui.words import expiry, nearness

#: Calls that the status page shows: while a page is made no packet goes on.
MOST_CALLS = 500

_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none';"
        " frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
}


class Admin(Protocol):
    """What the pages may ask of a running SBC; each answer is a frozen picture."""

    def status(self) -> StatusView:
        """The whole picture as it is now."""

    def trust(self) -> tuple[TrustView, ...]:
        """Who trusts whom, for each trunk with TLS."""

    def metrics(self) -> str:
        """The metrics, in the Prometheus text format."""


def create_app(admin: Admin) -> Flask:
    """The WSGI application that shows ``admin``."""
    app = Flask(__name__)
    app.jinja_env.filters.update(
        ago=ago, day=day, expiry=expiry, nearness=nearness, span=span, time_of_day=time_of_day
    )
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True
    app.jinja_env.finalize = _shown

    @app.get("/")
    def status_page() -> str:
        status = admin.status()
        return render_template(
            "status.html", status=status, overall=overall(status), now=status.now, most_calls=MOST_CALLS
        )

    @app.get("/trust")
    def trust_page() -> str:
        return render_template("trust.html", trunks=admin.trust(), now=admin.status().now)

    @app.get("/sip-tls/health")
    def health_page() -> tuple[Response, int]:
        answer = health(admin.status())
        return jsonify(answer), 503 if answer["status"] == "down" else 200

    _serve_metrics(app, admin)

    @app.errorhandler(404)
    def not_found(_: Any) -> tuple[str, int]:
        return render_template("not_found.html"), 404

    app.after_request(_harden)
    return app


def create_metrics_app(admin: Admin) -> Flask:
    """The metrics alone, for a port that a Prometheus on another host may reach."""
    app = Flask(__name__, static_folder=None)
    _serve_metrics(app, admin)

    @app.errorhandler(404)
    def not_found(_: Any) -> Response:
        return Response("Here are only the metrics: /metrics\n", 404, content_type="text/plain")

    app.after_request(_harden)
    return app


def _serve_metrics(app: Flask, admin: Admin) -> None:
    @app.get("/metrics")
    def metrics_page() -> Response:
        return Response(admin.metrics().encode("utf-8", "backslashreplace"), content_type=CONTENT_TYPE)


def _shown(value: object) -> object:
    """What a template shows of a value; markup is our own."""
    return printable(value) if type(value) is str else value


def _harden(response: Response) -> Response:
    response.headers.update(_HEADERS)
    if not response.content_type.startswith("text/css"):
        response.headers["Cache-Control"] = "no-store"
    return response
