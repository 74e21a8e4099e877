"""Converts help-desk exports with a row for each message of a ticket to chat rows."""

import re
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from bot.imports.automatic_mail import has_automatic_sentence, is_automatic_mail
from bot.imports.columns import heading_words, is_metadata_heading, normalize_heading
from bot.imports.date_parsing import is_day_first, parse_date
from bot.imports.mail_text import (
    greeted_names,
    recurring_endings,
    strip_quotes_and_signature,
    strip_recurring_ending,
)
from bot.imports.name_lines import recurring_closings, strip_greeting_and_signature
from bot.imports.transcripts import split_transcript
from bot.rows import Problem
from bot.rows.problems import quote_value

MAX_CHARACTERS: Final = 256 << 20
_GROUPS: Final = frozenset(
    (
        *("ticket", "thread", "conversation", "case", "session", "dialog", "dialogue", "issue"),
        *("incident", "chat", "vorgang", "anfrage", "conversacion", "parent"),
    )
)
_GROUP_ENDINGS: Final = (
    *("工单", "会话", "工单号", "工单编号", "会话编号", "會話", "对话编号"),
    *("vorgangsnummer", "vorgangsnr", "ticketnummer", "ticketnr", "fallnummer"),
)
_NUMBER_WORDS: Final = frozenset(
    ("id", "ids", "no", "nr", "num", "number", "key", "nummer", "numero")
)
_ROLES: Final = frozenset(
    (
        *("role", "author", "sender", "from", "speaker", "direction", "side", "who"),
        *("participant", "party", "rolle", "absender", "autor", "remitente", "auteur"),
        *("usertype", "by", "poster"),
    )
)
_ROLE_ENDINGS: Final = ("角色", "发送者", "发件人", "方向", "發送者")
_INCOMING: Final = frozenset(("incoming", "inbound", "eingehend"))
_OUTGOING: Final = frozenset(("outgoing", "outbound", "ausgehend"))
_TEXTS: Final = frozenset(
    (
        *("text", "message", "body", "content", "comment", "description", "utterance", "reply"),
        *("nachricht", "inhalt", "texto", "mensaje", "contenu", "extract", "preview"),
    )
)
_TEXT_ENDINGS: Final = ("内容", "消息", "正文", "訊息")
_TIMES: Final = frozenset(
    (*("time", "timestamp", "date", "created", "at", "sent", "datum", "zeit", "fecha", "hora"),)
)
_TIME_ENDINGS: Final = ("时间", "日期", "時間")
_PRIVATE: Final = frozenset(("private", "internal", "note", "public", "visibility", "type", "kind"))
_PRIVATE_ENDINGS: Final = ("内部", "私密", "公开", "可见性", "intern", "offentlich", "sichtbarkeit")
_AUTHORS: Final = frozenset(
    (*_ROLES, "name", "agent", "sent", "created", "posted", "username", "nombre", "nom", "naam")
)
_AUTHOR_ENDINGS: Final = ("姓名", "发送人", "发件人", "名称")
STATES: Final = frozenset(
    ("spam", "state", "status", "estado", "statut", "stato", "zustand", "staat")
)
_STATE_ENDINGS: Final = ("状态", "狀態")
_DISCARDED: Final = frozenset(
    (
        *("spam", "junk", "deleted", "trash", "trashed", "geloscht", "papierkorb", "supprime"),
        *("eliminado", "verwijderd", "垃圾", "垃圾邮件", "已删除"),
    )
)
_KINDS: Final = frozenset(("type", "kind", "event", "action", "typ", "art"))
_CUSTOMER: Final = frozenset(
    (
        *("customer", "client", "user", "end", "enduser", "requester", "kunde", "kundin"),
        *(*_INCOMING, "visitor", "human", "guest", "buyer", "contact", "consumer"),
        *("lead", "received", "in", "cliente", "usuario", "客户", "用户", "顾客", "客戶", "用戶"),
    )
)
_AGENT: Final = frozenset(
    (
        *("agent", "support", "staff", "assistant", "admin", *_OUTGOING),
        *("sent", "operator", "mitarbeiter", "employee", "representative", "rep", "advisor"),
        *("helpdesk", "team", "teammate", "out", "agente", "客服", "坐席", "助手", "员工"),
    )
)
_ACCOUNTS: Final = frozenset(("user", "users"))
_BOTS: Final = frozenset(("bot", "chatbot", "机器人"))
_SYSTEM: Final = frozenset(
    ("system", "automation", "automated", "automatic", "trigger", "workflow", "系统")
)
_STAFF: Final = frozenset(("agent", "agents", "staff", "team"))
_SAYS_PUBLIC: Final = ("公开", "offentlich")
_NOTES: Final = frozenset((*("private", "internal", "note", "notes", "intern", "notiz", "hidden"),))
_MESSAGES: Final = frozenset(
    (
        *("comment", "comments", "reply", "message", "response", "email", "mail", "chat"),
        *(
            "public",
            "external",
            "answer",
            "question",
            "nachricht",
            "antwort",
            "kommentar",
            "回复",
            "消息",
            "offentlich",
            "extern",
        ),
        # Messages and replies at osTicket, where notes are N.
        *("m", "r"),
    )
)
_DESK_WORDS: Final = frozenset(
    (
        *("ticket", "ticketid", "case", "incident", "requester", "assignee", "conversation"),
        *("vorgang", "bearbeiter", "anfragesteller", "solicitante", "demandeur", "asignado"),
    )
)
# How Jira writes a comment into a cell: when, by whom, what.
_CELL_COMMENT: Final = re.compile(r"\d[^;\n]{5,30};[^;\n]{1,80};")
_TRUE = frozenset(("true", "yes", "1", "是", "ja", "oui", "si"))
_FALSE = frozenset(("false", "no", "0", "否", "nein", "non"))
_MAX_NAME_LENGTH: Final = 60
_SHORT_TEXT: Final = 12
_MIN_NUMBER, _MIN_NOTICES = 4, 5
# What only asks somebody to wait.
_HOLDING: Final = re.compile(
    r"\W*(?:(?:just|please|ok|okay|sure|bitte)\W+)*"
    r"(?:(?:an?|one|einen?|un|um|een|één) )?(?:"
    r"moment\w*|instant|hold on|bear with me|wait a (?:moment|minute|second)"
    r"|(?:just|only) a (?:minute|second|sec)"
    r"|let me (?:check|look|see)|i(?:'ll|’ll| will) (?:check|look|have a look)"
    r"|i(?:'m|’m| am) (?:checking|looking)|ich (?:schaue|sehe|prüfe)|je (?:vérifie|regarde)"
    r"|请?稍[等候]|少々お待ちください)"
    r"(?:\W+(?:please|bitte|for|you|that|this|it|into|nach|kurz|up|por|favor))*+\W*",
    re.IGNORECASE,
)

