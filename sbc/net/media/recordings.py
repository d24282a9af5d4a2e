"""Recordings under way: from the ears of the calls to their files, without a packet or a call ever waiting.

The relay leaves packets with the ears (``sbc.media.recording``). A greenlet takes what has come, of a few
calls at a time, so that it never computes for long, and hands it to a thread that writes. Where the disk
hangs, so does the thread, and with it this greenlet, and nothing else: the ears fill up, and what they cannot
hold is dropped and counted. A disk that is full ends the recording; the call goes on.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from itertools import islice
from math import ceil
from pathlib import Path
from time import gmtime, strftime
from typing import Any, Final

import gevent
from gevent.threadpool import ThreadPool

from sbc.config.recordings import Recordings as Settings
from sbc.media.ear import Intake
from sbc.media.kept import Kept, KeptFile
from sbc.media.pcm import RATE
from sbc.media.recording import Piece, Recording
from sbc.media.tone import Tone
from sbc.net.media.archive import Archive, Mended, Swept, Tape
from sbc.net.system.clock import Clock
from sbc.observe.journal import Level
from sbc.observe.views import RecordingsView

#: Seconds between two looks, and within which each recording is looked at once. To wake the thread costs as
#: much as to write seven recordings, so there are few looks, and each has many. A crash loses what has come
#: in a round and a look, and half a second more (``sbc.media.recording``): docs/recording.md says how much.
_TICK, _ROUND = 0.5, 2.0
#: Recordings of one look that are taken in a row, for that computes and packets wait.
_IN_A_ROW: Final = 4
_SWEEP_EVERY: Final = 60.0
#: How long what is left may take when we stop.
_LAST_WITHIN: Final = 5.0
#: Ended recordings that wait for their disk; what ends while so many wait is lost.
_MOST_ENDED: Final = 2000
#: How many of them are finished at a time.
_AT_ONCE: Final = 32

Say = Callable[[Level, str, str, dict[str, object]], object]


class _Running:
    """One recording and its files; ``kept`` is what its call's record is told."""

    __slots__ = ("call", "ended_at", "kept", "recording", "tape", "told")

    def __init__(self, call: str, recording: Recording, tape: Tape) -> None:
        self.call = call
        self.recording = recording
        self.tape = tape
        self.kept = Kept()
        self.ended_at: float | None = None
        self.told = False  # that it has sound without a tone


class _Work:
    """What the thread has to do for one recording; ``frames`` is its length where this is the last."""

    __slots__ = ("files", "frames", "last", "pieces", "running")

    def __init__(self, running: _Running, pieces: list[Piece]) -> None:
        self.running = running
        self.pieces = pieces
        self.last = running.ended_at is not None
        self.frames = running.recording.frames
        self.files: tuple[KeptFile, ...] = ()


