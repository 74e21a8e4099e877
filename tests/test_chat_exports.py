"""Exports of Slack and Discord: which exchanges are in them, and what is left out."""

from __future__ import annotations

import io
import json
import tracemalloc
import zipfile
from collections import Counter
from collections.abc import Iterator

import pytest

from bot.chat_exports import (
    ChatExport,
    FoundExchange,
    MessageIndex,
    exchange_row,
    find_exchanges,
    open_chat_export,
)
from bot.chat_exports.chat_export import ExportedMessage
from bot.domain import ChannelKind
from bot.rows import Problem
from tests.chat_export_files import (
    discord_json,
    discord_message,
    slack_message,
    slack_zip,
    zipped,
)

DAY = "general/2026-01-01"
NEXT = "general/2026-01-02"
S, D = slack_message, discord_message


def opened(file: bytes) -> ChatExport:
    export = open_chat_export(io.BytesIO(file))
    assert export is not None
    assert not isinstance(export, Problem), export.sentence
    return export


def exchanges(file: bytes) -> tuple[list[FoundExchange], ChatExport]:
    export = opened(file)
    index = MessageIndex()
    index.fill(export.messages(list(export.channels), lambda done, total: None))
    found = [
        one
        for channel in index.channels()
        for one in find_exchanges(index, channel, export.may_lack_first_message)
    ]
    index.close()
    return found, export


def said(file: bytes) -> list[str]:
    """Each exchange as `u: … | a: …`."""
    found, _ = exchanges(file)
    told = []
    for one in found:
        messages = exchange_row(one)["messages"]
        assert isinstance(messages, list)
        told.append(" | ".join(f"{m['role'][0]}: {m['content']}" for m in messages))
    return told


THREAD = [
    S("U2", "100.1", "How do I reset it?", "100.1"),
    S("U4", "100.2", "me too", "100.1"),
    S("U3", "100.3", "Hold the button for ten seconds.", "100.1"),
    S("U2", "100.4", "thanks", "100.1"),
]


@pytest.mark.parametrize(
    ("days", "rows"),
    [
        (
            {DAY: THREAD},
            ["u: How do I reset it?\nme too | a: Hold the button for ten seconds."],
        ),
        ({DAY: THREAD[:1], NEXT: THREAD[2:]}, ["u: How do I reset it? | a: " + THREAD[2]["text"]]),
        ({DAY: THREAD[2:]}, []),
        (
            {
                DAY: [
                    S("U2", "1.1", "<@U3> what is the code for <#C1|general>?"),
                    S("U4", "1.2", "lunch"),
                    S("U3", "1.3", "it is &lt;7&gt;, see <https://a.example|the page>"),
                    S("U2", "1.4", "<@U3> thank you"),
                ]
            },
            [
                "u: @Ben what is the code for #general? | a: it is <7>, see the page (https://a.example)"
            ],
        ),
        (
            {DAY: [S("U2", "1.1", "No wifi?"), S("U3", "1.2", "<@U2> plug it in")]},
            ["u: No wifi? | a: @Ann plug it in"],
        ),
        (
            {
                DAY: [
                    S("U2", "1.1", "Which?", "1.1"),
                    S("U3", "1.2", "Blu", "1.1"),
                    S("U3", "1.3", "On the list.", "1.1", subtype="thread_broadcast"),
                    S("U3", "1.2", "Blue.", "1.1", edited={"user": "U3", "ts": "9.9"}),
                    S("B1", "1.4", "I am a robot", "1.1", bot_id="B1"),
                    S("U4", "1.5", "has joined", subtype="channel_join"),
                ]
            },
            ["u: Which? | a: Blue.\nOn the list."],
        ),
        (
            {
                DAY: [
                    S("U2", "1.1", "Which?", "1.1"),
                    S("U3", "1.2", "Red.", "1.1"),
                    {
                        "type": "message",
                        "subtype": "message_changed",
                        "ts": "5.0",
                        "message": S("U3", "1.2", "Blue.", "1.1"),
                    },
                    S("U3", "1.3", "Oops", "1.1"),
                    {
                        "type": "message",
                        "subtype": "message_deleted",
                        "deleted_ts": "1.3",
                        "ts": "6.1",
                    },
                ]
            },
            ["u: Which? | a: Blue."],
        ),
        (
            {
                DAY: [S("B1", "1.1", "Daily question?", "1.1", subtype="bot_message")],
                NEXT: [S("U2", "1.2", "Good", "1.1"), S("U3", "1.3", "Bad", "1.1")],
            },
            [],
        ),
        (
            {
                DAY: [
                    S("U2", "1.1", "Hm\u0000 \ud83d?", "1.1"),
                    S("U3", "1.2", "Yes.", "1.1"),
                    7,
                    None,
                ]
            },
            ["u: Hm ? | a: Yes."],
        ),
        (
            {DAY: json.dumps(THREAD)[:-40].encode()},
            ["u: How do I reset it?\nme too | a: " + THREAD[2]["text"]],
        ),
    ],
    ids=[
        *("thread", "thread over two days", "thread without beginning", "asked by name"),
        *("answered by name", "broadcast, edit, bot, join", "edit log", "asked by a bot"),
        *("characters that no row may have", "file cut off"),
    ],
)
@pytest.mark.parametrize("root", ["", "Team Slack export/"])
def test_the_exchanges_of_slack(days: dict[str, list[object]], rows: list[str], root: str) -> None:
    assert said(slack_zip(days, root=root)) == rows


