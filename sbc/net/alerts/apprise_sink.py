"""Sends one message to one sink through the library apprise; everything here blocks, in a thread of its own.

Only the plug-in of the sink's own scheme is loaded: all of them take seconds, in which calls would wait for
the interpreter. What the library says of a failure may hold the address, which is a secret: it is caught, and
blotted out before anybody sees it.
"""

from __future__ import annotations

import importlib
import logging
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, Final
from urllib.parse import quote, unquote

from sbc.config.sinks import Destination
from sbc.observe.alerts.notice import Message
from sbc.observe.text import REDACTED, redact

_PLUGINS: Final = {
    "mailto": ("apprise.plugins.email", "NotifyEmail"),
    "mailtos": ("apprise.plugins.email", "NotifyEmail"),
    "slack": ("apprise.plugins.slack", "NotifySlack"),
    "workflows": ("apprise.plugins.workflows", "NotifyWorkflows"),
    "jsons": ("apprise.plugins.custom_json", "NotifyJSON"),
}
_TYPES: Final = {"info": "info", "warning": "warning", "urgent": "failure"}
# Pieces of an address that may be secrets; shorter ones stand in any sentence.
_PIECE: Final = re.compile(r"[^/?&=@:#,]{4,}")
_LONGEST_REASON: Final = 300
_NOT_TAKEN: Final = "apprise does not take the address: see https://appriseit.com for how it is written"


def send(to: Destination, message: Message) -> str:
    """Send it; why it has not arrived, in words without the address, or ""."""
    with _heard() as said:
        try:
            sink = _sink(to)
            if sink is None:
                return _NOT_TAKEN
            # A card of Teams has no lines, only paragraphs.
            body = message.body.replace("\n", "\n\n") if to.url.startswith("workflows:") else message.body
            if sink.notify(body=body, title=message.title, notify_type=_TYPES[message.urgency]):
                return ""
            problem = ": ".join(said[-2:]) or "it was not taken, and apprise does not say why"
        except Exception as error:
            problem = f"{type(error).__name__}: {error}"
    return without_secrets(to.url, problem)


def load(scheme: str) -> None:
    """Import what the scheme needs, before anything is to be sent; where that fails, sending says so."""
    with suppress(ImportError):
        _plugin(scheme)


def _plugin(scheme: str) -> Any:
    module, name = _PLUGINS[scheme]
    return getattr(importlib.import_module(module), name)


def _sink(to: Destination) -> Any:
    scheme = to.url.partition("://")[0]
    plugin = _plugin(scheme)
    parts = plugin.parse_url(to.url)
    if parts and scheme.startswith("mailto"):
        parts["format"] = "text"
    try:
        return plugin(**parts) if parts else None
    except TypeError:  # how its plug-ins refuse
        return None


def without_secrets(url: str, text: str) -> str:
    """``text`` on one line, without any piece of ``url`` beyond its scheme."""
    address = url.partition("://")[2]
    found = {*_PIECE.findall(address), *_PIECE.findall(unquote(address))}
    pieces = {spelling for each in found for spelling in _spellings(each)}
    for piece in sorted(pieces, key=len, reverse=True):
        text = text.replace(piece, REDACTED)
    return redact(" ".join(text.split()))[:_LONGEST_REASON]


def _spellings(piece: str) -> Iterator[str]:
    yield piece
    yield unquote(piece)
    yield quote(unquote(piece), safe="")


class _Hearing(logging.Handler):
    """Keeps what the library logs in the thread that sends."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._local = threading.local()

    @property
    def said(self) -> list[str] | None:
        found: list[str] | None = getattr(self._local, "said", None)
        return found

    @said.setter
    def said(self, lines: list[str] | None) -> None:
        self._local.said = lines

    def emit(self, record: logging.LogRecord) -> None:
        if self.said is not None:
            self.said.append(record.getMessage())


_HEARING: Final = _Hearing()


@contextmanager
def _heard() -> Iterator[list[str]]:
    """What is logged meanwhile; nothing of it goes anywhere else."""
    logger = logging.getLogger("apprise")
    if _HEARING not in logger.handlers:
        logger.addHandler(_HEARING)
        logger.propagate = False
    lines: list[str] = []
    _HEARING.said = lines
    try:
        yield lines
    finally:
        _HEARING.said = None
