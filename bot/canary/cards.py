"""The cards of a canary: feedback on both models, and how the canary ended."""

from __future__ import annotations

from dataclasses import replace

from bot.canary.stop_rules import model_feedback
from bot.domain import Canary, CanaryId, CanaryState, ModelFeedback, Notice
from bot.mentions_and_times import person_reference
from bot.models_in_use import find_display_name, rollback_button
from bot.number_formats import format_share_range
from bot.outdated_clicks import state_token
from bot.ports.store import Records
from bot.replies import Button, Card, Drawn, Fact, Tone
from bot.significance import wilson_interval
from bot.words import Words

PROMOTE_BUTTON, STOP_BUTTON = "canary.promote", "canary.stop"


async def render_status_notice(notice: Notice, records: Records, words: Words) -> Drawn | None:
    return await status_card(await _canary(notice, records), records, words)


async def render_liked_notice(notice: Notice, records: Records, words: Words) -> Drawn | None:
    """Returns the card that the canary is liked more, with buttons while the canary runs."""
    canary = await _canary(notice, records)
    card = await status_card(canary, records, words)
    return Card(
        card.title, (words("canary.liked"),), card.facts, buttons=card.buttons, tone=Tone.GOOD
    )


async def render_ended_notice(notice: Notice, records: Records, words: Words) -> Drawn | None:
    """Returns the card with the reason for the end and the feedback on both models."""
    canary = await _canary(notice, records)
    card = await status_card(canary, records, words)
    if canary.state is not CanaryState.PROMOTED:
        return card
    return replace(card, buttons=(rollback_button(canary.model, words),), tone=Tone.GOOD)


async def status_card(canary: Canary, records: Records, words: Words) -> Card:
    own, other = await model_feedback(canary, records)
    is_running = canary.state is CanaryState.RUNNING
    name = await find_display_name(records, canary.workspace, canary.model)
    how = words("canary.how", share=f"{canary.share:.0%}")
    line = how if is_running else _end(canary, name, words)
    failed = own.failed + canary.failures
    facts = (
        _fact(words("canary.own"), own, failed, words),
        _fact(words("canary.other"), other, other.failed, words),
    )
    return Card(
        title=words("canary.title", model=name, share=f"{canary.share:.0%}"),
        lines=(line,),
        facts=facts,
        buttons=await _buttons(canary, records, words) if is_running else (),
        tone=Tone.BUSY if is_running else Tone.PLAIN,
    )


async def canary_state_token(canary: Canary, records: Records) -> str:
    """Returns the token of the state that a card shows: state, share and model in use."""
    current = await records.deployments.current(canary.workspace, canary.assistant)
    return state_token(canary.state, canary.share, current.id if current else 0)


async def _buttons(canary: Canary, records: Records, words: Words) -> tuple[Button, ...]:
    argument = f"{canary.id}.{await canary_state_token(canary, records)}"
    return (
        Button(words("button.promote"), f"{PROMOTE_BUTTON}:{argument}", is_primary=True),
        Button(words("button.stop"), f"{STOP_BUTTON}:{argument}", is_danger=True),
    )


def _fact(label: str, of: ModelFeedback, failed: int, words: Words) -> Fact:
    liked = wilson_interval(of.liked, of.votes)
    share = format_share_range(liked.low, liked.high) if of.votes else "–"
    value = words(
        "canary.received",
        answers=of.answers,
        liked=of.liked,
        disliked=of.disliked,
        share=share,
        failed=failed,
    )
    return Fact(label, value)


def _end(canary: Canary, name: str, words: Words) -> str:
    if canary.state is CanaryState.PROMOTED:
        return words("canary.promoted", model=name, name=_ended_by_name(canary))
    return words(f"canary.stopped.{canary.why}", model=name, name=_ended_by_name(canary))


async def _canary(notice: Notice, records: Records) -> Canary:
    return await records.canaries.get(notice.place.workspace, CanaryId(notice.subject or 0))


def _ended_by_name(canary: Canary) -> str:
    return person_reference(canary.ended_by) if canary.ended_by else "–"