@pytest.mark.parametrize(
    ("messages", "rows"),
    [
        (
            [
                D("1", "1", "When?"),
                D("2", "2", "no idea"),
                D("3", "3", "At nine.", "1", timestampEdited="2026-01-01T00:00:00.000+00:00"),
                D("3", "4", "On workdays."),
                D("1", "5", "thanks <@3>", "3", mentions=[{"id": "3", "name": "Cy"}]),
            ],
            ["u: When? | a: At nine.\nOn workdays."],
        ),
        (
            [D("1", "1", "When?"), D("3", "3", "At nine.", "1"), D("2", "4", "Or at ten.", "1")],
            ["u: When? | a: At nine.", "u: When? | a: Or at ten."],
        ),
        (
            [
                D("1", "1", "Cy, when?", mentions=[{"id": "3", "name": "Cy"}]),
                D("3", "3", "<:ok:77> At <@!1>'s nine.", mentions=[{"id": "1", "nickname": "A"}]),
            ],
            ["u: Cy, when? | a: :ok: At @A's nine."],
        ),
        (
            [
                D("1", "1", "When?"),
                D("3", "3", "At nine.", "1", author={"id": "9", "name": "Bot", "isBot": True}),
                D("1", "7", "", type="ChannelPinnedMessage"),
            ],
            [],
        ),
    ],
    ids=["chain", "two answers", "by name", "bots and notices"],
)
def test_the_exchanges_of_discord(messages: list[dict[str, object]], rows: list[str]) -> None:
    assert said(discord_json(messages)) == rows
    halves = {f"general [part {part}].json": discord_json(messages[part::2]) for part in range(2)}
    assert said(zipped({**halves, "general_Files/picture.png": b"\x89PNG"})) == rows


def test_a_thread_of_discord_begins_in_its_channel() -> None:
    thread = {"id": "31", "type": "GuildPublicThread", "categoryId": "20", "name": "When?"}
    starter = D("1", "40", "", type="21", reference={"messageId": "31"})
    answers = [D("3", "41", "At nine."), D("1", "42", "thanks")]
    parent = discord_json([D("1", "31", "When?")])
    inside = discord_json([starter, *answers], **thread)
    post = discord_json([D("1", "50", "Where?"), D("3", "51", "Here.")], **{**thread, "id": "50"})

    assert said(zipped({"a.json": inside, "b.json": parent})) == ["u: When? | a: At nine."]
    assert said(inside) == []
    assert said(post) == ["u: Where? | a: Here."]
    found, _ = exchanges(post)
    assert (found[0].answer.channel, found[0].answer.thread) == ("20", "50")


