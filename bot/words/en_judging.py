"""The sentences about judges, models that compare two answers, in English."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

SENTENCES: Final[Mapping[str, str]] = {
    "option.judge_model": "the model that compares answers, off for none",
    "option.judge_host": "the host of the judge; else the one that answers",
    "option.judge_criteria": "what a good answer is, in your own words, for the judge",
    "assistant.judge_model": "Judge",
    "assistant.judge_host": "Host of the judge",
    "assistant.judge_criteria": "What the judge calls good",
    "button.ask_judge": "Ask a judge",
    "button.judge": "Judge",
    "judge.none": 'No judge is named. An admin names one: /tune assistant edit judge_model:NAME judge_criteria:"what is good".',
    "judge.no_pairs": "There is no question to which both models gave a different answer.",
    "judge.title": "Let {judge} judge evaluation {id}?",
    "judge.of": "{judge} judges evaluation {id}",
    "judge.pairs": "One pair of answers, shown in both orders.|{count} pairs of answers, each shown in both orders.",
    "judge.masked": "Private text is masked first, as everywhere.",
    "judge.confirmed": "Judging confirmed by {name}.",
    "judge.over": "That judging is over.",
    "judge.stops": "The judging stops.",
    "judge.progress": "{done} of {total} verdicts",
    "judge.verdict.better": "Better than {against}, on one question.|Better than {against}, on {count} questions.",
    "judge.verdict.worse": "Worse than {against}, on one question.|Worse than {against}, on {count} questions.",
    "judge.verdict.undecided": "Undecided: one question does not tell it apart from {against}.|Undecided: {count} questions do not tell it apart from {against}.",
    "judge.biased.first": "The judge prefers the answer that it reads first: on {first} questions it said A in both orders, on {second} B. Such questions count as even.",
    "judge.biased.second": "The judge prefers the answer that it reads last: on {second} questions it said B in both orders, on {first} A. Such questions count as even.",
    "judge.held": "On {first} questions it held to the first place and on {second} to the second, whoever stood there; they count as even.",
    "judge.missing": "One question has no verdict in both orders.|{count} questions have no verdict in both orders.",
    "judge.stopped": "It was stopped; this is what was judged by then.",
    "judge.failed": "The judge gave no verdict for an hour, so it was given up; this is what was judged by then.",
    "judge.nothing": "The judge has given no verdict on any question, so it says nothing about the models.",
    "judge.why": "The last reason: {why}",
    "judge.unreadable": "One answer of the judge was none of A, B and TIE.|{count} answers of the judge were none of A, B and TIE.",
    "judge.kappa": "Agreement with your votes: κ {kappa}, on one question. 1 is always, 0 is chance.|Agreement with your votes: κ {kappa}, on {count} questions. 1 is always, 0 is chance.",
    "judge.no_votes": "How far the judge agrees with you is said where it judges a blind vote.",
}
