"""The media plane behind four verbs: offer, answer, delete, query (and rollback of an offer).

Where several callees are offered one caller's media, each is a branch: one is taken, the others are dropped.

They are the verbs of rtpengine's ng protocol, so that media can move to another process, or to
rtpengine itself, without a change in the call control. Here each verb is a plain call into the
pure session, followed by opening or closing what sockets the session then needs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from sbc.base import LocalError, PeerError
from sbc.config.media import MediaConfig, MediaPlace
from sbc.config.model import Listener
from sbc.ids import Ids
from sbc.media.listening import Audience
from sbc.media.places import Networks, Place, PortPool
from sbc.media.policy import MediaPolicy
from sbc.media.relay import Port, Source
from sbc.media.session import MediaSession
from sbc.media.silence import Quiet, Silence, is_faxing
from sbc.media.stats import MediaStats
from sbc.net.media.ports import BoundPorts
from sbc.net.media.recordings import Recordings
from sbc.net.media.sockets import Poller
from sbc.net.system.sockets import normal_host
from sbc.observe.views import NetworkView


class MediaIO:
    """All media of this process. ``clock`` returns seconds; it is read for each verb, not for each packet.

    ``listeners`` returns where signalling arrives, to which no media is sent; ``recordings`` keeps calls.
    """

    def __init__(
        self, config: MediaConfig, ids: Ids, clock: Callable[[], float],
        listeners: Callable[[], Iterable[Listener]] = tuple, recordings: Recordings | None = None,
    ) -> None:  # fmt: skip
        self._recordings = recordings
        self._timeout = config.timeout
        self._ids = ids
        self._clock = clock
        self._poller = Poller(clock)
        self._held: dict[str, int] = {}
        self._bound: dict[Place, BoundPorts] = {}
        self._open = [(each, self._opened(each, listeners, len(config.places))) for each in config.places]
        networks: dict[str, tuple[Place, ...]] = {}
        for each, place in self._open:
            networks[each.network] = (*networks.get(each.network, ()), place)
        self._networks = Networks(networks)
        self._sessions: dict[str, MediaSession] = {}
        self._silence = Silence()
        self._faxes: set[str] = set()

    def __len__(self) -> int:
        return len(self._sessions)

    def offer(
        self, call: str, side: str, sdp: bytes, ours: MediaPolicy, theirs: MediaPolicy, restart: bool = False,
        branch: int = 0,
    ) -> bytes:  # fmt: skip
        """Turn an offer from ``side`` into ours to the other side; see MediaSession.offer.

        ``restart``: the offer goes to another peer than before (failover), which gets new keys.
        ``branch`` is which of several callees it is to or from that are tried at once.
        """
        session = self._sessions.get(call)
        new = session is None
        if session is None:
            session = MediaSession(call, self._ids, self._networks)
            self._sessions[call] = session
        heard = session.turn(branch) if branch else 0
        try:
            ours_to_them = session.offer(side, sdp, ours, theirs, self._clock(), restart)
        except (PeerError, LocalError):
            if new:
                del self._sessions[call]
            else:
                self._attach(session)
            raise
        else:
            self._attach(session)
        finally:
            if heard:
                session.turn(heard)
        return ours_to_them

    def answer(self, call: str, side: str, sdp: bytes, branch: int = 0) -> bytes:
        """Turn an answer from ``side`` into ours to the side that offered; see MediaSession.answer."""
        session = self._sessions.get(call)
        if session is None:
            raise PeerError("an answer came without an offer", 488)
        if branch:
            session.turn(branch)
        answer = session.answer(side, sdp, self._clock())
        self._attach(session)
        return answer

    def take(self, call: str, branch: int) -> None:
        """Keep the callee of ``branch`` as the only one."""
        session = self._sessions.get(call)
        if session is not None:
            session.take(branch)

    def drop(self, call: str, branch: int) -> None:
        """Close the side of one of several callees."""
        session = self._sessions.get(call)
        if session is not None:
            session.drop(branch)

    def rollback(self, call: str) -> None:
        """Return to the media from before the call's last offer, which was refused."""
        session = self._sessions.get(call)
        if session is not None:
            session.rollback()
            self._attach(session)

    def delete(self, call: str) -> MediaStats:
        """Close the call's media and return its counters; empty for a call without media."""
        session = self._sessions.get(call)
        if session is None:
            return MediaStats()
        stats = session.close()
        del self._sessions[call]
        if self._recordings is not None:
            stats.recording = self._recordings.end(call)
        return stats

    def query(self, call: str) -> MediaStats:
        """Return the call's counters as they are now; empty for a call without media."""
        session = self._sessions.get(call)
        return MediaStats() if session is None else session.stats()

    def idle(self, now: float) -> list[str]:
        """Return the answered calls without a packet for ``media.timeout`` seconds; held calls are not.

        It compares counters with its last call, so its resolution is how often it is called. It also
        closes the ports that have not been needed for a while.
        """
        for each in self._bound.values():
            each.trim(now)
        return [call for call, session in self._sessions.items() if session.silent_for(now) >= self._timeout]

    def quiet(self, now: float) -> list[Quiet]:
        """Return the calls of which a side is silent that should be heard; see ``sbc.media.silence``."""
        return self._silence.look(self._sessions, now)

    def faxes(self) -> tuple[list[str], list[str]]:
        """Return the calls in which a fax began since this was called last, and those where one is over."""
        present = {call for call, session in self._sessions.items() if is_faxing(session)}
        former, self._faxes = self._faxes, present
        return list(present - former), [each for each in former - present if each in self._sessions]

    def record(self, call: str, tone: bool = False) -> None:
        """Keep what is said in the call from now on; the files are told of when it is deleted.

        With ``tone`` both sides hear that they are recorded.
        """
        if self._recordings is not None and call in self._sessions:
            recording = self._recordings.begin(call, tone)
            if recording is not None:
                self._sessions[call].listen(recording)

    def listen(self, call: str, listener: Audience) -> None:
        """Let ``listener`` hear both sides of the call, decoded, until its end."""
        session = self._sessions.get(call)
        if session is not None:
            session.listen(listener)

    def keep(self, calls: int) -> None:
        """Keep ports at each address for so many emergency calls of one stream, which has two pairs."""
        for each in self._bound.values():
            each.keep(2 * calls)

    def mark(self, dscp: int) -> None:
        """Send RTP and RTCP with this DSCP from now on, that of running calls too; OSError."""
        for each in self._bound.values():
            each.mark(dscp)

    def free_ports(self) -> int:
        """Return how many pairs of ports are free."""
        return sum(len(each) for each in self._bound.values())

    def held_ports(self, trunk: str) -> int:
        """Return how many pairs of ports the calls have that came in on ``trunk``."""
        return self._held.get(trunk, 0)

    def networks(self) -> list[NetworkView]:
        """Return each bound address of media with its pairs of ports."""
        return [
            NetworkView(
                each.network, each.address, each.advertise or "", each.ports,
                len(self._bound[place]), self._bound[place].total,
            )
            for each, place in self._open
        ]  # fmt: skip

    def close(self) -> None:
        """Delete every call and stop for good."""
        for call in list(self._sessions):
            self.delete(call)
        for each in self._bound.values():
            each.close()
        self._poller.close()

    def _opened(self, place: MediaPlace, listeners: Callable[[], Iterable[Listener]], share: int) -> Place:
        """The ports of one address; none is bound before a call needs it."""
        key = f"media.networks.{place.network}.ports" if place.network else "media.ports"
        bound, pool = normal_host(place.address), PortPool(place.ports, self._held, key)
        shown = place.advertise or ""
        ports = BoundPorts(bound, pool, self._poller, self._clock, shown, listeners, share)
        if share > 1:
            ports.ours = self._find
        made = Place(shown or bound, ports, bound)
        self._bound[made] = ports
        return made

    def _find(self, source: Source) -> Port | None:
        """The port of ours at ``source``, in whichever network."""
        for each in self._bound.values():
            found = each.find(source)
            if found is not None:
                return found
        return None

    def _attach(self, session: MediaSession) -> None:
        """Open what the legs need now: RTCP has no socket of its own where it is multiplexed."""
        for stream in session.streams:
            for end in stream.ends.values():
                leg = end.leg
                if end.place is None:
                    continue
                ports = self._bound[end.place]
                ports.serve(end.local, leg.port_rtp)
                if leg.mux and (leg.agreed or leg.fax):
                    ports.retire(end.local + 1)
                else:
                    ports.serve(end.local + 1, leg.port_rtcp)
