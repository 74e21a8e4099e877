"""The sentences about what to teach next, the dashboard and offered trainings, in English."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

SENTENCES: Final[Mapping[str, str]] = {
    # What to teach next, and the dashboard
    "command.assistant.teach-next": "the questions that nobody answered well, and what to teach next",
    "studio.teach-next": "Teach next",
    "studio.lead.teach-next": "Questions that were refused or disliked in the last 90 days, alike ones together. Write the answer once, and all of them leave the list; so they do once a later model answers one.",
    "unanswered.title": "What to teach next",
    "unanswered.empty": "Every question of the last 90 days was answered, as far as anybody said.",
    "unanswered.here": "Of what was asked in this channel.",
    "unanswered.count": "Asked",
    "unanswered.asked": "asked once|asked {count} times",
    "unanswered.refused": "once without an answer|{count} times without an answer",
    "unanswered.disliked": "one 👎|{count} 👎",
    "unanswered.last": "last on {at}",
    "unanswered.elsewhere": "asked in {channel}, to be answered there",
    "unanswered.dismissed": "The question leaves the list.|{count} questions leave the list.",
    "unanswered.evaluated": "“What to teach next” in evaluation {id}",
    "unanswered.answered": "Answered now: {answer}",
    "unanswered.declined": "Still not answered: {answer}",
    "unanswered.other": "Answered, but unlike the taught reply or like the disliked one: {answer}",
    "unanswered.missing": "No answer was had.",
    "button.write_answer": "Write the answer",
    "button.dismiss": "Set aside",
    "dashboard.title": "The last four weeks",
    "dashboard.empty": "Nothing was asked yet.",
    "dashboard.answered": "Answered",
    "dashboard.liked": "Liked 👍",
    "dashboard.disliked": "Disliked 👎",
    "dashboard.refused": "Refused",
    "dashboard.share": "Answered by {model}",
    "dashboard.cost": "Cost of answers",
    "dashboard.tokens": "{tokens} tokens, {price}",
    "dashboard.days": "days before today",
    "dashboard.note": "A point for each day, today at the right. Behind each share stands its 95 % interval.",
    # Trainings that are offered
    "option.offer_after_examples": "offer a training after so many new examples; 0 is never",
    "option.offer_after_preferences": "offer a training after so many new preferences; 0 is never",
    "assistant.offer_after_examples": "Offers a training after new examples",
    "assistant.offer_after_preferences": "Offers a training after new preferences",
    "offer.title": "{assistant} has something new to learn",
    "offer.new.supervised": "One example is new since the last training.|{count} examples are new since the last training.",
    "offer.new.dpo": "One preference is new since the last training.|{count} preferences are new since the last training.",
    "offer.cost": "A training on {rows} rows, {tokens} tokens once through. Price: {price}.",
    "offer.then": "After it a training on one preference is offered, on top of the new model.|After it a training on {count} preferences is offered, on top of the new model.",
    "offer.on_top": "It goes on from the newest tuned model.",
    "button.train": "Train",
}
