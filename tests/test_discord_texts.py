"""What the bot says on Discord: within every limit, and with no markup but its own."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from adapters.discord.autocomplete import AutocompleteRequest, choices_of_reply, choices_query
from adapters.discord.embeds_and_modals import (
    answer_payload,
    plain_reply_payloads,
    post_nonce,
    reply_payloads,
    to_modal,
)
from adapters.discord.payload_parsing import (
    Bot,
    is_addressed,
    strip_markup,
    time_of_snowflake,
    to_message,
)
from adapters.discord.text_escaping import MAX_TEXT_LENGTH, escape, sanitize, shorten
from adapters.message_splitting import close_code_block, fitting_length, utf16_length
from bot.commands import OptionKind
from bot.domain import ChannelId, MessageId, Place, WorkspaceId
from bot.events import CommandInvoked
from bot.replies import (
    Button,
    Card,
    Drawn,
    Fact,
    Field,
    FieldKind,
    Form,
    Listing,
    ListingRow,
    Progress,
    Text,
)
from tests.fakes.discord_rules import check_message, check_modal, pings
from tests.fakes.discord_spec import published

BOT = Bot("900", "901", roles={"10": "990"})
PLACE = Place(WorkspaceId("discord:10"), ChannelId("20"))

texts = st.text(max_size=6000) | st.text("*_`~|[](<@#>\n🦊 x", max_size=3000)
buttons = st.lists(
    st.builds(Button, st.text(max_size=100), st.text("abc.:1", min_size=1, max_size=100)),
    max_size=30,
).map(tuple)
lines = st.lists(st.builds(ListingRow, st.text(max_size=40), texts, texts, buttons), max_size=12)
replies = st.one_of(
    st.builds(Text, texts, buttons=buttons),
    st.builds(
        Card,
        texts,
        st.lists(texts, max_size=4).map(tuple),
        st.lists(st.builds(Fact, texts, texts), max_size=30).map(tuple),
        buttons=buttons,
        progress=st.none() | st.builds(Progress, st.integers(), st.integers()),
    ),
    st.builds(Listing, texts, lines.map(tuple), texts, texts),
)
SLOW = settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))


@SLOW
@given(replies)
def test_any_reply_keeps_to_discords_limits(reply: Drawn) -> None:
    for payload in (*reply_payloads(reply), *plain_reply_payloads(reply)):
        body = payload.body()
        check_message(body, has_files=bool(payload.files), is_edit=True)
        assert pings(body) == []


@SLOW
@given(st.lists(st.builds(Field, st.just("name"), texts, value=texts), max_size=4), texts)
def test_any_form_keeps_to_discords_limits(fields: list[Field], title: str) -> None:
    form = Form("f", title, tuple(fields) or (Field("a", "b"),), "Send", note=title)

    check_modal(to_modal(form))


@pytest.mark.skipif(published() is None, reason="the description is not beside this checkout")
@pytest.mark.parametrize("kind", list(FieldKind))
def test_every_kind_of_input_is_as_discord_describes_it(kind: FieldKind) -> None:
    field = Field("a", "A", kind, "x" if kind is not FieldKind.CHOICE else "one")
    many = Field("b", "B", kind, choices=(("one", "One"), ("two", "Two")), required=False)
    chosen = (many,) if kind in (FieldKind.CHOICE, FieldKind.CHOICES) else (field,)
    body = {"type": 9, "data": to_modal(Form("f", "Title", chosen, "Send", note="Read this"))}
    described = published()
    assert described is not None

    assert described.problems("POST", "/interactions/1/token/callback", body) == []


def test_a_long_value_is_asked_for_in_several() -> None:
    form = Form("f", "Title", (Field("answer", "Answer", FieldKind.TEXT, "word " * 1500),), "Send")

    parts = to_modal(form)["components"]

    assert [part["component"]["custom_id"] for part in parts] == ["answer#0", "answer#1"]
    assert "".join(part["component"]["value"] for part in parts) == "word " * 1500


@pytest.mark.parametrize(
    ("said_", "shown"),
    [
        ("my-data", "my-data"),
        ("ft:base_x:attune", "ft:base_x:attune"),
        ("2 * 3 * 4", "2 \\* 3 \\* 4"),
        ("_so_", "\\_so\\_"),
        ("[x](https://a.example)", "\\[x](https://a.example)"),
        ("# big", "\\# big"),
        ("C# is #1", "C# is #1"),
        ("<@100> <#20>", "\\<@100> \\<#20>"),
        ("a < b", "a < b"),
        ("`x`", "\\`x\\`"),
        ("\u202eevil", "evil"),
    ],
)
def test_what_the_bot_says_has_no_markup(said_: str, shown: str) -> None:
    assert escape(said_) == shown


def test_a_models_markdown_is_left_to_it() -> None:
    assert sanitize("**bold** `code`") == "**bold** `code`"
    assert answer_payload("**bold**").content == "**bold**"


@given(st.text(max_size=300), st.integers(1, 200))
def test_what_is_shortened_fits(text: str, most: int) -> None:
    assert utf16_length(shorten(text, most)) <= most
    assert utf16_length(text[: fitting_length(text, most)]) <= most


@pytest.mark.parametrize("text", ["```\nx", "~~~~\nx", "`" * 1999, "plain"])
def test_a_part_is_closed_within_its_limit(text: str) -> None:
    assert utf16_length(close_code_block(text, MAX_TEXT_LENGTH)) <= MAX_TEXT_LENGTH


def test_the_buttons_of_a_later_part_know_the_first() -> None:
    (row,) = answer_payload("x", (Button("👍", "good"),), MessageId("77")).components

    assert row["components"][0]["custom_id"] == "good~77"


def test_a_nonce_is_short_and_of_its_key() -> None:
    assert len(post_nonce("x" * 500)) <= 25
    assert post_nonce("a") == post_nonce("a") != post_nonce("b")


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("<@900> hello", "hello"),
        ("<@!900>hello", "hello"),
        ("<@&990> hello", "hello"),
        ("ask <@102>", "ask @ann"),
        ("in <#20>", "in #20"),
        ("<:smile:5> ok", ":smile: ok"),
        ("a < b > c", "a < b > c"),
    ],
)
def test_what_people_write_is_read_without_markup(text: str, read: str) -> None:
    assert strip_markup(text, BOT, {"102": "ann"}) == read


def test_in_a_command_a_person_is_their_id() -> None:
    assert (
        strip_markup("roles user:<@102>", BOT, {"102": "ann"}, is_command=True) == "roles user:102"
    )


def test_a_message_of_which_much_is_missing_can_be_read() -> None:
    message = to_message({"id": "175928847299117063"}, PLACE, BOT)

    assert (message.text, message.is_own) == ("", False)
    assert message.at.year == 2016
    assert message.permalink == "https://discord.com/channels/10/20/175928847299117063"


def test_a_frame_is_read_where_there_are_no_words() -> None:
    message = to_message({"id": "1", "embeds": [{"title": "A", "description": "b"}]}, PLACE, BOT)

    assert message.text == "A\nb"


def test_an_id_that_is_none_has_no_time() -> None:
    assert time_of_snowflake("nonsense").year == 1970


@pytest.mark.parametrize(
    ("data", "is_called"),
    [
        ({"content": "<@900> x"}, True),
        ({"mentions": [{"id": "900"}]}, True),
        ({"referenced_message": {"author": {"id": "900"}}}, True),
        ({"guild_id": "10", "mention_roles": ["990"]}, True),
        ({"content": "@everyone", "mention_everyone": True}, False),
        ({}, False),
    ],
)
def test_who_is_called(data: dict[str, object], is_called: bool) -> None:
    assert is_addressed(data, BOT) is is_called


def test_at_most_25_choices_of_100_characters_are_offered() -> None:
    listing = Listing("Jobs", tuple(ListingRow(str(n), "x" * 200) for n in range(40)))

    found = choices_of_reply(AutocompleteRequest(OptionKind.JOB, ""), listing)

    assert len(found) == 25
    assert all(len(one["name"]) <= 100 for one in found)
    assert choices_query(AutocompleteRequest(OptionKind.EXAMPLE, "neon")) == CommandInvoked(
        "examples", {"limit": "25", "search": "neon"}
    )
    assert choices_query(AutocompleteRequest(OptionKind.TEXT, "x")) is None
