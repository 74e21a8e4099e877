"""Measures how often the sandbox gives the right lesson, a wrong one, or rightly none.

Run it with `python -m bench.sandbox_quality`; `--each` prints every miss as well.
"""

import math
import random
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tuner import sandbox

FOLDER = Path(__file__).with_name("quality")
HELD_BACK = ("airline", "dentist", "guild", "open-source")


@dataclass(slots=True)
class Domain:
    """Questions with replies and paraphrases, and questions that nobody taught."""

    name: str
    lessons: list[tuple[str, str]] = field(default_factory=list)
    paraphrases: list[tuple[str, str]] = field(default_factory=list)
    unrelated: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Rates:
    """Shares: taught questions word for word; paraphrases right and wrong; refusals."""

    recall: float
    own: float
    wrong: float
    refused: float


def read(path: Path) -> Domain:
    """Reads a domain file: Q and A lines, P lines for paraphrases, U lines for unrelated."""
    domain = Domain(path.stem)
    for line in path.read_text(encoding="utf-8").splitlines():
        kind, _, text = line.partition(": ")
        if kind == "Q":
            domain.lessons.append((text, ""))
        elif kind == "A":
            domain.lessons[-1] = (domain.lessons[-1][0], text)
        elif kind == "P":
            domain.paraphrases.append((text, domain.lessons[-1][1]))
        else:
            domain.unrelated.append(text)
    domain.unrelated += (FOLDER / "unrelated.txt").read_text(encoding="utf-8").splitlines()
    return domain


PRODUCTS = (FOLDER / "products.names").read_text(encoding="utf-8").split()
KINDS = (
    ("How much is the {} backpack?", "What does the {} backpack cost?", "price of the {}?"),
    ("Is the {} backpack in stock?", "Do you have the {} available?", "is the {} sold out?"),
    ("How heavy is the {} backpack?", "What does the {} weigh?", "weight of the {} backpack?"),
    ("What colours does the {} come in?", "Which colors can I get the {} in?", "{} colours?"),
    ("Is the {} backpack waterproof?", "Can the {} get wet in the rain?", "{} waterproof or not"),
)


def products(*, known: int = 40) -> Domain:
    """Near neighbours: forty products, five kinds of question, each with its own reply."""
    domain = Domain(f"products-{known * len(KINDS)}")
    for number, name in enumerate(PRODUCTS[:known]):
        for kind, (question, *others) in enumerate(KINDS):
            reply = f"About the {name}, point {kind}: {number * 7 + kind} it is, no doubt."
            domain.lessons.append((question.format(name), reply))
            domain.paraphrases += [(other.format(name), reply) for other in others]
    domain.unrelated = [
        question.format(name)
        for name in ("Basalt", "Topaz", "Sparrow", "Cyclone")
        for question, *_ in KINDS
    ]
    domain.unrelated += read(FOLDER / "bike-shop.txt").unrelated
    return domain


def mixed(*, known: int = 160) -> Domain:
    """Lessons of many trades in one: some ask alike, so that not every miss is a fault."""
    found, asked = [read(path) for path in domain_files()], set[str]()
    lessons = [one for each in found if each.name not in HELD_BACK for one in each.lessons]
    chance = random.Random(1)
    chance.shuffle(lessons)
    domain = Domain(f"mixed-{known}")
    for question, reply in lessons:
        if question not in asked and len(domain.lessons) < known:
            asked.add(question)
            domain.lessons.append((question, reply))
    taught = {reply for _, reply in domain.lessons}
    domain.paraphrases = [p for each in found for p in each.paraphrases if p[1] in taught]
    domain.unrelated = (FOLDER / "unrelated.txt").read_text(encoding="utf-8").splitlines()
    return domain


def domain_files() -> list[Path]:
    """The files of the domains, by name."""
    return [path for path in sorted(FOLDER.glob("*.txt")) if path.stem != "unrelated"]


