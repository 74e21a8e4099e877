"""What people wrote in tickets stays, also where it resembles what programs write."""

import csv
import io

import pytest

from bot.rows import Problem
from tests.test_help_desk_mess import ANN, BO, A, Q, U, desk, table
from tests.test_imports import imported, said


def one_row(question: str, answer: str) -> bytes:
    """A table of one ticket, with a row for the ticket."""
    out = io.StringIO()
    rows = [("Case Ref", "Status", "Description", "Resolution"), ("1", "Solved", question, answer)]
    csv.writer(out).writerows(rows)
    return out.getvalue().encode()


def tickets(*texts: tuple[str, ...]) -> bytes:
    """A table of tickets, each with the texts of its agent."""
    rows = []
    for number, answers in enumerate(texts):
        rows.append((f"LH-{4000 + number}", "Customer", ANN, Q))
        rows += [(f"LH-{4000 + number}", "Agent", BO, answer) for answer in answers]
    return table(*rows)


@pytest.mark.parametrize(
    "answer",
    [
        "Here is how to find it.\nOpen Outlook and click Sent Items.\nSort by date.\nOpen it.",
        "It is on its way.\nThe invoice was sent to your Gmail address.",
        "Glad that you ask.\nYes, we represent Huawei in Austria.",
        "Two ways.\nSent from our warehouse on Monday",
        "Look below.\nSent from my iPhone\nIt is the last line of each mail.",
    ],
)
def test_a_sentence_about_a_mail_program_is_no_signature(answer: str) -> None:
    assert said(desk(answer=answer)) == 6 * [[(U, Q), (A, answer)]]


@pytest.mark.parametrize(
    "line",
    [
        "Sent from my iPhone",
        "Sent from my Samsung Galaxy smartphone.",
        "Sent from Mail for Windows 10",
        "Von meinem iPhone gesendet",
        "Envoyé de mon iPhone",
        "iPhone'umdan gönderildi",
        "发自我的iPhone",
        "Get Outlook for iOS",
    ],
)
def test_the_line_of_a_mail_program_is_no_part_of_an_answer(line: str) -> None:
    answer = "Twenty kilos."

    assert said(desk(answer=f"{answer}\n\n{line}")) == 6 * [[(U, Q), (A, answer)]]


@pytest.mark.parametrize("short", ["Yes, you can.", "Look at page 4.", "Wait ten minutes."])
def test_a_short_answer_before_explanations_is_kept(short: str) -> None:
    longer = [f"Explanation {letter}: stack the stones loosely." for letter in "abcde"]

    assert said(tickets(*((short, text) for text in longer), (short,))) == [
        *([(U, Q), (A, f"{short}\n\n{text}")] for text in longer),
        [(U, Q), (A, short)],
    ]


@pytest.mark.parametrize("wait", ["One moment, please.", "Let me check that for you…"])
def test_who_only_asks_to_wait_is_left_out_before_a_longer_answer(wait: str) -> None:
    longer = "Twenty kilos, and stack the stones loosely."

    assert said(tickets((wait, longer), (wait,))) == [[(U, Q), (A, longer)], [(U, Q), (A, wait)]]


def test_an_answer_with_the_number_of_the_ticket_is_kept() -> None:
    texts = [
        f"It left on Monday. Track it with your number LH-{4000 + number} on our page."
        for number in range(6)
    ]

    assert said(tickets(*((text,) for text in texts))) == [[(U, Q), (A, text)] for text in texts]


def test_what_a_program_writes_with_the_number_of_the_ticket_is_no_answer() -> None:
    numbers = [f"LH-{4000 + number}" for number in range(6)]
    receipts = [
        f"Thank you for contacting us. Your case {number} has been received and we will respond"
        " within a day. We open at nine."
        for number in numbers
    ]
    rest = "Twenty kilos."

    answered = said(tickets(*((receipt, rest) for receipt in receipts)))
    alone = [row for _, row in imported(tickets(*((receipt,) for receipt in receipts)))]

    assert answered == [[(U, Q), (A, rest)]] * 6
    assert {row.code for row in alone if isinstance(row, Problem)} == {"ticket_unanswered"}
    assert len(alone) == 6


@pytest.mark.parametrize(
    "question",
    [
        "I am on vacation next week, can you hold my parcel?",
        "I am on vacation next week, please hold my parcel.",
        "I am on vacation in Greece and my card does not work.",
        "I'm out of office until Monday. How do I redirect my calls?",
        "My mail was not delivered to ann at shop. Error 550 5.1.1",
    ],
)
def test_a_question_about_an_absence_or_a_bounce_is_kept(question: str) -> None:
    assert imported(one_row(question, "Twenty kilos."))[0][1] == {
        "messages": [{"role": U, "content": question}, {"role": A, "content": "Twenty kilos."}]
    }


@pytest.mark.parametrize(
    "answer",
    [
        "To join, please take a minute to fill in the form.",
        "Then the second ticket is merged into the first.",
        "Yes, we received your request on Monday. The warehouse will answer within two days, and "
        "the refund follows on Friday.",
        "We received your request. Our team will reply within two days. The stove needs 20 kilos.",
    ],
)
def test_an_answer_that_says_more_than_a_receipt_is_kept(answer: str) -> None:
    assert imported(one_row(Q, answer))[0][1] == {
        "messages": [{"role": U, "content": Q}, {"role": A, "content": answer}]
    }


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("faq.txt", "- Q: How do I pay?\n  A: By card.\n- Q: Who is it?\n  A: Bo.\n"),
        (
            "faq.md",
            "- Question: How do I pay?\n  Answer: By card.\n- Question: Who is it?\n"
            "  Answer: Bo.\n",
        ),
        (
            "faq.txt",
            "From: shop\nSubject: FAQ\n\nQ: How do I pay?\nA: By card.\n\nQ: Who is it?\nA: Bo.\n",
        ),
    ],
)
def test_a_list_of_questions_that_begins_like_yaml_or_a_mail_is_read(name: str, text: str) -> None:
    assert said(text.encode(), name) == [
        [(U, "How do I pay?"), (A, "By card.")],
        [(U, "Who is it?"), (A, "Bo.")],
    ]
