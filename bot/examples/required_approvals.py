"""Counts reviewers' verdicts where several must agree, and describes them in text."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

from bot.domain import (
    VERDICT_KINDS,
    Example,
    ExampleId,
    ExampleState,
    Review,
    ReviewKind,
)
from bot.mentions_and_times import person_reference
from bot.ports.store import Records
from bot.request import Request
from bot.significance import rater_agreement
from bot.words import Words

_KINDS = {
    ExampleState.APPROVED: ReviewKind.APPROVED,
    ExampleState.REJECTED: ReviewKind.REJECTED,
}


async def record_verdicts(
    request: Request,
    examples: Sequence[ExampleId],
    state: ExampleState,
    records: Records,
    *,
    needed: int,
) -> Sequence[ExampleId]:
    """Stores the user's verdict; returns the examples on which enough reviewers agree now."""
    kind = _KINDS.get(state)
    if needed < 2 or kind is None:
        return examples
    await records.reviews.put_reviews(
        request.workspace_id, examples, request.user_id, kind, at=request.now
    )
    return await records.reviews.agreed_examples(
        request.workspace_id, examples, kind, needed=needed
    )


async def withdraw_verdict(request: Request, example: Example, records: Records) -> bool:
    """Deletes the user's verdict on the current revision; returns whether there was one."""
    reviews = await records.reviews.list_for_example(request.workspace_id, example.id)
    own = [r for r in reviews_in_force(example, reviews) if r.user == request.user_id]
    for review in own:
        await records.reviews.delete_review(
            request.workspace_id, example.id, review.user, review.kind
        )
    return bool(own)


def reviews_in_force(example: Example, reviews: Sequence[Review]) -> list[Review]:
    """Returns the verdicts on the current revision."""
    return [r for r in reviews if r.kind in VERDICT_KINDS and r.revision == example.revision]


def review_lines(
    example: Example,
    reviews: Sequence[Review],
    words: Words,
    *,
    needed: int,
) -> Iterator[str]:
    """Yields who approved and rejected, the assignment, and the author's answers."""
    names: dict[ReviewKind, list[str]] = defaultdict(list)
    for review in reviews_in_force(example, reviews):
        names[review.kind].append(person_reference(review.user))
    if needed > 1:
        verdicts = [
            words(f"reviewers.{kind}", names=", ".join(names[kind]))
            for kind in VERDICT_KINDS
            if names[kind]
        ]
        yield " ".join([*verdicts, words("reviewers.needed", needed=needed)])
    for review in reviews:
        if review.kind is ReviewKind.ASSIGNED:
            yield words("reviewers.assigned", name=person_reference(review.user))
        elif review.kind not in VERDICT_KINDS:
            is_old = (
                review.revision != example.revision and review.kind is not ReviewKind.AUTHOR_ASKED
            )
            key = f"author.{review.kind}.note" if review.note else f"author.{review.kind}"
            text = words(key, name=person_reference(review.user), note=review.note)
            yield f"{text} {words('author.before_edit')}" if is_old else text


async def agreement_line(request: Request, records: Records) -> tuple[str, ...]:
    """Returns a line with the reviewers' agreement (kappa), once two judged the same revision."""
    words = request.words
    if request.assistant.reviewers < 2:
        return ()
    verdicts = await records.reviews.verdicts_by_person(request.workspace_id, request.assistant.id)
    if not verdicts:
        return ()
    by_name = [{str(user): verdict for user, verdict in each.items()} for each in verdicts]
    kappa = rater_agreement(by_name)
    if kappa is None:
        return (words("reviewers.always", count=len(verdicts)),)
    disagreed = sum(len(set(each.values())) > 1 for each in verdicts)
    return (
        words("reviewers.kappa", kappa=f"{kappa:.2f}", count=len(verdicts), disagreed=disagreed),
    )
