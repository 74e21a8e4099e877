"""Turns a conversation into one vector of unit length, and weighs words by how rare they are."""

import math
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from tuner.sandbox import words
from tuner.sandbox.words import Word

Floats = npt.NDArray[np.float32]
Indices = npt.NDArray[np.int32]

CONTEXT_SHARE = 0.3
CONTEXT_MESSAGES = 3
LONGEST_QUESTION = 400
CORRECTED_WORDS = 24


@dataclass(frozen=True, slots=True)
class Vector:
    """A sparse vector: sorted, distinct places and their values."""

    places: Indices
    values: Floats


@dataclass(slots=True)
class Vocabulary:
    """In how many taught questions each word, idea (`#12`) and tie (`%f12`) occurs."""

    questions: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    _by_length: dict[int, list[str]] = field(default_factory=dict)

    def add(self, question: Sequence[Word]) -> None:
        self.questions += 1
        self.counts.update({stem for word in question for stem in (word.stem, *word.parts)})
        self.counts.update({f"#{idea}" for word in question for idea in word.ideas})
        self.counts.update({f"%{key}" for word in question for key in word.links.offers})
        self._by_length = {}

    def rarity(self, key: str) -> float:
        """Between 0.3 for what every question says and 1 for what one says or none."""
        total = self.questions + 4
        share = math.log(total / (self.counts.get(key, 0) + 1)) / math.log(total / 2)
        return 0.3 + 0.7 * min(1.0, max(0.0, share))

    def worth(self, word: Word) -> float:
        """How much it tells that two questions both say this word."""
        return word.worth * self._rarity_of(word)

    def cost(self, word: Word) -> float:
        """How much it counts that only one of two questions says this word."""
        often = self.counts.get(word.stem, 0)
        often = max([often, *(self.counts.get(f"#{idea}", 0) for idea in word.ideas)])
        return word.cost * max(0.3, 1 - often / (self.questions + 4))

    def tells_apart(self, question: Sequence[Word]) -> frozenset[str]:
        """The words that only this lesson says, where others ask alike about something else."""
        shared = any(word.worth >= 0.5 and self.counts.get(word.stem, 0) >= 3 for word in question)
        own = (word for word in question if word.worth >= 0.5)
        return frozenset(w.stem for w in own if shared and self.counts.get(w.stem, 0) == 1)

    def _rarity_of(self, word: Word) -> float:
        own = self.rarity(word.stem)
        if word.ideas:
            own = 0.5 * own + 0.5 * min(self.rarity(f"#{idea}") for idea in word.ideas)
        return own

    def read(self, text: str) -> list[Word]:
        """The words of a question, typing errors mended where the intended word is plain."""
        repairs = iter(range(CORRECTED_WORDS))

        def stem_of(piece: str) -> str:
            stem = words.stem(piece)
            strange = not self._knows(stem) and len(piece) >= 4 and piece.isalpha()
            if not strange or not piece.isascii() or next(repairs, None) is None:
                return stem
            return self._mended(piece, stem)

        return words.read(text, stem_of=stem_of)[:LONGEST_QUESTION]

    def _knows(self, stem: str) -> bool:
        return stem in self.counts or words.is_known(stem)

    def _mended(self, piece: str, stem: str) -> str:
        swapped = (
            piece[:at] + piece[at + 1] + piece[at] + piece[at + 2 :] for at in range(len(piece) - 1)
        )
        meant = next((word for word in map(words.stem, swapped) if self._knows(word)), None)
        taught = meant or self._nearest(stem, self._taught_by_length(), far=len(stem) >= 8)
        if taught or len(stem) < 5:
            return taught or stem
        meant = self._nearest(stem, words.lexicon().by_length, far=False)
        return meant if meant and _is_slip(stem, meant) else stem

    def _taught_by_length(self) -> dict[int, list[str]]:
        if not self._by_length:
            for key in self.counts:
                self._by_length.setdefault(len(key), []).append(key)
        return self._by_length

    def _nearest(self, stem: str, listed: Mapping[int, Sequence[str]], *, far: bool) -> str | None:
        reach = 2 if far else 1
        best, least = None, reach + 1
        for size in range(len(stem) - reach, len(stem) + reach + 1):
            for known in listed.get(size, ()):
                if known[0] != stem[0] or len(known) < 4:
                    continue
                distance = slips(stem, known, most=least - 1)
                if distance < least:
                    best, least = known, distance
        return best


