"""What somebody wrote in a message of a help desk: no HTML, quoted mail, greeting or signature."""

import re
from html.parser import HTMLParser
from typing import Final

_TAG: Final = re.compile(
    r"</?(?:p|br|div|span|a|b|i|u|ul|ol|li|strong|em|table|tr|td|h[1-6]|img|blockquote|html|body)"
    r"(?:\s[^<>]*)?/?>",
    re.IGNORECASE,
)
_BLOCKS: Final = frozenset(("p", "br", "div", "li", "tr", "table", "ul", "ol", "hr", "pre"))
_NOT_SAID: Final = frozenset(("blockquote", "style", "script", "head", "title"))
# Lines that begin a copy of an earlier mail, as mail programs write them.
_QUOTE: Final = re.compile(
    r"-{2,}\s*(?:original message|urspr(?:ü|ue)ngliche nachricht|message d['’]origine"
    r"|mensaje original|messaggio originale|forwarded message|原始邮件|转发邮件|原始郵件)\s*-{2,}"
    r"|##-? ?please type your reply above this line.*"
    r"|(?:on|am|le|el|il|em|op)\s.{6,160}\b(?:wrote|schrieb|écrit|escribió|ha scritto|escreveu"
    r"|schreef)\b.{0,120}[:：]"
    r"|.{0,80}(?:写道|寫道)\s*[:：]",
    re.IGNORECASE,
)
_HEADER: Final = re.compile(
    r"\*?(?:from|von|de|da|发件人|寄件者|差出人)\*?\s*[:：].", re.IGNORECASE
)
_NEXT_HEADER: Final = re.compile(
    r"\*?(?:sent|to|date|subject|gesendet|an|datum|betreff|envoyé|à|objet|enviado|asunto|para"
    r"|发送时间|收件人|主题|日期|主旨)\*?\s*[:：]",
    re.IGNORECASE,
)
_DEVICE: Final = re.compile(
    r"(?:sent from|gesendet (?:von|mit)|von meinem .* gesendet|envoyé de|enviado desde|inviato da"
    r"|get outlook for|发自我的)\b.{0,60}",
    re.IGNORECASE,
)
_RULER: Final = re.compile(r"--\s*|_{5,}|—{3,}")
_CLOSING: Final = re.compile(
    r"(?:(?:with )?(?:best|kind|kindest|warm|warmest|many) (?:regards|wishes)|(?:kind )?regards"
    r"|yours (?:sincerely|faithfully|truly)|sincerely|all the best|cheers"
    r"|mit (?:freundlichen|besten|lieben) gr(?:ü|ue)(?:ß|ss)en"
    r"|(?:viele|beste|liebe|freundliche|herzliche|schöne) gr(?:ü|ue)(?:ß|ss)e"
    r"|cordialement|bien à vous|(?:un )?saludos?|atentamente|(?:cordiali|distinti) saluti"
    r"|atenciosamente|met vriendelijke groet(?:en)?|此致|祝好|敬礼|顺颂商祺|敬上)"
    r"[\s,.!，。！]*(?:\w[\w.'’-]*+\s*+){0,4}"
    r"|(?:mfg|lg|vg)[\s,.!]*",
    re.IGNORECASE,
)
_THANKS: Final = re.compile(
    r"(?:thanks|thank you|many thanks|thx|best|danke|vielen dank|merci|gracias|grazie"
    r"|谢谢|謝謝|感谢)[\s,.!，。！]*",
    re.IGNORECASE,
)
_NAME_LINE: Final = re.compile(r"[^-*•\d][^.!?:。！？：]{0,40}")
_GREETING: Final = re.compile(
    r"(?:(?i:hi|hello|hey|dear|good (?:morning|afternoon|evening|day)|hallo"
    r"|guten (?:tag|morgen|abend)|liebe[rs]?|sehr geehrte[rs]?|moin|servus|bonjour|bonsoir|hola"
    r"|buen[oa]s (?:días|tardes|noches)|estimad[oa]|ciao|buongiorno|gentile|olá|prezad[oa])"
    r"(?: (?:[A-ZÀ-Þ\u3400-\u9fff][\w.'’-]*|team|all|there|everyone|everybody|and|or|zusammen|und"
    r"|à|tous)){0,5}|[^\s，,。]{0,12}(?:您好|你好))"
)
_AFTER_GREETING: Final = re.compile(r"\s*[,!.:，！：]\s*|$")
_MOST_LINES, _LONGEST_LINE = 9, 90
"""Of a signature."""


def strip_quotes_and_signature(text: str) -> str:
    """The words of a message; the message as it is where nothing else would be left."""
    plain = _without_tags(text) if _TAG.search(text) else text
    lines = [line.strip() for line in plain.replace("\r\n", "\n").split("\n")]
    lines = _without_signature(_without_greeting(_without_quotes(lines)))
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()


def _without_quotes(lines: list[str]) -> list[str]:
    for at, line in enumerate(lines):
        is_header = _HEADER.match(line) and any(map(_NEXT_HEADER.match, lines[at + 1 : at + 4]))
        # Long lines of this kind are broken in two by some programs.
        joined = f"{line} {lines[at + 1]}" if at + 1 < len(lines) else line
        if _has_text(lines[:at]) and (
            is_header or _QUOTE.fullmatch(line) or (line and _QUOTE.fullmatch(joined))
        ):
            lines = lines[:at]
            break
    kept = [line for line in lines if not line.startswith(">")]
    return kept if _has_text(kept) else lines


def _without_signature(lines: list[str]) -> list[str]:
    for at, line in enumerate(lines):
        rest = [each for each in lines[at + 1 :] if each]
        is_short = len(rest) <= _MOST_LINES and all(len(each) <= _LONGEST_LINE for each in rest)
        is_end = (
            _RULER.fullmatch(line)
            or _DEVICE.fullmatch(line)
            or _CLOSING.fullmatch(line)
            or (_THANKS.fullmatch(line) and rest and all(map(_NAME_LINE.fullmatch, rest)))
        )
        if line and is_end and is_short and _has_text(lines[:at]):
            return lines[:at]
    return lines


def _without_greeting(lines: list[str]) -> list[str]:
    at = next((at for at, line in enumerate(lines) if line), 0)
    found = _GREETING.match(lines[at]) if lines else None
    end = _AFTER_GREETING.match(lines[at], found.end()) if found else None
    if end is None:
        return lines
    rest = [lines[at][end.end() :], *lines[at + 1 :]]
    return rest if _has_text(rest) else lines


def _has_text(lines: list[str]) -> bool:
    return any(lines)


def _without_tags(text: str) -> str:
    parser = _TextOfHtml()
    parser.feed(text)
    parser.close()
    return "".join(parser.parts)


class _TextOfHtml(HTMLParser):
    """The text of a page, a line for each block, without quotes."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.parts: list[str] = []
        self._hidden = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._hidden += tag in _NOT_SAID
        if tag in _BLOCKS:
            self.parts.append("\n- " if tag == "li" else "\n")

    def handle_endtag(self, tag: str) -> None:
        self._hidden = max(0, self._hidden - (tag in _NOT_SAID))
        if tag in _BLOCKS:
            self.parts.append("\n")

    def handle_data(self, data: str) -> None:
        if not self._hidden:
            self.parts.append(re.sub(r"\s+", " ", data))