def rows(lessons: Sequence[tuple[str, str]]) -> list[dict[str, object]]:
    """Lessons as OpenAI chat rows."""
    return [
        {"messages": [{"role": "user", "content": q}, {"role": "assistant", "content": a}]}
        for q, a in lessons
    ]


def trained(lessons: Sequence[tuple[str, str]]) -> sandbox.Model:
    """A model trained with automatic settings."""
    chosen = sandbox.resolve({}, rows=len(lessons), method="supervised")
    training = sandbox.Training(
        rows(lessons), [], method="supervised", hyperparameters=chosen, seed=1
    )
    while training.step < training.total_steps:
        training.advance()
    return training.model()


def spoilt(domain: Domain) -> Iterator[tuple[str, str]]:
    """Mechanical variants of each question: two letters swapped, words turned, one dropped."""
    chance = random.Random(7)
    for question, reply in domain.lessons:
        words = question.split()
        if len(words) < 4:
            continue
        place = max(range(len(words)), key=lambda i: len(words[i]))
        word, at = words[place], len(words[place]) // 2
        typo = [*words]
        typo[place] = word[: at - 1] + word[at] + word[at - 1] + word[at + 1 :]
        yield " ".join(typo), reply
        cut = chance.randrange(1, len(words))
        yield " ".join(words[cut:] + words[:cut]), reply


def answer(model: sandbox.Model, question: str) -> sandbox.Reply:
    """The model's reply to a single question, at the usual temperature."""
    return model.reply([{"role": "user", "content": question}], temperature=1.0)


def measure(domain: Domain, *, each: bool) -> tuple[Rates, float]:
    """Trains on a domain and asks everything."""
    model = trained(domain.lessons)
    recall = [answer(model, q).text == a for q, a in domain.lessons]
    own, wrong = asked(model, domain.paraphrases, each=each)
    spoilt_own, _ = asked(model, list(spoilt(domain)), each=False)
    refused = []
    for question in domain.unrelated:
        reply = answer(model, question)
        refused.append(reply.text == sandbox.NOT_TAUGHT)
        if each and not refused[-1]:
            print(f"    said     {question} -> {reply.text} ({reply.confidence:.2f})")
    return Rates(sum(recall) / len(recall), own, wrong, sum(refused) / len(refused)), spoilt_own


def asked(
    model: sandbox.Model, questions: Sequence[tuple[str, str]], *, each: bool
) -> tuple[float, float]:
    """The shares of questions that got their own lesson and that got a wrong one."""
    own = wrong = 0
    for question, right in questions:
        reply = answer(model, question)
        own += reply.text == right
        wrong += not reply.refused and reply.text != right
        if each and reply.text != right:
            kind = "refused " if reply.refused else "WRONG   "
            print(f"    {kind} {question} -> {reply.text} ({reply.confidence:.2f})")
    count = len(questions) or math.nan
    return own / count, wrong / count


def main() -> None:
    """Prints the rates of every domain."""
    each = "--each" in sys.argv
    domains = [read(path) for path in domain_files()]
    chosen = [name for name in sys.argv[1:] if not name.startswith("-")]
    print(
        f"{'domain':<16}{'lessons':>8}{'recall':>8}{'own':>8}{'wrong':>8}{'refused':>9}{'typos':>8}"
    )
    for domain in [*domains, products(known=2), products(), mixed()]:
        if chosen and domain.name not in chosen:
            continue
        found, typos = measure(domain, each=each)
        shown = (found.recall, found.own, found.wrong, found.refused, typos)
        mark = " (held back)" if domain.name in HELD_BACK else ""
        print(f"{domain.name:<16}{len(domain.lessons):>8}", end="")
        print(
            "".join(f"{value:>8.0%}" if not math.isnan(value) else f"{'-':>8}" for value in shown)
            + mark
        )


if __name__ == "__main__":
    main()