Values = Mapping[str, Sequence[object]]
Message = tuple[str, str, str | None, str]


def ticket_columns(headings: Sequence[str], values: Values) -> dict[str, str] | None:
    """Returns the columns of a table with a row for each message, or None for any other table."""
    free = list(headings)
    # If each row has its side, the other rows of a ticket may be beyond the first rows.
    is_spread = any(map(_has_both_sides(values), headings))
    group = _take_best_heading(
        free,
        _GROUPS,
        _GROUP_ENDINGS,
        lambda name: _identifies(name, values[name], is_spread=is_spread),
    )
    role = _take_best_heading(
        free, _ROLES | _INCOMING | _OUTGOING, _ROLE_ENDINGS, _sides_in(values)
    )
    text = _take_best_heading(
        free, _TEXTS, _TEXT_ENDINGS, lambda name: _text_length(name, values[name])
    )
    if group is None or role is None or text is None:
        return None
    columns = {"ticket": group, "role": role, "text": text}
    time = _take_best_heading(free, _TIMES, _TIME_ENDINGS, lambda name: _moments(values[name]))
    kind = _take_best_heading(free, _KINDS, (), lambda name: any(map(_is_message, values[name])))
    private = _take_best_heading(
        free, _PRIVATE, _PRIVATE_ENDINGS, lambda name: _marks(values[name])
    )
    author = _take_best_heading(
        free, _AUTHORS, _AUTHOR_ENDINGS, lambda name: _are_names(values[name])
    )
    state = _take_best_heading(free, STATES, _STATE_ENDINGS, lambda name: any(values[name]))
    optional = {"time": time, "private": private, "kind": kind, "author": author, "state": state}
    return columns | {purpose: name for purpose, name in optional.items() if name is not None}


