"""What was learned about revocation, written down and taken up after a restart.

An entry of the Store says of each address what is known, and holds its OCSP answer; each list is a file
of its own. Nothing in them is believed for having been written by us: every list and answer is
verified again, and an entry that does not pass is left out and asked for anew.
"""

from __future__ import annotations

import contextlib
import hashlib
from base64 import b64decode, b64encode
from functools import lru_cache
from pathlib import Path
from typing import Any

import gevent
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from sbc.base import PeerError
from sbc.net.revocation.sources import Sources, SourceState, read_off_hub
from sbc.net.system.store import Store
from sbc.net.system.whole_file import write_whole
from sbc.tls.revocation.cache import RevocationCache
from sbc.tls.revocation.finding import Unusable
from sbc.tls.revocation.issuer import read_issuer
from sbc.tls.revocation.link import read_link
from sbc.tls.revocation.source import RevocationSource, answer_source, list_source
from sbc.typed import record

_NAME = "revocation"
_SAVE_EVERY = 5.0


class SavedLists:
    """The lists as files of the Store; one that cannot be written is fetched again after a restart."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def path(self, source: RevocationSource) -> Path:
        """The file of the list that ``source`` gave."""
        name = hashlib.sha256(f"{source.url} {source.about}".encode()).hexdigest()[:24]
        return self._store.path(f"crl-{name}")

    def keep(self, source: RevocationSource, data: bytes) -> None:
        """Write a list down, off the hub."""
        gevent.get_hub().threadpool.apply(write_whole, (self.path(source), data))

    def drop(self, source: RevocationSource) -> None:
        """It is needed no more."""
        with contextlib.suppress(OSError):
            self.path(source).unlink()


class SavedSources:
    """Every address that has given something, as entries of the Store, with what it gave."""

    def __init__(self, store: Store, cache: RevocationCache, sources: Sources, now: float) -> None:
        self._store = store
        self._cache = cache
        self._sources = sources
        self._now = now
        store.shelf(_NAME, self._take, self._whole, self._changes, every=_SAVE_EVERY)

    def _take(self, key: str, entry: Any) -> bool:
        try:
            source = _restored(entry, self._store, self._cache, self._now)
            times = {key: entry[key] for key in ("due", "used", "until", "fetched")}
            state = record(SourceState, times)
        except (LookupError, TypeError, ValueError, OSError, PeerError, Unusable):
            return False
        known = self._sources.states.get(source)
        state.kept = known is not None and known.kept
        self._sources.restore(source, state)
        if key != _key(source):
            self._sources.dirty[source] = None  # of a release before: from now on it is under its own key
            return False
        return True

    def _whole(self) -> dict[str, Any]:
        self._sources.dirty.update(dict.fromkeys(self._sources.states))
        return self._changes()

    def _changes(self) -> dict[str, Any]:
        dirty, self._sources.dirty = self._sources.dirty, {}
        found: dict[str, Any] = {}
        for source in dirty:
            state = self._sources.states.get(source)
            useful = state is not None and state.fetched
            found[_key(source)] = _entry(self._cache, source, state) if useful and state is not None else None
        return found


def _key(source: RevocationSource) -> str:
    return hashlib.sha256(f"{source.method} {source.url} {source.about}".encode()).hexdigest()[:32]


def _entry(cache: RevocationCache, source: RevocationSource, state: SourceState) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "url": source.url, "due": state.due, "used": state.used, "until": state.until,
        "fetched": state.fetched,
        "issuers": [_encoded(each.certificate) for each in source.issuers],
    }  # fmt: skip
    if source.link is not None:
        answer = cache.answer(source.link)
        entry["certificate"] = _encoded(source.link.certificate)
        entry["answer"] = b64encode(answer.der).decode() if answer is not None else ""
    return entry


@lru_cache(maxsize=4096)
def _encoded(certificate: x509.Certificate) -> str:
    return b64encode(certificate.public_bytes(Encoding.DER)).decode()


def _restored(entry: dict[str, Any], store: Store, cache: RevocationCache, now: float) -> RevocationSource:
    url = str(entry["url"])
    issuers = tuple(read_issuer(b64decode(each)) for each in entry["issuers"])
    if "certificate" in entry:
        link = read_link(b64decode(entry["certificate"]), issuers[0])
        cache.read_answer(b64decode(entry["answer"]), link, now)
        return answer_source(url, link)
    source = list_source(url, *issuers)
    found = read_off_hub(SavedLists(store).path(source).read_bytes(), issuers, now)
    if isinstance(found, Unusable):
        raise found
    cache.put_list(source.url, found)
    return source
