"""Measures how often the sandbox gives the right reply, a wrong reply, or rightly refuses.

Run it with `python -m bench.sandbox_quality [domain ...]`; `--each` also prints every miss.
"""

import random
import string
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from tuner.sandbox.matching import NOT_TAUGHT_TEXT
from tuner.sandbox.model import Model
from tuner.sandbox.scorer_training import Training, resolve_hyperparameters

FOLDER = Path(__file__).with_name("quality")
HELD_BACK = ("airline", "dentist", "guild", "open-source")


@dataclass(slots=True)
class Domain:
    """Taught questions with replies and paraphrases, and questions that were not taught."""

    name: str
    lessons: list[tuple[str, str]] = field(default_factory=list)
    paraphrases: list[tuple[str, str]] = field(default_factory=list)
    unrelated: list[str] = field(default_factory=list)


def read(path: Path) -> Domain:
    """Reads a domain file. Q and A lines are taught, P lines paraphrases, U lines unrelated."""
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
    """Returns a domain of similar questions: five kinds about forty products."""
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
    """Returns a domain mixed from others; some questions are alike, so some misses are no fault."""
    domains, asked = [read(path) for path in domain_files()], set[str]()
    lessons = [
        lesson for source in domains if source.name not in HELD_BACK for lesson in source.lessons
    ]
    generator = random.Random(1)
    generator.shuffle(lessons)
    domain = Domain(f"mixed-{known}")
    for question, reply in lessons:
        if question not in asked and len(domain.lessons) < known:
            asked.add(question)
            domain.lessons.append((question, reply))
    taught = {reply for _, reply in domain.lessons}
    domain.paraphrases = [p for source in domains for p in source.paraphrases if p[1] in taught]
    domain.unrelated = (FOLDER / "unrelated.txt").read_text(encoding="utf-8").splitlines()
    return domain


def domain_files() -> list[Path]:
    """Returns the files of the domains, sorted by name."""
    return [path for path in sorted(FOLDER.glob("*.txt")) if path.stem != "unrelated"]


def rows(lessons: Sequence[tuple[str, str]]) -> list[dict[str, object]]:
    """Returns lessons as OpenAI chat rows."""
    return [
        {"messages": [{"role": "user", "content": q}, {"role": "assistant", "content": a}]}
        for q, a in lessons
    ]


def trained(lessons: Sequence[tuple[str, str]]) -> Model:
    """Returns a model trained with automatic hyperparameters."""
    hyperparameters = resolve_hyperparameters({}, rows=len(lessons))
    training = Training(
        rows(lessons), [], method="supervised", hyperparameters=hyperparameters, seed=1
    )
    while training.step < training.total_steps:
        training.advance()
    return training.model()


def mistyped(text: str, count: int, generator: random.Random) -> str:
    """Returns the text with a key missing, added, wrong or swapped in `count` words."""
    words = text.split()
    positions = [
        position for position, word in enumerate(words) if len(word) >= 4 and word.isascii()
    ]
    for position in generator.sample(positions, min(count, len(positions))):
        word, key = words[position], generator.randrange(1, len(words[position]) - 1)
        letter = generator.choice(string.ascii_lowercase)
        before, after = word[:key], word[key:]
        swapped = before + after[1::-1] + after[2:]
        words[position] = generator.choice(
            (before + after[1:], before + letter + after, before + letter + after[1:], swapped)
        )
    return " ".join(words)


def changed(text: str, count: int, generator: random.Random) -> str:
    """Returns the text with `count` words left out, replaced, or followed by another word."""
    if not text.isascii():
        return _changed_characters(text, count, generator)
    words = text.split()
    if len(words) < count + 2:
        return text
    for position in generator.sample(range(len(words)), count):
        other = generator.choice(_other_words())
        words[position] = generator.choice(
            ("", other, f"{words[position]} {generator.choice(FILLERS)}")
        )
    return " ".join(word for word in words if word)


def _changed_characters(text: str, count: int, generator: random.Random) -> str:
    characters = list(text)
    for position in generator.sample(range(len(characters)), min(count, len(characters))):
        characters[position] = generator.choice(("", generator.choice("天地人山水火木土金月日星")))
    return "".join(characters)


FILLERS = ("please", "just", "really", "actually", "then")


@cache
def _other_words() -> list[str]:
    questions = (question for path in domain_files() for question, _ in read(path).lessons)
    return sorted({word for text in questions for word in text.split() if word.isascii()})


CHANGES: dict[str, Callable[[str, random.Random], str]] = {
    "taught": lambda text, _: text,
    "1 typo": lambda text, chance: mistyped(text, 1, chance),
    "2 typos": lambda text, chance: mistyped(text, 2, chance),
    "1 word": lambda text, chance: changed(text, 1, chance),
    "2 words": lambda text, chance: changed(text, 2, chance),
}
REPEATS = 5


def asked(domain: Domain) -> Iterator[tuple[str, str, str]]:
    """Yields the questions of a domain: kind of question, question, and right reply."""
    generator = random.Random(7)
    for kind, change in CHANGES.items():
        for question, reply in domain.lessons:
            for _ in range(1 if kind == "taught" else REPEATS):
                yield kind, change(question, generator), reply
    yield from (("reworded", *pair) for pair in domain.paraphrases)
    yield from (("unrelated", question, NOT_TAUGHT_TEXT) for question in domain.unrelated)


def measure(domain: Domain, *, each: bool) -> tuple[Counter[str], Counter[str], Counter[str]]:
    """Trains on a domain and asks all questions; returns total, right and wrong replies by kind."""
    model = trained(domain.lessons)
    total, right, wrong = Counter[str](), Counter[str](), Counter[str]()
    for kind, question, expected in asked(domain):
        reply = model.reply([{"role": "user", "content": question}], temperature=1.0)
        total[kind] += 1
        right[kind] += reply.text == expected
        wrong[kind] += not reply.refused and reply.text != expected
        if each and reply.text != expected:
            print(f"    {kind}: {question} -> {reply.text} ({reply.confidence:.2f})")
    return total, right, wrong


def main() -> None:
    """Prints, for every domain and kind of question, the share of right replies."""
    each = "--each" in sys.argv
    names = [name for name in sys.argv[1:] if not name.startswith("-")]
    kinds = [*CHANGES, "reworded", "unrelated"]
    print(f"{'domain':<20}" + "".join(f"{kind:>10}" for kind in [*kinds, "wrong"]))
    domains = [*map(read, domain_files()), products(known=2), products(), mixed()]
    sums = {False: [Counter[str]() for _ in range(3)], True: [Counter[str]() for _ in range(3)]}
    for domain in domains:
        if not names or domain.name in names:
            counts = measure(domain, each=each)
            for total, count in zip(sums[domain.name in HELD_BACK], counts, strict=True):
                total.update(count)
            print_line(domain.name, kinds, *counts)
    print_line("seen while built", kinds, *sums[False])
    print_line("held back", kinds, *sums[True])


def print_line(
    name: str, kinds: Sequence[str], total: Counter[str], right: Counter[str], wrong: Counter[str]
) -> None:
    """Prints a row of the table; the last column is the share of wrong replies."""
    shares = [right[kind] / total[kind] if total[kind] else 0.0 for kind in kinds]
    shares.append(wrong.total() / max(1, total.total()))
    print(f"{name:<20}" + "".join(f"{share:>10.1%}" for share in shares), flush=True)


if __name__ == "__main__":
    main()