def unreadable_messages(headings: Sequence[str], values: Values) -> Problem | None:
    """Returns why a table of messages cannot be read, or None for any other table."""
    plain = {normalize_heading(name): name for name in headings}
    if {"messageid", "parentid", "role"} <= plain.keys():
        # https://huggingface.co/datasets/OpenAssistant/oasst1
        return Problem(0, "rows_of_tree", {"column": plain["parentid"]})
    for name in headings:
        seen = [value for value in values[name] if value not in (None, "")]
        if seen and all(isinstance(value, str) and _CELL_COMMENT.match(value) for value in seen):
            return Problem(1, "comments_in_cells", {"column": name[:40]})
    return None


def _take_best_heading(
    free: list[str],
    words: frozenset[str],
    endings: tuple[str, ...],
    fits: Callable[[str], float],
) -> str | None:
    """Returns the heading with one of the words that fits best, and removes it from `free`."""
    named = [
        name
        for name in free
        if normalize_heading(name) in words
        or words & set(heading_words(name))
        or (endings and normalize_heading(name).endswith(endings))
    ]
    best = max(named, key=lambda name: (fits(name), normalize_heading(name) in words), default=None)
    if best is None or not fits(best):
        return None
    free.remove(best)
    return best


def _identifies(name: str, values: Sequence[object], *, is_spread: bool) -> float:
    """Returns a score of how well a column identifies tickets with several rows; 0 if not."""
    seen = [str(value) for value in values if value not in (None, "")]
    count = len(set(seen))
    words = heading_words(name)
    if (count == len(seen) and not is_spread) or (
        len(words) > 1 and is_metadata_heading(name) and words[-1] not in _NUMBER_WORDS
    ):
        return 0.0
    return count + (1000.0 if set(words) & _NUMBER_WORDS else 0.0)


def _has_both_sides(values: Values) -> Callable[[str], bool]:
    return lambda name: (
        {"user", "assistant"} <= {side_of(value, name) for value in values[name]}
        and bool({normalize_heading(name), *heading_words(name)} & (_ROLES | _INCOMING | _OUTGOING))
    )


def _sides_in(values: Values) -> Callable[[str], float]:
    """Returns a function for the share of a column's values that name the author's side.

    A column of names, whose sides depend on who writes first, has a small share.
    """

    def share(name: str) -> float:
        seen = [value for value in values[name] if value not in (None, "")]
        known_count = sum(side_of(value, name) is not None for value in seen)
        names = [str(value) for value in seen]
        may_be_names = not is_metadata_heading(name) and all(
            len(name_value) <= _MAX_NAME_LENGTH for name_value in names
        )
        is_repeated = 1 < len(set(names)) < len(names)
        return known_count / len(seen) if known_count else 0.01 * (may_be_names and is_repeated)

    return share


def _text_length(name: str, values: Sequence[object]) -> float:
    """Returns the mean length of a column's texts; 0 for ids, flags or few short values."""
    seen = [str(value) for value in values if value not in (None, "")]
    length = sum(map(len, seen)) / max(1, len(seen))
    is_few = length < _SHORT_TEXT and len(set(seen)) * 2 < len(seen)
    return 0.0 if is_few or is_metadata_heading(name) else length


