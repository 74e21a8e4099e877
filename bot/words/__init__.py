"""Every sentence a user sees, by key; English is complete, other languages may lack some."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial

from bot import errors
from bot.errors import AttuneError, Details, template
from bot.rows import Problem
from bot.words import en, zh

_CATALOGUES: Mapping[str, Mapping[str, str]] = {"en": en.SENTENCES, "zh": zh.SENTENCES}
LANGUAGES = tuple(_CATALOGUES)
_HAN, _OTHER_EAST_ASIAN = re.compile(r"[㐀-鿿豈-﫿]"), re.compile(r"[぀-ヿ가-힯]")
_LATIN_WORD = re.compile(r"[A-Za-z]{2,}")
_LATIN_WORDS = 3
"""From so many on a text without Chinese is no Chinese question."""
_MOST_SAID = 2000
"""Sentences that are remembered to be said in other languages; no message has so many."""


Translate = Callable[[str], str]


_SERVER = (("workspace", "server"), ("工作区", "服务器"))
"""What Discord calls a workspace; in braces or quotes it is the name of something."""


class Words:
    """Says a key in one language, falling back to English; on Discord a workspace is a server."""

    def __init__(self, language: str, platform: str = "") -> None:
        self.language = best_language(language)
        self._sentences = _CATALOGUES[self.language]
        self._said: dict[str, Callable[[Words, Translate], str]] = {}
        self._is_discord = platform == "discord"

    def _own(self, sentence: str) -> str:
        if not self._is_discord:
            return sentence
        for ours, theirs in _SERVER:
            sentence = re.sub(rf"(?<![{{“A-Za-z_/.]){ours}", theirs, sentence)
        return sentence

    def __call__(self, key: str, /, **details: object) -> str:
        """One and many are written `one thing|{count} things` and chosen by `count`."""
        sentence = self._sentences.get(key) or en.SENTENCES[key]
        chosen = self._own(_counted(sentence, details.get("count")))
        text = chosen.format_map(Details(details))
        self._remember(text, lambda other, translate: other(key, **_each(details, translate)))
        return text

    def translations(self) -> Mapping[str, Translate]:
        """By language, what puts texts made of what was said so far into that language."""
        others = (one for one in LANGUAGES if one != self.language)
        return {one: partial(translate_phrases, phrases=self._in(Words(one))) for one in others}

    def _remember(self, text: str, say: Callable[[Words, Translate], str]) -> None:
        if len(self._said) < _MOST_SAID:
            self._said[text] = say

    def _in(self, other: Words) -> Mapping[str, str]:
        """What is said later may hold what was said before."""
        found: dict[str, str] = {}
        for text, say in tuple(self._said.items()):
            found[text] = say(other, partial(translate_phrases, phrases=found))
        return found

    def error(self, error: AttuneError) -> str:
        """The sentence of an error; the English one is its class's docstring."""
        sentence = self._sentences.get(error.key) or template(type(error))
        text = self._own(sentence).format_map(Details(self._named(error.details)))
        kind, details = type(error), error.details
        self._remember(
            text, lambda other, translate: other.error(kind(**_each(details, translate)))
        )
        return text

    def error_without_host_words(self, error: AttuneError) -> str:
        """As `error`, but where that quotes a host, who reads it hears no word of the host's."""
        said, quoted = self.error(error), str(error.details.get("message") or "")
        if not isinstance(error, errors.HostError) or not quoted or quoted not in said:
            return said
        kind = f"host.plain.{type(error).__name__}"
        return self(kind if self.has(kind) else "host.plain", host=error.details.get("host"))

    def problem(self, problem: Problem) -> str:
        """A whole sentence about a row; its line only where there is one."""
        if problem.details.get("file"):
            details = {key: value for key, value in problem.details.items() if key != "file"}
            return f"{problem.details['file']}: {self.problem(replace(problem, details=details))}"
        reason = self.reason(problem)
        if problem.line:
            return self("import.problem", line=problem.line, reason=reason)
        return self("row.alone", reason=reason[:1].upper() + reason[1:])

    def reason(self, problem: Problem) -> str:
        """What is wrong with a row, to stand inside a sentence."""
        return self(f"row.{problem.code}", **problem.details)

    def _named(self, details: Mapping[str, object]) -> dict[str, object]:
        """The details, the noun of an error in this language."""
        noun = f"noun.{details.get('noun')}"
        return {**details, "noun": self(noun)} if self.has(noun) else dict(details)

    def price(self, dollars: float | None) -> str:
        """US dollars; None is unknown."""
        if dollars is None:
            return self("price.unknown")
        if dollars == 0:
            return self("price.free")
        return f"${dollars:,.2f}" if dollars >= 0.01 else self("price.tiny")

    def has(self, key: str) -> bool:
        return key in self._sentences


def best_language(locale: str | None) -> str:
    """`zh-CN`, `zh_TW` and `zh` are all Chinese; what we do not speak is English."""
    language = (locale or "en").replace("_", "-").partition("-")[0].lower()
    return language if language in _CATALOGUES else "en"


def language_of(question: str, locale: str | None) -> str:
    """The language that a question is written in; that of the locale where it does not tell."""
    if _HAN.search(question) and not _OTHER_EAST_ASIAN.search(question):
        return "zh"
    is_latin = len(_LATIN_WORD.findall(question)) >= _LATIN_WORDS
    return "en" if is_latin and not _HAN.search(question) else best_language(locale)


def translate_phrases(text: str, phrases: Mapping[str, str]) -> str:
    """The text with each phrase that stands in it by itself in the other language."""
    if text in phrases:
        return phrases[text]
    inside = sorted((one for one in phrases if one.strip() and one in text), key=len, reverse=True)
    if not inside:
        return text
    pattern = "|".join(rf"(?<!\w){re.escape(one)}(?!\w)" for one in inside)
    return re.sub(pattern, lambda found: phrases[found[0]], text)


def _each(details: Mapping[str, object], translate: Translate) -> dict[str, object]:
    return {
        name: translate(value) if isinstance(value, str) else value
        for name, value in details.items()
    }


def _counted(sentence: str, count: object) -> str:
    if not isinstance(count, int) or "|" not in sentence:
        return sentence
    one, _, many = sentence.partition("|")
    return one if count == 1 else many
