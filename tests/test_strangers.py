"""Guests and people of another organisation: below member, until somebody says otherwise."""

from __future__ import annotations

import pytest

from bot.command_catalogue import CATALOGUE
from bot.domain import ChannelId, MessageId, Role, User, UserId
from bot.events import (
    ButtonClicked,
    CommandInvoked,
    EventContent,
    FormSubmitted,
    HomeOpened,
    MessageReceived,
    ReactionChanged,
    ShortcutUsed,
)
from bot.outdated_clicks import state_token
from tests.scene import SLACK, Scene

GUEST = User(UserId("U7"), "gus", is_guest=True)
EXTERNAL = User(UserId("U8"), "eva", is_external=True)
ADMIN = User(UserId("U1"), "ann", is_platform_admin=True)
MEMBER = User(UserId("U2"), "bob")
STRANGERS = pytest.mark.parametrize("stranger", [GUEST, EXTERNAL], ids=["guest", "external"])
REFUSED = "Guests and people of another organisation"
THEIR_OWN = {"help", "consent", "my-data", "forget-me", "assistant new-conversation"}


class Slack:
    """One Slack workspace and what its people do in it."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self.count = 0

    async def let(self, what: EventContent, *, by: User, channel: str = "C1") -> None:
        self.count += 1
        place = {"workspace": SLACK, "channel": ChannelId(channel)}
        self.scene.advance(1)
        await self.scene.handle(self.scene.event(what, key=f"e{self.count}", by=by, **place))

    async def ask(self, by: User, *, channel: str = "C1", is_addressed: bool = True) -> None:
        spoken = self.scene.spoken("hello?", number=self.count + 100, by=by)
        await self.let(MessageReceived(spoken.message, is_addressed), by=by, channel=channel)

    async def command(self, words: str, *, by: User, channel: str = "C1") -> None:
        await self.let(CommandInvoked(words), by=by, channel=channel)

    @property
    def whispered(self) -> str:
        return str(self.scene.slack.whispers[-1]) if self.scene.slack.whispers else ""

    @property
    def own(self) -> MessageId:
        return self.scene.slack.own_ids[-1]


@pytest.fixture
def slack(scene: Scene) -> Slack:
    return Slack(scene)


# Asking


@STRANGERS
async def test_a_stranger_may_not_ask_and_hears_why(slack: Slack, stranger: User) -> None:
    await slack.ask(stranger)

    assert slack.scene.slack.posts == {}
    assert REFUSED in slack.whispered
    assert len(slack.scene.host.asked) == 0


@STRANGERS
async def test_a_stranger_who_did_not_turn_to_us_hears_nothing(
    slack: Slack, stranger: User
) -> None:
    await slack.command("assistant bind always:yes", by=ADMIN)
    before = len(slack.scene.slack.whispers)

    await slack.ask(stranger, is_addressed=False)

    assert len(slack.scene.slack.whispers) == before
    assert len(slack.scene.host.asked) == 0


@STRANGERS
async def test_a_stranger_asks_where_an_admin_allows_it_and_nowhere_else(
    slack: Slack, stranger: User
) -> None:
    await slack.command("admin guests where:here", by=ADMIN)

    await slack.ask(stranger)
    await slack.ask(stranger, channel="C2")

    assert len(slack.scene.host.asked) == 1
    assert REFUSED in slack.whispered


@STRANGERS
async def test_everywhere_covers_every_channel_until_it_is_taken_back(
    slack: Slack, stranger: User
) -> None:
    await slack.command("admin guests where:everywhere", by=ADMIN)
    await slack.ask(stranger, channel="D9")
    await slack.let(ButtonClicked(f"guests.close:{state_token('*')}:*"), by=ADMIN)

    await slack.ask(stranger, channel="D9")

    assert len(slack.scene.host.asked) == 1


async def test_nowhere_closes_every_channel(slack: Slack) -> None:
    for channel in ("C1", "C2"):
        await slack.command("admin guests where:here", by=ADMIN, channel=channel)

    await slack.command("admin guests nowhere", by=ADMIN)

    async with slack.scene.database.reading() as records:
        assert await records.guest_channels.all(SLACK) == []


async def test_the_switch_is_an_admins(slack: Slack) -> None:
    await slack.command("admin guests where:everywhere", by=MEMBER)
    await slack.let(ButtonClicked("guests.close:C1"), by=MEMBER)

    async with slack.scene.database.reading() as records:
        assert await records.guest_channels.all(SLACK) == []
    assert await slack.scene.audited("guests", SLACK) == 0


# Everything else


@STRANGERS
async def test_no_command_is_a_strangers_but_what_is_theirs(slack: Slack, stranger: User) -> None:
    await slack.command("admin guests where:everywhere", by=ADMIN)
    done: set[str] = set()

    for command in CATALOGUE.commands:
        slack.scene.slack.whispers.clear()
        await slack.command(command.path, by=stranger)
        done |= set() if REFUSED in slack.whispered else {command.path}

    assert done == set(THEIR_OWN) & {command.path for command in CATALOGUE.commands}


async def test_no_button_and_no_form_is_a_strangers_but_what_is_theirs(slack: Slack) -> None:
    await slack.command("admin guests where:everywhere", by=ADMIN)
    buttons = (one for one in CATALOGUE.buttons if one.role > Role.STRANGER)
    forms = (one for one in CATALOGUE.forms if one.role > Role.STRANGER)
    guarded: list[EventContent] = [
        *(ButtonClicked(f"{one.name}:1") for one in buttons),
        *(FormSubmitted(one.name, {}) for one in forms),
    ]
    done: list[EventContent] = []

    for what in guarded:
        slack.scene.slack.whispers.clear()
        await slack.let(what, by=EXTERNAL)
        done += [] if REFUSED in slack.whispered else [what]

    assert guarded
    assert done == []


def test_what_strangers_may_do_is_a_short_list() -> None:
    tables = {
        "buttons": CATALOGUE.buttons,
        "forms": CATALOGUE.forms,
        "reactions": CATALOGUE.reactions,
        "shortcuts": CATALOGUE.shortcuts,
    }
    found = {
        name: {deed.name for deed in deeds if deed.role is Role.STRANGER}
        for name, deeds in tables.items()
    }

    assert found == {
        "buttons": {
            *("feedback.why", "feedback.good", "feedback.bad", "consent.on", "consent.off"),
            *("privacy.my_data", "privacy.ask_forget", "privacy.forget", "privacy.keep"),
            *("go_on", "again", "new", "stop"),
        },
        "forms": {"feedback"},
        "reactions": {"👍", "👎", "❌"},
        "shortcuts": set(),
    }


async def test_help_tells_a_stranger_only_what_is_theirs(slack: Slack) -> None:
    await slack.command("help", by=GUEST)
    await slack.command("help start", by=GUEST)

    told = [*slack.scene.slack.posts.values(), *slack.scene.slack.whispers]
    assert "/tune forget-me" in str(told)
    assert "/tune start" not in str(told)


async def test_the_home_page_of_a_stranger_tells_nothing_of_the_workspace(slack: Slack) -> None:
    await slack.let(HomeOpened(), by=GUEST)

    (page,) = slack.scene.slack.posts.values()
    assert getattr(page, "facts", None) == ()
    assert "privacy.my_data" in str(page)


@pytest.mark.parametrize("emoji", ["🎓", "✅"])
async def test_a_stranger_marks_nothing(slack: Slack, emoji: str) -> None:
    said = slack.scene.slack.hears("at nine", by="U2")

    await slack.let(ReactionChanged(said.id, emoji), by=EXTERNAL)
    await slack.let(ShortcutUsed("save", said), by=EXTERNAL)

    assert await slack.scene.examples(workspace=SLACK) == []
    assert slack.scene.slack.forms == []


async def test_a_stranger_takes_consent_back_anywhere(slack: Slack) -> None:
    await slack.let(ButtonClicked("consent.on"), by=EXTERNAL)
    await slack.command("consent off", by=EXTERNAL, channel="C2")

    async with slack.scene.database.reading() as records:
        held = await records.consents.get(SLACK, EXTERNAL.id)
    assert held is not None
    assert not held.given


# Feedback


@pytest.mark.parametrize("what", ["feedback.good", "👍"])
async def test_a_stranger_rates_an_answer_of_their_own_alone(slack: Slack, what: str) -> None:
    await slack.command("admin guests where:here", by=ADMIN)
    for asker, expected in ((MEMBER, []), (GUEST, [GUEST.id])):
        await slack.ask(asker)
        own = slack.own
        slack.scene.slack.said.append(slack.scene.spoken("x", number=own).message)
        is_click = what.startswith("feedback")
        await slack.let(
            ButtonClicked(what, own) if is_click else ReactionChanged(own, what), by=GUEST
        )

        assert await voters(slack, own) == expected


async def voters(slack: Slack, message: MessageId) -> list[str]:
    async with slack.scene.database.reading() as records:
        turn = await records.turns.by_reply_message(SLACK, slack.scene.slack.channel, message)
        assert turn is not None
        return [vote.user for vote in await records.turns.votes(SLACK, turn.id)]


async def test_the_form_of_a_stranger_asks_for_no_better_answer(slack: Slack) -> None:
    await slack.command("admin guests where:here", by=ADMIN)
    await slack.command("admin sources", by=ADMIN)
    allowing = {"sources": "messages", "allowed": "guest", "permission": "our own"}
    await slack.let(FormSubmitted("sources", allowing), by=ADMIN)
    await slack.ask(GUEST)
    await slack.let(ButtonClicked("feedback.bad", slack.own), by=GUEST)
    form = slack.scene.slack.forms[-1]

    await slack.let(FormSubmitted(form.id, {"reason": "dull", "better": "this"}), by=GUEST)

    assert [field.name for field in form.fields] == ["reason"]
    assert await slack.scene.examples(workspace=SLACK) == []


# Roles


async def test_a_granted_role_lifts_a_guest(slack: Slack) -> None:
    slack.scene.slack.people[GUEST.id] = GUEST
    await slack.command(f"admin roles {GUEST.id} role:member", by=ADMIN)

    await slack.ask(GUEST)

    assert len(slack.scene.host.asked) == 1


async def test_a_role_that_is_taken_back_leaves_a_stranger(slack: Slack) -> None:
    slack.scene.slack.people[GUEST.id] = GUEST
    await slack.command(f"admin roles {GUEST.id} role:trainer", by=ADMIN)
    await slack.command(f"admin roles {GUEST.id} role:none", by=ADMIN)

    await slack.ask(GUEST)

    assert len(slack.scene.host.asked) == 0


async def test_another_organisations_people_are_lifted_by_a_grant_that_says_so(
    slack: Slack,
) -> None:
    slack.scene.slack.people[EXTERNAL.id] = EXTERNAL
    await slack.command(f"admin roles {EXTERNAL.id} role:curator", by=ADMIN)
    refused = slack.whispered
    await slack.ask(EXTERNAL)
    before = len(slack.scene.host.asked)

    await slack.command(f"admin roles {EXTERNAL.id} role:curator external:yes", by=ADMIN)
    await slack.ask(EXTERNAL)

    assert "external:yes" in refused
    assert (before, len(slack.scene.host.asked)) == (0, 1)


async def test_a_role_of_before_does_not_lift_somebody_of_another_organisation(
    slack: Slack,
) -> None:
    await slack.ask(MEMBER)
    await slack.scene.grant(EXTERNAL.id, Role.ADMIN, SLACK)

    await slack.ask(EXTERNAL)

    assert len(slack.scene.host.asked) == 1


async def test_nobody_of_another_organisation_is_an_admin_by_the_platforms_word(
    slack: Slack,
) -> None:
    boss = User(UserId("U9"), "zoe", is_external=True, is_platform_admin=True)

    await slack.ask(boss)

    assert len(slack.scene.host.asked) == 0


async def test_the_operators_list_of_admins_wins(scene: Scene) -> None:
    scene.admins = f"slack:{EXTERNAL.id}"
    await scene.restart()
    slack = Slack(scene)

    await slack.ask(EXTERNAL)

    assert len(scene.host.asked) == 1
