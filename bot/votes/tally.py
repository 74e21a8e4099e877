"""Counts the ballots of a blind vote; each question counts once, however many voted on it.

Ballots of several people on one question are not independent of one another, so the sign test
takes each question as one trial, which the answer with more votes wins.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from pydantic import TypeAdapter

from bot.domain import Ballot, Choice
from bot.significance import PairedResult, compare_wins


@dataclass(frozen=True, slots=True)
class BallotTally:
    """The ballots on one question, by choice."""

    first: int = 0
    second: int = 0
    neither: int = 0
    both: int = 0

    @property
    def winner(self) -> int | None:
        """The contender with more votes, 0 or 1; None for a draw."""
        if self.first == self.second:
            return None
        return 0 if self.first > self.second else 1

    @property
    def preferred(self) -> int | None:
        """The winner; None if as many or more people chose neither answer."""
        return self.winner if max(self.first, self.second) > self.neither else None


@dataclass(frozen=True, slots=True)
class VoteResult:
    """Questions that the first contender won, lost and tied; ballots by choice; voter count."""

    wins: int
    losses: int
    ties: int
    ballots: BallotTally
    voters: int

    @property
    def comparison(self) -> PairedResult:
        """The sign test of the questions that were won and lost."""
        return compare_wins(self.wins, self.losses, self.ties)


def tally_questions(ballots: Iterable[Ballot]) -> Mapping[int, BallotTally]:
    """Returns the tally of each question with ballots, by the number of the question."""
    by_question: dict[int, Counter[str]] = {}
    for ballot in ballots:
        by_question.setdefault(ballot.number, Counter())[ballot.choice] += 1
    return {number: _tally(counts) for number, counts in by_question.items()}


def vote_result(ballots: Sequence[Ballot]) -> VoteResult:
    """Returns the result over all ballots of a vote."""
    winners = Counter(tally.winner for tally in tally_questions(ballots).values())
    counts = Counter[str](ballot.choice for ballot in ballots)
    voters = len({ballot.user for ballot in ballots})
    return VoteResult(winners[0], winners[1], winners[None], _tally(counts), voters)


def load_result(stored: Mapping[str, object]) -> VoteResult | None:
    """Returns a dumped result; None for an empty mapping, as of a vote that is not closed."""
    return _RESULT.validate_python(stored) if stored else None


def _tally(counts: Counter[str]) -> BallotTally:
    return BallotTally(*(counts[choice] for choice in Choice))


_RESULT = TypeAdapter(VoteResult)
