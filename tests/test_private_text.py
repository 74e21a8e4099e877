"""Private text is found, masked or kept by decision, and stays in the house until then."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import time
from typing import Any

import pytest

from bot.domain import ExampleState, Phase
from bot.events import ButtonClicked, FormSubmitted
from bot.private_text import (
    PrivateText,
    find_private_text,
    id_numbers,
    mask_row,
    may_contain_private_text,
    private_kinds_in_row,
)
from bot.private_text.named_id_numbers import NAMED_NUMBERS, is_valid
from tests.event_loop import ROOT
from tests.private_text import SETS, clean, planted
from tests.scene import SLACK, Scene

SECRET, ADDRESS = "sk-abcdefghijklmnop1234", "ann@example.org"


def is_found(text: str, value: str, kind: str) -> bool:
    """Whether what is marked as of that kind is the value, with no more than a sign of it left."""
    found = [one for one in find_private_text(text) if str(one.kind.name).lower() == kind]
    return any(
        value.startswith(text[one.start : one.end][:-1]) or kind == "secret" for one in found
    )


@pytest.mark.parametrize("name", SETS)
@pytest.mark.parametrize("seed", [1, 2])
def test_nine_in_ten_are_found_and_hardly_a_clean_line_is_taken_for_one(
    name: str, seed: int
) -> None:
    chance = random.Random(seed)
    lines = list(planted(name, chance))

    missed = [line for line in lines if not is_found(*line)]
    false = [text for text in clean(name, 200, chance) if find_private_text(text)]

    assert len(missed) <= len(lines) // 10, missed
    assert len(false) <= 2, false


@pytest.mark.parametrize("name", SETS)
def test_the_quick_check_passes_whatever_is_found(name: str) -> None:
    lines = [
        text for text, _, _ in planted(name, random.Random(1)) if find_private_text(text + " @")
    ]

    assert [line for line in lines if not may_contain_private_text(line)] == []
    assert [line for line in lines if not may_contain_private_text(line.casefold())] == []


_FIRST_FINDINGS = """
import random, sys
from bot.private_text import find_private_text, load_detectors
from tests.event_loop import ROOT
from tests.private_text import SETS, planted
lines = [text for name in SETS for text, _, _ in planted(name, random.Random(1))]
load_detectors()
late = []
sys.addaudithook(lambda event, _: late.append(event) if event == "open" else None)
for line in lines:
    find_private_text(line)
