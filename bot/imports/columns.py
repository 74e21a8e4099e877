"""Guesses the purposes of a table's columns from their headings and first values."""

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Final
from unicodedata import combining, normalize

_MAX_HEADING_WORDS = 3
_HEADING_WORDS = 2

# Names in the languages of the supported encodings, as `normalize_heading` returns; best first.
COLUMN_SYNONYMS: Final[Mapping[str, tuple[str, ...]]] = {
    "question": (
        *("question", "prompt", "user", "usermessage", "userinput", "query", "request", "input"),
        *("problem", "inquiry", "enquiry", "human"),
        *("frage", "anfrage", "eingabe", "benutzer", "nutzer"),
        *("demande", "requete", "entree", "utilisateur"),
        *("pregunta", "consulta", "solicitud", "entrada", "usuario"),
        *("domanda", "richiesta", "utente", "pergunta", "duvida", "pedido"),
        *("问题", "提问", "提示词", "提示", "输入", "用户", "問題", "提問", "輸入", "用戶"),
        *("質問", "問い合わせ", "入力", "질문", "문의", "입력", "вопрос", "запрос"),
        *("vraag", "pytanie", "zapytanie", "otazka", "dotaz", "fraga", "spørgsmal"),
        *("spørsmal", "kysymys", "kerdes", "intrebare", "soru", "ερωτηση", "שאלה"),
        *("سوال", "السوال", "питання", "запитання", "въпрос", "pitanje", "klausimas"),
        *("jautajums", "kusimus", "cauhoi", "pertanyaan", "คาถาม", "परशन", "پرسش"),
        *("utterance", "description", "shortdescription", "客户提问", "问"),
    ),
    "answer": (
        *("answer", "completion", "response", "assistant", "reply", "output", "target"),
        *("solution", "resolution", "gpt", "bot"),
        *("antwort", "ausgabe", "assistent", "losung"),
        *("reponse", "sortie"),
        *("respuesta", "salida", "asistente"),
        *("risposta", "assistente", "resposta"),
        *("回答", "答案", "回复", "答复", "输出", "助手", "回覆", "答覆", "輸出"),
        *("返答", "応答", "出力", "답변", "대답", "응답", "출력", "ответ"),
        *("antwoord", "odpowiedz", "odpoved", "svar", "vastaus", "valasz", "raspuns"),
        *("cevap", "yanıt", "απαντηση", "תשובה", "جواب", "الجواب", "اجابة", "الاجابة"),
        *("відповідь", "отговор", "odgovor", "atsakymas", "atbilde", "vastus", "cautraloi"),
        *("jawaban", "คาตอบ", "उततर", "پاسخ"),
        *("gold", "expected", "ideal", "groundtruth", "closenotes"),
        *("处理结果", "解决方案", "解决办法", "處理結果", "答"),
    ),
    "system": (
        *("system", "systemprompt", "systemmessage", "systeminstruction", "instructions"),
        *("systemanweisung", "anweisungen", "anweisung"),
        *("systeme", "consignes", "consigne"),
        *("sistema", "instrucciones", "istruzioni", "instrucoes"),
        *("系统", "系统提示", "系统提示词", "指令", "系統", "系統提示"),
    ),
    "context": (
        *("context", "passage", "background", "kontext", "hintergrund", "contexte", "contexto"),
        *("contesto", "上下文", "背景", "文脈", "맥락", "контекст"),
    ),
    "history": (
        *("history", "verlauf", "historique", "historial", "cronologia", "historico"),
        *("历史", "对话历史", "歷史", "履歴", "이력", "история"),
    ),
    "preferred": (
        *("preferred", "preferredoutput", "chosen", "better"),
        *("bevorzugt", "bevorzugteantwort", "besser"),
        *("preferee", "prefere", "choisie", "choisi"),
        *("preferida", "preferido", "elegida", "elegido"),
        *("偏好", "首选", "优选", "更好", "首選", "優選"),
    ),
    "rejected": (
        *("rejected", "nonpreferred", "nonpreferredoutput", "dispreferred", "worse"),
        *("abgelehnt", "abgelehnteantwort", "schlechter"),
        *("rejetee", "rejete"),
        *("rechazada", "rechazado"),
        *("拒绝", "非偏好", "较差", "落选", "拒絕", "較差"),
    ),
}
COLUMN_PURPOSES: Final = (
    "question",
    "answer",
    "system",
    "context",
    "history",
    "preferred",
    "rejected",
)

