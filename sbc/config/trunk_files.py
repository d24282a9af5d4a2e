"""Reading the files of trunks.d: those whose text is as it was before are not read again.

YAML with the place of every node is slow, three milliseconds a file; of a thousand trunks an
operator changes one at a time. What comes of a text is the same every time, so the snapshot in
force brings it along.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from dsl.breath import breathe
from sbc.config.model import Trunk
from sbc.config.schema import Reading, read
from sbc.config.yaml_reader import Document


@dataclass(frozen=True, slots=True)
class ReadTrunk:
    """One file of trunks.d: its text and what came of reading it."""

    text: str
    document: Document
    reading: Reading[Trunk]


def read_trunks(texts: Mapping[str, str], former: Mapping[str, ReadTrunk]) -> dict[str, ReadTrunk]:
    """Read files (text by path), or take over what came of the same text in ``former``."""
    return {path: _read(path, text, former.get(path)) for path, text in texts.items()}


def _read(path: str, text: str, former: ReadTrunk | None) -> ReadTrunk:
    breathe()
    if former is not None and former.text == text:
        return former
    document = Document(path, text)
    return ReadTrunk(text, document, read(document, Trunk))
