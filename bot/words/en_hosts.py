"""The sentences about hosts, and what they leave, in English."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

SENTENCES: Final[Mapping[str, str]] = {
    # What a job leaves
    "accuracy.title": "Accuracy of training {id}",
    "accuracy.chart": "Accuracy",
    "accuracy.summary": "Tokens guessed right: from {first} to {last}.",
    "button.accuracy": "Accuracy",
    "button.results": "Result file",
    "job.results": "The table of measures, as the host “{host}” made it.",
    "job.no_results": "The host has left no table of measures for training {id}.",
    # Before a start
    "start.sure": "The price at “{host}” is not known. Train anyway?",
    "start.sure.note": "It trains about {tokens} tokens in each epoch, at a price that only the host knows. Whoever runs the bot can write prices into the hosts file.",
    "button.confirm_unpriced": "Train anyway",
    "start.setting": "The host “{host}” does not let “{option}” be chosen. Leave it out.",
    "start.epochs": "The host “{host}” trains at most {most} epochs.",
    "start.batch_size": "The host “{host}” takes a batch_size from {least} to {most}.",
    "start.suffix_letters": "The host “{host}” does not take that suffix. Use letters, digits and dashes.",
    "start.no_validation": "The host “{host}” checks on no rows held back. Leave “validation” out.",
    "start.no_weight": "it says which of its answers not to learn from, and the host “{host}” would learn from them all",
    "start.no_tools": "it calls tools, and the host “{host}” cannot train on that",
    "start.too_many": "The host “{host}” takes at most {most} rows.",
    "start.too_large": "The host “{host}” takes a file of at most {most} MB.",
    "start.untried": "Careful: Attune knows “{profile}” from its pages only and was never tried against it. Begin with few rows.",
    "start.closes": "The host “{host}” takes no new training from {date} on.",
    "start.by_hand": "The new model does not answer by itself: it must be deployed at the host first ({page}).",
    "start.hosting": "Hosting is another bill: {price} for every hour that the model stands ready.",
    "start.hosting_unknown": "Hosting is another bill: the host may charge for every hour that the model stands ready. How much is not known here.",
    "start.idle": "The host takes a deployment down after {days} days without a question; the model stays and can be deployed again.",
    "budget.training": "Training this month",
    "budget.bad_money": "“{option}” takes dollars, or off.",
    "budget.exceeded": "This costs {price}, and of this month's budget for training {left} is left. An admin can raise it: /tune admin budget training:DOLLARS",
    "budget.unpriced": "There is a budget for training, and nobody knows the price at “{host}”. Only an admin may confirm that.",
    "option.training": "dollars a month for training, or off",
    "option.as": "what the host calls it, once somebody has deployed it there by hand",
    "model.called": "called {name} at the host",
    # While it runs, and at its end
    "job.left": "{time} left",
    "late.title": "Training {id}: {state} for {time}. That is unusually long.",
    "late.usual": "Trainings like this one took {time} before.",
    "late.note": "Nothing is lost: the host has it and is still looked at. You can wait or cancel.",
    "ended.by_hand": "It does not answer yet: deploy it at the host first ({page}). Then: /tune use as:DEPLOYMENT {model}",
    "ended.example": "The host means example {id}.",
    "button.show_example": "Show it",
}
