"""Recognises texts that have no rows by their beginning: chats, mails, subtitles and the like."""

import re
from typing import Final

from bot.rows import Problem

_HEAD: Final = 4096
# Text exports of WhatsApp, Telegram, LINE and Signal: a date, a time and an author.
_CHAT_LINES: Final = re.compile(
    r"^\u200e?\[?\d{1,4}[./-]\d{1,2}[./-]\d{2,4},? \d{1,2}:\d{2}(?::\d{2})?[^\n:,;\t|]{0,9}"
    r"[\]-] [^\n:,;\t|]{1,60}: ",
    re.MULTILINE,
)
# JSON exports of chats whose authors cannot be asked for consent here.
_CHAT_EXPORTS: Final = (
    (
        "Telegram",
        re.compile(
            r'"type": ?"(?:personal_chat|bot_chat|saved_messages|private_\w+|public_\w+)"'
            r'|"personal_information": ?\{'
        ),
    ),
    ("Messenger", re.compile(r'"sender_name": ?"[^"]*",\s{0,99}"timestamp_ms"')),
    ("Teams", re.compile(r'"messageType": ?"message",.{0,400}"body": ?\{', re.DOTALL)),
)
_KINDS: Final = (
    (
        "slack_export",
        re.compile(
            r'\A\s*\[\s*\{(?:[^}]*"(?:client_msg_id|blocks)"'
            r'|(?=[^}]*"type": ?"message")[^}]*"ts": ?"\d{10}\.\d{6}")'
        ),
    ),
    (
        "discord_text",
        re.compile(r"\A(?:AuthorID,Author,Date,Content,Attachments|\s*<[^\0]*\bchatlog__message)"),
    ),
    (
        "mail",
        re.compile(
            r"\A(?=(?:[^\r\n]+\r?\n)*?From: )(?=(?:[^\r\n]+\r?\n)*?(?:Date|Subject): )"
            r"(?:From \S+@\S+ |[A-Z][A-Za-z-]+: )"
        ),
    ),
    ("subtitles", re.compile(r"\A(?:WEBVTT\b|1\r?\n\d\d:\d\d:\d\d[,.]\d{3} --> )")),
    ("calendar", re.compile(r"BEGIN:V(?:CALENDAR|CARD)\b")),
    ("key", re.compile(r"-----BEGIN [A-Z ]+-----")),
    (
        "link",
        re.compile(
            r"\A(?:\[InternetShortcut\]|\{\s*\"(?:url|doc_id)\": ?\"[^\"]*\",\s*\"(?:url|doc_id)\")"
        ),
    ),
    ("notebook", re.compile(r'\A\s*\{\s*"(?:cells": ?\[|nbformat)[^\0]*"(?:cell_type|nbformat)"')),
    ("yaml", re.compile(r"\A(?:%YAML.*\n)?(?:---\r?\n)?- [\w-]+: .*\r?\n  [\w-]+: ")),
)


def find_text_without_rows(text: str) -> Problem | None:
    """Returns the Problem of a text of another kind, or None if it may have rows."""
    head = text[:_HEAD]
    if len(_CHAT_LINES.findall(head)) > 1:
        return Problem(0, "file_chat_text", {})
    app = next((app for app, mark in _CHAT_EXPORTS if mark.search(head)), None)
    if app:
        return Problem(0, "file_chat_export", {"app": app})
    kind = next((kind for kind, mark in _KINDS if mark.match(head)), None)
    return Problem(0, f"file_{kind}", {}) if kind else None
