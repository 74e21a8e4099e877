"""Cleans the texts of a help desk's table that has one row for each ticket."""

from collections.abc import Mapping
from typing import Final

from bot.imports.automatic_mail import is_automatic_mail
from bot.imports.columns import heading_words
from bot.imports.mail_text import strip_quotes_and_signature, without_contact
from bot.imports.name_lines import strip_greeting_and_signature
from bot.imports.tickets import STATES, is_discarded
from bot.imports.transcripts import split_transcript
from bot.rows.problems import RowRefused

_PEOPLE: Final = frozenset(
    (
        *("assignee", "requester", "agent", "customer", "contact", "owner", "submitter", "client"),
        *("reporter", "author", "caller", "opened", "resolved", "assigned", "by", "name"),
        *("bearbeiter", "kunde", "anfragesteller", "solicitante", "demandeur", "asignado"),
    )
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
    if split_transcript(value):
        raise RowRefused("cell_transcript", column=column)
    text = strip_quotes_and_signature(value, is_mail=False)
    if is_automatic_mail(text, is_customers=is_question):
        raise RowRefused("cell_automatic", column=column)
    return strip_greeting_and_signature(without_contact(text) if is_question else text, people, ())


def _people_in(record: Mapping[str, object]) -> frozenset[str]:
    """Returns the names of the people that a row has in columns of its own."""
    return frozenset(
        value.strip()
        for heading, value in record.items()
        if isinstance(value, str)
        and 1 < len(value.strip()) <= _MAX_NAME
        and "@" not in value
        and set(heading_words(heading)) & _PEOPLE
    )
