"""What people wrote into tickets stays whole, however much it looks like the mess of mails."""

import csv
import io

import pytest

from bot.imports.mail_text import strip_quotes_and_signature
from tests.test_imports import refused, said

U, A = "user", "assistant"
Q = "What do I have to do now?"


def table(*rows: tuple[str, ...]) -> bytes:
    out = io.StringIO()
    csv.writer(out).writerows(rows)
    return out.getvalue().encode()


ROUTER = "Please try this first.\nRouter: unplug it for 30 seconds.\nWait for green.\nThen call us."


@pytest.mark.parametrize(
    ("heading", "value", "text"),
    [
        ("Product Name", "Router", ROUTER),
        ("Name", "Router", "Unplug the right box.\nRouter"),
        ("Product Name", "Mail", "Open one of these.\nMail\nCalendar"),
        ("Contact Channel", "Email", "You can write to us.\nEmail"),
        ("Contact", "Email", "You can write to us.\nEmail"),
        ("Customer Type", "Basic", "You have this tariff.\nBasic"),
        ("Assigned", "Yes", "Is the light on?\nYes\nNo"),
        ("Opened", "No", "Is the lid open?\nNo"),
        ("Opened Date", "Monday", "We are open again.\nMonday"),
        ("Requester", "Mark", "Mark the task as done.\nThen save it."),
        ("Requester", "Mark", "Open the list.\nMark the task as done.\nThen save it."),
        ("Requester", "Li", "Please send us this.\nLicence plate number"),
        ("Requester", "An", "Bring both.\nAn ID card and a photo."),
        ("Requester", "Paris Hill", "Lyon - Paris\nLille - Brussels"),
        ("Requester", "Paris Hill", "Two trains go.\nLille - Paris\nLyon - Paris"),
        ("Assignee", "Will", "You can ask Will\nThe file is in the folder."),
        ("Assignee", "Will", "You can ask Will\n\nThe file is in the folder."),
        (
            "Assignee",
            "Zoe Kern",
            "For invoices please contact\nZoe Kern\nFor repairs please contact\nthe workshop",
        ),
        ("Assignee", "Zoe Kern", "Your contacts are\n\nZoe Kern\nBo Ek"),
    ],
)
def test_an_answer_stays_whole_whatever_other_columns_hold(
    heading: str, value: str, text: str
) -> None:
    file = table(("Ticket ID", heading, "Description", "Resolution"), ("1", value, Q, text))

    assert said(file) == [[(U, Q), (A, text)]]


def test_names_that_are_words_cut_no_answer_of_a_table_of_messages() -> None:
    text = "Open the list of tasks.\nMark the task as done.\nWill it stay? Press Save."
    rows = [
        row
        for number in ("1", "2")
        for row in ((number, "Customer", "Mark", Q), (number, "Agent", "Will", text))
    ]

    assert said(table(("Ticket ID", "Author role", "Author name", "Message"), *rows)) == 2 * [
        [(U, Q), (A, text)]
    ]


@pytest.mark.parametrize(
    "text",
    [
        "Bus 7 10:15: Main Square\nBus 8 10:20: Station\nBus 7 10:45: Main Square",
        "Monday 9:00: shop opens\nTuesday 10:00: shop opens\nMonday 18:00: shop closes",
        "Lyon 9:00: arrival\nParis 11:00: arrival\nLyon 9:10: departure",
    ],
)
def test_a_timetable_is_no_chat(text: str) -> None:
    messages = table(
        ("Ticket ID", "Author role", "Message"),
        *((number, *m) for number in "12" for m in (("Customer", Q), ("Agent", text))),
    )
    cells = table(("Ticket ID", "Requester", "Description", "Resolution"), ("1", "Ann", Q, text))

    assert said(messages) == 2 * [[(U, Q), (A, text)]]
    assert refused(cells) == []
    assert said(cells) == [[(U, Q), (A, text)]]


@pytest.mark.parametrize(
    "text",
    [
        # First words that are no greeting.
        "製品の仕様：5V、2Aです。",
        "お客様：田中商店",
        "同様。\n電源を切ります。",
        "同様、\n電源を切ります。",
        "Beste Option: die Flatrate für alle.",
        "Beste Option\nDie Flatrate für alle.",
        "Cara Menu: premi R.",
        "客服说您好。然后等待。",
        "请说您好，然后等待。",
        "Good morning: from 7 to 9.",
        # Closings and what programs write, as content.
        "Sold out.\nGroeten uit Gent is uitverkocht.\nWij sturen het boek later.",
        "手順です。\nよろしくお願いします\n再起動の手順は次のとおりです。\n電源を切ります。",
        "It came late.\nSincerely sorry for this trouble.\nA new parcel leaves today.",
        "It came late.\nSincerely sorry for this trouble.",
        "This is the first way.\n--\nThis is the other way: press R.",
        "The parcel is on its way.\nSent from the warehouse within two days.",
        "Write this below it.\nKind regards\nThen press Send.",
        # Quotes.
        "Write to us:\nBookings <book@shop.example> before 10:30:\nThen wait.\nPay at the desk.",
        "Fill in the form:\nFrom: Berlin\nTo: Rome\nThen press Search.",
        "Look at the box.\nOn the lid somebody wrote:\nOpen here.",
        # Files.
        "Take these:\nManual: guide.pdf - https://shop.example/guide.pdf\nsetup.exe (20 MB)",
        "Here they are.\nsetup.exe (20 MB)",
    ],
)
def test_content_that_looks_like_a_part_of_a_mail_stays(text: str) -> None:
    assert strip_quotes_and_signature(text) == text


@pytest.mark.parametrize(
    "text",
    [
        "I cannot sign in.\n\nWhat I tried\nhttps://x.example/login\nhttps://x.example/reset",
        "Please send it there.\n\nNew address\nTel +49 1520 8550724\nMain street 7",
    ],
)
def test_a_customers_last_paragraph_with_addresses_stays(text: str) -> None:
    cells = table(
        ("Ticket ID", "Requester", "Description", "Resolution"), ("1", "Ann", text, "Ok.")
    )
    messages = table(
        ("Ticket ID", "Author role", "Message"),
        *((number, *m) for number in "12" for m in (("Customer", text), ("Agent", "Ok."))),
    )

    assert said(cells) == [[(U, text), (A, "Ok.")]]
    assert said(messages) == 2 * [[(U, text), (A, "Ok.")]]