# Words that make a heading with this last word the name of a property, as in “answer score”.
_METADATA_WORDS: Final = frozenset(
    (
        *("id", "ids", "uuid", "guid", "key", "no", "nr", "num", "number", "index", "idx"),
        *("count", "total", "score", "scores", "rating", "rank", "stars", "votes", "vote"),
        *("grade", "date", "dates", "time", "times", "timestamp", "at", "created", "updated"),
        *("modified", "year", "day", "url", "uri", "link", "href", "lang", "language", "locale"),
        *("type", "kind", "category", "class", "label", "status", "state", "source", "origin"),
        *("tag", "tags", "topic", "author", "name", "email", "mail", "phone", "hash", "length"),
        *("len", "tokens", "cost", "price", "version", "file", "path", "flag", "nummer", "datum"),
        *("zeit", "punkte", "bewertung", "sprache", "kategorie", "numero", "fecha", "hora"),
        *("puntuacion", "idioma", "categoria", "heure", "langue", "note", "data", "ora"),
        *("punteggio", "lingua", "pontuacao"),
    )
)
# The same for the first word of a heading, as in “date of answer”.
_METADATA_FIRST_WORDS: Final = frozenset(
    (
        *("id", "nr", "no", "num", "number", "score", "date", "time", "datum", "zeit", "fecha"),
        *("hora", "numero", "heure", "ora", "url"),
    )
)
# Headings of columns that may contain the names of people instead of their texts.
_AUTHOR_NAMES: Final = frozenset(
    (
        *("user", "human", "assistant", "bot", "gpt", "benutzer", "nutzer", "assistent"),
        *("utilisateur", "usuario", "asistente", "utente", "assistente", "用户", "用戶", "助手"),
    )
)
_METADATA_ENDINGS: Final = (
    *(
        "编号",
        "序号",
        "日期",
        "时间",
        "評分",
        "评分",
        "分数",
        "链接",
        "类型",
        "语言",
        "編號",
        "時間",
    ),
    *("分类", "类别", "分類", "類別", "状态", "狀態", "标签", "標籤", "来源", "來源", "等级"),
    *("数量", "人", "者", "员", "員"),
    *("番号", "日時", "日付", "点数", "번호", "날짜", "시간", "점수"),
)
# A value that is not a text itself: a number, a date, a time, an address or an id.
_METADATA_VALUE: Final = re.compile(
    r"[-+]?[\d.,]+\s*%?|\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}([T ]\d{1,2}:\d{2}.*)?"
    r"|\d{1,2}:\d{2}(:\d{2})?"
    r"|https?://\S+|[0-9a-f]{8}-[0-9a-f-]{27}|[0-9a-f]{24,64}|[A-Z]{1,5}-?\d{2,}|true|false",
    re.IGNORECASE,
)
# Outcomes of tickets, which a column like “resolution” may contain instead of an answer.
_OUTCOMES: Final = frozenset(
    (
        *("done", "fixed", "won't do", "won't fix", "duplicate", "cannot reproduce", "resolved"),
        *("unresolved", "solved", "closed", "open", "pending", "new", "incomplete", "declined"),
        *("erledigt", "gelöst", "geschlossen", "offen", "résolu", "fermé", "resuelto", "cerrado"),
        *("已解决", "已关闭", "未解决", "处理中", "within sla", "sla violated"),
    )
)
_NUMBERED: Final = re.compile(r"(.*[^\W\d_])(?:[\s_.-]*(\d)|[\s_.-]+([a-d]))", re.IGNORECASE)
_NAME: Final = re.compile(r"@?[a-z][\w.@-]{0,30}\w", re.IGNORECASE | re.ASCII)


def guess_columns(
    headings: Sequence[str], values: Mapping[str, Sequence[object]] | None = None
) -> dict[str, str]:
    """Maps each purpose to the heading that matches it best; a heading has at most one purpose.

    A heading that equals a name is preferred to one that contains the name as a word. Columns with
    ids, scores and dates are never chosen, by their heading or by their `values`. If there are both
    “instruction” and “input”, as in Alpaca files, they are the question and its context.
    """
    free = [
        heading
        for heading in headings
        if not is_metadata_heading(heading) and not _has_no_texts(heading, values)
    ]
    columns: dict[str, str] = {}
    if {"q", "a"} <= {normalize_heading(heading) for heading in free}:
        _assign(columns, free, "question", ("q",), by_word=False)
        _assign(columns, free, "answer", ("a",), by_word=False)
    if {"instruction", "input"} <= {normalize_heading(heading) for heading in free}:
        _assign(columns, free, "question", ("instruction",), by_word=False)
        _assign(columns, free, "context", ("input",), by_word=False)
    for by_word in (False, True):
        for purpose in ("rejected", "preferred", "question", "answer", *COLUMN_PURPOSES[2:5]):
            _assign(columns, free, purpose, COLUMN_SYNONYMS[purpose], by_word=by_word)
        _assign(columns, free, "question", ("instruction", "anweisung"), by_word=by_word)
    return columns


def are_enough_columns(columns: Mapping[str, str]) -> bool:
    """Whether the columns suffice to make rows."""
    return "question" in columns and ("answer" in columns or are_preference_columns(columns))


def are_preference_columns(columns: Mapping[str, str]) -> bool:
    """Whether the columns contain both outputs of a preference."""
    return "preferred" in columns and "rejected" in columns


def are_exact_headings(columns: Mapping[str, str]) -> bool:
    """Whether every heading equals a known name, instead of only containing it as a word."""
    return all(
        normalize_heading(heading)
        in (*COLUMN_SYNONYMS.get(purpose, ()), "instruction", "input", "q", "a")
        and normalize_heading(heading) not in _AMBIGUOUS_NAMES
        for purpose, heading in columns.items()
    )


