"""Strips HTML, quoted mail, greetings and signatures from the messages of a help desk."""

import re
from collections.abc import Collection, Iterable, Mapping
from typing import Final

from bot.imports.html_reader import HtmlReader
from bot.imports.quoted_mail import without_attachments, without_quoted_mail

_TAG: Final = re.compile(
    r"</?(?:p|br|div|span|a|b|i|u|ul|ol|li|strong|em|table|tr|td|h[1-6]|img|blockquote|html|body)"
    r"(?:\s[^<>]*)?/?>",
    re.IGNORECASE,
)
_PROSE: Final = re.compile(
    r"\s*<(?:!doctype html|html|body|p|div|span|br|b|strong|em|ul|ol|table|h[1-6]|blockquote)\b"
    r"[^<>]*>",
    re.IGNORECASE,
)
_PAGE_CODE: Final = re.compile(
    r"<(?:script|form|input|button|nav|section|svg|canvas)\b", re.IGNORECASE
)
_BLOCKS: Final = frozenset(
    ("p", "br", "div", "li", "tr", "table", "ul", "ol", "hr", "pre", "blockquote")
)
_INVISIBLE: Final = frozenset(("style", "script", "head", "title"))
_VOID: Final = frozenset(("br", "hr", "img", "input", "meta", "link", "wbr"))
# Class names and ids that mail programs give to quoted parts of a mail.
_QUOTING: Final = re.compile(
    r"gmail_(?:quote|signature|extra)|yahoo_quoted|moz-(?:cite-prefix|signature)"
    r"|protonmail_(?:quote|signature)|zmail_extra|(?:^|[\s-])signature(?:$|\s)",
    re.IGNORECASE,
)
_QUOTE_BELOW: Final = re.compile(r"divRplyFwdMsg|appendonsend|OLK_SRC_BODY_SECTION")
# How a mail program names itself below a mail.
_PROGRAM: Final = (
    r"(?:(?:my|meinem|mon|mi|mio|meu|mijn|min|mojego|der|samsung|apple|yahoo|gmx|我的) ?){0,3}"
    r"(?:iphone|ipad|android|galaxy|huawei|xiaomi|outlook|gmail|mail|blackberry|smartphone|handy"
    r"|phone)(?:['’]\w{1,8})?"
    r"(?: (?:for|on|für|pour|para|per|auf|sur|app|mail|smartphone|phone|ios|android|windows|10))*+"
)
_DEVICE: Final = re.compile(
    r"(?:sent (?:from|via|with)|gesendet (?:von|mit)|envoyé (?:de|depuis)|enviado (?:desde|do|de)"
    r"|inviato (?:da|dal)|(?:verstuurd|verzonden) (?:vanaf|vanuit|met)|wysłan[eo] z|skickat från"
    rf"|[发發]自) ?{_PROGRAM}\.?"
    rf"|(?:von )?{_PROGRAM} ?(?:gesendet|verstuurd|verzonden|gönderildi|から送信)"
    r"|get outlook for (?:ios|android)(?: \(\S{1,200}\))?",
    re.IGNORECASE,
)
_RULER: Final = re.compile(r"--\s*|_{5,}|—{3,}")
_CLOSING: Final = re.compile(
    r"(?:(?:with )?(?:best|kind|kindest|warm|warmest|many) (?:regards|wishes)|(?:kind )?regards"
    r"|yours (?:sincerely|faithfully|truly)|sincerely|all the best|cheers"
    r"|mit (?:freundlichen|besten|lieben) gr(?:ü|ue)(?:ß|ss)en"
    r"|(?:viele|beste|liebe|freundliche|herzliche|schöne) gr(?:ü|ue)(?:ß|ss)e"
    r"|(?:bien )?cordialement|bien à vous|(?:un )?(?:cordial )?saludos?(?: cordiales)?|atentamente"
    r"|(?:un )?(?:cordiali?|distinti|cari) salut[oi]|(?:com os )?(?:melhores )?cumprimentos"
    r"|atenciosamente|(?:met )?(?:(?:vriendelijke|hartelijke) )?groet(?:en|jes)?"
    r"|pozdrawiam(?: serdecznie)?|z poważaniem|saygılarım(?:la|ızla)|iyi (?:günler|çalışmalar)"
    r"|(?:以上、)?(?:何卒)?(?:宜しく|よろしく)お(?:願い|ねがい)(?:いた|致)?(?:し|申し上げ)ます"
    r"|此致|祝好|敬礼|顺颂商祺|顺祝商祺|敬上)"
    r"[\s,.!，。！]*(?:[,!，！]\s*(?-i:[^\W\da-zß-ÿ_])[\w'’-]*"
    r"(?: (?-i:[^\W\da-zß-ÿ_])[\w'’-]*){0,2})?"
    r"|(?:mfg|lg|vg)[\s,.!]*"
    r"|(?:best|thanks|thank you|danke|merci|gracias|grazie)\s*,\s*"
    r"(?-i:[A-ZÀ-Þ][\w'’-]{1,20})(?: (?-i:[A-ZÀ-Þ])[\w'’-]*+\.?){0,2}",
    re.IGNORECASE,
)
_THANKS: Final = re.compile(
    r"(?:thanks|thank you|many thanks|thx|best|danke|vielen dank|merci|gracias|grazie"
    r"|谢谢|謝謝|感谢)[\s,.!，。！]*",
    re.IGNORECASE,
)
_SIGNATURE_LINE: Final = re.compile(
    r"(?:(?:[^\W\da-zß-ÿ_][\w'’.,-]*|\d[\w.,/-]*|[&/–-]|[^\W\d_]{1,3})(?: |$)){1,5}(?<![.,!?])"
)
_NAME_LINE: Final = re.compile(r"[^-*•\d][^.!?:。！？：]{0,40}")
_GREETED: Final = (
    r"(?: (?:[A-ZÀ-Þ\u3400-\u9fff][\w.'’-]*|\{\{[\w. ]{1,60}\}\}|team|all|there|everyone|everybody"
    r"|and|or|zusammen|und|à|tous|heer|mevrouw|pani[ea]?|państwo|van|der?|den)){0,5}"
)
_GREETING: Final = re.compile(
    r"(?i:hi|hello|hey|dear|good (?:morning|afternoon|evening|day)|hallo"
    r"|guten (?:tag|morgen|abend)|liebe[rs]?|sehr geehrte[rs]?|moin|servus|bonjour|bonsoir|hola"
    r"|madame, monsieur|madame|monsieur|buen[oa]s (?:días|tardes|noches)|estimad[oa]|ciao"
    r"|buongiorno|olá|bom dia|boa tarde|prezad[oa]|geachte"
    rf"|dzień dobry|witam|szanown[yai]|merhaba|sayın){_GREETED}"
    # Words that also begin sentences: “Beste Option:”, “客服说您好。”, “製品の仕様：”.
    rf"|(?i:beste|car[oa]|gentile){_GREETED}(?=\s*[,!]\s*$)"
    r"|(?:尊敬的)?[^\s，,。:：、请請说說告写寫输輸]{0,8}[，,]?(?:您好|你好)(?=\s*(?:[，,！!]|$))"
    r"|[^\s，,。:：、はがをに]{0,10}[^\s，,。:：、仕同模多客一異各]様(?=\s*(?:[、，,]|$))"
    r"|お世話になっております"
)
_AFTER_GREETING: Final = re.compile(r"\s*[,.!，。！、]\s*|$")
# Legal disclaimers below a mail.
_DISCLAIMER: Final = re.compile(
    r".{0,200}\b(?:intended recipient|confidentiality notice|legally privileged"
    r"|(?:e-?mail|message|communication)\b.{0,80}\b(?:confidential|privileged)"
    r"|(?:e-?mail|nachricht)\b.{0,80}\bvertrauliche?"
    r"|(?:courriel|message|e-?mail)\b.{0,80}\bconfidentiel(?:le)?s?"
    r"|e-?mail(?:bericht)?\b.{0,80}\bvertrouwelijke?|wiadomość\b.{0,80}\bpoufn[ae]"
    r"|(?:correo|mensaje|mensagem|e-?mail)\b.{0,80}\bconfidencia(?:l|is|les)"
    r"|consider the environment before|before printing this|an die umwelt, bevor)\b.*"
    r"|.{0,80}(?:本邮件|此邮件|本郵件).{0,60}(?:保密|机密|機密).*",
    re.IGNORECASE,
)
_CONTACT: Final = re.compile(
    r"www\.|https?://|@|\||\b(?:tel|fon|phone|fax|mob|hrb|vat)\b", re.IGNORECASE
)
_NUMBER: Final = re.compile(r"[^\d.!?。]{0,12}\+?\(?\d[\d ()/.-]{6,20}")
_PICTURE: Final = re.compile(r"\[(?:cid:[^\]\s]*|image(?:: ?[^\]]*)?)\]|!\[[^\]]*\]\([^)\s]*\)")
_LINK: Final = re.compile(
    r"(\S{1,80})<(?:mailto:|tel:|(https?://[^<>\s]{1,2000}+))[^<>\n]{0,200}+>"
)
_MAX_LINES, _MAX_LINE_LENGTH, _MAX_WORDS = 9, 90, 5
"""Limits of a signature."""
_MAX_ENDING_LINES, _MIN_ENDINGS, _MAX_NAMES = 6, 5, 3
_GREETING_HEAD, _MAX_LINK_LENGTH = 400, 120


