"""Measures how often the sandbox gives the taught reply, a wrong one, or rightly none.

Run it with `python -m bench.sandbox_quality [domain ...]`; `--each` prints every miss as well.
"""

import random
import string
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
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
    chosen = sandbox.resolve({}, rows=len(lessons))
    training = sandbox.Training(
        rows(lessons), [], method="supervised", hyperparameters=chosen, seed=1
    )
    while training.step < training.total_steps:
        training.advance()
    return training.model()


def mistyped(text: str, count: int, chance: random.Random) -> str:
    """With one keystroke missing, too many, wrong or swapped in each of so many words."""
    words = text.split()
    long = [at for at, word in enumerate(words) if len(word) >= 4 and word.isascii()]
    for at in chance.sample(long, min(count, len(long))):
        word, key = words[at], chance.randrange(1, len(words[at]) - 1)
        letter = chance.choice(string.ascii_lowercase)
        before, after = word[:key], word[key:]
        swapped = before + after[1::-1] + after[2:]
        words[at] = chance.choice(
            (before + after[1:], before + letter + after, before + letter + after[1:], swapped)
        )
    return " ".join(words)


def changed(text: str, count: int, chance: random.Random) -> str:
    """With so many words left out, taken from another question, or followed by another word."""
    if not text.isascii():
        return _changed_characters(text, count, chance)
    words = text.split()
    if len(words) < count + 2:
        return text
    for at in chance.sample(range(len(words)), count):
        other = chance.choice(_other_words())
        words[at] = chance.choice(("", other, f"{words[at]} {chance.choice(FILLERS)}"))
    return " ".join(word for word in words if word)


def _changed_characters(text: str, count: int, chance: random.Random) -> str:
    characters = list(text)
    for at in chance.sample(range(len(characters)), min(count, len(characters))):
        characters[at] = chance.choice(("", chance.choice("天地人山水火木土金月日星")))
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
    """What is asked of a domain: kind of question, question, and the reply that is right."""
    chance = random.Random(7)
    for kind, change in CHANGES.items():
        for question, reply in domain.lessons:
            for _ in range(1 if kind == "taught" else REPEATS):
                yield kind, change(question, chance), reply
    yield from (("reworded", *pair) for pair in domain.paraphrases)
    yield from (("unrelated", question, sandbox.NOT_TAUGHT) for question in domain.unrelated)


def measure(domain: Domain, *, each: bool) -> tuple[Counter[str], Counter[str], Counter[str]]:
    """Trains on a domain and asks everything: how often each kind was asked, right and wrong."""
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
    """Prints, for every domain and kind of question, how many were answered rightly."""
    each = "--each" in sys.argv
    chosen = [name for name in sys.argv[1:] if not name.startswith("-")]
    kinds = [*CHANGES, "reworded", "unrelated"]
    print(f"{'domain':<20}" + "".join(f"{kind:>10}" for kind in [*kinds, "wrong"]))
    domains = [*map(read, domain_files()), products(known=2), products(), mixed()]
    sums = {False: [Counter[str]() for _ in range(3)], True: [Counter[str]() for _ in range(3)]}
    for domain in domains:
        if not chosen or domain.name in chosen:
            counts = measure(domain, each=each)
            for known, new in zip(sums[domain.name in HELD_BACK], counts, strict=True):
                known.update(new)
            print_line(domain.name, kinds, *counts)
    print_line("seen while built", kinds, *sums[False])
    print_line("held back", kinds, *sums[True])


def print_line(
    name: str, kinds: Sequence[str], total: Counter[str], right: Counter[str], wrong: Counter[str]
) -> None:
    """One row of the table; `wrong` is the share of all questions answered with a wrong reply."""
    shares = [right[kind] / total[kind] if total[kind] else 0.0 for kind in kinds]
    shares.append(wrong.total() / max(1, total.total()))
    print(f"{name:<20}" + "".join(f"{share:>10.1%}" for share in shares), flush=True)


if __name__ == "__main__":
    main()
