"""What the ballots of a blind vote come to: each question counts once, however many voted on it.

Ballots of several people on one question are not independent of one another, so the sign test
takes each question as one trial: the answer that more people chose has won it.
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
        """The contender whose answer more people chose; None where as many chose either."""
        if self.first == self.second:
            return None
        return 0 if self.first > self.second else 1

    @property
    def preferred(self) -> int | None:
        """The winner, unless as many people found neither answer good."""
        return self.winner if max(self.first, self.second) > self.neither else None


@dataclass(frozen=True, slots=True)
class VoteResult:
    """Questions won, lost and even for the first contender; all ballots by choice, and voters."""

    wins: int
    losses: int
    ties: int
    ballots: BallotTally
    voters: int

    @property
    def comparison(self) -> PairedResult:
        return compare_wins(self.wins, self.losses, self.ties)


def tallies(ballots: Iterable[Ballot]) -> Mapping[int, BallotTally]:
    """By the number of the question; one without a ballot is not there."""
    found: dict[int, Counter[str]] = {}
    for ballot in ballots:
        found.setdefault(ballot.number, Counter())[ballot.choice] += 1
    return {number: _tally(counted) for number, counted in found.items()}


def result_of(ballots: Sequence[Ballot]) -> VoteResult:
    winners = Counter(tally.winner for tally in tallies(ballots).values())
    counted = Counter[str](ballot.choice for ballot in ballots)
    voters = len({ballot.user for ballot in ballots})
    return VoteResult(winners[0], winners[1], winners[None], _tally(counted), voters)


def load(kept: Mapping[str, object]) -> VoteResult | None:
    """None of a vote that is not over, or that nobody could begin."""
    return _RESULT.validate_python(kept) if kept else None


def _tally(counted: Counter[str]) -> BallotTally:
    return BallotTally(*(counted[choice] for choice in Choice))


_RESULT = TypeAdapter(VoteResult)
