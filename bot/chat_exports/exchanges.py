"""Finds exchanges in a channel by threads, replies and mentions."""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from bot.chat_exports.chat_export import ExportedMessage
from bot.chat_exports.message_index import MessageIndex

_MAX_MESSAGES = 100
"""Messages of an exchange; later messages of a thread are ignored."""
_MAX_CHAIN_LENGTH = 20
_BURST_SECONDS = 180
_ANSWER_SECONDS = 24 * 3600
_MAX_RECENT = 1000
_QUESTION_MARKS = frozenset("?？؟¿")


@dataclass(frozen=True, slots=True)
class FoundExchange:
    """The messages of an exchange in order; the last one is by `answerer`."""

    messages: tuple[ExportedMessage, ...]
    answerer: str

    @property
    def answer(self) -> ExportedMessage:
        return self.messages[-1]

    @property
    def authors(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(message.author for message in self.messages))


@dataclass(frozen=True, slots=True)
class _Burst:
    """Consecutive messages of one person, at most `_BURST_SECONDS` apart."""

    messages: tuple[ExportedMessage, ...]

    @property
    def author(self) -> str:
        return self.messages[0].author

    @property
    def mentions(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(user for message in self.messages for user in message.mentions))

    @property
    def is_question(self) -> bool:
        return any(_QUESTION_MARKS & set(message.text) for message in self.messages)

    def is_near(self, later: _Burst) -> bool:
        return later.messages[0].at - self.messages[-1].at <= _ANSWER_SECONDS


def exchange_row(exchange: FoundExchange) -> dict[str, object]:
    """Returns a chat row: the answerer's messages have the role assistant, all others user.

    Joins consecutive messages of the same role, and omits those of the answerer before the first
    question.
    """
    turns: list[dict[str, str]] = []
    for message in exchange.messages:
        role = "assistant" if message.author == exchange.answerer else "user"
        if turns and turns[-1]["role"] == role:
            turns[-1]["content"] += f"\n{message.text}"
        elif turns or role == "user":
            turns.append({"role": role, "content": message.text})
    return {"messages": turns}


def find_exchanges(
    index: MessageIndex, channel: str, may_begin: Callable[[str], bool]
) -> Iterator[FoundExchange]:
    """Yields each exchange of a channel once: those of threads, then those of its timeline.

    `may_begin` returns whether the first message in a thread is its question if the message that
    has the thread's id is missing.
    """
    for thread, thread_messages in index.threads(channel):
        messages = list(islice(thread_messages, _MAX_MESSAGES))
        if messages[0].id != thread:
            first = index.get(channel, thread)
            if first is None and not may_begin(thread):
                continue
            messages = [first, *messages] if first else messages
        exchange = _in_thread(messages)
        if exchange:
            yield exchange
    yield from _Timeline(index, channel).exchanges()


def _in_thread(messages: Sequence[ExportedMessage]) -> FoundExchange | None:
    """Returns the exchange of a thread; the answerer wrote most, apart from the first author."""
    written = Counter[str]()
    for message in messages:
        if message.author != messages[0].author:
            written[message.author] += len(message.text)
    return _up_to_last_by(messages, written.most_common(1)[0][0]) if written else None


def _up_to_last_by(messages: Sequence[ExportedMessage], answerer: str) -> FoundExchange:
    """Returns the exchange that ends with the last message of the answerer."""
    end = max(n for n, message in enumerate(messages) if message.author == answerer)
    return FoundExchange(tuple(messages[: end + 1]), answerer)