def test_who_reads_a_channel_is_told_where_it_is_known() -> None:
    export = opened(
        slack_zip(
            {},
            groups=[{"id": "G1", "name": "board"}],
            dms=[{"id": "D1", "members": ["U2", "U3"]}],
            mpims=[{"id": "G2", "name": "mpdm-a--b-1"}],
            channels=[
                {"id": "C1", "name": "general"},
                {"id": "C2", "name": "x", "is_ext_shared": True},
            ],
        )
    )
    direct = opened(discord_json([], guild="0", type="DirectTextChat"))

    kinds = {one.id: one.kind for one in export.channels.values()}
    assert kinds == {
        "C1": ChannelKind.OPEN,
        "C2": ChannelKind.SHARED,
        "D1": ChannelKind.DIRECT,
        "G1": ChannelKind.PRIVATE,
        "G2": ChannelKind.DIRECT,
    }
    assert direct.channels["20"].kind is ChannelKind.DIRECT
    assert export.workspace_ids == {"T1"}


class _RawName(zipfile.ZipInfo):
    """A file whose name is written as these bytes, without the flag of UTF-8."""

    def __init__(self, raw: bytes) -> None:
        super().__init__("raw")
        self.raw = raw

    def _encodeFilenameFlags(self) -> tuple[bytes, int]:  # noqa: N802
        return self.raw, self.flag_bits


@pytest.mark.parametrize(
    ("name", "folder", "encoding"),
    [
        ("質問箱-café", "質問箱-café", "utf-8"),
        ("質問箱", "質問箱", "shift_jis"),
        ("问答", "问答", "gb18030"),
        ("café", "cafe\u0301", "utf-8"),
    ],
)
def test_folders_are_found_whatever_their_names_were_written_in(
    name: str, folder: str, encoding: str
) -> None:
    held = io.BytesIO(slack_zip({}, channels=[{"id": "C1", "name": name}]))
    with zipfile.ZipFile(held, "a") as archive:
        archive.writestr(_RawName(f"{folder}/2026-01-01.json".encode(encoding)), json.dumps(THREAD))
    flagged = slack_zip({f"{folder}/2026-01-01": THREAD}, channels=[{"id": "C1", "name": name}])

    assert len(said(held.getvalue())) == len(said(flagged)) == 1


@pytest.mark.parametrize(
    ("file", "code"),
    [
        (slack_zip({DAY: THREAD})[:-60], "archive_broken"),
        (slack_zip({DAY: b" " * (300 << 20)}), "archive_too_long"),
    ],
    ids=["cut off", "made to fill a disk"],
)
def test_a_broken_or_hostile_zip_is_refused(file: bytes, code: str) -> None:
    problem = open_chat_export(io.BytesIO(file))

    assert isinstance(problem, Problem)
    assert problem.code == code


def test_other_files_are_no_exports() -> None:
    for file in (b"question,answer\na,b\n", b'{"messages": []}', zipped({"a.json": b"[]"}), b""):
        assert open_chat_export(io.BytesIO(file)) is None


def test_whoever_is_in_no_list_is_known_from_their_messages() -> None:
    profile = {"real_name": "Zoe", "team": "T9", "is_restricted": False}
    days = {DAY: [S("U9", "1.1", "Hi?", "1.1", user_profile=profile, user_team="T9")]}

    _, export = exchanges(slack_zip(days))

    assert export.people["U9"].name == "Zoe"
    assert export.people["U9"].team == "T9"
    assert export.left_out_counts == Counter()


def test_a_long_export_is_read_in_little_memory() -> None:
    def messages() -> Iterator[ExportedMessage]:
        for number in range(30_000):
            thread = str(number - number % 3)
            yield ExportedMessage(
                "C1", str(number), float(number), f"U{number % 3}", f"{number} " * 30, thread
            )

    tracemalloc.start()
    index = MessageIndex()
    index.fill(messages())
    count = sum(1 for _ in find_exchanges(index, "C1", lambda thread: False))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    index.close()

    assert count == 10_000
    assert peak < 4_000_000
