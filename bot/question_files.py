"""Files that came with a question, as text beside it, within a budget that is told."""

from __future__ import annotations

import codecs
from collections.abc import Sequence
from dataclasses import dataclass

from bot.errors import SurfaceError
from bot.events import Attachment, MessageReceived
from bot.ports.surface import CanReadFile, Surface
from bot.request import Request

MOST_CHARACTERS = 40_000
"""Of all files of a question together: about 10,000 tokens."""
_MOST_FILES = 5
_TYPED = "message.txt"
"""What Discord makes of a message that is longer than 2,000 characters."""
_BYTES_OF_CHARACTER = 4


@dataclass(frozen=True, slots=True)
class AskedWithFiles:
    """`question` is what somebody typed, `text` what the model reads, `note` what it does not."""

    question: str
    text: str
    note: str = ""


async def with_files(request: Request, what: MessageReceived, surface: Surface) -> AskedWithFiles:
    """Nothing is fetched from anywhere but the platform that the question came from."""
    question, words, room = what.message.text, request.words, MOST_CHARACTERS
    told: list[str] = []
    shown: list[str] = []
    for file in what.files[:_MOST_FILES]:
        content = await _text_of(request, file, surface) if room > 0 else None
        if content is None:
            told.append(words("chat.file_unread", name=file.name))
            continue
        if len(content) > room:
            told.append(words("chat.file_cut", name=file.name, count=f"{room:,}"))
        content, room = content[:room], room - len(content)
        if file.name == _TYPED:
            question = f"{question}\n\n{content}".strip()
        else:
            shown.append(words("chat.file", name=file.name, text=content))
    told += [words("chat.file_unread", name=one.name) for one in what.files[_MOST_FILES:]]
    return AskedWithFiles(question, _joined(question, shown), " ".join(told))


def _joined(question: str, files: Sequence[str]) -> str:
    return "\n\n".join(part for part in (question, *files) if part.strip())


async def _text_of(request: Request, file: Attachment, surface: Surface) -> str | None:
    """The beginning of a file as text; None for one that is none, or that cannot be read."""
    if not isinstance(surface, CanReadFile):
        return None
    content = bytearray()
    try:
        async for block in surface.read_file(request.place, file):
            content += block
            if len(content) > _BYTES_OF_CHARACTER * MOST_CHARACTERS:
                break
    except SurfaceError:
        return None
    return _decoded(bytes(content))


def _decoded(content: bytes) -> str | None:
    """A text that is cut off in the middle of a character is one all the same."""
    is_wide = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    if not is_wide and b"\0" in content:
        return None
    decoder = codecs.getincrementaldecoder("utf-16" if is_wide else "utf-8-sig")()
    try:
        return decoder.decode(content)
    except UnicodeDecodeError:
        return None
