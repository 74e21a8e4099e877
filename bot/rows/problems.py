"""Codes and English sentences for everything that can be wrong with a training row or file."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from types import MappingProxyType
from typing import Final

MIN_TRAINING_ROWS: Final = 10
"""Hosts refuse a training file with fewer rows."""

_SHOWN_CHARACTERS = 60


class Method(StrEnum):
    """Training method that a row is for."""

    SUPERVISED = "supervised"
    DPO = "dpo"


FILE_PROBLEM_TEXTS: Final = {
    "file_empty": "the file is empty, choose a file with rows in it",
    "line_too_long": "the line is longer than {limit} MiB, shorten the row or split the line",
    "not_utf8": "byte {byte} is not valid UTF-8, save the file as UTF-8",
    "null_byte": "there is a NUL character, save the file as UTF-8 text without NUL characters",
    "not_json": "this is not valid JSON at character {column} ({what}), correct it there",
    "cut_off": "the row breaks off before its end, put the whole row on this one line",
    "extra_text": "there is other text after the row at character {column}, remove it",
    "several_objects": (
        "another row begins at character {column}, put each row on a line of its own"
    ),
    "not_finite": "“{number}” is not a JSON number, write an ordinary number or null",
    "number_too_long": "a number has thousands of digits, shorten it or write it as a string",
    "too_deep": "lists and objects are nested too deeply, flatten the row",
    "broken_character": "a character is broken (half of a surrogate pair), type it again",
    "row_unknown": (
        "the rows have the keys {columns}, name them “messages”, or “prompt” and “completion”"
    ),
    "columns_unknown": (
        "the columns are {columns}, name the one with questions “question” "
        "and the one with answers “answer”"
    ),
    "columns_numbered": (
        "there are several columns of a kind ({columns}), say which one is the question and which "
        "the answer"
    ),
    "table_broken": "the table cannot be read here ({what}), correct the line",
    "cell_too_long": "a cell is longer than {limit} characters, close its quote or shorten it",
    "cells_too_many": (
        "the line has {count} cells for {expected} columns, put quotes around cells with delimiters"
    ),
    "cell_empty": "“{column}” is empty, fill it or remove the row",
    "cell_missing": "“{column}” is missing, add it or remove the row",
    "cell_truncated": (
        "the dataset viewer has cut “{column}” short, download the whole dataset instead"
    ),
    "cell_not_text": "“{column}” is of type {kind}, make it a string",
    "cell_not_messages": "“{column}” is of type {kind}, write a list of messages there",
    "column_not_there": "there is no column “{column}”, choose among {columns}",
    "history_unknown": "“{column}” is no list of earlier questions and answers, write it as one",
    "prompts_differ": "the two conversations differ before the last answer, make them the same",
    "label_bad": (
        "“{column}” says that the answer is bad, and the question has no good one near it; add one"
    ),
    "ticket_unanswered": "the ticket “{ticket}” has no question with an answer, so it is left out",
    "ticket_discarded": "the ticket “{ticket}” is marked as spam or deleted, so it is left out",
    "row_discarded": "“{column}” says that this is spam or deleted, so it is left out",
    "cell_automatic": "“{column}” was written by a program, so the row is left out",
    "cell_transcript": "“{column}” holds a whole chat, write each message in a row of its own",
    "tickets_too_long": "the tickets have more than {limit} million characters, split the file",
    "encoding_unknown": "“{encoding}” is no known encoding, choose one of {known}",
    "workbook_broken": "the workbook cannot be read, save it again or as CSV",
    "parquet_broken": "the Parquet file is broken here, write it again",
    "parquet_unread": (
        "reading Parquet needs the package pyarrow, install it or save the file as JSON Lines"
    ),
    "archive_broken": "the archive is broken, pack it again or choose the file inside it",
    "archive_empty": "the archive has no file with rows in it",
    "archive_several": "the archive has several files ({names}), choose one of them by itself",
    "archive_nested": "there is another archive inside the archive, choose a file with rows",
    "archive_too_long": "the file is larger than {limit} MiB when unpacked, split it",
    "file_password": "the file has a password, save it without one",
    "file_pdf": "this is a PDF and has no rows, choose a table or JSON",
    "file_picture": "this is a picture and has no rows, choose a table or JSON",
    "file_sound": "this is a sound and has no rows, choose a table or JSON",
    "file_film": "this is a film or a sound and has no rows, choose a table or JSON",
    "file_database": "this is a database, export its table as CSV",
    "file_program": "this is a program and has no rows, choose a table or JSON",
    "file_archive": "archives of this kind cannot be read, choose a ZIP or the file inside it",
    "file_document": "this is a text document and has no rows, save its table as XLSX or CSV",
    "file_slides": "these are slides and have no rows, write questions and answers as a table",
    "file_apple": (
        "this is a document of Numbers, Pages or Keynote, export it there as XLSX, CSV or DOCX"
    ),
    "file_numbers": "this is a file of numbers for programs, save its texts as CSV or JSON Lines",
    "file_pickle": "this is a Python pickle, which is not opened; save the rows as JSON Lines",
    "file_model": "these are the weights of a model and no rows, choose a table or JSON",
    "file_mail": "this is mail and has no rows, export the tickets as JSON or CSV",
    "file_subtitles": "these are subtitles and have no rows, choose a table or JSON",
    "file_calendar": "these are dates or addresses and no rows, choose a table or JSON",
    "file_key": "this is a key or a certificate and no row file, keep it private",
    "file_link": "this is only a link to a document, open it and download it as XLSX or CSV",
    "file_notebook": "this is a notebook and has no rows, save its table as CSV or JSON Lines",
    "file_yaml": "YAML cannot be read, save the file as JSON",
    "file_discord_text": (
        "this is the CSV or HTML of DiscordChatExporter, which does not say who answers whom;"
        " export it as JSON"
    ),
    "file_arrow": "Arrow files cannot be read, save it as Parquet or JSON Lines",
    "file_xml": "XML cannot be read, save the file as CSV or JSON",
    "document_without_questions": (
        "this document has neither a table nor questions with answers that can be told apart;"
        " begin them with “Q:” and “A:”, or write them as a table"
    ),
    "file_chat_export": (
        "this is an export of {app}, whose writers cannot be asked here whether it may be learned;"
        " write its questions and answers as a table"
    ),
    "rows_of_tree": (
        "the rows are single messages that name the one they answer (“{column}”);"
        " take the file of whole trees, or write each conversation as “messages”"
    ),
    "comments_in_cells": (
        "“{column}” holds comments without saying which were for colleagues only;"
        " export the tickets as JSON"
    ),
    "file_chat_text": (
        "this is a chat as plain text, which does not say who answers whom;"
        " write its questions and answers as a table"
    ),
    "file_slack_export": (
        "this is a single day of an export of Slack, which does not say who may read the channel;"
        " choose the whole zip"
    ),
}

_ROW_REASONS = {
    "row_not_object": "the row is of type {kind}, write an object with “messages”",
    "chat_among_preferences": (
        "this is a chat row in a preference file, put chat rows into a file of their own"
    ),
    "preference_among_chats": (
        "this is a preference row in a chat file, put preference rows into a file of their own"
    ),
    "messages_missing": "“messages” is missing, write the conversation as a list of messages there",
    "messages_not_list": "“messages” is of type {kind}, write a list of messages",
    "messages_empty": "“messages” has no message, add a question and an answer",
    "assistant_missing": "no message is from the assistant, add the answer to learn",
    "last_not_assistant": "the last message is from {role}, end with the assistant's answer",
    "nothing_trained": (
        "every assistant message has the weight 0, give at least one of them the weight 1"
    ),
    "too_long": (
        "the row has about {tokens} tokens, shorten it to at most {limit} or it would be cut"
    ),
    "tools_not_list": "“{field}” is of type {kind}, write a list of functions",
    "tool_twice": "“{field}” number {tool} has the name “{name}” of an earlier one, rename it",
    "tool_broken": "“{field}” number {tool} is not the definition of a function with a name",
    "tool_name": (
        "“{field}” number {tool} has the name “{name}”, use letters, digits, _ and - (at most 64)"
    ),
    "tool_schema": (
        "“{field}” number {tool} has parameters that are no JSON Schema of an object, correct them"
    ),
    "tool_property": (
        "“{field}” number {tool} has the property “{name}” whose schema is no JSON Schema,"
        " correct it"
    ),
    "tool_control_token": "“{field}” has the control token {token}, remove it",
    "parallel_not_boolean": "“parallel_tool_calls” is of type {kind}, write true or false",
    "input_missing": "“input” is missing, write an object with “messages” there",
    "input_bare_list": (
        "“input” is a bare list, wrap it in an object: {{“messages”: […]}}, as hosts expect it"
    ),
    "input_not_object": "“input” is of type {kind}, write an object with “messages”",
    "input_ends_with_assistant": (
        "the last input message is from the assistant, end with the question to answer"
    ),
    "image_in_preference": "message {message} has an image, preference rows take text only",
    "output_missing": "“{field}” is missing, write a list with one assistant message there",
    "output_not_list": "“{field}” is of type {kind}, write a list with one assistant message",
    "output_not_single": "“{field}” has {count} messages, write exactly one assistant message",
    "output_not_assistant": "“{field}” is from {role}, make it an assistant message",
    "output_not_text": "“{field}” calls a tool or refuses, preference rows take text only",
    "outputs_same": "both outputs say the same, make the preferred one differ or remove the row",
}

# {place} becomes "message 2" in a conversation, and the name of the key in a preference's output.
_MESSAGE_REASONS = {
    "message_not_object": "{place} is of type {kind}, write an object with “role” and “content”",
    "key_unknown": "{place} has the unknown key “{key}”, remove it",
    "role_missing": "{place} has no role, use system, developer, user, assistant or tool",
    "role_unknown": (
        "{place} has the role “{role}”, use system, developer, user, assistant or tool"
    ),
    "content_missing": "{place} has no content, write its text",
    "content_empty": "{place} has empty content, write its text or remove the message",
    "content_not_text": "{place} has content of type {kind}, write its text as a string",
    "part_broken": "{place} has a broken content part {part}, use parts of type text",
    "part_unknown": "{place} has a content part of type “{kind}”, use text",
    "image_not_from_user": "{place} has an image, only user messages may have one",
    "image_broken": "{place} has an image without an address, write “image_url”: {{“url”: …}}",
    "control_token": "{place} has the control token {token}, remove it from the text",
    "name_not_text": "{place} has a name of type {kind}, make it a string",
    "name_missing": "{place} is a function result without a name, name the function",
    "refusal_not_text": "{place} has a refusal of type {kind}, make it a string",
    "reasoning_not_text": (
        "{place} has thoughts of type {kind}, write “reasoning_content” as a string"
    ),
    "reasoning_not_for_role": (
        "{place} is from {role} and has “reasoning_content”, only assistant messages may"
    ),
    "weight_not_for_role": "{place} is from {role} and has a weight, only assistant messages may",
    "weight_wrong": "{place} has the weight {weight}, use the number 0 or 1",
    "calls_not_for_role": "{place} is from {role} and calls a tool, only the assistant may",
    "calls_not_list": "{place} has “tool_calls” of type {kind}, write a list of calls",
    "calls_empty": "{place} has an empty list of tool calls, remove “tool_calls”",
    "call_broken": (
        "{place} has a broken tool call {call}, write “id”, “type”: “function” and “function”"
    ),
    "call_without_name": "{place} has a call {call} of no function, write the function's “name”",
    "arguments_not_json": (
        "{place} has a call {call} whose arguments are not a JSON object inside a string, "
        "write “{{}}” for none"
    ),
    "answer_without_id": "{place} is a tool result without “tool_call_id”, name the call",
    "answer_not_for_role": "{place} is from {role} and has “tool_call_id”, only tool results may",
    "call_unanswered": "{place} comes where the result of the call “{id}” is missing, add it",
    "call_undefined": "{place} calls “{name}”, which the row's tools do not define, add it there",
    "call_twice": "{place} has the call “{id}” twice, give each call an id of its own",
    "answer_to_nothing": "{place} answers the tool call “{id}”, which no earlier message makes",
}


def _all_reasons() -> dict[str, str]:
    in_messages = {
        c: r.replace("{place}", "message {message}") for c, r in _MESSAGE_REASONS.items()
    }
    in_outputs = {
        f"output_{c}": r.replace("{place}", "“{field}”") for c, r in _MESSAGE_REASONS.items()
    }
    return in_outputs | in_messages | FILE_PROBLEM_TEXTS | _ROW_REASONS


PROBLEM_TEXTS: Final[Mapping[str, str]] = MappingProxyType(_all_reasons())
"""English reasons by code, with {named} fields for a problem's details."""


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a row is refused; `line` is 0 if there is no line number."""

    line: int
    code: str
    details: Mapping[str, str | int]

    @property
    def reason(self) -> str:
        """What is wrong and what to do, as part of a sentence."""
        return PROBLEM_TEXTS[self.code].format_map(self.details)

    @property
    def sentence(self) -> str:
        """What is wrong and what to do, as a sentence with the line."""
        reason = self.reason
        if self.line:
            return f"{'Row' if self.is_row else 'Line'} {self.line}: {reason}."
        return f"{reason[0].upper()}{reason[1:]}."

    @property
    def is_row(self) -> bool:
        """Whether `line` is the number of a row, because several rows are on one line."""
        return "is_row" in self.details

    def of_row(self) -> "Problem":
        """Returns the problem whose `line` is the number of a row."""
        return replace(self, details={**self.details, "is_row": 1})

    def in_file_part(self, name: str) -> "Problem":
        """Returns the problem with the name of the file in an archive, or of the sheet."""
        inner = self.details.get("file")
        whole = ", ".join(str(part) for part in (name, inner) if part)
        return replace(self, details={**self.details, "file": whole}) if whole else self


class RowRefused(Exception):
    """A row breaks a rule; `code` is a key of `PROBLEM_TEXTS`."""

    def __init__(self, code: str, /, **details: str | int) -> None:
        super().__init__(code)
        self.code = code
        self.details = details

    def to_problem(self, line: int) -> Problem:
        """Returns the problem with a line number."""
        return Problem(line, self.code, self.details)


def json_type_name(value: object) -> str:
    """Returns the JSON name of a value's type."""
    if isinstance(value, bool):
        return "boolean"
    names = {str: "string", int: "number", float: "number", list: "array", dict: "object"}
    return next((name for kind, name in names.items() if isinstance(value, kind)), "null")


def quote_value(value: object) -> str:
    """Returns a short quotation of a value, on one line and without unpaired surrogates."""
    if not isinstance(value, str):
        # Python refuses to convert an integer with thousands of digits to text.
        is_short = isinstance(value, float) or (isinstance(value, int) and abs(value) < 10**9)
        return str(value) if is_short else json_type_name(value)
    text = " ".join(value[: _SHOWN_CHARACTERS * 2].split())
    text = text if len(text) <= _SHOWN_CHARACTERS else text[: _SHOWN_CHARACTERS - 1] + "…"
    return text.encode(errors="replace").decode()
