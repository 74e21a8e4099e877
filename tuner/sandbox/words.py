"""Turns a question into weighted words and the ideas that they stand for."""

import re
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path

LEXICON = Path(__file__).with_name("words")
LONGEST_TEXT = 4_000
REMEMBERED = 20_000
LONGEST_PHRASE = 4
LONGEST_GAP = 4
PARTICLES = frozenset(("back", "off", "up", "out", "away"))
CONTENT = (1.0, 1.25)
LISTED = (1.0, 0.4)
TOPIC = (1.0, 1.25)
LONE_CHARACTER = (0.5, 0.45)
COUNTED = (0.8, 0.4)
SMALL_NUMBER = 2
PHRASE_OF_GENERIC_WORDS = (0.6, 0.45)
TIERS = {
    "function": (0.04, 0.03),
    "question": (0.15, 0.08),
    "chat": (0.18, 0.1),
    "self": (0.35, 0.15),
    "common": (0.6, 0.25),
}
FIELD, NAME, MEMBER = "f", "n", "m"
CJK = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
PIECE = re.compile(rf"[{CJK}]+|[^\W_{CJK}]+")
CONTRACTIONS = (
    (re.compile(r"\b(ca)n't\b"), "can not"),
    (re.compile(r"\b(wo)n't\b"), "will not"),
    (re.compile(r"n't\b"), " not"),
    (re.compile(r"'(?:s|re|ve|ll|d|m)\b"), ""),
)
MARKS_TO_PLAIN = str.maketrans({"’": "'", "‘": "'", "`": "'", "ß": "ss"})


@dataclass(frozen=True, slots=True)
class Word:
    """One word or known phrase.

    `parts` are the stems of a phrase (or the one stem); `worth` is how much it tells
    when both sides say it, `cost` how much it counts against them when only one does.
    """

    stem: str
    parts: tuple[str, ...]
    ideas: frozenset[int]
    worth: float
    cost: float
    known: bool
    links: "Links"


@dataclass(frozen=True, slots=True)
class Links:
    """What a word has to do with others that do not mean the same.

    It `offers` the ties that others `seek`: both sides of a field ("radiator" and "freezing")
    offer and seek the field; one of a kind ("French") seeks its name ("language") and is sought
    by it, while two of a kind do not meet. `acts` are doings that those of `against` undo.
    """

    offers: frozenset[str] = frozenset()
    seeks: frozenset[str] = frozenset()
    acts: frozenset[int] = frozenset()
    against: frozenset[int] = frozenset()

    def __or__(self, other: "Links") -> "Links":
        return Links(
            self.offers | other.offers,
            self.seeks | other.seeks,
            self.acts | other.acts,
            self.against | other.against,
        )


UNLINKED = Links()


@dataclass(frozen=True, slots=True)
class Lexicon:
    """`ideas` maps a phrase of stems to the groups it belongs to, `links` to its looser ties."""

    ideas: dict[tuple[str, ...], frozenset[int]]
    links: dict[tuple[str, ...], Links]
    weights: dict[str, tuple[float, float]]
    by_length: dict[int, tuple[str, ...]]
    known: frozenset[str]