def numbered_columns(columns: Mapping[str, str], headings: Sequence[str]) -> list[str]:
    """Returns the columns like “answer_a” and “answer_b” if one of them was guessed, else none."""
    for purpose in ("question", "answer"):
        stem, number = _numbered(columns.get(purpose, ""))
        same = [heading for heading in headings if _numbered(heading)[0] == stem]
        if number and len(same) > 1:
            return same
    return []


def _numbered(heading: str) -> tuple[str, str]:
    """Returns a heading without its number, or its single letter after a separator, and those."""
    match = _NUMBERED.fullmatch(heading.strip())
    return (
        (normalize_heading(match[1]), match[2] or match[3])
        if match
        else (normalize_heading(heading), "")
    )


def column_holds_text(heading: str, values: Sequence[object]) -> bool:
    """Whether a column may be a question or an answer, by its heading and values."""
    return not is_metadata_heading(heading) and not _has_no_texts(heading, {heading: values})


def is_header_of_two(rows: Sequence[Sequence[str]]) -> bool:
    """Whether the first row is a header: two short names above longer sentences."""
    first, others = rows[0], rows[1:]
    is_named = first[0] != first[1] and all(
        cell.replace(" ", "").replace("_", "").isalpha() and len(cell.split()) <= _HEADING_WORDS
        for cell in first
    )
    return (
        is_named
        and all(
            any(2 * len(cell) > 3 * len(name) for cell, name in zip(row, first, strict=True))
            and any(not cell[-1:].isalnum() for cell in row)
            for row in others
        )
        and len(others) > 1
    )


def heading_words(heading: str) -> list[str]:
    """Returns the words of a heading, also in camel case or with underscores."""
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", heading)
    return [
        plain
        for word in re.split(r"[\s_\-./()\[\]]+", spaced)
        if (plain := normalize_heading(word))
    ]


def _assign(
    columns: dict[str, str],
    free: list[str],
    purpose: str,
    synonyms: tuple[str, ...],
    *,
    by_word: bool,
) -> None:
    """Assigns the free heading of the first matching synonym to a purpose without a heading."""
    if purpose in columns:
        return
    if by_word:
        names = {word: heading for heading in reversed(free) for word in _few_words(heading)}
    else:
        names = {normalize_heading(heading): heading for heading in reversed(free)}
    heading = next((names[name] for name in synonyms if name in names), None)
    if heading is not None:
        columns[purpose] = heading
        free.remove(heading)


def is_metadata_heading(heading: str) -> bool:
    """Whether a heading names an id, a score, a date or the like instead of a text."""
    words = heading_words(heading) or [""]
    is_metadata = words[-1] in _METADATA_WORDS or (
        len(words) > 1 and words[0] in _METADATA_FIRST_WORDS
    )
    return is_metadata or normalize_heading(heading).endswith(_METADATA_ENDINGS)


def _has_no_texts(heading: str, values: Mapping[str, Sequence[object]] | None) -> bool:
    """Whether the values of a column are names, states, numbers or ids instead of texts."""
    seen = [value for value in (values or {}).get(heading, ()) if value not in (None, "")]
    texts = [value.strip() for value in seen if isinstance(value, str)]
    if texts and normalize_heading(heading) in _AUTHOR_NAMES and all(map(_NAME.fullmatch, texts)):
        return True
    if texts and all(text.lower() in _OUTCOMES for text in texts):
        return True
    # One short value may be an answer like “42”.
    if len(seen) < 2 or normalize_heading(heading) in _ALL_NAMES:
        return False
    return not any(isinstance(value, list | dict) for value in seen) and all(
        map(_METADATA_VALUE.fullmatch, texts)
    )


@lru_cache(maxsize=1024)
def normalize_heading(heading: str) -> str:
    """Returns the heading in lower case, without accents, spaces and punctuation."""
    letters = normalize("NFKD", heading).casefold()
    plain = "".join(letter for letter in letters if letter.isalnum() and not combining(letter))
    # Composed again, as NFKD decomposes Hangul syllables.
    return normalize("NFC", plain)


def _few_words(heading: str) -> list[str]:
    """Returns the words of a short heading, and the known names that it begins or ends with."""
    # Longer headings are sentences: a first row without a header.
    words = heading_words(heading)
    if len(words) > _MAX_HEADING_WORDS:
        return []
    # Chinese, Japanese and German compounds have no spaces; their last part is the noun, or the
    # property of it.
    whole = normalize_heading(heading)
    joined = [n for n in _JOINED_NAMES if whole.endswith(n)]
    return words + joined + [n for n in _JOINED_NAMES if not n.isascii() and whole.startswith(n)]


_ALL_NAMES: Final = frozenset(name for names in COLUMN_SYNONYMS.values() for name in names)
# Names that often have another meaning.
_AMBIGUOUS_NAMES: Final = frozenset(
    ("description", "shortdescription", "gold", "expected", "ideal")
)
_COMPOUNDED: Final = frozenset(("frage", "antwort", "vraag", "antwoord", "svar"))
_JOINED_NAMES: Final = sorted(
    name for name in _ALL_NAMES if name in _COMPOUNDED or (not name.isascii() and len(name) > 1)
)
