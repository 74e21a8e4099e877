"""Detects the possible encodings of a text file, and reads the file as UTF-8."""

import codecs
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, Final

from charset_normalizer import from_bytes

_BLOCK = 1 << 20
_MAX_SAMPLE_LENGTH = 16 << 10
_MARKS: Final = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
# Encoding, bytes of a character, and which bytes of an ASCII character are its code and zeros.
_WIDE: Final = (
    ("utf-32-le", 4, 0, (1, 2, 3)),
    ("utf-32-be", 4, 3, (0, 1, 2)),
    ("utf-16-le", 2, 0, (1,)),
    ("utf-16-be", 2, 1, (0,)),
)
_PUNCTUATION = frozenset("“”‘’„‚«»‹›–—…€£§°©®·\xa0\xad¿¡")
_CJK_PUNCTUATION = frozenset("，。？！、：；（）「」『』《》“”‘’—…・ー％　～")
# The most frequent non-ASCII letters in each language of an encoding. A text that is decoded with
# the wrong encoding has other letters.
_LATIN = ("äöüß", "éèêëàâçîïôûùœæ", "ñáíóúéü", "äöåøæé", "ãõáéíóúâêôçà")
_RUSSIAN, _UKRAINIAN = "оеаинтсрвлкмдпуыяьбзг", "оеаинтсрвлкмдпуяьбзгії"
_USUAL: Final = {
    "cp1252": _LATIN,
    "iso8859_15": _LATIN,
    "cp1250": ("ąćęłńóśźż", "áčďéěíňřšťúůýžľĺŕôä", "áéíóöőúüű", "ăâîşţ", "čćđšž", "äöü"),
    "cp1251": (_RUSSIAN, _UKRAINIAN),
    "koi8_r": (_RUSSIAN,),
    "cp1253": ("αοιεητσνρκπυμλςάόίέήύώ",),
    "cp1254": ("çğıöşüâİ",),
    "cp1255": ("יוהלאבתרמשנדםקחע",),
    "cp1256": ("ايلمنترهوبعدسكفقحةجأ",),
    "cp1257": ("ąčęėįšųūž", "āčēģīķļņšūž", "äõöüšž"),
}
# The lead bytes of the characters that a standard lists as frequent, and of its own script.
_USUAL_LEADS: Final = {
    "gb18030": range(0xB0, 0xD8),
    "big5": range(0xA4, 0xC7),
    "cp949": range(0xB0, 0xC9),
    "euc_jp": (*range(0xA4, 0xA6), *range(0xB0, 0xD0)),
    "cp932": (*range(0x82, 0x84), *range(0x88, 0x98)),
}
_DETECTED: Final = (*_USUAL, *_USUAL_LEADS)
_CLASSIC_MAC, _THAI = "mac_roman", "cp874"
ENCODINGS: Final = (*_DETECTED, _CLASSIC_MAC, _THAI)
_MIN_SCORE = 0.6
_CLEAR_LEAD = 0.15
_MAX_CHAOS = 0.25
"""The `chaos` assumed for a decoding that charset-normalizer rejects, which it does from 0.2."""


@dataclass(frozen=True, slots=True)
class Encoding:
    """A possible encoding of a file by Python's name, with a sample of its non-ASCII lines."""

    name: str
    sample: str = ""


def detect_encodings(file: IO[bytes]) -> tuple[Encoding, ...]:
    """Returns the possible encodings, the likeliest first; a single one is certain.

    Reads the whole file from its start and leaves its position anywhere.
    """
    file.seek(0)
    head = file.read(4096)
    for mark, name in _MARKS:
        if head.startswith(mark):
            return (Encoding(name),)
    wide = _wide_encoding(head)
    if wide:
        return (Encoding(wide),)
    if _is_unbroken_utf8(file) or _is_mostly_utf8(file):
        return (Encoding("utf-8"),)
    file.seek(0)
    return _legacy_encodings(_non_ascii_lines(file))


