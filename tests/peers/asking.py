"""Asking a running SBC while other greenlets, its peers say, go on: the same client with gevent's sockets."""

from __future__ import annotations

from gevent import socket

from sbc.commands import asking

__all__ = ["ask", "following"]

vars(asking)["socket"] = socket
ask, following = asking.ask, asking.following
