"""The sentences about blind votes in English."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

SENTENCES: Final[Mapping[str, str]] = {
    "command.vote": "let the channel choose between the answers of two models, unseen whose they are",
    "option.hours": "after how many hours it ends by itself",
    "noun.vote": "vote",
    "button.vote": "Ask both and vote",
    "button.end_vote": "End the vote",
    "button.vote.a": "A",
    "button.vote.b": "B",
    "button.vote.neither": "Neither",
    "button.vote.both": "Both good",
    # Before it begins
    "vote.title": "A blind vote on {model}?",
    "vote.how": "Then each question is posted here with both answers, in random order and without names. It ends after one hour, or by a button.|Then each question is posted here with both answers, in random order and without names. It ends after {count} hours, or by a button.",
    "vote.confirmed": "Blind vote confirmed by {name}.",
    "vote.answers": "Blind vote {id}: the answers",
    "vote.unfinished": "There is no vote: the answers were stopped or could not be had.",
    # While it is open
    "vote.name": "Blind vote {id}: {model}",
    "vote.cards": "One question, two answers.|{count} questions, two answers to each.",
    "vote.open": "Which answer is better? Nobody sees what you choose, nor who wrote which, before it ends: by the button or on {until}.",
    "vote.closed": "It is over. The cards say now who wrote what.",
    "vote.ballots": "One vote.|{count} votes · voters: {people}",
    "vote.card": "Question {number} of {count}",
    "vote.a": "A",
    "vote.b": "B",
    "vote.counted": "Your vote: {choice}. Until the end you can change it by another button.",
    "vote.kept": "Your vote is counted. Until the end you can change it by another button.",
    "vote.over": "Blind vote {id} is not open.",
    "vote.ending": "Blind vote {id} ends.",
    # Its result
    "vote.votes": "one vote|{count} votes",
    "vote.others": "Neither: {neither}. Both good: {both}.",
    "vote.nobody": "Nobody has voted.",
    "vote.nothing": "There is nothing to vote on: both models give the same answers, or none.",
    "vote.verdict.better": "The channel prefers {model} to {against}, on one question.|The channel prefers {model} to {against}, on {count} questions.",
    "vote.verdict.worse": "The channel prefers {against} to {model}, on one question.|The channel prefers {against} to {model}, on {count} questions.",
    "vote.verdict.undecided": "Undecided: one question does not tell {model} apart from {against}.|Undecided: {count} questions do not tell {model} apart from {against}.",
    "vote.wins": "Questions with more votes for {model}: {wins}; for {against}: {losses}; even: {ties}.",
    "vote.share": "Of the questions that are not even {model} wins {low} to {high} (95 % interval; sign test p {p}).",
    "vote.too_few": "Fewer than {least} questions decide nothing.",
    "vote.needed": "To show that a model wins seven of ten questions takes about {count} questions that are not even.",
    "vote.preferences": "One preference is kept for training.|{count} preferences are kept for training.",
    "vote.proposed": "One preference waits for a curator.|{count} preferences wait for a curator.",
}
