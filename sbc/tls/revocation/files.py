"""The operator's own revocation lists: the files and addresses under ``crl`` of an entry of ``trust``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from sbc.base import PeerError
from sbc.tls.material.problems import Problem, day, read_pem_file
from sbc.tls.revocation.finding import Unusable
from sbc.tls.revocation.issuer import Issuer, read_issuer
from sbc.tls.revocation.lists import RevocationList, read_list, split_pem

MAX_FILE = 64 << 20
FileList = tuple[str, RevocationList]


def is_url(text: str) -> bool:
    """Whether an entry of ``crl`` is an address rather than a file."""
    return "://" in text


def load_lists(
    name: str, entries: Sequence[str], certificates: Sequence[bytes], directory: Path, now: float
) -> tuple[tuple[FileList, ...], list[Problem]]:
    """The lists in the files among ``entries``, verified by the ``certificates`` of the entry ``name``."""
    lists: list[FileList] = []
    problems: list[Problem] = []
    issuers = _issuers(certificates) if entries else ()
    if entries and not issuers:
        problems.append(Problem(entries[0], f"trust {name} has no CA that could sign this", "remove `crl`"))
        return (), problems
    for entry in entries:
        if is_url(entry):
            if not entry.lower().startswith("http://"):
                message = f"{entry} cannot be fetched: only http:// is"
                problems.append(Problem(entry, message, "give an http:// address, or a file"))
            continue
        try:
            found, more = _load(entry, issuers, directory, now)
            lists += [(entry, each) for each in found]
            problems += more
        except Unusable as error:
            problems.append(Problem(entry, error.reason, error.remedy, dated=error.dated))
    return tuple(lists), problems


def _issuers(certificates: Sequence[bytes]) -> tuple[Issuer, ...]:
    issuers = []
    for der in certificates:
        try:
            issuers.append(read_issuer(der))
        except PeerError:
            continue  # the truststore has said so already
    return tuple(issuers)


def _load(
    path: str, issuers: Sequence[Issuer], directory: Path, now: float
) -> tuple[list[RevocationList], list[Problem]]:
    data, problems = read_pem_file(path, directory, MAX_FILE)
    if data is None:
        return [], problems
    found = [read_list(der, issuers, now) for der in split_pem(data)]
    for each in found:
        if not each.fresh(now):
            message = (
                f"the revocation list of {each.issuer_name} is out of date since {day(each.next_update)}"
            )
            problems.append(Problem(path, message, "get the current one from the CA", fatal=False))
    return found, problems
