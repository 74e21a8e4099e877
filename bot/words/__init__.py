"""Renders the texts that users see, by key and language; missing ones fall back to English."""

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
"""Minimum of Latin words for which a text without Chinese characters counts as English."""
_MAX_REMEMBERED = 2000
"""Limit of rendered texts kept for translation; no message has so many."""


TranslateText = Callable[[str], str]


_SERVER = (("workspace", "server"), ("工作区", "服务器"))
"""Discord's term for a workspace; inside braces or quotes the word is a name and stays."""


class Words:
    """Renders texts in one language, with English as fallback and Discord's term for workspace."""

    def __init__(self, language: str, platform: str = "") -> None:
        self.language = best_language(language)
        self._sentences = _CATALOGUES[self.language]
        self._rendered: dict[str, Callable[[Words, TranslateText], str]] = {}
        self._is_discord = platform == "discord"

    def _with_platform_terms(self, sentence: str) -> str:
        if not self._is_discord:
            return sentence
        for term, discord_term in _SERVER:
            sentence = re.sub(rf"(?<![{{“A-Za-z_/.]){term}", discord_term, sentence)
        return sentence

    def __call__(self, key: str, /, **details: object) -> str:
        """Returns the text of a key; `one thing|{count} things` is chosen by `count`."""
        sentence = self._sentences.get(key) or en.SENTENCES[key]
        sentence = self._with_platform_terms(_choose_plural(sentence, details.get("count")))
        text = sentence.format_map(Details(details))
        self._remember(
            text, lambda other, translate: other(key, **_translate_details(details, translate))
        )
        return text

    def translations(self) -> Mapping[str, TranslateText]:
        """Returns a translator by language, for texts composed of those rendered so far."""
        others = (language for language in LANGUAGES if language != self.language)
        return {
            language: partial(translate_phrases, phrases=self._rendered_in(Words(language)))
            for language in others
        }

    def _remember(self, text: str, render: Callable[[Words, TranslateText], str]) -> None:
        if len(self._rendered) < _MAX_REMEMBERED:
            self._rendered[text] = render

    def _rendered_in(self, other: Words) -> Mapping[str, str]:
        """Returns the translation of each rendered text, whose details may be earlier texts."""
        translated: dict[str, str] = {}
        for text, render in tuple(self._rendered.items()):
            translated[text] = render(other, partial(translate_phrases, phrases=translated))
        return translated

    def error_text(self, error: AttuneError) -> str:
        """Returns the sentence of an error; the English one is its class's docstring."""
        sentence = self._with_platform_terms(
            self._sentences.get(error.key) or template(type(error))
        )
        text = sentence.format_map(Details(self._with_noun(error.details)))
        kind, details = type(error), error.details
        self._remember(
            text,
            lambda other, translate: other.error_text(
                kind(**_translate_details(details, translate))
            ),
        )
        return text

    def error_text_without_host_message(self, error: AttuneError) -> str:
        """Returns the sentence of an error; without the host's own message, if it quotes one."""
        sentence, quoted = self.error_text(error), str(error.details.get("message") or "")
        if not isinstance(error, errors.HostError) or not quoted or quoted not in sentence:
            return sentence
        kind = f"host.plain.{type(error).__name__}"
        return self(
            kind if self.has_sentence(kind) else "host.plain", host=error.details.get("host")
        )

    def problem_text(self, problem: Problem) -> str:
        """Returns a sentence about a row's problem, with the line number if there is one."""
        if problem.details.get("file"):
            details = {key: value for key, value in problem.details.items() if key != "file"}
            return (
                f"{problem.details['file']}: {self.problem_text(replace(problem, details=details))}"
            )
        reason = self.problem_reason(problem)
        if problem.line:
            key = "import.problem_of_row" if problem.is_row else "import.problem"
            return self(key, line=problem.line, reason=reason)
        return self("row.alone", reason=reason[:1].upper() + reason[1:])

    def problem_reason(self, problem: Problem) -> str:
        """Returns what is wrong with a row, as part of a sentence."""
        return self(f"row.{problem.code}", **problem.details)

    def _with_noun(self, details: Mapping[str, object]) -> dict[str, object]:
        """Returns an error's details with the noun in this language."""
        noun = f"noun.{details.get('noun')}"
        return {**details, "noun": self(noun)} if self.has_sentence(noun) else dict(details)

    def price_text(self, dollars: float | None) -> str:
        """Returns a price in US dollars as text; None is unknown."""
        if dollars is None:
            return self("price.unknown")
        if dollars == 0:
            return self("price.free")
        return format_dollars(dollars) if dollars >= 0.01 else self("price.tiny")

    def has_sentence(self, key: str) -> bool:
        return key in self._sentences


def format_dollars(amount: float) -> str:
    """Returns an amount of US dollars as text, such as “$1,234.50”."""
    return f"${amount:,.2f}"


def best_language(locale: str | None) -> str:
    """Returns the supported language of a locale like `zh-CN` or `zh_TW`, else English."""
    language = (locale or "en").replace("_", "-").partition("-")[0].lower()
    return language if language in _CATALOGUES else "en"


def language_of(question: str, locale: str | None) -> str:
    """Returns the language of a question; that of the locale if the text is not clear."""
    if _HAN.search(question) and not _OTHER_EAST_ASIAN.search(question):
        return "zh"
    is_latin = len(_LATIN_WORD.findall(question)) >= _LATIN_WORDS
    return "en" if is_latin and not _HAN.search(question) else best_language(locale)


def translate_phrases(text: str, phrases: Mapping[str, str]) -> str:
    """Returns the text with every phrase replaced that is bounded by non-word characters."""
    if text in phrases:
        return phrases[text]
    present = (phrase for phrase in phrases if phrase.strip() and phrase in text)
    longest_first = sorted(present, key=len, reverse=True)
    if not longest_first:
        return text
    pattern = "|".join(rf"(?<!\w){re.escape(phrase)}(?!\w)" for phrase in longest_first)
    return re.sub(pattern, lambda match: phrases[match[0]], text)


def _translate_details(
    details: Mapping[str, object], translate: TranslateText
) -> dict[str, object]:
    return {
        name: translate(value) if isinstance(value, str) else value
        for name, value in details.items()
    }


def _choose_plural(sentence: str, count: object) -> str:
    if not isinstance(count, int) or "|" not in sentence:
        return sentence
    singular, _, plural = sentence.partition("|")
    return singular if count == 1 else plural
