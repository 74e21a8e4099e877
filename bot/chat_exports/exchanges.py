"""Finds exchanges in a channel: by thread, by reply, and by who is addressed."""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from bot.chat_exports.export import ExportedMessage
from bot.chat_exports.message_index import MessageIndex

_MOST_MESSAGES = 100
"""Of one exchange; what comes later in a thread is left alone."""
_LONGEST_CHAIN = 20
_BURST_SECONDS = 180
_ANSWER_SECONDS = 24 * 3600
_MOST_RECENT = 1000
_QUESTION_MARKS = frozenset("?？؟¿")


@dataclass(frozen=True, slots=True)
class FoundExchange:
    """Messages in their order, of which the last is by `answerer`, who answered."""

    messages: tuple[ExportedMessage, ...]
    answerer: str

    @property
    def answer(self) -> ExportedMessage:
        return self.messages[-1]

    @property
    def authors(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(one.author for one in self.messages))


@dataclass(frozen=True, slots=True)
class _Utterance:
    """What one person wrote in a row."""

    messages: tuple[ExportedMessage, ...]

    @property
    def author(self) -> str:
        return self.messages[0].author

    @property
    def mentions(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(name for one in self.messages for name in one.mentions))

    @property
    def is_question(self) -> bool:
        return any(_QUESTION_MARKS & set(one.text) for one in self.messages)

    def is_near(self, later: _Utterance) -> bool:
        return later.messages[0].at - self.messages[-1].at <= _ANSWER_SECONDS


def exchange_row(found: FoundExchange) -> dict[str, object]:
    """A chat row: who answered teaches, everybody else asks; neighbours of one side are joined."""
    turns: list[dict[str, str]] = []
    for one in found.messages:
        role = "assistant" if one.author == found.answerer else "user"
        if turns and turns[-1]["role"] == role:
            turns[-1]["content"] += f"\n{one.text}"
        elif turns or role == "user":
            turns.append({"role": role, "content": one.text})
    return {"messages": turns}


def find_exchanges(
    index: MessageIndex, channel: str, may_begin: Callable[[str], bool]
) -> Iterator[FoundExchange]:
    """Yield each exchange of a channel once: those of threads, then those of its timeline.

    `may_begin` says of a thread whether its first message there is what others answer, where
    the one that the thread is named by is not among them.
    """
    for thread, held in index.threads(channel):
        messages = list(islice(held, _MOST_MESSAGES))
        if messages[0].id != thread:
            first = index.get(channel, thread)
            if first is None and not may_begin(thread):
                continue
            messages = [first, *messages] if first else messages
        found = _in_thread(messages)
        if found:
            yield found
    yield from _Timeline(index, channel).exchanges()


def _in_thread(messages: Sequence[ExportedMessage]) -> FoundExchange | None:
    """Whoever of the others wrote most is who answered."""
    written = Counter[str]()
    for one in messages:
        if one.author != messages[0].author:
            written[one.author] += len(one.text)
    return _ended(messages, written.most_common(1)[0][0]) if written else None


def _ended(messages: Sequence[ExportedMessage], answerer: str) -> FoundExchange:
    """The exchange up to the last words of who teaches."""
    end = max(n for n, one in enumerate(messages) if one.author == answerer)
    return FoundExchange(tuple(messages[: end + 1]), answerer)


class _Timeline:
    """Walks along a channel; remembers what was said lately, and who was asked."""

    def __init__(self, index: MessageIndex, channel: str) -> None:
        self._index = index
        self._channel = channel
        self._recent: OrderedDict[str, _Utterance] = OrderedDict()
        self._said: dict[str, _Utterance] = {}
        self._asked: dict[str, _Utterance] = {}
        self._answers: OrderedDict[str, None] = OrderedDict()

    def exchanges(self) -> Iterator[FoundExchange]:
        for said in _utterances(self._index.timeline(self._channel)):
            is_reply = said.messages[0].reply_to is not None
            found = self._replied(said) if is_reply else self._addressed(said)
            self._remember(said, is_answer=found is not None)
            if found and found.answer.id not in self._answers:
                self._answers[found.answer.id] = None
                yield found
            _trim(self._recent)
            _trim(self._answers)

    def _remember(self, said: _Utterance, *, is_answer: bool) -> None:
        for one in said.messages:
            self._recent[one.id] = said
        if is_answer:
            # Thanks for an answer are no answer to it.
            self._said.pop(said.author, None)
        else:
            self._said[said.author] = said

    def _replied(self, said: _Utterance) -> FoundExchange | None:
        """The chain of replies that ends here, up to the last words of who answered."""
        if any(self._index.has_reply(self._channel, one.id) for one in said.messages):
            return None
        chain = self._chain(said)
        asker = chain[0].author
        answered = [one.author for one in chain if one.author != asker]
        return _ended(chain, answered[-1]) if answered else None

    def _chain(self, said: _Utterance) -> list[ExportedMessage]:
        chain, reply_to = list(said.messages), said.messages[0].reply_to
        for _ in range(_LONGEST_CHAIN):
            before = self._utterance(reply_to) if reply_to else None
            if before is None or before.messages[0] in chain:
                break
            chain = [*before.messages, *chain]
            reply_to = before.messages[0].reply_to
        return chain

    def _utterance(self, message: str) -> _Utterance | None:
        if message in self._recent:
            return self._recent[message]
        found = self._index.get(self._channel, message)
        return _Utterance((found,)) if found else None

    def _addressed(self, said: _Utterance) -> FoundExchange | None:
        """An answer of somebody who was asked, or one that names whom it answers."""
        asked = self._asked.pop(said.author, None)
        others = [person for person in said.mentions if person != said.author]
        if asked and asked.is_near(said) and (not others or asked.author in others):
            return FoundExchange((*asked.messages, *said.messages), said.author)
        for person in others:
            before = self._said.get(person)
            if before and before.is_near(said) and not said.is_question:
                return FoundExchange((*before.messages, *said.messages), said.author)
        self._asked.update(dict.fromkeys(others, said))
        return None


def _utterances(messages: Iterator[ExportedMessage]) -> Iterator[_Utterance]:
    held: list[ExportedMessage] = []
    for one in messages:
        goes_on = (
            held
            and held[-1].author == one.author
            and one.at - held[-1].at <= _BURST_SECONDS
            and one.reply_to is None
            and len(held) < _MOST_MESSAGES
        )
        if held and not goes_on:
            yield _Utterance(tuple(held))
            held = []
        held.append(one)
    if held:
        yield _Utterance(tuple(held))


def _trim(kept: OrderedDict[str, _Utterance] | OrderedDict[str, None]) -> None:
    while len(kept) > _MOST_RECENT:
        kept.popitem(last=False)