def normalise(text: str) -> str:
    """The same letters for the same word: compatibility forms, case and accents are folded."""
    if len(text) > LONGEST_TEXT:
        text = text[: LONGEST_TEXT // 2] + " " + text[-LONGEST_TEXT // 2 :]
    folded = unicodedata.normalize("NFKC", text).casefold().translate(MARKS_TO_PLAIN)
    if not folded.isascii():
        bare = (c for c in unicodedata.normalize("NFKD", folded) if not unicodedata.combining(c))
        folded = unicodedata.normalize("NFC", "".join(bare))
    return folded


def pieces(text: str) -> list[str]:
    """The words of a text in order; a run of Chinese or Japanese is one piece."""
    plain = normalise(text)
    if "'" in plain:
        for pattern, replacement in CONTRACTIONS:
            plain = pattern.sub(replacement, plain)
    return PIECE.findall(plain)


def marks(text: str) -> str:
    """What remains of a text without words, such as an emoji or a lone question mark."""
    return "".join(normalise(text).split())[:80]


@lru_cache(maxsize=REMEMBERED)
def stem(word: str) -> str:
    """A light stem: plurals and verb endings fall away, irregular forms become the plain one."""
    word = irregular().get(word, word)
    if len(word) <= 3 or not word.isascii() or not word.isalpha():
        return word
    for ending, least, put in ENDINGS:
        if word.endswith(ending) and len(word) - len(ending) >= least:
            word = _without_double(word[: -len(ending)] + put, ending)
            break
    return word[:-1] if len(word) > 5 and word.endswith("ll") else word


ENDINGS = (
    ("sses", 2, "ss"),
    ("ies", 2, "y"),
    ("ied", 2, "y"),
    ("ing", 3, ""),
    ("eed", 2, "eed"),
    ("ed", 3, ""),
    ("ss", 1, "ss"),
    ("us", 2, "us"),
    ("is", 2, "is"),
    ("ches", 2, "ch"),
    ("shes", 2, "sh"),
    ("xes", 2, "x"),
    ("es", 3, ""),
    ("s", 3, ""),
    ("e", 3, ""),
)


def _without_double(root: str, ending: str) -> str:
    if ending in ("ing", "ed") and root[-1:] == root[-2:-1] and root[-1] not in "lsz":
        return root[:-1]
    return root[:-1] if root.endswith("e") and len(root) > 3 and ending != "eed" else root


@cache
def irregular() -> dict[str, str]:
    """The plain form of each irregular one."""
    lines = (LEXICON / "irregular.txt").read_text(encoding="utf-8").splitlines()
    return {form: line.split()[0] for line in lines for form in line.split()[1:]}


@cache
def lexicon() -> Lexicon:
    """The built-in groups of words, read when the first text is."""
    weights: dict[str, tuple[float, float]] = {}
    for name in ("generic.txt", "generic-zh.txt"):
        for line in (LEXICON / name).read_text(encoding="utf-8").splitlines():
            tier, _, listed = line.partition(": ")
            for word in listed.split():
                weights.setdefault(stem(word), TIERS[tier])
    found: dict[tuple[str, ...], set[int]] = {}
    for number, phrase, is_topic in _grouped():
        found.setdefault(phrase, set()).add(number)
        if is_topic and len(phrase) == 1:
            weights.setdefault(phrase[0], TOPIC)
    ideas = {phrase: frozenset(numbers) for phrase, numbers in found.items()}
    links = _linked()
    phrases = ideas.keys() | links.keys()
    known = {word for phrase in phrases for word in phrase} | weights.keys()
    by_length: dict[int, list[str]] = {}
    for word in sorted(known):
        by_length.setdefault(len(word), []).append(word)
    lengths = {size: tuple(listed) for size, listed in by_length.items()}
    return Lexicon(ideas, links, weights, lengths, frozenset(known))


def _grouped() -> Iterator[tuple[int, tuple[str, ...], bool]]:
    """Each phrase with its group; "!" marks groups of topics, which others do not paraphrase."""
    number = 0
    for name in ("concepts-en.txt", "concepts-zh.txt", "concepts-more.txt"):
        for line in (LEXICON / name).read_text(encoding="utf-8").splitlines():
            number += 1
            for phrase in line.removeprefix("! ").split(","):
                yield number, tuple(map(stem, phrase.split())), line.startswith("! ")


def _linked() -> dict[tuple[str, ...], Links]:
    found: dict[tuple[str, ...], Links] = {}
    for listed, links in (*_fields(), *_kinds(), *_opposites()):
        for phrase in listed.split(","):
            key = tuple(map(stem, phrase.split()))
            found[key] = found.get(key, UNLINKED) | links
    return found


def _fields() -> Iterator[tuple[str, Links]]:
    for number, line in enumerate(_lines("fields.txt")):
        yield line, Links(frozenset({f"{FIELD}{number}"}), frozenset({f"{FIELD}{number}"}))


def _kinds() -> Iterator[tuple[str, Links]]:
    """Names before the ">", what they are the names of behind it."""
    for number, line in enumerate(_lines("kinds.txt")):
        names, _, members = line.partition(">")
        name, member = frozenset({f"{NAME}{number}"}), frozenset({f"{MEMBER}{number}"})
        yield names, Links(offers=name, seeks=member)
        yield members, Links(offers=member, seeks=name)


def _opposites() -> Iterator[tuple[str, Links]]:
    """Doings on either side of a "/" rule each other out."""
    number = 0
    for line in _lines("opposites.txt"):
        sides = line.split("/")
        numbers = frozenset(range(number, number + len(sides)))
        for side in sides:
            yield side, Links(acts=frozenset({number}), against=numbers - {number})
            number += 1


def _lines(name: str) -> list[str]:
    return (LEXICON / name).read_text(encoding="utf-8").splitlines()


def is_known(word: str) -> bool:
    """Whether a stem is in the built-in lists, so that it is not taken for a typing error."""
    return word in lexicon().known


def read(text: str, *, stem_of: Callable[[str], str] = stem) -> list[Word]:
    """The words of a text, known phrases joined into one word."""
    found: list[Word] = []
    run: list[str] = []
    for piece in pieces(text):
        if _is_character(piece[0]):
            found += _read_run(run)
            run = []
            found += _read_characters(piece)
        else:
            run.append(stem_of(piece))
    return found + _read_run(run)


def _is_character(letter: str) -> bool:
    return "\u3040" <= letter <= "\u9fff" or "\uf900" <= letter <= "\ufaff"


def _read_run(stems: list[str]) -> list[Word]:
    lists, at, found = lexicon(), 0, []
    ideas, links = lists.ideas, lists.links
    stems = _rejoined(stems, lists)
    while at < len(stems):
        for size in range(min(LONGEST_PHRASE, len(stems) - at), 0, -1):
            phrase = tuple(stems[at : at + size])
            if size == 1 or phrase in ideas or phrase in links:
                found.append(_word(phrase, ideas.get(phrase, frozenset())))
                at += size
                break
    return found


def _rejoined(stems: list[str], lists: Lexicon) -> list[str]:
    """“send the vase back” reads like “send back the vase”."""
    for at, particle in enumerate(stems):
        if particle not in PARTICLES:
            continue
        for verb in range(at - 2, max(-1, at - 2 - LONGEST_GAP), -1):
            phrase = (stems[verb], particle)
            if phrase in lists.ideas or phrase in lists.links:
                moved = [particle, *stems[verb + 1 : at]]
                return stems[: verb + 1] + moved + stems[at + 1 :]
    return stems


def _read_characters(text: str) -> list[Word]:
    lists, at, found = lexicon(), 0, []
    while at < len(text):
        for size in range(min(LONGEST_PHRASE + 1, len(text) - at), 0, -1):
            part = text[at : at + size]
            if size == 1 or (part,) in lists.ideas or part in lists.weights:
                found.append(_word((part,), lists.ideas.get((part,), frozenset())))
                at += size
                break
    return found


def worth_of(stem: str) -> float:
    """How much a single stem tells, by the built-in lists."""
    return lexicon().weights.get(stem, CONTENT)[0]


def _word(phrase: tuple[str, ...], ideas: frozenset[int]) -> Word:
    lists = lexicon()
    links = lists.links.get(phrase, UNLINKED)
    if len(phrase) > 1:
        telling = [word for word in phrase if worth_of(word) >= 0.3]
        inner = (lists.ideas.get((part,), frozenset()) for part in telling)
        weight = LISTED if telling else PHRASE_OF_GENERIC_WORDS
        for part in telling:
            links |= lists.links.get((part,), UNLINKED)
        return Word(" ".join(phrase), phrase, ideas.union(*inner), *weight, True, links)
    word = phrase[0]
    listed = word in lists.weights or bool(ideas)
    weight = lists.weights.get(word, LISTED if ideas else CONTENT)
    if len(word) == 1 and _is_character(word) and not listed:
        weight = LONE_CHARACTER
    elif len(word) <= SMALL_NUMBER and word.isdecimal():
        weight = COUNTED
    return Word(word, (word,), ideas, *weight, listed or links is not UNLINKED, links)