def strip_quotes_and_signature(text: str, *, is_mail: bool = True) -> str:
    """Returns the author's own text of a message; keeps parts without which it would be empty.

    If not `is_mail`, the <blockquote> elements of HTML are kept as well.
    """
    plain = text_of_html(text, is_mail=is_mail) if _TAG.search(text) else _LINK.sub(_link_of, text)
    plain = _PICTURE.sub("", plain).replace("\r\n", "\n")
    lines = [line.strip() for line in plain.split("\n")]
    lines = _without_disclaimer(_without_greeting(without_quoted_mail(lines)))
    lines = _without_signature(without_attachments(lines))
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()


def is_html(text: object) -> bool:
    """Whether a text is prose with HTML markup, and not the code of a page."""
    return isinstance(text, str) and bool(_PROSE.match(text)) and not _PAGE_CODE.search(text)


def greeted_names(text: str) -> frozenset[str]:
    """Returns the words of a message's greeting, which include the names of the greeted."""
    plain = text_of_html(text[:_GREETING_HEAD]) if _TAG.search(text[:_GREETING_HEAD]) else text
    greeting = _GREETING.match(plain.lstrip()[:_GREETING_HEAD])
    return frozenset(greeting[0].split()) if greeting else frozenset()


def strip_recurring_ending(text: str, names: Collection[str], endings: Collection[str]) -> str:
    """Returns the text without a last line of `names`, or without one of the `endings`."""
    lines = text.split("\n")
    for count in range(min(_MAX_ENDING_LINES, len(lines) - 1), 0, -1):
        rest = "\n".join(lines[:-count]).rstrip()
        words = re.findall(r"[\w'’-]+", " ".join(lines[-count:]))
        is_name = count == 1 and 0 < len(words) <= _MAX_NAMES and set(words) <= set(names)
        if rest and (is_name or "\n".join(lines[-count:]) in endings):
            return rest
    return text