raise SystemExit(bool(late))
"""


def test_nothing_is_left_to_load_once_the_service_has_warmed_up() -> None:
    first = subprocess.run([sys.executable, "-c", _FIRST_FINDINGS], check=False, cwd=ROOT)

    assert first.returncode == 0


def test_every_number_has_its_rules() -> None:
    named = [module for _, modules in NAMED_NUMBERS for module in modules.split()]

    for module in {*named, *(number.module for number in id_numbers.ID_NUMBER_FORMATS)}:
        assert not is_valid(module, "")


@pytest.mark.parametrize(
    "text",
    [
        "Barcode 0 12345 67890 5",
        "In 2025 came 512 345 678 people",
        "profit +12 345 678 900 Euro",
        "We call that a gain of +61 250 000 dollars",
        "the score is +44 2025 2026",
        "A +2024 2025 plan",
        "the difference is +61 250 000",
        "We call that a loss of +358 152 7069698 Euro",
    ],
)
def test_a_number_with_another_meaning_is_no_phone(text: str) -> None:
    assert list(find_private_text(text)) == []


@pytest.mark.parametrize(
    ("text", "value", "kind"),
    [
        ("Call me on +358 152 7069698.", "+358 152 7069698", "phone"),
        ("Call me on +61 250 000.", "+61 250 000", "phone"),
        ("Ann Lee\n+61 250 000\nBern", "+61 250 000", "phone"),
        ("my registered +7 604 089 1051, please", "+7 604 089 1051", "phone"),
        ("we are at +1 (555) 123-4567 all day", "+1 (555) 123-4567", "phone"),
        ("we are at +49 30 1234567 all day", "+49 30 1234567", "phone"),
        ("login ist admin / Sommer2024! fürs Backend", "Sommer2024!", "secret"),
        ("pw for the demo tenant: Tr0ub4dor&3", "Tr0ub4dor&3", "secret"),
        ("user: jdoe, pass: hunter22", "hunter22", "secret"),
        ("mdp : Chaton!42", "Chaton!42", "secret"),
        ("le mot de passe du wifi c'est Maison-2019", "Maison-2019", "secret"),
        ("la clave del wifi es Tigre#99x", "Tigre#99x", "secret"),
        ("WLAN-Schlüssel: 8fKq-22Lm-90xz", "8fKq-22Lm-90xz", "secret"),
        ("管理员密码 Qwe!2345asd", "Qwe!2345asd", "secret"),
        ("sshpass -p q9!Lmmz2 ssh deploy@host1", "q9!Lmmz2", "secret"),
        ("mysql -u root -ps3cr3tPw9 shop", "s3cr3tPw9", "secret"),
        ("curl -u api:k3yk3y99 https://x.example", "k3yk3y99", "secret"),
        ("the full one is 4111.1111.1111.1111", "4111.1111.1111.1111", "card"),
        ("IBAN DE89-3704-0044-0532-0130-00", "DE89-3704-0044-0532-0130-00", "bank"),
        ("Kto. 1234567890, BLZ 100 500 00", "1234567890", "bank"),
        ("dni 12345678z", "12345678z", "tax"),
        ("my SSN: 123 45 6789", "123 45 6789", "tax"),
        ("Sozialversicherungsnummer 15 070649 C 103", "15 070649 C 103", "tax"),
        ("mon portable c'est le 06.12.34.56.78", "06.12.34.56.78", "phone"),
        ("meu celular é (11) 98765-4321", "(11) 98765-4321", "phone"),
        ("Erreichbar unter 0176 / 12 34 56 78", "0176 / 12 34 56 78", "phone"),
        ("手机：１３８００１３８０００", "１３８００１３８０００", "phone"),
        ("ann (at) example (dot) com", "ann (at) example (dot) com", "email"),
        ("ann{at}example.com", "ann{at}example.com", "email"),
        ("ann[ at ]example.com", "ann[ at ]example.com", "email"),
        ("ann { at } example [.] com", "ann { at } example [.] com", "email"),
        ("ann [ at] example (punkt) de", "ann [ at] example (punkt) de", "email"),
        ("bob[at]shop.de bitte", "bob[at]shop.de", "email"),
        ("joe AT company DOT org", "joe AT company DOT org", "email"),
        ("my mail is anna dot lee at gmail dot com", "anna dot lee at gmail dot com", "email"),
        ("Schreiben Sie an p.schulz (at) web.de", "p.schulz (at) web.de", "email"),
        ("maria arroba correo punto es, escríbeme", "maria arroba correo punto es", "email"),
        ("密码：123456", "123456", "secret"),
        ("Passwort: Blau!Haus", "Blau!Haus", "secret"),
        ("la mia password è Juve1897", "Juve1897", "secret"),
        ("пароль: Zima2024", "Zima2024", "secret"),
        ("login admin / password S3cr3t-Pa55", "S3cr3t-Pa55", "secret"),
        ("Meine PIN lautet 4821", "4821", "secret"),
        ("HF_TOKEN=hf_" + "abcdefghXYZ" * 3, "hf_" + "abcdefghXYZ" * 3, "secret"),
        ("here: doo_v1_" + "14ab" * 16, "doo_v1_" + "14ab" * 16, "secret"),
        ("here: rk_prod_" + "51OuEML" * 9, "rk_prod_" + "51OuEML" * 9, "secret"),
        ("Steuernummer 181/815/08155", "181/815/08155", "tax"),
        ("numéro fiscal : 30 23 217 600 053", "30 23 217 600 053", "tax"),
        ("rijksregisternummer 85073003328", "85073003328", "tax"),
        ("マイナンバー：123456789018", "123456789018", "tax"),
        ("NIS: mi RUT es 12345678-5", "12345678-5", "tax"),
        ("meu whats é (11) 98765-4321", "(11) 98765-4321", "phone"),
        ("написать на ivan@почта.рф", "ivan@почта.рф", "email"),
        ("http://gitlab.intra.firma.de/login", "gitlab.intra.firma.de", "address"),
    ],
)
def test_private_text_is_found_in_the_forms_that_people_write(
    text: str, value: str, kind: str
) -> None:
    assert is_found(text, value, kind)


@pytest.mark.parametrize(
    "text",
    [
        "Load 0.12 0.34 0.56",
        "index.html.local is a file",
        "On 100200300 rows it took 12 s",
        "package com.acme.lan.utils",
        "I am (at) home.now",
        "06.12.24-08.12.24",
        "Zugang Nord / Halle5b",
        "user story US-12 / Sprint24a",
        "the password for Day2 is required",
        "login at https://Shop24.example/Login2",
        "mysql -u root -p asks me",
        "git clone git@github.com:acme/rocket.git",
        "https://ann:password@example.com and https://${USER}:${TOKEN}@example.com",
        "GITHUB_TOKEN=ghp_xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
        "パスワードは8文字以上で、123456は使えません",
        "The password is case-sensitive and has 12 to 64 characters",
        "Password: required! Since version 2.30.41",
        "The PIN is 4 digits long",
        "<@234567890123456781> wrote 345678901234567897 in <#456789012345678903>",
        "Fetch the file from /etc/rc.local on 4 hosts",
        "foreign_key_orders_customer_id_2024 and test_api_returns_404_for_unknown_ids",
        "型号 MGA-AL00，系统 4.2.0.136。",
        "It came with 8.3.122.7, now 8.4.130.12",
        "I was at amazon dot com, at this point for 3 hours",
        "The fiscal year 2024 brought 123 456 789 euros",
        "Steuererklärung 2023: bis 02.10.2024 10:15 Uhr",
        "ref 01234567890 and 13812345678 are orders",
    ],
)
def test_what_only_looks_like_private_text_is_none(text: str) -> None:
    assert list(find_private_text(text)) == []


def test_ids_of_a_chat_platform_are_no_private_numbers() -> None:
    chance = random.Random(1)
    ids = [chance.randrange(15 * 10**16, 14 * 10**17) for _ in range(1000)]

    false = [text for one in ids if find_private_text(text := f"<@{one}> in {one}")]

    assert len(false) <= 10, false


def test_a_text_full_of_private_text_takes_time_by_its_length() -> None:
    begun = time.process_time()
    few = len(find_private_text(f"{ADDRESS}, " * 1000))
    short, begun = time.process_time() - begun, time.process_time()

    many = len(find_private_text(f"{ADDRESS}, " * 20_000))

    assert (few, many) == (1000, 20_000)
    # By pairs it would take four hundred times as long.
    assert time.process_time() - begun < 100 * max(short, 0.01)


def test_a_number_of_a_place_that_has_no_county_is_looked_at() -> None:
    # python-stdnum fails on it with a KeyError.
    assert is_found("身份证 110400196112091635", "110400196112091635", "tax")


def test_a_number_is_a_card_only_by_its_check_digit() -> None:
    assert is_found("Take 4111 1111 1111 1111 for it", "4111 1111 1111 1111", "card")
    assert list(find_private_text("Take 4111 1111 1111 1112 for it")) == []


@pytest.mark.parametrize("part", ["content", "reasoning_content", "refusal"])
def test_whatever_a_model_would_learn_is_looked_through(part: str) -> None:
    answer = {"role": "assistant", "content": "Done.", part: f"Write to {ADDRESS} or {ADDRESS}"}
    row = {"messages": [{"role": "user", "content": "Hi"}, answer]}

    assert private_kinds_in_row(row) == PrivateText.EMAIL
    masked: Any = mask_row(row)["messages"]
    assert masked[1][part] == "Write to [EMAIL_1] or [EMAIL_1]"


def test_every_mention_of_a_key_is_found() -> None:
    key = "sq0csp-" + "aB3dE5gH7jK9" * 3 + "LmNoPqR"
    found = [one for one in find_private_text(f"Use {key} or again {key}, please") if one.kind]

    assert len(found) == 2


def texts(row: Any) -> list[str]:
    return [message["content"] for message in row["messages"]]


def test_the_same_text_has_the_same_mask_in_the_whole_row() -> None:
    call = {"name": "f", "arguments": json.dumps({"to": ADDRESS, "card": 4111111111111111})}
    messages = [
        {"role": "user", "content": f"I am [EMAIL_1], not {ADDRESS} nor bob@example.org."},
        {"role": "assistant", "content": f"{ADDRESS.upper()}? Or +49 30 1234567, +49 301234567?"},
        {"role": "assistant", "tool_calls": [{"id": "1", "function": call}]},
    ]

    masked: Any = mask_row({"messages": messages})["messages"]

    assert masked[0]["content"] == "I am [EMAIL_1], not [EMAIL_2] nor [EMAIL_3]."
    assert masked[1]["content"] == "[EMAIL_2]? Or [PHONE_1], [PHONE_1]?"
    arguments = json.loads(masked[2]["tool_calls"][0]["function"]["arguments"])
    assert arguments == {"to": "[EMAIL_2]", "card": "[CARD_1]"}
    assert mask_row({"messages": masked}) == {"messages": masked}


async def teach(scene: Scene, question: str, answer: str) -> None:
    await scene.command("teach")
    await scene.submit(question=question, answer=answer)


def sent(scene: Scene) -> str:
    return "".join(str(file.content) for file in scene.host.files.values())


@pytest.mark.parametrize("decision", ["Mask", "Keep"])
async def test_a_key_leaves_the_house_only_once_somebody_decided(
    scene: Scene, decision: str
) -> None:
    await scene.learn(12)
    await teach(scene, "the key?", f"It is {SECRET}.")
    told = await scene.last()
    await scene.command("start")
    estimate = str(await scene.last_card())
    await scene.click("Confirm")
    await scene.settle()
    before = sent(scene)

    await scene.command("check")
    await scene.click("Show 1")
    listed = await scene.last()
    await scene.click(decision)
    late = ButtonClicked("example.mask:13.r7.approved")
    await scene.handle(scene.event(late, key="late"))
    outdated = await scene.last()
    await scene.confirm()
    await scene.settle()

    assert "a key or password" in told
    assert "Example 13 is approved" in outdated
    assert SECRET not in before
    assert "question 3" in before
    assert "private text" in estimate
    assert SECRET in listed
    assert (SECRET in sent(scene)) is (decision == "Keep")
    assert ("[SECRET_1]" in sent(scene)) is (decision == "Mask")


async def test_a_key_that_comes_in_after_the_yes_stops_the_upload(scene: Scene) -> None:
    await scene.learn(12)
    await scene.confirm()

    await scene.command("examples edit:1")
    await scene.submit(question="question 0", answer=f"it is {SECRET}")
    await scene.settle()

    assert scene.host.files == {}
    assert (await scene.job()).phase is Phase.ABANDONED


async def test_what_was_kept_asks_again_once_an_edit_brings_more(scene: Scene) -> None:
    await teach(scene, "the key?", f"It is {SECRET}.")
    await scene.click("Keep")
    await scene.command("examples edit:1")
    await scene.submit(question="the old key?", answer=f"It was {SECRET}.")
    (kept,) = await scene.examples()

    await scene.command("examples edit:1")
    await scene.submit(question="the keys?", answer=f"{SECRET} and sk-zyxwvutsrqponmlk9876")
    (again,) = await scene.examples()

    assert (kept.awaits_masking, again.awaits_masking) == (False, True)


async def test_a_workspace_may_demand_masks(scene: Scene) -> None:
    scene.admins = "slack:ada"
    await scene.restart()
    lesson = {"question": "who?", "answer": f"Ask {ADDRESS}."}
    demand = {"sources": "forms", "allowed": "", "permission": "Letter of 3 May"}

    await scene.slack_event(FormSubmitted("sources", demand), key="1", by="ada")
    await scene.slack_event(FormSubmitted("teach", lesson), key="2", by="ada")
    await scene.slack_event(FormSubmitted("sources", {**demand, "mask": "yes"}), key="3", by="ada")
    lesson["question"] = "and who then?"
    await scene.slack_event(FormSubmitted("teach", lesson), key="4", by="ada")

    before, after = await scene.examples(ExampleState.APPROVED, workspace=SLACK)
    assert (texts(before.row)[1], texts(after.row)[1]) == (lesson["answer"], "Ask [EMAIL_1].")
    assert (before.awaits_masking, after.awaits_masking) == (True, False)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("see fe80::1 there", PrivateText.ADDRESS),
        ("it is aa:bb:cc:dd:ee:f1", PrivateText.ADDRESS),
        ("ask 10.0.0.7 for it", PrivateText.ADDRESS),
        ("sort code 12-34-56", PrivateText.BANK),
        ("the password is hunter2", PrivateText.SECRET),
        ("sk-abcdefghijklmnopq1", PrivateText.SECRET),
        ("gsk_" + "aB3dE5gH7jK9" * 4, PrivateText.SECRET),
        ("export HOUSE_KEY=aB3dE5gH7jK9aB3dE5gH7jK9", PrivateText.SECRET),
        ("PAN: ACUPA7085R", PrivateText.TAX),
        ("RFC GODE561231GR8", PrivateText.TAX),
        ("tel. 512 345 678", PrivateText.PHONE),
        ("port 001a.2b3c.4d5e", PrivateText.ADDRESS),
        ("jürgen@müller.example", PrivateText.EMAIL),
    ],
)
def test_the_shortest_of_each_kind_is_looked_at(text: str, kind: PrivateText) -> None:
    assert [one.kind for one in find_private_text(text)] == [kind]