def _are_names(values: Sequence[object]) -> float:
    """Returns how many different names of people a column has; 0 if it has other values."""
    seen = [str(value) for value in values if value not in (None, "")]
    is_name = [
        len(value) <= _MAX_NAME_LENGTH
        and not re.search(r"[\d@:/]", value)
        and not side_of(value, "")
        for value in seen
    ]
    return len(set(seen)) if seen and 2 * sum(is_name) > len(seen) and len(set(seen)) > 1 else 0


def is_discarded(value: object, column: str) -> bool:
    """Whether a ticket was discarded as spam or deleted, by its state or a column “spam”."""
    words = _words(value)
    return bool(words & _DISCARDED) or ("spam" in heading_words(column) and bool(words & _TRUE))


def is_help_desk(headings: Sequence[str]) -> bool:
    """Whether a table with a row for each ticket is of a help desk, so that its texts are mails."""
    words = {word for name in headings for word in (*heading_words(name), normalize_heading(name))}
    return bool(words & _DESK_WORDS) or any(
        normalize_heading(name).endswith(_GROUP_ENDINGS) for name in headings
    )


def _moments(values: Sequence[object]) -> float:
    """Returns the number of different moments in a column."""
    return len(
        {str(value) for value in values if value not in (None, "") and parse_date(str(value))}
    )


def _marks(values: Sequence[object]) -> float:
    return sum(map(_is_known_mark, values))


def side_of(value: object, column: str) -> str | None:
    """Returns the side of a message: user, assistant, bot, system, account, or None if unknown.

    An account is a customer at some help desks and an agent at others.
    """
    words, named = _words(value), set(heading_words(column))
    if words & (_TRUE | _FALSE):
        if not named & (_CUSTOMER | _AGENT) or named & _NUMBER_WORDS:
            return None
        return "user" if bool(words & _TRUE) is bool(named & _CUSTOMER) else "assistant"
    if words & _BOTS:
        return "bot"
    if words <= _ACCOUNTS and words:
        return "account"
    if words & _CUSTOMER:
        return "user"
    if words & _AGENT:
        return "assistant"
    return "system" if words & _SYSTEM else None


def _words(value: object) -> set[str]:
    return set() if value is None else set(heading_words(str(value)))


def _is_message(value: object) -> bool:
    return bool(_words(value) & _MESSAGES)


def _is_known_mark(value: object) -> bool:
    words = _words(value)
    return bool(words & (_NOTES | _TRUE | _FALSE | {"public", "reply"}))


def is_note(value: object, column: str) -> bool:
    """Whether a message is an internal note, by a column like “visibility” or “public”."""
    words = _words(value)
    if words & _NOTES or (column == "visibility" and words & _STAFF):
        return True
    heading = normalize_heading(column)
    says_public = "public" in heading_words(column) or heading.endswith(_SAYS_PUBLIC)
    return bool(words & (_TRUE | _FALSE)) and bool(words & _TRUE) is not says_public


@dataclass(slots=True)
class Ticket:
    """The messages of a ticket as tuples of time, author, side (None if unknown) and text."""

    line: int
    messages: list[Message] = field(default_factory=list)
    names: set[str] = field(default_factory=set)
    """The words of the greetings in the ticket."""
    people: set[str] = field(default_factory=set)
    """The names of the authors."""
    is_discarded: bool = False

    def add(self, *, time: str, author: str, side: str | None, text: str, name: str = "") -> None:
        """Adds a message, or each part of a transcript; omits what the system wrote.

        `author` identifies the author, whose `name` may be unknown.
        """
        if side == "system" or not text.strip():
            return
        name = name or (author if side is None else "")
        transcript = split_transcript(text, self.people | {name})
        for speaker, spoken in transcript:
            speaker_side = "user" if speaker == name and side == "user" else side_of(speaker, "")
            self._add(time, speaker, speaker_side, spoken, speaker)
        if not transcript:
            self._add(time, author, side, text, name)

    def _add(self, time: str, author: str, side: str | None, text: str, name: str) -> None:
        own_text = strip_quotes_and_signature(text)
        if own_text and not is_automatic_mail(own_text, is_customers=side == "user"):
            self.names |= greeted_names(text)
            self.people |= {name} - {""}
            self.messages.append((time, author, side, own_text))

    def add_all(self, other: "Ticket") -> None:
        self.messages += other.messages
        self.names |= other.names
        self.people |= other.people

    @property
    def characters(self) -> int:
        """The number of characters of all texts."""
        return sum(len(text) for *_, text in self.messages)