class _Timeline:
    """Reads a channel's timeline in order; remembers recent messages and open questions.

    `_last_by_author` maps a person to their last burst, `_open_questions` a mentioned person to
    the burst that mentions them.
    """

    def __init__(self, index: MessageIndex, channel: str) -> None:
        self._index = index
        self._channel = channel
        self._recent: OrderedDict[str, _Burst] = OrderedDict()
        self._last_by_author: dict[str, _Burst] = {}
        self._open_questions: dict[str, _Burst] = {}
        self._seen_answers: OrderedDict[str, None] = OrderedDict()

    def exchanges(self) -> Iterator[FoundExchange]:
        for burst in _bursts(self._index.timeline(self._channel)):
            is_reply = burst.messages[0].reply_to is not None
            exchange = self._from_replies(burst) if is_reply else self._from_mentions(burst)
            self._remember(burst, is_answer=exchange is not None)
            if exchange and exchange.answer.id not in self._seen_answers:
                self._seen_answers[exchange.answer.id] = None
                yield exchange
            _drop_oldest(self._recent)
            _drop_oldest(self._seen_answers)

    def _remember(self, burst: _Burst, *, is_answer: bool) -> None:
        """Stores a burst for later replies and mentions."""
        for message in burst.messages:
            self._recent[message.id] = burst
        if is_answer:
            # Forgotten, so that a later mention of the answerer, such as thanks, is not an answer.
            self._last_by_author.pop(burst.author, None)
        else:
            self._last_by_author[burst.author] = burst

    def _from_replies(self, burst: _Burst) -> FoundExchange | None:
        """Returns the chain of replies that ends with the burst; None if it has a later reply.

        The answerer is the last author in the chain who is not its first author.
        """
        if any(self._index.has_reply(self._channel, message.id) for message in burst.messages):
            return None
        chain = self._chain(burst)
        asker = chain[0].author
        answerers = [message.author for message in chain if message.author != asker]
        return _up_to_last_by(chain, answerers[-1]) if answerers else None

    def _chain(self, burst: _Burst) -> list[ExportedMessage]:
        """Returns the messages of the burst after those that it replies to, oldest first."""
        chain, reply_to = list(burst.messages), burst.messages[0].reply_to
        for _ in range(_MAX_CHAIN_LENGTH):
            before = self._burst_of(reply_to) if reply_to else None
            if before is None or before.messages[0] in chain:
                break
            chain = [*before.messages, *chain]
            reply_to = before.messages[0].reply_to
        return chain

    def _burst_of(self, message: str) -> _Burst | None:
        if message in self._recent:
            return self._recent[message]
        stored = self._index.get(self._channel, message)
        return _Burst((stored,)) if stored else None

    def _from_mentions(self, burst: _Burst) -> FoundExchange | None:
        """Returns the exchange that the burst answers, or None.

        The burst is an answer if its author was mentioned in an open question, or if it mentions
        the author of an earlier message and is not a question itself.
        """
        question = self._open_questions.pop(burst.author, None)
        others = [person for person in burst.mentions if person != burst.author]
        if question and question.is_near(burst) and (not others or question.author in others):
            return FoundExchange((*question.messages, *burst.messages), burst.author)
        for person in others:
            before = self._last_by_author.get(person)
            if before and before.is_near(burst) and not burst.is_question:
                return FoundExchange((*before.messages, *burst.messages), burst.author)
        self._open_questions.update(dict.fromkeys(others, burst))
        return None


def _bursts(messages: Iterator[ExportedMessage]) -> Iterator[_Burst]:
    """Yields consecutive messages of one person as bursts; a reply begins a new burst."""
    burst: list[ExportedMessage] = []
    for message in messages:
        continues = (
            burst
            and burst[-1].author == message.author
            and message.at - burst[-1].at <= _BURST_SECONDS
            and message.reply_to is None
            and len(burst) < _MAX_MESSAGES
        )
        if burst and not continues:
            yield _Burst(tuple(burst))
            burst = []
        burst.append(message)
    if burst:
        yield _Burst(tuple(burst))


def _drop_oldest(entries: OrderedDict[str, _Burst] | OrderedDict[str, None]) -> None:
    while len(entries) > _MAX_RECENT:
        entries.popitem(last=False)