def _is_slip(stem: str, meant: str) -> bool:
    """Whether a letter is missing, too many or moved; another letter makes another word."""
    return len(stem) != len(meant) or sorted(stem) == sorted(meant)


def slips(one: str, other: str, *, most: int) -> int:
    """Keystrokes between two words (a swap of neighbours is one), or `most + 1` when more."""
    if abs(len(one) - len(other)) > most or len(set(one) ^ set(other)) > 2 * most:
        return most + 1
    before: list[int] = []
    row = list(range(len(other) + 1))
    for i, a in enumerate(one, 1):
        earlier, before, row = before, row, [i] + [0] * len(other)
        for j, b in enumerate(other, 1):
            row[j] = min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (a != b))
            if i > 1 and j > 1 and a == other[j - 2] and one[i - 2] == b:
                row[j] = min(row[j], earlier[j - 2] + 1)
        if min(row) > most:
            return most + 1
    return row[-1]


def text_of(content: object) -> str:
    """The text in a message's content, whatever shape it came in."""
    if isinstance(content, str):
        return content
    if not isinstance(content, Sequence):
        return ""
    parts = (part for part in content if isinstance(part, Mapping))
    texts = (part.get("text") for part in parts)
    return "\n".join(text for text in texts if isinstance(text, str))


def split_context(messages: Sequence[Mapping[str, object]]) -> tuple[str, str]:
    """The question, which is the last user message, and what was said shortly before it."""
    last = max((i for i, m in enumerate(messages) if m.get("role") == "user"), default=-1)
    if last < 0:
        return "", ""
    spoken = [m for m in messages[:last] if m.get("role") in ("user", "assistant")]
    earlier = "\n".join(text_of(m.get("content")) for m in spoken[-CONTEXT_MESSAGES:])
    return text_of(messages[last].get("content")), earlier


def vector(
    question: Sequence[Word], text: str, earlier: str, vocabulary: Vocabulary, *, size: int
) -> Vector:
    """The features of a question, with a little of what was said before it.

    Features are hashed to signed places, so that their number is fixed and no list is kept.
    """
    sums: dict[int, float] = {}
    _add(sums, _of_question(question, text, vocabulary), size=size, share=1.0)
    if earlier.strip():
        said = words.read(earlier)[:LONGEST_QUESTION]
        context = ((f"^{word.stem}", vocabulary.worth(word)) for word in _distinct(said))
        _add(sums, context, size=size, share=CONTEXT_SHARE)
    places = np.array(sorted(sums), dtype=np.int32)
    values = np.array([sums[place] for place in places.tolist()], dtype=np.float32)
    length = float(np.sqrt(np.sum(values * values)))
    return Vector(places, values / np.float32(length) if length else values)


def _add(
    sums: dict[int, float], features: Iterable[tuple[str, float]], *, size: int, share: float
) -> None:
    found = list(features)
    length = math.sqrt(sum(value * value for _, value in found)) or 1.0
    for name, value in found:
        code = zlib.crc32(name.encode("utf-8", "surrogatepass"))
        place = (code >> 1) % size
        sums[place] = sums.get(place, 0.0) + (share if code & 1 else -share) * value / length


def _of_question(
    question: Sequence[Word], text: str, vocabulary: Vocabulary
) -> Iterator[tuple[str, float]]:
    before = "<"
    for word in question:
        yield f"{before}_{word.stem}", 0.08
        before = word.stem
    for word in _distinct(question):
        weight = vocabulary.worth(word)
        yield word.stem, weight
        for idea in sorted(word.ideas):
            yield f"#{idea}", 0.9 * weight * vocabulary.rarity(f"#{idea}") / len(word.ideas) ** 0.5
        for part in word.parts if len(word.parts) > 1 else ():
            yield part, 0.5 * weight * words.worth_of(part)
        yield from _letters(word, weight)
    yield "=" + (" ".join(word.stem for word in question) or words.marks(text)), 0.2


def _letters(word: Word, weight: float) -> Iterator[tuple[str, float]]:
    if weight < 0.25:
        return
    if not word.stem.isascii():
        for letter in word.stem:
            yield f"~{letter}", 0.5 * weight / len(word.stem) ** 0.5
    elif len(word.stem) >= 4:
        padded = f"<{word.stem}>"
        share = 0.5 * weight / (len(padded) - 2) ** 0.5
        for at in range(len(padded) - 2):
            yield f"~{padded[at : at + 3]}", share


def _distinct(found: Sequence[Word]) -> list[Word]:
    """Each word once, in an order that is the same in every process."""
    return list({word.stem: word for word in found}.values())
