"""Makes conversations of help-desk exports, which have one row a message, grouped by ticket."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from bot.imports.columns import heading_words, plain_name
from bot.rows import Problem
from bot.rows.problems import shown

_MOST_CHARACTERS: Final = 256 << 20
_GROUPS: Final = frozenset(
    (
        *("ticket", "thread", "conversation", "case", "session", "dialog", "dialogue", "issue"),
        *("incident", "chat", "vorgang", "anfrage", "conversacion"),
    )
)
_GROUP_ENDINGS: Final = ("工单", "会话", "工单号", "工单编号", "会话编号", "會話", "对话编号")
_ROLES: Final = frozenset(
    (
        *("role", "author", "sender", "from", "speaker", "direction", "side", "who"),
        *("participant", "party", "rolle", "absender", "autor", "remitente", "auteur"),
        *("usertype",),
    )
)
_ROLE_ENDINGS: Final = ("角色", "发送者", "发件人", "方向", "發送者")
_TEXTS: Final = frozenset(
    (
        *("text", "message", "body", "content", "comment", "description", "utterance", "reply"),
        *("nachricht", "inhalt", "texto", "mensaje", "contenu"),
    )
)
_TEXT_ENDINGS: Final = ("内容", "消息", "正文", "訊息")
_TIMES: Final = frozenset(
    (*("time", "timestamp", "date", "created", "at", "sent", "datum", "zeit", "fecha", "hora"),)
)
_TIME_ENDINGS: Final = ("时间", "日期", "時間")
_PRIVATE: Final = frozenset(
    (*("private", "internal", "note", "public", "visibility", "type", "kind"),)
)
_CUSTOMER: Final = frozenset(
    (
        *("customer", "client", "user", "end", "enduser", "requester", "kunde", "kundin"),
        *("visitor", "inbound", "incoming", "human", "guest", "buyer", "contact", "consumer"),
        *("received", "in", "cliente", "usuario", "客户", "用户", "顾客", "客戶", "用戶"),
    )
)
_AGENT: Final = frozenset(
    (
        *("agent", "support", "staff", "assistant", "bot", "admin", "outbound", "outgoing"),
        *("sent", "operator", "mitarbeiter", "employee", "representative", "rep", "advisor"),
        *("helpdesk", "team", "out", "agente", "客服", "坐席", "助手", "员工"),
    )
)
_NOTES: Final = frozenset((*("private", "internal", "note", "notes", "intern", "notiz", "hidden"),))


def ticket_columns(
    headings: Sequence[str], values: Mapping[str, Sequence[object]]
) -> dict[str, str] | None:
    """The columns of a table with one row a message, or None where it is none."""
    free = list(headings)
    group = _taken(free, _GROUPS, _GROUP_ENDINGS, lambda name: _repeats(values[name]))
    role = _taken(free, _ROLES, _ROLE_ENDINGS, lambda name: any(map(_side, values[name])))
    text = _taken(free, _TEXTS, _TEXT_ENDINGS, lambda name: not _repeats_often(values[name]))
    if group is None or role is None or text is None:
        return None
    columns = {"ticket": group, "role": role, "text": text}
    time = _taken(free, _TIMES, _TIME_ENDINGS, lambda name: True)
    private = _taken(free, _PRIVATE, (), lambda name: any(map(_is_known_mark, values[name])))
    return columns | ({"time": time} if time else {}) | ({"private": private} if private else {})


def _taken(
    free: list[str],
    words: frozenset[str],
    endings: tuple[str, ...],
    fits: Callable[[str], bool],
) -> str | None:
    """The heading that is one of the words, else one that has one; no longer free afterwards."""
    exact = [name for name in free if plain_name(name) in words]
    inside = [name for name in free if words & set(heading_words(name))]
    ending = [name for name in free if endings and plain_name(name).endswith(endings)]
    found = next((name for name in (*exact, *inside, *ending) if fits(name)), None)
    if found is not None:
        free.remove(found)
    return found


def _repeats(values: Sequence[object]) -> bool:
    seen = [str(value) for value in values if value not in (None, "")]
    return len(set(seen)) < len(seen)


def _repeats_often(values: Sequence[object]) -> bool:
    seen = [str(value) for value in values if value not in (None, "")]
    return len(set(seen)) * 2 < len(seen)


def _side(value: object) -> str | None:
    words = set(heading_words(str(value or "")))
    if words & _CUSTOMER:
        return "user"
    return "assistant" if words & _AGENT else None


def _is_known_mark(value: object) -> bool:
    words = set(heading_words(str(value or "")))
    return bool(words & (_NOTES | {"public", "true", "false", "reply"}))


def _is_note(value: object, column: str) -> bool:
    """Whether a message was for colleagues only, by a column like “visibility” or “public”."""
    words = set(heading_words(str(value or "")))
    if words & _NOTES:
        return True
    is_true = bool(words & {"true", "yes", "1"})
    says_public = "public" in heading_words(column)
    is_flag = bool(words & {"true", "yes", "1", "false", "no", "0"})
    return is_flag and is_true is not says_public


@dataclass(slots=True)
class _Ticket:
    line: int
    messages: list[tuple[str, str, str]] = field(default_factory=list)
    """Time, role as it is written, and text."""


def read_tickets(
    records: Iterator[tuple[int, object]], columns: Mapping[str, str]
) -> Iterator[tuple[int, object]]:
    """Yield a chat row for each ticket, at the line of its first message.

    The messages may stand in any order, so all are held in memory, up to 256 Mi characters.
    Notes among colleagues are left out; messages of one side in a row are joined.
    """
    tickets: dict[str, _Ticket] = {}
    size = 0
    for line, record in records:
        if not isinstance(record, Mapping):
            yield line, record
            continue
        name, role, text = (str(record.get(columns[p]) or "") for p in ("ticket", "role", "text"))
        private = columns.get("private")
        if not name.strip():
            yield line, Problem(line, "cell_empty", {"column": columns["ticket"]})
            continue
        ticket = tickets.setdefault(name, _Ticket(line))
        if text.strip() and not (private and _is_note(record.get(private), private)):
            time = str(record.get(columns.get("time", "")) or "")
            ticket.messages.append((time, role, text.strip()))
        size += len(text)
        if size > _MOST_CHARACTERS:
            yield line, Problem(line, "tickets_too_long", {"limit": _MOST_CHARACTERS >> 20})
            return
    for name, ticket in tickets.items():
        yield ticket.line, _row_of(name, ticket)


def _row_of(name: str, ticket: _Ticket) -> object:
    messages = sorted(ticket.messages, key=lambda message: message[0])
    first = next((role for _, role, _ in messages), "")
    turns: list[tuple[str, str]] = []
    for _, role, text in messages:
        side = _side(role) or ("user" if role == first else "assistant")
        if turns and turns[-1][0] == side:
            turns[-1] = (side, f"{turns[-1][1]}\n\n{text}")
        elif turns or side == "user":
            turns.append((side, text))
    if turns and turns[-1][0] == "user":
        turns.pop()
    if not turns:
        return Problem(ticket.line, "ticket_unanswered", {"ticket": shown(name)})
    return {"messages": [{"role": side, "content": text} for side, text in turns]}
