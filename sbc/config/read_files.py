"""Reading the files of trunks.d and of the access list: those whose text is as before are not read again.

YAML with the place of every node is slow, three milliseconds a file; of a thousand trunks an
operator changes one at a time. What comes of a text is the same every time, so the snapshot in
force brings it along.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Generic

from dsl.breath import breathe
from sbc.config.model import Trunk
from sbc.config.schema import M, Reading, read
from sbc.config.yaml_reader import Document


@dataclass(frozen=True, slots=True)
class ReadFile(Generic[M]):
    """One such file: its text and what came of reading it."""

    text: str
    document: Document
    reading: Reading[M]


ReadTrunk = ReadFile[Trunk]


def read_files(
    texts: Mapping[str, str], former: Mapping[str, ReadFile[M]], model: type[M]
) -> dict[str, ReadFile[M]]:
    """Read files (text by path), or take over what came of the same text in ``former``."""
    return {path: _read(path, text, former.get(path), model) for path, text in texts.items()}


def _read(path: str, text: str, former: ReadFile[M] | None, model: type[M]) -> ReadFile[M]:
    breathe()
    if former is not None and former.text == text:
        return former
    document = Document(path, text)
    return ReadFile(text, document, read(document, model))
