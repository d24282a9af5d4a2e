"""Where our own code failed, in one line."""

from __future__ import annotations

import traceback
from typing import Final

# How many frames are told.
FRAMES: Final = 5


def place_of(error: Exception) -> str:
    """What was raised, and the last frames that it passed through, innermost first, alike in every build.

    The text of a traceback has one line for a frame of compiled code, and up to three for any other.
    """
    frames = list(traceback.walk_tb(error.__traceback__))[-FRAMES:]
    places = [f"{frame.f_code.co_filename}:{line} {frame.f_code.co_name}" for frame, line in reversed(frames)]
    return " < ".join([traceback.format_exception_only(error)[-1].strip(), *places])
