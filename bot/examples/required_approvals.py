"""How many reviewers must approve an example; each says one thing, kept in `storage/examples`."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

from bot.domain import (
    VERDICTS,
    Example,
    ExampleId,
    ExampleState,
    Review,
    ReviewKind,
)
from bot.ports.store import Records
from bot.references import person_reference
from bot.request import Request
from bot.significance import agreement
from bot.words import Words

_KINDS = {
    ExampleState.APPROVED: ReviewKind.APPROVED,
    ExampleState.REJECTED: ReviewKind.REJECTED,
}


async def note_verdict(
    request: Request,
    examples: Sequence[ExampleId],
    state: ExampleState,
    records: Records,
    *,
    needed: int,
) -> Sequence[ExampleId]:
    """Those of the examples on which enough reviewers agree now, this one included."""
    kind = _KINDS.get(state)
    if needed < 2 or kind is None:
        return examples
    await records.reviews.put(request.workspace_id, examples, request.user_id, kind, at=request.now)
    return await records.reviews.agreed_examples(
        request.workspace_id, examples, kind, needed=needed
    )


async def withdraw_verdict(request: Request, example: Example, records: Records) -> bool:
    """Whether there was a verdict of this person about the example as it is, which is gone now."""
    found = await records.reviews.of(request.workspace_id, example.id)
    own = [one for one in reviews_in_force(example, found) if one.user == request.user_id]
    for one in own:
        await records.reviews.take_back(request.workspace_id, example.id, one.user, one.kind)
    return bool(own)


def reviews_in_force(example: Example, reviews: Sequence[Review]) -> list[Review]:
    """The verdicts about the text in force."""
    return [one for one in reviews if one.kind in VERDICTS and one.revision == example.revision]


def review_lines(
    example: Example,
    reviews: Sequence[Review],
    words: Words,
    *,
    needed: int,
) -> Iterator[str]:
    """Who approved, who rejected, to whom it is assigned, and what the author said."""
    said: dict[ReviewKind, list[str]] = defaultdict(list)
    for one in reviews_in_force(example, reviews):
        said[one.kind].append(person_reference(one.user))
    if needed > 1:
        told = [
            words(f"reviewers.{kind}", names=", ".join(said[kind]))
            for kind in VERDICTS
            if said[kind]
        ]
        yield " ".join([*told, words("reviewers.needed", needed=needed)])
    for one in reviews:
        if one.kind is ReviewKind.ASSIGNED:
            yield words("reviewers.assigned", name=person_reference(one.user))
        elif one.kind not in VERDICTS:
            is_old = one.revision != example.revision and one.kind is not ReviewKind.ASKED
            key = f"author.{one.kind}" if not one.note else f"author.{one.kind}.note"
            text = words(key, name=person_reference(one.user), note=one.note)
            yield f"{text} {words('author.before_edit')}" if is_old else text


async def agreement_line(request: Request, records: Records) -> tuple[str, ...]:
    """How far the reviewers of this assistant agree beyond chance, once two judged the same."""
    words = request.words
    if request.assistant.reviewers < 2:
        return ()
    verdicts = await records.reviews.verdicts(request.workspace_id, request.assistant.id)
    if not verdicts:
        return ()
    kappa = agreement([{str(user): said for user, said in one.items()} for one in verdicts])
    if kappa is None:
        return (words("reviewers.always", count=len(verdicts)),)
    disagreed = sum(len(set(one.values())) > 1 for one in verdicts)
    return (
        words("reviewers.kappa", kappa=f"{kappa:.2f}", count=len(verdicts), disagreed=disagreed),
    )
