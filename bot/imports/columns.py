"""Guesses from their names what the columns of a table are for."""

from collections.abc import Mapping, Sequence
from typing import Final
from unicodedata import combining, normalize

_LONGEST_HEADING_WORDS = 3

# English, German, French, Spanish, Chinese; the better name stands before the weaker.
SYNONYMS: Final[Mapping[str, tuple[str, ...]]] = {
    "question": (
        *("question", "prompt", "user", "usermessage", "userinput", "query", "request", "input"),
        *("frage", "anfrage", "eingabe", "benutzer", "nutzer"),
        *("demande", "requete", "entree", "utilisateur"),
        *("pregunta", "consulta", "solicitud", "entrada", "usuario"),
        *("问题", "提问", "提示词", "提示", "输入", "用户", "問題", "提問", "輸入", "用戶", "问"),
    ),
    "answer": (
        *("answer", "completion", "response", "assistant", "reply", "output", "target"),
        *("antwort", "ausgabe", "assistent"),
        *("reponse", "sortie"),
        *("respuesta", "salida", "asistente"),
        *("回答", "答案", "回复", "答复", "输出", "助手", "回覆", "答覆", "輸出", "答"),
    ),
    "system": (
        *("system", "systemprompt", "systemmessage", "instructions"),
        *("systemanweisung", "anweisungen", "anweisung"),
        *("systeme", "consignes", "consigne"),
        *("sistema", "instrucciones"),
        *("系统", "系统提示", "系统提示词", "指令", "系統", "系統提示"),
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


def guess_columns(headings: Sequence[str]) -> dict[str, str]:
    """Map each purpose to the heading that names it best; a heading serves one purpose.

    With “instruction” beside “input”, as in the Alpaca files, the instruction is the question
    and the input its context.
    """
    free = list(headings)
    found: dict[str, str] = {}
    if {"instruction", "input"} <= {_plain(heading) for heading in free}:
        _take(found, free, "question", ("instruction",))
        _take(found, free, "context", ("input",))
    for purpose in ("rejected", "preferred", "question", "answer", "system"):
        _take(found, free, purpose, SYNONYMS[purpose])
    _take(found, free, "question", ("instruction",))
    return found


def is_enough(columns: Mapping[str, str]) -> bool:
    """Tell whether rows can be made from these columns."""
    return "question" in columns and ("answer" in columns or is_preference(columns))


def is_preference(columns: Mapping[str, str]) -> bool:
    """Tell whether both outputs of a preference are there."""
    return "preferred" in columns and "rejected" in columns


def _take(found: dict[str, str], free: list[str], purpose: str, synonyms: tuple[str, ...]) -> None:
    if purpose in found:
        return
    by_name = {_plain(heading): heading for heading in reversed(free)}
    by_word = {word: heading for heading in reversed(free) for word in _words(heading)}
    names = (by_name.get(name) or by_word.get(name) for name in synonyms)
    heading = next((name for name in names if name), None)
    if heading is not None:
        found[purpose] = heading
        free.remove(heading)


def _plain(heading: str) -> str:
    letters = normalize("NFKD", heading).casefold()
    return "".join(letter for letter in letters if letter.isalnum() and not combining(letter))


def _words(heading: str) -> list[str]:
    # Longer headings are sentences: a first row without a header.
    words = heading.replace("_", " ").replace("-", " ").split()
    return [_plain(word) for word in words] if len(words) <= _LONGEST_HEADING_WORDS else []