def too_long(line: int) -> Problem:
    return Problem(line, "tickets_too_long", {"limit": MAX_CHARACTERS >> 20})


def read_tickets(
    records: Iterator[tuple[int, object]], columns: Mapping[str, str]
) -> Iterator[tuple[int, object]]:
    """Yields a chat row for each ticket, with the line of its first message.

    The messages may be in any order, so all are held in memory, up to 256 Mi characters. Omits
    internal notes, system messages, greetings, signatures and quoted mail. Joins consecutive
    messages of the same side.
    """
    tickets: dict[str, Ticket] = {}
    size = 0
    for line, record in records:
        if not isinstance(record, Mapping):
            yield line, record
            continue
        name, role, text = (str(record.get(columns[p]) or "") for p in ("ticket", "role", "text"))
        if not name.strip():
            yield line, Problem(line, "cell_empty", {"column": columns["ticket"]})
            continue
        ticket = tickets.setdefault(name, Ticket(line))
        if not _is_left_out(record, columns):
            time = str(record.get(columns.get("time", "")) or "")
            side = side_of(record.get(columns["role"]), columns["role"])
            person = str(record.get(columns.get("author", "")) or "")
            ticket.add(time=time, author=role, side=side, text=text, name=person)
        state = columns.get("state", "")
        ticket.is_discarded |= is_discarded(record.get(state), state)
        size += len(text)
        if size > MAX_CHARACTERS:
            yield line, too_long(line)
            return
    yield from rows_of(tickets)


def _is_left_out(record: Mapping[object, object], columns: Mapping[str, str]) -> bool:
    """Whether a row is an internal note, or an event that is not a message."""
    private, kind = columns.get("private"), columns.get("kind")
    if private and is_note(record.get(private), private):
        return True
    kind_value = record.get(kind) if kind else None
    return kind_value not in (None, "") and (
        is_note(kind_value, "kind") or not _is_message(kind_value)
    )


def rows_of(tickets: Mapping[str, Ticket]) -> Iterator[tuple[int, object]]:
    """Yields the rows of tickets; omits messages of bots if people answer as well.

    A person of an unknown side is a customer if they write first in at least half of their tickets.
    """
    _decide_accounts(tickets)
    has_people = any(side == "assistant" for t in tickets.values() for _, _, side, _ in t.messages)
    times = [time for ticket in tickets.values() for time, *_ in ticket.messages]
    day_first = any(map(is_day_first, times))
    for ticket in tickets.values():
        messages = [
            message for message in ticket.messages if not (has_people and message[2] == "bot")
        ]
        ticket.messages = sorted(
            messages, key=lambda message: parse_date(message[0], day_first=day_first)
        )
    _cut_endings(tickets)
    tickets_by_author: Counter[str] = Counter()
    first: Counter[str] = Counter()
    for ticket in tickets.values():
        tickets_by_author.update({author for _, author, _, _ in ticket.messages})
        first.update([ticket.messages[0][1]] if ticket.messages else [])
    for name, ticket in tickets.items():
        if ticket.is_discarded:
            problem = Problem(ticket.line, "ticket_discarded", {"ticket": quote_value(name)})
            yield ticket.line, problem
            continue
        yield (
            ticket.line,
            _row_of(name, ticket, lambda author: 2 * first[author] >= tickets_by_author[author]),
        )