def recurring_endings(texts: Iterable[str]) -> frozenset[str]:
    """Returns the last lines that different texts share: signatures without a closing.

    The lines are short, are not sentences, begin with no number or address, and follow different
    text each time; lines that always follow the same text belong to that text.
    """
    above: dict[str, set[int]] = {}
    for text in texts:
        lines = text.split("\n")
        for count in range(1, min(_MAX_ENDING_LINES, len(lines) - 1) + 1):
            top, before = lines[-count], lines[-count - 1]
            if top and not (_NAME_LINE.fullmatch(top) or is_contact(top)):
                break
            if is_contact(top) or before.endswith((":", "：")):
                continue
            seen = above.setdefault("\n".join(lines[-count:]), set())
            if len(seen) < _MIN_ENDINGS:
                seen.add(hash("\n".join(lines[:-count]).rstrip()))
    return frozenset(ending for ending, seen in above.items() if len(seen) == _MIN_ENDINGS)


def is_contact(line: str) -> bool:
    """Whether a line has an address or a telephone number."""
    return bool(_CONTACT.search(line) or _NUMBER.fullmatch(line))


def is_signature_line(line: str) -> bool:
    """Whether a line has a contact, or a few words of a name, title or address; no sentence."""
    if len(line) > _MAX_LINE_LENGTH and not _CONTACT.search(line):
        return False
    if line.endswith((*".!?:…", *"。！？：")):
        return False
    own_words = [word for word in line.split() if not is_contact(word)]
    return (is_contact(line) and ("|" in line or len(own_words) <= _MAX_WORDS)) or bool(
        _SIGNATURE_LINE.fullmatch(line)
    )


