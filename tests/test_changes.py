"""What a watcher of the room is told when it is too slow."""

from __future__ import annotations

from adapters.room_changes import ChangesLost, PartialAnswer, ReactionsUpdated, Subscription
from bot.domain import UserId

MINA = UserId("mina")


def test_a_slow_watcher_loses_live_pieces_first() -> None:
    watch = Subscription(limit=3)

    for change in (
        PartialAnswer(1, "a"),
        PartialAnswer(2, "b"),
        ReactionsUpdated(1, "x", MINA),
        ChangesLost(),
    ):
        watch.enqueue(change)

    assert watch.drain() == [ReactionsUpdated(1, "x", MINA), ChangesLost()]


def test_a_watcher_that_is_far_too_slow_is_told_so() -> None:
    watch = Subscription(limit=3)

    for number in range(4):
        watch.enqueue(ReactionsUpdated(number, "x", MINA))

    assert watch.drain() == [ChangesLost(), ReactionsUpdated(3, "x", MINA)]


def test_a_growing_answer_takes_one_place_in_the_queue() -> None:
    watch = Subscription()

    for text in ("a", "ab", "abc"):
        watch.enqueue(PartialAnswer(1, text))

    assert watch.drain() == [PartialAnswer(1, "abc")]