def _cut_endings(tickets: Mapping[str, Ticket]) -> None:
    """Removes names, signatures without a closing, notices with a number, and “one moment”."""
    closings = recurring_closings(
        (text, ticket.people) for ticket in tickets.values() for *_, text in ticket.messages
    )
    _replace_texts(
        tickets, lambda ticket, text: strip_greeting_and_signature(text, ticket.people, closings)
    )
    texts = (text for t in tickets.values() for _, _, side, text in t.messages if side != "user")
    endings = recurring_endings(texts)
    _replace_texts(
        tickets, lambda ticket, text: strip_recurring_ending(text, ticket.names, endings)
    )
    notices = _numbered_notices(tickets)
    for number, ticket in tickets.items():
        ticket.messages = _without_holding_lines(ticket.messages)
        ticket.messages = _without_notices(ticket.messages, number, notices)


def _without_holding_lines(messages: Sequence[Message]) -> list[Message]:
    """Leaves out messages like “one moment” before a longer message of the same agent."""
    following = [*messages[1:], None]
    return [
        message
        for message, answer in zip(messages, following, strict=True)
        if not (_HOLDING.fullmatch(message[3]) and _has_longer_answer(message, answer))
    ]


def _has_longer_answer(message: Message, following: Message | None) -> bool:
    """Whether a message of an agent is followed by a longer one of the same agent."""
    return (
        following is not None
        and message[1:3] == following[1:3]
        and message[2] not in ("user", None)
        and len(following[3]) > len(message[3])
    )


def _without_notices(
    messages: Sequence[Message], number: str, notices: Collection[str]
) -> list[Message]:
    """Leaves out notices with the ticket's number where an agent answers, or a program wrote."""
    has_answer = any(
        side not in ("user", None) and _without_number(text, number) not in notices
        for _, _, side, text in messages
    )
    return [
        message
        for message in messages
        if _without_number(message[3], number) not in notices
        or not (has_answer or has_automatic_sentence(message[3]))
    ]


def _replace_texts(tickets: Mapping[str, Ticket], replaced: Callable[[Ticket, str], str]) -> None:
    for ticket in tickets.values():
        ticket.messages = [
            (time, author, side, replaced(ticket, text))
            for time, author, side, text in ticket.messages
        ]


def _numbered_notices(tickets: Mapping[str, Ticket]) -> frozenset[str]:
    """Returns texts that programs write into many tickets, each time with the ticket's number."""
    counts = Counter(
        notice
        for name, ticket in tickets.items()
        for notice in {
            _without_number(text, name)
            for _, _, side, text in ticket.messages
            if side != "user" and len(name) >= _MIN_NUMBER and name in text
        }
    )
    return frozenset(notice for notice, count in counts.items() if count >= _MIN_NOTICES)


def _without_number(text: str, number: str) -> str:
    return text.replace(number, "#")


def _decide_accounts(tickets: Mapping[str, Ticket]) -> None:
    """Sets the side of accounts: agents if customers have another name and agents have none."""
    sides = {side for ticket in tickets.values() for _, _, side, _ in ticket.messages}
    account_side = "assistant" if "user" in sides and "assistant" not in sides else "user"
    for ticket in tickets.values():
        ticket.messages = [
            (time, author, account_side if side == "account" else side, text)
            for time, author, side, text in ticket.messages
        ]


def _row_of(name: str, ticket: Ticket, is_customer: Callable[[str], bool]) -> object:
    """Returns the chat row of a ticket, from its first question to its last answer."""
    turns: list[tuple[str, str]] = []
    for _, author, stated_side, text in ticket.messages:
        side = "assistant" if stated_side == "bot" else stated_side
        side = side or ("user" if is_customer(author) else "assistant")
        if turns and turns[-1][0] == side:
            turns[-1] = (side, f"{turns[-1][1]}\n\n{text}")
        elif turns or side == "user":
            turns.append((side, text))
    if turns and turns[-1][0] == "user":
        turns.pop()
    if not turns:
        return Problem(ticket.line, "ticket_unanswered", {"ticket": quote_value(name)})
    return {"messages": [{"role": side, "content": text} for side, text in turns]}