def _link_of(match: re.Match[str]) -> str:
    """Returns the text of a link, with the address that a mail program wrote behind it."""
    text, url = match[1], match[2]
    return _with_link(text, url) if url else text


def _with_link(text: str, url: str) -> str:
    plain = re.sub(r"^https?://(?:www\.)?|/$", "", url)
    is_redundant = plain.split("/")[0].lower() in text.lower() or len(url) > _MAX_LINK_LENGTH
    return text if is_redundant else f"{text} ({url})"


def _without_disclaimer(lines: list[str]) -> list[str]:
    at = next((at for at, line in enumerate(lines) if _DISCLAIMER.fullmatch(line)), None)
    return lines[:at] if at is not None and _has_text(lines[:at]) else lines


def _without_signature(lines: list[str]) -> list[str]:
    filled = [at for at, line in enumerate(lines) if line]
    # A signature has few lines, so only the last lines may begin it.
    for number, at in list(enumerate(filled))[-_MAX_LINES - 1 :]:
        line, rest = lines[at], [lines[each] for each in filled[number + 1 :]]
        is_end = (
            _RULER.fullmatch(line)
            or (not rest and _DEVICE.fullmatch(line))
            or _CLOSING.fullmatch(line)
            or (_THANKS.fullmatch(line) and rest)
        )
        if is_end and number > 0 and all(_is_end_line(each) for each in rest):
            return lines[:at]
    return lines


def _is_end_line(line: str) -> bool:
    ends = _RULER, _DEVICE, _CLOSING, _THANKS
    return is_signature_line(line) or any(end.fullmatch(line) for end in ends)


def _without_greeting(lines: list[str]) -> list[str]:
    first = next((number for number, line in enumerate(lines) if line), 0)
    greeting = _GREETING.match(lines[first]) if lines else None
    end = _AFTER_GREETING.match(lines[first], greeting.end()) if greeting else None
    if end is None:
        return lines
    rest = [lines[first][end.end() :], *lines[first + 1 :]]
    return rest if _has_text(rest) else lines


def _has_text(lines: list[str]) -> bool:
    return any(lines)


def text_of_html(text: str, *, is_mail: bool = True) -> str:
    """Returns the text of HTML, a line for each block, without quotes unless all is quoted."""
    for is_whole in (False, True):
        reader = _TextOfHtml(is_whole=is_whole, is_mail=is_mail)
        reader.read(text)
        plain = "".join(reader.parts)
        if plain.strip():
            return plain
    return ""


class _TextOfHtml(HtmlReader):
    """Collects the text of HTML; includes quoted parts only if `is_whole`."""

    def __init__(self, *, is_whole: bool, is_mail: bool) -> None:
        self.parts: list[str] = []
        self._is_whole = is_whole
        self._is_mail = is_mail
        self._hidden_by = ""
        self._hidden = 0
        self._is_quote_below = False
        self._link: tuple[int, str] = 0, ""

    def handle_start(self, tag: str, attributes: Mapping[str, str]) -> None:
        if self._hidden_by == "p" and tag in _BLOCKS - _VOID:
            # The next block ends a paragraph without an end tag.
            self._hidden = 0
        if self._hidden:
            self._hidden += tag == self._hidden_by
            return
        named = f"{attributes.get('class', '')} {attributes.get('id', '')}"
        is_blockquote = tag == "blockquote" and (
            self._is_mail or attributes.get("type", "") == "cite"
        )
        is_quote = is_blockquote or _QUOTING.search(named) is not None
        if tag in _INVISIBLE or (is_quote and tag not in _VOID and not self._is_whole):
            self._hidden_by, self._hidden = tag, 1
        if tag == "a" and attributes.get("href", "").startswith("http"):
            self._link = len(self.parts), attributes["href"]
        self._is_quote_below = self._is_quote_below or (
            _QUOTE_BELOW.search(named) is not None and not self._is_whole
        )
        if tag in _BLOCKS:
            self.parts.append("\n- " if tag == "li" else "\n")

    def handle_end(self, tag: str) -> None:
        if self._hidden:
            self._hidden -= tag == self._hidden_by
            return
        at, url = self._link
        if tag == "a" and url:
            self.parts[at:] = [_with_link("".join(self.parts[at:]), url)]
            self._link = 0, ""
        if tag in _BLOCKS:
            self.parts.append("\n")

    def handle_data(self, data: str) -> None:
        if not self._hidden and not self._is_quote_below:
            self.parts.append(data)
