"""What was learned about revocation, written down and taken up after a restart.

One file of the Store says which addresses are known and holds the OCSP answers; each list is a file
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
from sbc.net.system.store import Store, write_whole
from sbc.tls.revocation.cache import RevocationCache
from sbc.tls.revocation.finding import Unusable
from sbc.tls.revocation.issuer import read_issuer
from sbc.tls.revocation.link import read_link
from sbc.tls.revocation.source import Source, answer_source, list_source
from sbc.typed import record

_NAME = "revocation"
_MOST_SAVED = 1024


class SavedLists:
    """The lists as files of the Store; one that cannot be written is fetched again after a restart."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def path(self, source: Source) -> Path:
        """The file of the list that ``source`` gave."""
        name = hashlib.sha256(f"{source.url} {source.about}".encode()).hexdigest()[:24]
        return self._store.path(f"crl-{name}")

    def keep(self, source: Source, data: bytes) -> None:
        """Write a list down, off the hub."""
        gevent.get_hub().threadpool.apply(write_whole, (self.path(source), data))

    def drop(self, source: Source) -> None:
        """It is needed no more."""
        with contextlib.suppress(OSError):
            self.path(source).unlink()


def save_state(store: Store, cache: RevocationCache, sources: Sources) -> None:
    """Write down every address that has given something, those used last where they are many."""
    useful = [(state, source) for source, state in sources.states.items() if state.fetched]
    useful.sort(key=lambda each: -each[0].used)
    store.save(_NAME, [_entry(cache, source, state) for state, source in useful[:_MOST_SAVED]])


def _entry(cache: RevocationCache, source: Source, state: SourceState) -> dict[str, Any]:
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


def load_state(store: Store, cache: RevocationCache, sources: Sources, now: float) -> None:
    """Take up what ``save_state`` wrote, as far as it verifies."""
    saved = store.load(_NAME)
    for entry in saved if isinstance(saved, list) else ():
        try:
            source = _restored(entry, store, cache, now)
            times = {key: entry[key] for key in ("due", "used", "until", "fetched")}
            state = record(SourceState, times)
        except (LookupError, TypeError, ValueError, OSError, PeerError, Unusable):
            continue
        state.kept = source in sources.states and sources.states[source].kept
        sources.restore(source, state)


def _restored(entry: dict[str, Any], store: Store, cache: RevocationCache, now: float) -> Source:
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
