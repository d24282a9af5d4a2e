"""A peer whose certificate lives longer than 398 days is turned away, however well it is signed."""

from sbc.hookapi import refuse

LONGEST = 398 * 86400


def on_handshake(handshake):
    """Refuse it before a byte of SIP is read."""
    if handshake.peer_verified and handshake.peer_not_after - handshake.peer_not_before > LONGEST:
        return refuse("its certificate lives longer than 398 days")
    return None
