"""Rewords questions slightly, so that a model learns a fact instead of one string.

Words that are also in the answer, numbers and negations are kept.
"""

import random
import re
from collections.abc import Mapping

Message = dict[str, str]

UNCHANGED_SHARE = 0.3
"""The share of rows that are not reworded."""
MAX_QUESTION_LENGTH = 300
"""Most characters of a question; longer texts are mostly material to work on."""

_OPENERS = ("Hi, ", "Hello! ", "Hey, ", "Please tell me: ", "Quick question: ", "Excuse me, ")
_MORE_OPENERS = ("Could you tell me, ", "I want to know: ", "I wonder, ", "So, ", "Good morning. ")
_CLOSERS = (" Thanks!", " Please.", " please", " Thank you.")
_CHINESE = re.compile(r"[\u3400-\u9fff]")
_CHINESE_OPENERS = ("你好，", "请问，", "您好，我想问一下，", "打扰一下，")
_CHINESE_CLOSERS = ("谢谢！", "谢谢", "麻烦了。")
_PHRASES = (
    ("(Can|May|Could) I", ("Is it possible to", "Am I allowed to", "Is it all right to", "Can we")),
    ("(Do you have|Is there|Are there)( an?)?", ("Can I get", "Do you offer", "Have you got")),
    (
        "How (do|can) I",
        ("What is the best way to", "I want to", "What must I do to", "How does one"),
    ),
    ("Where (can|do|may) I", ("Is there a place to", "At what place can I", "I need somewhere to")),
    ("How much is", ("What do I pay for", "How expensive is", "What do you charge for")),
    ("What does (.*) cost", (r"What do I pay for \1", r"How much is \1", r"How expensive is \1")),
    ("(When|At what time|What time)", ("On which day and hour", "At what hour", "When exactly")),
    ("Which", ("What", "Tell me which", "What kind of")),
    ("What (is|are)", ("Tell me", "I want to know", "Can you give me")),
    ("What (happens )?if", ("What do you do if", "Suppose")),
    ("Where (is|are)", ("In which place is", "How do I find", "At what place is")),
    ("(Do|Must) (I|we)", ("Is it needed that I", "Am I supposed to", "Have I got to")),
)
_NEGATIONS = frozenset(["no", "not", "never", "none", "nor", "without", "cannot"])
_END = "?.!？。！"


def reword_question(row: dict[str, object], rng: random.Random) -> dict[str, object]:
    """Returns the row with another wording of the question before its only answer.

    Rows with tools, several answers or a long question are returned unchanged.
    """
    if (exchange := single_exchange(row)) is None:
        return row
    before, question_message, answer_message = exchange
    question, answer_text = question_message["content"], answer_message["content"]
    is_unchanged = rng.random() < UNCHANGED_SHARE
    if is_unchanged or len(question) > MAX_QUESTION_LENGTH or "\n" in question:
        return row
    return {
        **row,
        "messages": [
            *before,
            {**question_message, "content": _reworded(question, answer_text, rng)},
            answer_message,
        ],
    }


def single_exchange(row: Mapping[str, object]) -> tuple[list[Message], Message, Message] | None:
    """Returns the messages before a row's question, the question and its answer.

    Returns None for a row with tools or several answers, or with a question or answer without text.
    """
    messages = row.get("messages")
    if row.get("tools") or not isinstance(messages, list) or len(messages) < 2:
        return None
    *before, question, answer = messages
    if any(message["role"] == "assistant" for message in before) or question["role"] != "user":
        return None
    is_text = all(isinstance(message.get("content"), str) for message in (question, answer))
    return (before, question, answer) if is_text else None


def _reworded(question: str, answer: str, rng: random.Random) -> str:
    """Returns the question with random changes of its opening, words, case and ending."""
    is_chinese = bool(_CHINESE.search(question))
    answer_words = frozenset(_bare(word) for word in answer.split())
    if not is_chinese:
        if rng.random() < 0.4 and _bare(question.split(" ", 1)[0]) not in answer_words:
            question = _rephrased(question, rng)
        question = " ".join(_with_noise(question.split(), answer_words, rng))
    if rng.random() < 0.2:
        question = question.rstrip(_END) or question
    if rng.random() < 0.35:
        openers = _CHINESE_OPENERS if is_chinese else (*_OPENERS, *_MORE_OPENERS)
        question = rng.choice(openers) + _lowercased(question, answer_words)
    elif rng.random() < 0.15:
        question = " ".join(_lowercased(word, answer_words) for word in question.split(" "))
    if rng.random() < 0.12:
        question += rng.choice(_CHINESE_CLOSERS if is_chinese else _CLOSERS)
    return question


def _rephrased(question: str, rng: random.Random) -> str:
    """Replaces the opening of a question by a similar one, even if the grammar becomes wrong."""
    for opening, others in _PHRASES:
        if re.match(rf"{opening}\b", question):
            return re.sub(rf"^{opening}\b", rng.choice(others), question)
    return question


def _with_noise(words: list[str], answer_words: frozenset[str], rng: random.Random) -> list[str]:
    """Drops words of half of the questions, and swaps two letters in some."""
    if len(words) > 3 and rng.random() < 0.5:
        words = [w for w in words if _must_stay(w, answer_words) or rng.random() > 0.15]
    candidates = [
        n for n, word in enumerate(words) if len(word) > 4 and not _must_stay(word, answer_words)
    ]
    if candidates and rng.random() < 0.15:
        chosen = rng.choice(candidates)
        word, letter = words[chosen], rng.randrange(1, len(words[chosen]) - 2)
        words = [*words]
        words[chosen] = word[:letter] + word[letter + 1] + word[letter] + word[letter + 2 :]
    return words


def _lowercased(text: str, answer_words: frozenset[str]) -> str:
    """Lowercases the first letter, unless the word is a name or "I"."""
    first = text.split(" ", 1)[0]
    is_name = _bare(first) in answer_words or not first[1:].islower()
    return text if is_name else text[:1].lower() + text[1:]


def _must_stay(word: str, answer_words: frozenset[str]) -> bool:
    bare = _bare(word)
    is_negation = bare in _NEGATIONS or bare.endswith("n't")
    return (
        is_negation or bare in answer_words or not word.isascii() or any(c.isdigit() for c in word)
    )


def _bare(word: str) -> str:
    return word.strip("?.!,;:\"'()[]{}").lower()
