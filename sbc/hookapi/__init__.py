"""All that a hook needs to import: what hooks are told, what they may answer, and short ways to say it.

A hook is a file in hooks/ that defines one or more of seven functions. Each may answer None, which
is no opinion::

    from sbc.hookapi import Route, SetHeader, amend, hang_up, refuse, reject, with_edits

    def on_handshake(handshake):            # TLS is up, no SIP was read: None, or refuse("why")
    def on_invite(facts):                   # before the rules: reject(...), redirect(...), amend(...)
    def on_route(facts, decision):          # after the rules: the decision that replaces theirs
    def on_answer(facts, answer):           # the call is up: None, or hang_up("why")
    def on_end(facts, end):                 # the call is over: None
    def on_register(facts, registration):   # a phone registers: None, or refuse("why")
    def on_media(facts, frames):            # what both sides say, in a thread of its own: None
"""

from __future__ import annotations

from dsl.decision import (
    DEFAULT_FAILURES,
    AnswerAs,
    Codecs,
    CopyHeader,
    Decision,
    Edit,
    Failure,
    Group,
    Hop,
    Limit,
    Redirect,
    Reject,
    RemoveHeader,
    Route,
    SetHeader,
    SetParam,
    SetPart,
)
from dsl.facts import Facts
from sbc.hookapi.arguments import Answer, End, Frame, Handshake, Registration
from sbc.hookapi.results import (
    Amend,
    HangUp,
    Refuse,
    amend,
    hang_up,
    redirect,
    refuse,
    reject,
    route,
    with_edits,
)
from sbc.hookapi.table import Table, table

__all__ = [
    "DEFAULT_FAILURES",
    "Amend",
    "Answer",
    "AnswerAs",
    "Codecs",
    "CopyHeader",
    "Decision",
    "Edit",
    "End",
    "Facts",
    "Failure",
    "Frame",
    "Group",
    "Handshake",
    "HangUp",
    "Hop",
    "Limit",
    "Redirect",
    "Refuse",
    "Registration",
    "Reject",
    "RemoveHeader",
    "Route",
    "SetHeader",
    "SetParam",
    "SetPart",
    "Table",
    "amend",
    "hang_up",
    "redirect",
    "refuse",
    "reject",
    "route",
    "table",
    "with_edits",
]