class Recordings:
    """Every recording of this process; ``say`` takes level, event, call and fields of what is to be told."""

    def __init__(self, clock: Clock, say: Say) -> None:
        self._clock = clock
        self._say = say
        self._archive: Archive | None = None
        self._intake = Intake()
        self._tone_every = 0.0
        self._linear = False
        self._running: dict[str, _Running] = {}
        self._turns: deque[_Running] = deque()
        self._ended: deque[_Running] = deque()
        self._greenlet: gevent.Greenlet | None = None
        self._pool: ThreadPool | None = None
        self._sweep_due = 0.0
        self._dropped = 0
        self._failed = 0
        self._problem = ""

    def follow(self, settings: Settings | None, directory: Path) -> None:
        """The configuration says this now; ``directory`` is what its paths are relative to."""
        archive = self._archive
        if settings is not None:
            self._tone_every, self._linear = settings.tone_every, settings.samples == "linear"
        if settings is None:
            self._archive = None
        elif archive is not None and archive.directory == directory / settings.directory:
            archive.most, archive.keep = settings.max_size, settings.keep
        else:
            self._archive = Archive(directory / settings.directory, settings.max_size, settings.keep)
            self._sweep_due = 0.0

    def start(self) -> None:
        """Put right what a crash has left, beside everything else."""
        if self._archive is not None:
            gevent.spawn(self._mend, self._archive)

    def begin(self, call: str, tone: bool = False) -> Recording | None:
        """Record ``call`` from now on; None where there is no place for recordings, which is told.

        With ``tone`` both sides hear that they are recorded.
        """
        if self._archive is None:
            self._failed += 1
            self._say("ERR", "recording-failed", call, {
                "reason": "sbc.yaml does not say where recordings are kept",
                "remedy": "write recordings: {directory: recordings}",
            })  # fmt: skip
            return None
        now = self._clock.now()
        name = f"{strftime('%Y%m%dT%H%M%SZ', gmtime(now))}-{call}"
        beep = Tone(self._tone_every) if tone else None
        recording = Recording(self._clock.monotonic(), beep, self._intake, self._linear)
        running = _Running(call, recording, Tape(self._archive, name, now))
        self._running[call] = running
        self._turns.append(running)
        self._go()
        return recording

    def end(self, call: str) -> Kept | None:
        """The call is over; what becomes of its recording, or None where it has none."""
        running = self._running.pop(call, None)
        if running is None:
            return None
        running.ended_at = self._clock.monotonic()
        if len(self._ended) >= _MOST_ENDED:
            self._close(running, f"{_MOST_ENDED} recordings wait for the disk")
        else:
            self._ended.append(running)
            self._go()
        return running.kept

    def view(self) -> RecordingsView:
        """How many there are, and what became of those before."""
        archive = self._archive
        return RecordingsView(
            len(self._running), archive.used if archive is not None else 0, self._dropped, self._failed,
            self._problem,
        )  # fmt: skip

    def tick(self, at: float) -> None:
        """Now and then, remove what is older than it is to be kept."""
        if self._archive is not None and at >= self._sweep_due:
            self._sweep_due = at + _SWEEP_EVERY
            gevent.spawn(self._sweep, self._archive)

    def close(self) -> None:
        """End every recording and wait, but not for long, until all are written."""
        for call in list(self._running):
            self.end(call)
        with gevent.Timeout(_LAST_WITHIN, False):
            while self._greenlet is not None:
                self._greenlet.join()
        while self._ended:
            self._close(self._ended.popleft(), "the disk hangs")

    # The greenlet

    def _go(self) -> None:
        if self._greenlet is None:
            self._greenlet = gevent.spawn(self._run)

    def _run(self) -> None:
        while self._turns or self._ended:
            gevent.sleep(_TICK if len(self._ended) <= _AT_ONCE else 0)
            work = self._work()
            if work:
                self._call(_carry_out, work, self._clock.now())
                for each in work:
                    self._done(each)
        self._greenlet = None

    def _work(self) -> list[_Work]:
        """What has come of those whose turn it is, and what is left of those that have ended."""
        work: list[_Work] = []
        for number in range(ceil(len(self._turns) * _TICK / _ROUND)):
            if number % _IN_A_ROW == _IN_A_ROW - 1:
                gevent.sleep(0)
            if not self._turns:
                break
            running = self._turns.popleft()
            if running.ended_at is None:
                self._turns.append(running)
                self._take(running, work)
        for number, running in enumerate(list(islice(self._ended, _AT_ONCE))):
            if number % _IN_A_ROW == _IN_A_ROW - 1:
                gevent.sleep(0)
            self._take(running, work)
        return work

    def _take(self, running: _Running, work: list[_Work]) -> None:
        ended_at = running.ended_at
        at = ended_at if ended_at is not None else self._clock.monotonic()
        pieces = running.recording.take(at, last=ended_at is not None)
        if pieces or ended_at is not None:
            work.append(_Work(running, pieces))

    def _done(self, work: _Work) -> None:
        running, problem = work.running, work.running.tape.problem
        self._tell_of_tone(running)
        if problem and not running.recording.over:
            running.recording.stop()
            self._problem = problem
            fields: dict[str, object] = {"reason": problem, "remedy": _remedy(problem)}
            self._say("ERR", "recording-ended", running.call, fields)
        if work.last:
            self._ended.remove(running)
            running.kept.files = work.files
            self._close(running, problem)

    def _tell_of_tone(self, running: _Running) -> None:
        tone = running.recording.tone
        if tone is not None and tone.without and not running.told:
            running.told = True
            self._say("WRN", "tone-unheard", running.call, {
                "codec": tone.without, "reason": "a tone is mixed into PCMU and PCMA alone",
                "remedy": 'let the rule say: allow codecs "PCMA", "PCMU"',
            })  # fmt: skip

    def _close(self, running: _Running, problem: str) -> None:
        kept, recording = running.kept, running.recording
        kept.tones = recording.tone.heard if recording.tone is not None else None
        kept.problem, kept.dropped = problem, recording.dropped
        kept.seconds = running.tape.frames / RATE
        self._dropped += kept.dropped
        if problem:
            self._failed += 1
        else:
            self._problem = ""
        fields: dict[str, object] = {
            "files": ",".join([each.path for each in kept.files]) or "-",
            "seconds": round(kept.seconds, 3), "dropped": kept.dropped,
        }  # fmt: skip
        self._say("WRN" if problem or kept.dropped else "INF", "recorded", running.call, fields)
        kept.complete()

    def _mend(self, archive: Archive) -> None:
        mended: list[Mended] = self._call(archive.mend)
        for each in mended:
            if each.problem:
                remedy = f"let this user write in {archive.directory}, and move away what is no recording"
                self._say("ERR", "recording-torn", "", {
                    "file": each.path, "reason": each.problem, "remedy": remedy,
                })  # fmt: skip
            else:
                self._say("WRN", "recording-mended", "", {
                    "file": each.path, "seconds": round(each.seconds, 3), "sha256": each.sha256,
                    "reason": "the process that wrote it was killed",
                })  # fmt: skip

    def _sweep(self, archive: Archive) -> None:
        swept: Swept = self._call(archive.sweep, self._clock.now())
        if swept.problem:
            self._say("ERR", "recordings-unreadable", "", {
                "directory": archive.directory, "reason": swept.problem,
                "remedy": "let this user read and write there",
            })  # fmt: skip
        if swept.removed:
            fields: dict[str, object] = {"count": swept.removed, "directory": archive.directory}
            self._say("INF", "recordings-removed", "", fields)

    def _call(self, step: Callable[..., Any], *arguments: object) -> Any:
        if self._pool is None:
            self._pool = ThreadPool(1)
        return self._pool.apply(step, arguments)


def _carry_out(work: list[_Work], now: float) -> None:
    """In the thread: write, and make whole what has ended."""
    for each in work:
        tape = each.running.tape
        tape.write(each.pieces, now)
        if each.last:
            each.files = tape.finish(each.frames)


def _remedy(problem: str) -> str:
    if "max_size" in problem:
        return "move recordings away, or raise recordings.max_size in sbc.yaml"
    return "make room on its disk, or let this user write there"
