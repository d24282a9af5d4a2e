"""Several early dialogs of one callee: which of them the media follows, and what ends with those that lose.

The caller has an offer and an answer of its own with each fork (RFC 3261 13.2.2.4, RFC 3262 5), and may
change each of them before anybody answers (RFC 3311). The call has one media, which follows what was said
last. So the fork that answers gets again what it has agreed on itself, where another has been heard since;
and what is still under way in the others is over.
"""

from __future__ import annotations

from sbc.b2bua.call import AfterMedia, Call
from sbc.b2bua.commands import AnswerMedia, Command, OfferMedia
from sbc.b2bua.dialogs import Exchange, Fork
from sbc.b2bua.leg import other
from sbc.b2bua.mirror import Mirror
from sbc.base import PeerError


def close_others(call: Call, fork: Fork, at: float, out: list[Command]) -> bool:
    """``fork`` answers: who waits in another early dialog gets an answer. True where it had made an offer."""
    others = [each for each in call.mirrors if isinstance(each, Mirror) and each.fork is not fork]
    for each in others:
        each.abandon(at, out)
    return any([each.offered for each in others])


def changed_early(call: Call) -> bool:
    """Whether an offer followed that of the INVITE in one of several early dialogs: it is open no more."""
    return len(call.forks) > 1 and any([each.renewed for each in call.forks.values()])


def changes_elsewhere(call: Call, fork: Fork) -> bool:
    """Whether an offer in another early dialog is not answered yet, and the media waits for that answer."""
    return any([each.fork is not fork for each in _changes(call)])


def changes_itself(call: Call, fork: Fork) -> bool:
    """Whether ``fork`` answers the INVITE before an offer that was made in it: that answer is yet to come."""
    return any([each.fork is fork for each in _changes(call)])


def _changes(call: Call) -> list[Mirror]:
    return [each for each in call.mirrors if isinstance(each, Mirror) and each.offered]


def agreed_early(call: Call, fork: Fork, offer: bytes) -> Exchange | None:
    """What ``fork`` has agreed on before its 2xx; None where it did not, or where there is no other.

    ``offer`` is that of the caller's INVITE, if it has one.
    """
    if len(call.forks) < 2:
        return None
    if fork.settled is not None:
        return fork.settled
    if offer:
        return ("a", offer, fork.early) if fork.early else None
    return ("b", fork.early, fork.accepted) if fork.accepted else None


def holds(call: Call, exchange: Exchange) -> bool:
    """Whether ``exchange`` is what the media follows."""
    side, offer, accepted = exchange
    return call.heard(side) == offer and call.heard(other(side)) == accepted


def agree_again(call: Call, exchange: Exchange, then: AfterMedia, out: list[Command]) -> None:
    """Let the media follow ``exchange``; ``then`` gets what the side that offered is to be told."""
    side, offer, accepted = exchange

    def offered(_: bytes, error: PeerError | None, at: float, out: list[Command]) -> None:
        if error is not None:
            then(b"", error, at, out)
        else:
            call.ask_media(AnswerMedia(call.id, other(side), accepted), then, out)

    command = OfferMedia(call.id, side, offer, call.policies[side], call.policies[other(side)])
    call.ask_media(command, offered, out)