def _wide_encoding(head: bytes) -> str | None:
    """Returns the UTF-16 or UTF-32 encoding whose ASCII characters explain the zeros, if any."""
    if b"\0" not in head or _is_text_with_zeros(head):
        return None
    for name, width, letter, zeros in _WIDE:
        even = head[: len(head) // width * width]
        fewest = min(even[zero::width].count(0) for zero in zeros)
        # A character like 一 has its zero at the other position.
        if fewest > even[letter::width].count(0) and _decoded(even, name):
            return name
    return None


def _is_text_with_zeros(head: bytes) -> bool:
    """Whether the bytes are text with a few zeros; UTF-16 without a mark is not valid UTF-8."""
    has_few = head.count(0) * 4 < len(head)
    return has_few and bool(_decoded(head.replace(b"\0", b""), "utf-8"))


def _is_unbroken_utf8(file: IO[bytes]) -> bool:
    """Whether the file decodes as UTF-8; tried first, as counting takes ten times as long."""
    file.seek(0)
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        for block in _blocks(file):
            decoder.decode(block)
    except UnicodeDecodeError:
        return False
    # A truncated character at the end is rejected later, with its row.
    return True


def _is_mostly_utf8(file: IO[bytes]) -> bool:
    """Whether most characters are valid UTF-8; rows with invalid ones are rejected later."""
    file.seek(0)
    decoder = codecs.getincrementaldecoder("utf-8")("surrogateescape")
    broken = whole = 0
    for block in _blocks(file):
        if block.isascii():
            continue
        text = decoder.decode(block)
        for character in set(text):
            if "\udc80" <= character <= "\udcff":
                broken += text.count(character)
            elif character > "\x7f":
                whole += text.count(character)
    return broken <= whole


def _blocks(file: IO[bytes]) -> Iterator[bytes]:
    while block := file.read(_BLOCK):
        yield block


def _non_ascii_lines(file: IO[bytes]) -> bytes:
    """Returns the first lines with non-ASCII bytes, at most about `_MAX_SAMPLE_LENGTH` bytes."""
    lines: list[bytes] = []
    size = 0
    while size < _MAX_SAMPLE_LENGTH and (line := file.readline(_BLOCK)):
        if not line.isascii():
            lines.append(line[:_MAX_SAMPLE_LENGTH])
            size += len(lines[-1])
    return b"".join(lines)


def _legacy_encodings(sample: bytes) -> tuple[Encoding, ...]:
    """Returns the encodings that can decode the sample, likeliest first; one if it is clear."""
    is_classic_mac = b"\r" in sample and b"\n" not in sample
    possible = [*_DETECTED, *([_CLASSIC_MAC] if is_classic_mac else [])]
    chaos = {m.encoding: m.chaos for m in from_bytes(sample, cp_isolation=possible)}
    scores = {
        name: _usual_share(sample, name) - 2 * chaos.get(name, _MAX_CHAOS)
        for name in possible
        if _decoded(sample, name)
    }
    texts: dict[str, list[str]] = {}
    for name in sorted(scores, key=lambda name: _capitals(sample, name) / 2 - scores[name]):
        texts.setdefault(_decoded(sample, name), []).append(name)
    if not texts:
        return (Encoding("cp1252"),)
    # Of encodings with the same text the usual one, as the rest of the file may differ.
    candidates = [
        Encoding(min(same, key=possible.index), _beginning(text)) for text, same in texts.items()
    ]
    best, *others = [max(scores[name] for name in same) for same in texts.values()]
    if best >= _MIN_SCORE and best - max(others, default=-1.0) >= _CLEAR_LEAD:
        return (candidates[0],)
    thai = _decoded(sample, _THAI)
    return (*candidates[:5], *([Encoding(_THAI, _beginning(thai))] if thai else ()))


def _decoded(sample: bytes, name: str) -> str:
    try:
        # The sample may end within a character.
        return codecs.getincrementaldecoder(name)().decode(sample)
    except UnicodeDecodeError:
        return ""


def _non_ascii_characters(sample: bytes, name: str) -> list[str]:
    return [character for character in _decoded(sample, name) if character > "\x7f"]


def _capitals(sample: bytes, name: str) -> float:
    """Returns the share of capitals among the non-ASCII letters.

    The share is high for Hebrew that is decoded as KOI8-R.
    """
    characters = _non_ascii_characters(sample, name)
    return sum(map(str.isupper, characters)) / max(1, len(characters))


def _usual_share(sample: bytes, name: str) -> float:
    """Returns the share of the non-ASCII letters that are frequent for the encoding."""
    characters = _non_ascii_characters(sample, name)
    leads = _USUAL_LEADS.get(name)
    if leads is None:
        letters = [letter for letter in characters if letter not in _PUNCTUATION]
        languages = _USUAL.get(name, _LATIN)
        counts = [sum(c in usual or c.lower() in usual for c in letters) for usual in languages]
        return max(counts) / len(letters) if letters else 0.5
    letters = [letter for letter in characters if letter not in _CJK_PUNCTUATION]
    return sum(letter.encode(name)[0] in leads for letter in letters) / max(1, len(letters))


def _beginning(text: str) -> str:
    return " ".join(text.split())[:80]


def _keep_broken(error: UnicodeError) -> tuple[str | bytes, int]:
    """Replaces an invalid byte by a lone surrogate, which UTF-8 rejects; a codec error handler."""
    if not isinstance(error, UnicodeDecodeError):
        raise error
    return "\udcff", error.end


_BROKEN = "attune.broken"
codecs.register_error(_BROKEN, _keep_broken)


def utf8_blocks(file: IO[bytes], encoding: str) -> Iterator[bytes]:
    """Yields the rest of a file in blocks of UTF-8 without a byte order mark.

    Invalid characters stay invalid, so that their row is rejected with its line.
    """
    if encoding == "utf-8":
        first = file.read(_BLOCK).removeprefix(codecs.BOM_UTF8)
        if first:
            yield first
            yield from _blocks(file)
        return
    decoder = codecs.getincrementaldecoder(encoding)(_BROKEN)
    for block in _blocks(file):
        yield decoder.decode(block).encode("utf-8", "surrogatepass")
    yield decoder.decode(b"", final=True).encode("utf-8", "surrogatepass")
