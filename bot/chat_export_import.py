"""Imports chat exports: questions and answers become proposals that wait for their authors."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Iterator
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Final

from bot import access
from bot.chat_exports import (
    ChatExport,
    ExportedChannel,
    FoundExchange,
    MessageIndex,
    exchange_row,
    find_exchanges,
)
from bot.consent import request_consent_in_channel
from bot.domain import (
    ChannelId,
    ChannelKind,
    ExampleSource,
    ExampleState,
    Exclusion,
    MessageId,
    NewExample,
    Origin,
    Place,
    Row,
    Sources,
    User,
    UserId,
    to_row_text,
)
from bot.domain.ids import id_on_platform
from bot.errors import BadInput, NotNow, SurfaceError
from bot.example_files import ImportTally, end_import, last_question_and_answer
from bot.ports.dependencies import Surfaces
from bot.ports.store import Records, Store
from bot.ports.surface import CanFindChannelKind
from bot.replies import one_line
from bot.request import Request
from bot.rows import Method, Problem, check_rows
from bot.words import Words

log = logging.getLogger(__name__)

_PLATFORMS: Final = {"slack": "Slack", "discord": "Discord"}
_BATCH: Final = 50
_SAMPLES: Final = 3
_MAX_NAMES: Final = 10
_MAX_TEXT_LENGTH: Final = 240


@dataclass(slots=True)
class ChatExportOverview:
    """Counts of an export: exchanges, their authors and channels, and reasons for omissions."""

    exchanges: int = 0
    authors: Counter[str] = field(default_factory=Counter)
    channels: set[str] = field(default_factory=set)
    left_out: Counter[str] = field(default_factory=Counter)
    samples: list[Row] = field(default_factory=list)
    undecided: dict[str, str] = field(default_factory=dict)
    """Authors without a consent decision, with the channel in which to ask them, or "" for none."""


class ChatExportImport:
    """The import of one export; `overview` is complete after the whole export was read."""

    def __init__(self, export: ChatExport, request: Request) -> None:
        self.overview = ChatExportOverview()
        self._export = export
        self._request = request
        self._consents: dict[str, bool] = {}
        self._kinds: dict[str, ChannelKind] = {}

    async def read_consents_and_channel_kinds(
        self, *, store: Store, surfaces: Surfaces | None
    ) -> None:
        """Reads the consents and the kinds of the channels.

        Raises BadInput for the export of another workspace, and NotNow in a workspace that does
        not learn from messages. Without `surfaces`, a channel whose kind is not in the export
        counts as private.
        """
        self._require_importable()
        async with store.reading() as records:
            consents = await records.consents.all(self._request.workspace_id)
        self._consents = {consent.user: consent.given for consent in consents}
        for channel in self._export.channels.values():
            self._kinds[channel.id] = await self._kind(channel, surfaces)

    async def build_overview(self) -> None:
        """Reads the whole export to count what it holds; stores nothing."""
        async for _ in self._examples():
            pass

    async def store_proposals(self, *, store: Store) -> ImportTally:
        """Stores every exchange as a proposal, in batches, and asks the authors for consent.

        Exchanges that are stored already are skipped, so an interrupted import can be repeated.
        """
        tally = ImportTally()
        async for batch in self._examples():
            async with store.writing() as records:
                new = await records.examples.add_many(
                    self._request.workspace_id, batch, at=self._request.now
                )
            tally.new += new
            tally.known += len(batch) - new
        tally.refused = self.overview.left_out["unfit"]
        async with store.writing() as records:
            await self._request_consent(records)
        await end_import(tally, self._request.assistant.id, self._request, store)
        return tally

    def preview_lines(self) -> Iterator[str]:
        """Yields the lines of the preview: first exchanges, authors, omissions, consent."""
        words, overview = self._request.words, self.overview
        for number, row in enumerate(overview.samples, 1):
            question, answer = (
                one_line(text, _MAX_TEXT_LENGTH) for text in last_question_and_answer(row)
            )
            yield f"{number}. {question} → {answer}"
        if overview.authors:
            authors = overview.authors.most_common(_MAX_NAMES)
            names = [f"{self._name(author)} ({count})" for author, count in authors]
            more = len(overview.authors) - len(names)
            names += [words("chats.more_people", count=more)] if more else []
            yield f"{words('chats.authors')}: {', '.join(names)}"
        omitted = [words(f"chats.left.{why}", count=n) for why, n in overview.left_out.items() if n]
        if omitted:
            yield f"{words('import.unused')}: {', '.join(omitted)}"
        yield from self._consent_lines(words)

    def _consent_lines(self, words: Words) -> Iterator[str]:
        if not self.overview.exchanges:
            yield words("chats.nothing")
            return
        yield words("chats.waits")
        channels = Counter(self.overview.undecided.values())
        without_channel = channels.pop("", 0)
        if channels:
            most_common = channels.most_common(_MAX_NAMES)
            names = [f"#{self._channel_name(channel)}" for channel, _ in most_common]
            yield words("chats.asked", count=channels.total(), channels=", ".join(names))
        if without_channel:
            yield words("chats.not_asked", count=without_channel)

    def _require_importable(self) -> None:
        request, export = self._request, self._export
        home, name = id_on_platform(request.workspace_id), _PLATFORMS[export.platform]
        if request.workspace.platform != export.platform or (
            export.workspace_ids and home not in export.workspace_ids
        ):
            homes = ", ".join(
                sorted(f"{export.platform}:{workspace}" for workspace in export.workspace_ids)[:5]
            )
            raise BadInput(problem=request.words("chats.elsewhere", platform=name, homes=homes))
        if request.workspace.sources < Sources.MESSAGES:
            raise NotNow(problem=request.words("chats.not_allowed", platform=name))

    async def _kind(self, channel: ExportedChannel, surfaces: Surfaces | None) -> ChannelKind:
        """Returns the kind of a channel: by the export, else by the platform, else private."""
        if channel.kind is not None or surfaces is None:
            return channel.kind or ChannelKind.PRIVATE
        try:
            surface = surfaces.surface_of(self._request.workspace_id)
            if isinstance(surface, CanFindChannelKind):
                place = Place(self._request.workspace_id, ChannelId(channel.id))
                return (await surface.with_channel_kind(place)).kind
        except SurfaceError as error:
            log.info("It is not known who reads a channel", extra={"why": error.key})
        return ChannelKind.PRIVATE

    async def _examples(self) -> AsyncIterator[list[NewExample]]:
        """Yields batches of exchanges that may be stored.

        The export is read in threads, so that the event loop is not blocked.
        """
        self.overview = ChatExportOverview()
        index = MessageIndex()
        try:
            report = self._request.progress_of_thread()
            # Reading is the first half of the work.
            messages = self._export.messages(
                self._readable_channels(), lambda done, total: report(done, 2 * max(total, 1))
            )
            await asyncio.to_thread(index.fill, messages)
            self.overview.left_out.update(self._export.left_out_counts)
            count, used = await asyncio.to_thread(index.count), 0
            exchanges = self._exchanges(index)
            while batch := await asyncio.to_thread(lambda: list(islice(exchanges, _BATCH))):
                used += sum(len(exchange.messages) for exchange in batch)
                self._request.report_progress(count + min(used, count), 2 * count)
                if new := await asyncio.to_thread(self._new_examples, batch):
                    yield new
        finally:
            index.close()

    def _new_examples(self, exchanges: Iterable[FoundExchange]) -> list[NewExample]:
        examples = (self._example(exchange) for exchange in exchanges)
        return [
            replace(example, text=to_row_text(example.row))
            for example in examples
            if example is not None and example.row is not None
        ]

    def _exchanges(self, index: MessageIndex) -> Iterator[FoundExchange]:
        for channel in index.channels():
            yield from find_exchanges(index, channel, self._export.may_lack_first_message)

    def _readable_channels(self) -> list[str]:
        """Returns the channels that may be learned from; messages of others are not read."""
        readable = []
        for channel in self._export.channels.values():
            closed = self._exclusions(channel.id) & ~self._request.workspace.allowed
            if closed:
                self.overview.left_out[str(closed.name).lower()] += 1
            else:
                readable.append(channel.id)
        return readable

    def _exclusions(self, channel: str) -> Exclusion:
        kind = self._kinds.get(channel, ChannelKind.PRIVATE)
        return access.learning_exclusions(
            Place(self._request.workspace_id, ChannelId(channel), kind=kind), ()
        )

    def _example(self, exchange: FoundExchange) -> NewExample | None:
        """Returns the example of an exchange, or None if the exchange is left out."""
        row = exchange_row(exchange)
        refused, exclusions = self._refusal(exchange, row)
        if refused:
            self.overview.left_out[refused] += 1
            return None
        self._count(exchange, row)
        answer = exchange.answer
        return NewExample(
            assistant=self._request.assistant.id,
            method=Method.SUPERVISED,
            state=ExampleState.PROPOSED,
            row=row,
            origin=Origin.MESSAGE,
            authors=tuple(UserId(author) for author in exchange.authors),
            source=_source(answer.channel, answer.id, answer.thread),
            exclusions=exclusions,
            messages=tuple(_source(m.channel, m.id, m.thread) for m in exchange.messages),
        )

    def _refusal(self, exchange: FoundExchange, row: Row) -> tuple[str, Exclusion]:
        """Returns why an exchange is left out ("" if it is not), and its exclusions."""
        channel = exchange.answer.thread or exchange.answer.channel
        channel = channel if channel in self._kinds else exchange.answer.channel
        exclusions = self._exclusions(channel)
        for author in exchange.authors:
            person = self._export.people.get(author)
            consent = self._consents.get(author)
            if person is None:
                return "unknown", exclusions
            if consent is False:
                return "declined", exclusions
            if person.is_gone and not consent:
                return "gone", exclusions
            exclusions |= access.excluded_people([self._user(author)])
        if exclusions & Exclusion.GUEST & ~self._request.workspace.allowed:
            return "guest", exclusions
        checked = next(check_rows([(0, row)], Method.SUPERVISED))[1]
        return ("unfit" if isinstance(checked, Problem) else ""), exclusions

    def _user(self, author: str) -> User:
        person = self._export.people[author]
        home = id_on_platform(self._request.workspace_id)
        is_external = bool(person.team) and person.team != home
        return User(UserId(author), person.name, is_guest=person.is_guest, is_external=is_external)

    def _count(self, exchange: FoundExchange, row: Row) -> None:
        overview, channel = self.overview, exchange.answer.channel
        overview.exchanges += 1
        overview.channels.add(channel)
        if len(overview.samples) < _SAMPLES:
            overview.samples.append(row)
        exported = self._export.channels.get(channel)
        asked_in = "" if exported and exported.is_archived else channel
        for author in exchange.authors:
            overview.authors[author] += 1
            if author not in self._consents and not overview.undecided.get(author):
                overview.undecided[author] = asked_in

    async def _request_consent(self, records: Records) -> None:
        by_channel: dict[str, list[User]] = {}
        for author, channel in sorted(self.overview.undecided.items()):
            by_channel.setdefault(channel, []).append(self._user(author))
        by_channel.pop("", None)
        for channel, people in by_channel.items():
            await request_consent_in_channel(self._request, ChannelId(channel), people, records)

    def _name(self, author: str) -> str:
        person = self._export.people.get(author)
        return person.name if person else author

    def _channel_name(self, channel_id: str) -> str:
        channel = self._export.channels.get(channel_id)
        return channel.name if channel else channel_id


def _source(channel: str, message: str, thread: str | None) -> ExampleSource:
    return ExampleSource(
        ChannelId(channel), MessageId(message), MessageId(thread) if thread else None
    )
