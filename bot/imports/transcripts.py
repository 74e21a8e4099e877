"""Splits a chat transcript that a help desk keeps in one message into what each person wrote."""

import re
from typing import Final

_TIME: Final = r"[(\[]?\d{1,2}:\d{2}(?::\d{2})?+(?:\s?[ap]\.?m\.?)?+[)\]]?+"
_LINE: Final = re.compile(
    rf"(?:{_TIME}\s*(?:[-–]\s*)?([^\n:：*\d][^\n:：*]{{0,59}}?)"
    rf"|([^\n:：*\d][^\n:：*]{{0,59}}?)\s*{_TIME})\s*[:：]\s*(.*)",
    re.IGNORECASE,
)
# A line about the chat itself, as “*** Ann left the chat ***”.
_EVENT: Final = re.compile(rf"(?:{_TIME}\s*)?\*{{2,}}.*|chat (?:started|ended)\b.*", re.IGNORECASE)
_MIN_SPEAKERS: Final = 2


def split_transcript(text: str) -> list[tuple[str, str]]:
    """Returns the speakers and texts of a transcript in order; nothing for any other text."""
    spoken: list[tuple[str, str]] = []
    # Runs of spaces become one: the expressions take quadratic time for them.
    for line in filter(None, (" ".join(line.split()) for line in text.split("\n"))):
        if _EVENT.fullmatch(line):
            continue
        found = _LINE.fullmatch(line)
        if found:
            spoken.append((found[1] or found[2], found[3]))
        elif spoken:
            speaker, before = spoken[-1]
            spoken[-1] = speaker, f"{before}\n{line}"
    # In a timetable with colons every “speaker” is another one.
    speakers = {speaker for speaker, _ in spoken}
    return spoken if _MIN_SPEAKERS <= len(speakers) < len(spoken) else []
