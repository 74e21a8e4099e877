"""Cleans the texts of a help desk's table that has one row for each ticket."""

import re
from collections.abc import Mapping
from typing import Final

from bot.imports.automatic_mail import is_automatic_mail
from bot.imports.columns import heading_words
from bot.imports.mail_text import strip_quotes_and_signature
from bot.imports.name_lines import strip_greeting_and_signature
from bot.imports.tickets import STATES, is_discarded
from bot.imports.transcripts import split_transcript
from bot.rows.problems import RowRefused

_PEOPLE: Final = frozenset(
    (
        *("assignee", "requester", "agent", "customer", "submitter", "reporter", "author"),
        *("caller", "sender", "from", "by"),
        *("bearbeiter", "kunde", "anfragesteller", "solicitante", "demandeur", "asignado"),
    )
)
# Words beside those of _PEOPLE; any other word, as in “Customer Type”, is of no name.
_BESIDE_PEOPLE: Final = frozenset(
    (
        *("name", "full", "first", "last", "contact", "ticket", "case"),
        *("opened", "resolved", "assigned", "closed", "created", "sent", "answered"),
    )
)
# Headings that are names of things as well: only values of two words or more are of people.
_PEOPLE_OR_THINGS: Final = (["name"], ["contact"])
_NAME: Final = re.compile(
    r"[^\W\d_][\w.'’-]*(?: (?:(?:van|von|de|der|den|da|di|la|bin|al) ){0,2}[^\W\d_][\w.'’-]*){0,3}"
)
_MAX_NAME: Final = 60


def clean_texts(record: Mapping[str, object], columns: Mapping[str, str]) -> dict[str, object]:
    """Returns question and answer without quotes, greetings and signatures.

    Raises RowRefused for tickets marked as spam, for automatic messages, and for chats in a cell.
    """
    for heading, value in record.items():
        if set(heading_words(heading)) & STATES and is_discarded(value, heading):
            raise RowRefused("row_discarded", column=heading)
    people = _people_in(record)
    return {
        columns[purpose]: _clean(
            record.get(columns[purpose]), columns[purpose], people, is_question
        )
        for purpose, is_question in (("question", True), ("answer", False))
    }


def _clean(value: object, column: str, people: frozenset[str], is_question: bool) -> object:
    if not isinstance(value, str):
        return value
    if split_transcript(value, people):
        raise RowRefused("cell_transcript", column=column)
    text = strip_quotes_and_signature(value, is_mail=False)
    if is_automatic_mail(text, is_customers=is_question):
        raise RowRefused("cell_automatic", column=column)
    return strip_greeting_and_signature(text, people, ())


def _people_in(record: Mapping[str, object]) -> frozenset[str]:
    """Returns the names of the people that a row has in columns of its own."""
    return frozenset(
        value.strip()
        for heading, value in record.items()
        if isinstance(value, str) and _is_of_people(heading, value.strip())
    )


def _is_of_people(heading: str, value: str) -> bool:
    """Whether a heading is of people and a value looks like a name."""
    words = heading_words(heading)
    is_name = 1 < len(value) <= _MAX_NAME and _NAME.fullmatch(value) and not value[0].islower()
    if words in _PEOPLE_OR_THINGS:
        return bool(is_name) and " " in value
    return bool(is_name and set(words) & _PEOPLE and set(words) <= _PEOPLE | _BESIDE_PEOPLE)
