"""Cuts what mail programs and help desks add below a mail: quoted mail and lists of attachments."""

import re
from typing import Final

# Lines of mail programs at the beginning of a quoted mail.
_QUOTE: Final = re.compile(
    r"-{2,}\s*(?:original message|original-?nachricht|urspr(?:ü|ue)ngliche nachricht"
    r"|message d['’]origine|mensaje original|mensagem original|messaggio originale"
    r"|oorspronkelijk bericht|oryginalna wiadomość|wiadomość oryginalna|(?:orijinal|özgün) ileti"
    r"|forwarded message|原始邮件|转发邮件|原始郵件|元のメッセージ)\s*-{2,}"
    r"|##-.{1,160}-##"
    r"|(?=.{0,240}(?:\d{4}|\d[:.h]\d{2}|@))(?:on|am|le|el|il|em|op)\s.{6,160}"
    r"\b(?:wrote|schrieb|écrit|escribió|ha scritto|escreveu"
    r"|schreef)\b.{0,120}[:：]"
    r"|(?=.{0,80}\d).{0,80}(?:写道|寫道)\s*[:：]"
    # In any language: a year, a time, and an address in brackets.
    r"|(?=.{0,240}\b\d{4}(?!\d))(?=.{0,240}\d{1,2}[:.h]\d{2})"
    r"[^<>]{0,160}<[^<>\s@]{1,80}@[^<>\s@]{1,80}>[^<>]{0,80}[:：]",
    re.IGNORECASE,
)
_HEADER: Final = re.compile(
    r"\*?(?:from|von|de|da|发件人|寄件者|差出人)\*?\s*[:：].", re.IGNORECASE
)
_NEXT_HEADER: Final = re.compile(
    r"\*?(?:sent|subject|gesendet|betreff|envoyé|objet|enviado|asunto|发送时间|收件人|主题|主旨)"
    r"\*?\s*[:：]",
    re.IGNORECASE,
)
# The same in any language: an address, then a time, each after a word and a colon.
_LABEL: Final = r"\*?[^\W\d_]{1,16}(?: [^\W\d_]{1,12})?\*?\s?[:：]\s?"
_ADDRESS_HEADER: Final = re.compile(rf"{_LABEL}[^:：]{{0,80}}[^\s@]{{1,80}}@[^\s@]{{1,80}}")
_TIME_HEADER: Final = re.compile(rf"{_LABEL}.{{0,60}}\d{{1,2}}[:.h]\d{{2}}.{{0,20}}")
_HEADER_LINES: Final = 3
# How help desks name attachments: a file, then its address or size.
_ATTACHMENT: Final = re.compile(
    r"(?:[-*•]\s*)?(?:[^:：]{1,30}[:：]\s*)?[^:：]{1,200}\.\w{2,5}\s*"
    r"(?:[-–—]\s*https?://\S+|\(\d[\d.,]*\s?[KMG]i?B\))",
    re.IGNORECASE,
)
_LIST_HEADING: Final = re.compile(
    r"(?:attachments?|attachment\(s\)|anh[aä]nge?|anlagen?|pièces? jointes?|(?:archivos )?adjuntos?"
    r"|allegat[oi]|bijlagen?|anexos?|załącznik\w?|ekler|附件|添付ファイル)\s*[:：]",
    re.IGNORECASE,
)


def without_quoted_mail(lines: list[str]) -> list[str]:
    """Returns the lines above a quoted mail, without lines that begin with “>”."""
    first = next((at for at, line in enumerate(lines) if line), len(lines))
    for at in range(first + 1, len(lines)):
        # Some mail programs break long header lines in two.
        joined = " ".join(lines[at : at + 2])
        if _is_header(lines, at) or (
            lines[at] and (_QUOTE.fullmatch(lines[at]) or _QUOTE.fullmatch(joined))
        ):
            lines = lines[:at]
            break
    own_lines = [line for line in lines if not line.startswith(">")]
    return own_lines if any(own_lines) else lines


def without_attachments(lines: list[str]) -> list[str]:
    """Returns the lines without a list of attachments and its heading at the end.

    Files without such a heading are the text itself.
    """
    end = len(lines)
    while end and (not lines[end - 1] or _ATTACHMENT.fullmatch(lines[end - 1])):
        end -= 1
    is_list = end and any(lines[end:]) and _LIST_HEADING.fullmatch(lines[end - 1])
    return lines[: end - 1] if is_list and any(lines[: end - 1]) else lines


def _is_header(lines: list[str], at: int) -> bool:
    """Whether the header of a quoted mail begins at a line, with or without empty lines in it."""
    following = [line for line in lines[at + 1 : at + 2 * _HEADER_LINES + 1] if line]
    below = following[:_HEADER_LINES]
    if _HEADER.match(lines[at]) and any(map(_NEXT_HEADER.match, below)):
        return True
    return bool(_ADDRESS_HEADER.match(lines[at])) and any(map(_TIME_HEADER.fullmatch, below))
