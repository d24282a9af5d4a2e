"""The directory of recordings: files under a temporary name until they are whole, and what they may take.

Every method blocks and is called in the one thread of the recordings, whose state this is. A file is begun
as ``NAME.part``, mode 0600, and held by a lock (flock) as long as it is written; whole, it gets its name. So
after a crash whoever starts next finds what nobody holds, puts it right and says so: nothing but the lengths
in the head of a WAV is missing there. Of which encoding a WAV is, its head says, then as when it is whole.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sbc.media import rtpdump, wav
from sbc.media.kept import KeptFile
from sbc.media.pcm import RATE
from sbc.media.recording import Part, Piece

_PART: Final = ".part"
_NAME: Final = re.compile(r"\d{8}T\d{6}Z-[0-9a-zA-Z.-]{1,80}\.(?:wav|[ab]\.rtpdump|[ab]\.sdp)(?:\.part)?")
_NEW: Final = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_CHUNK: Final = 1 << 16
_BLOCK: Final = 512


@dataclass(slots=True)
class Mended:
    """A file that a crash had left: its new name, its SHA-256, how long its sound is; ``problem``, or ""."""

    path: str
    sha256: str
    seconds: float
    problem: str = ""


@dataclass(slots=True)
class Swept:
    """What a look at the directory found: its bytes on disk, how many files were too old, and ``problem``."""

    used: int = 0
    removed: int = 0
    problem: str = ""


class Archive:
    """One directory of recordings; ``most`` are the bytes that they may take together."""

    def __init__(self, directory: Path, most: int, keep: float | None) -> None:
        self.directory = directory
        self.most = most
        self.keep = keep
        self.used = 0
        self._looked = False

    def sweep(self, now: float) -> Swept:
        """Remove what is older than ``keep``, and see how much there is."""
        self._looked = True
        found = Swept()
        try:
            with os.scandir(self.directory) as entries:
                for entry in entries:
                    if _NAME.fullmatch(entry.name) is not None:
                        self._look_at(entry, now, found)
        except FileNotFoundError:
            pass
        except OSError as error:
            found.problem = error.strerror or str(error)
        self.used = found.used
        return found

    def _look_at(self, entry: os.DirEntry[str], now: float, found: Swept) -> None:
        with contextlib.suppress(FileNotFoundError):
            status = entry.stat(follow_symlinks=False)
            old = self.keep is not None and status.st_mtime < now - self.keep
            if old and not entry.name.endswith(_PART):
                os.unlink(entry.path)
                found.removed += 1
            else:
                found.used += status.st_blocks * _BLOCK

    def mend(self) -> list[Mended]:
        """Give their names to the files that a crash has left, with what of them is whole."""
        try:
            names = sorted(each for each in os.listdir(self.directory) if _NAME.fullmatch(each) is not None)
        except OSError:
            return []
        found = [_mended(self.directory / each) for each in names if each.endswith(_PART)]
        return [each for each in found if each is not None]

    def reserve(self, size: int, now: float) -> str:
        """Count ``size`` more bytes; why there is no room for them, or ""."""
        if not self._looked:
            self.sweep(now)
        if self.used + size > self.most:
            return f"the recordings have reached their max_size of {self.most} bytes"
        self.used += size
        return ""


class Tape:
    """The files of one recording; ``problem`` is why nothing more is written, or "".

    ``frames`` is how long the WAV is once all is finished.
    """

    def __init__(self, archive: Archive, name: str, now: float) -> None:
        self._archive = archive
        self._name = name
        self._now = now
        self._files: dict[Part, int] = {}
        self.frames = 0
        self.problem = ""

    def write(self, pieces: list[Piece], now: float) -> None:
        """Write what is due, unless it has failed before."""
        try:
            for piece in pieces:
                if self.problem:
                    return
                self.problem = self._archive.reserve(len(piece.data), now)
                if not self.problem:
                    self._write(piece)
        except OSError as error:
            self.problem = error.strerror or str(error)

    def _write(self, piece: Piece) -> None:
        file = self._files.get(piece.part)
        if file is None:
            file = self._begin(piece.part)
        at = os.fstat(file).st_size if piece.offset < 0 else piece.offset
        rest = memoryview(piece.data)
        while rest:
            written = os.pwrite(file, rest, at)
            rest, at = rest[written:], at + written
        if piece.part.endswith("sdp"):  # it is written anew, and may have been longer
            os.ftruncate(file, at)

    def _path(self, part: Part) -> Path:
        return self._archive.directory / f"{self._name}.{part}"

    def _begin(self, part: Part) -> int:
        self._archive.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        file = os.open(f"{self._path(part)}{_PART}", _NEW, 0o600)
        self._files[part] = file
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if part.endswith("rtpdump"):
            os.pwrite(file, rtpdump.header(self._now), 0)
        return file

    def finish(self, frames: int) -> tuple[KeptFile, ...]:
        """Make every file whole and give it its name; those of which nothing could be kept are none."""
        kept = []
        for part, file in self._files.items():
            try:
                if part == "wav":
                    self.frames, size = _whole_wav(file, -1 if self.problem else frames)
                else:
                    size = os.fstat(file).st_size
                    if part.endswith("rtpdump") and self.problem:
                        size = _whole_dump(file, size)
                found = _named(file, self._path(part), size)
                if found is not None:
                    kept.append(found)
            except OSError as error:
                self.problem = self.problem or error.strerror or str(error)
            finally:
                os.close(file)
        self._files.clear()
        return tuple(kept)


def _named(file: int, path: Path, size: int) -> KeptFile | None:
    """Cut the file to ``size`` and give it its name; None where there is nothing to keep."""
    part = f"{path}{_PART}"
    if not size:
        os.unlink(part)
        return None
    os.ftruncate(file, size)
    digest, read = hashlib.sha256(), memoryview(bytearray(_CHUNK))
    at = 0
    while count := os.preadv(file, [read], at):
        digest.update(read[:count])
        at += count
    os.rename(part, path)
    return KeptFile(str(path), digest.hexdigest(), size)


def _whole_wav(file: int, frames: int) -> tuple[int, int]:
    """Make the head of a WAV say how long it is; its frames and its size, 0 where nothing is in it.

    It has ``frames``, or with -1 as many as were written; so has one of G.711, to whose end no silence can be
    added by making it longer.
    """
    size = os.fstat(file).st_size
    encoding = wav.encoding_of(os.pread(file, wav.LONGEST, 0))
    if encoding is None:
        if size > wav.LONGEST:
            raise OSError(errno.EINVAL, "it does not begin as a recording does")
        return 0, 0
    if frames < 0 or encoding.law:
        frames = encoding.frames_of(size)
    if frames:
        os.pwrite(file, encoding.header(frames), 0)
    return frames, encoding.size_of(frames)


def _whole_dump(file: int, size: int) -> int:
    """The length up to the end of the last whole packet; 0 where there is none."""
    entries = os.pread(file, max(0, size - rtpdump.HEADER), rtpdump.HEADER)
    whole = rtpdump.whole(entries)
    return rtpdump.HEADER + whole if whole else 0


def _mended(part: Path) -> Mended | None:
    """One file without its name; None where somebody still writes it, or nothing is in it."""
    path = part.with_suffix("")
    try:
        file = os.open(part, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as error:
        return Mended(str(part), "", 0.0, error.strerror or str(error))
    try:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return None
        size, frames = os.fstat(file).st_size, 0
        if path.suffix == ".wav":
            frames, size = _whole_wav(file, -1)
        elif path.suffix == ".rtpdump":
            size = _whole_dump(file, size)
        kept = _named(file, path, size)
        return Mended(kept.path, kept.sha256, frames / RATE) if kept is not None else None
    except OSError as error:
        return Mended(str(part), "", 0.0, error.strerror or str(error))
    finally:
        os.close(file)
