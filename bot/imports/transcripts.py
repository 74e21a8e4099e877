"""Splits a chat transcript that a help desk keeps in one message into what each person wrote."""

import re
from collections.abc import Collection
from typing import Final

_TIME: Final = r"[(\[]?\d{1,2}:\d{2}(?::\d{2})?+(?:\s?[ap]\.?m\.?)?+[)\]]?+"
_LINE: Final = re.compile(
    rf"(?:{_TIME}\s*(?:[-–]\s*)?([^\n:：*\d][^\n:：*]{{0,59}}?)"
    rf"|([^\n:：*\d][^\n:：*]{{0,59}}?)\s*{_TIME})\s*[:：]\s*(.*)",
    re.IGNORECASE,
)
# A line about the chat itself, as “*** Ann left the chat ***”.
_EVENT: Final = re.compile(rf"(?:{_TIME}\s*)?\*{{2,}}.*|chat (?:started|ended)\b.*", re.IGNORECASE)
_ROLES: Final = frozenset(
    (
        *("agent", "customer", "client", "visitor", "user", "guest", "operator", "bot", "chatbot"),
        *("kunde", "kundin", "besucher", "mitarbeiter", "cliente", "agente", "visiteur"),
        *("客户", "用户", "访客", "客服", "机器人"),
    )
)
_MIN_SPEAKERS: Final = 2


def split_transcript(text: str, names: Collection[str]) -> list[tuple[str, str]]:
    """Returns the speakers and texts of a transcript in order; nothing for any other text.

    One of the speakers is of the `names` or a role such as “visitor”, for timetables look alike.
    """
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
        else:
            # What precedes the first speaker would be lost.
            return []
    speakers = {speaker for speaker, _ in spoken}
    is_chat = any(speaker in names or speaker.lower() in _ROLES for speaker in speakers)
    has_digits = any(re.search(r"\d", speaker) for speaker in speakers)
    is_repeated = _MIN_SPEAKERS <= len(speakers) < len(spoken)
    return spoken if is_chat and not has_digits and is_repeated else []
