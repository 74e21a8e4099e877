"""What stands in real tickets beside questions and answers: nothing of it is learned."""

import csv
import io
import json

import pytest

from tests.test_imports import imported, refused, said

U, A = "user", "assistant"
Q, ANSWER = "How many kilos of stones does the stove need?", "Twenty kilos, stacked loosely."
LEARNED = [(U, Q), (A, ANSWER)]
ANN, BO = "Ann O'Brien", "Bo Ek"
HEADINGS = ("Case Ref", "Sender Type", "Sent By", "Msg Content", "Case State")


def table(*rows: tuple[str, str, str, str], state: str = "Solved") -> bytes:
    """A table with a row for each message: ticket, side, author, text."""
    out = io.StringIO()
    csv.writer(out).writerows([HEADINGS, *((*row, state) for row in rows)])
    return out.getvalue().encode()


def desk(*, question: str = Q, answer: str = ANSWER, more: tuple[str, str] | None = None) -> bytes:
    """Six tickets; `more` is the side and text of a further message before the answer."""
    rows = []
    for number in range(6):
        ticket = f"LH-{4000 + number}"
        rows.append((ticket, "Customer", ANN, question))
        if more:
            rows.append((ticket, more[0], "Mail", more[1].replace("LH-1", ticket)))
        rows.append((ticket, "Agent", BO, answer))
    return table(*rows)


@pytest.mark.parametrize(
    "quote",
    [
        "On Mon, Jan 5, 2026 at 10:02 AM Ann <ann@mail.example> wrote:",
        "Op ma 5 jan 2026 om 10:02 schreef Ann <ann@mail.example>:",
        "pon., 5 sty 2026 o 10:02 Ann <ann@mail.example> napisał(a):",
        "Ann <ann@mail.example> escreveu no dia segunda, 5/01/2026 à(s) 10:02:",
        "Ann <ann@mail.example>, 5 Oca 2026 Pzt, 10:02 tarihinde şunu yazdı:",
        "2026年1月5日(月) 10:02 Ann <ann@mail.example>:",
        "Van: Ann <ann@mail.example>\nVerzonden: maandag 5 januari 2026 10:02\nAan: desk",
        "Od: Ann <ann@mail.example>\n\nWysłano: 5 stycznia 2026 10:02\n\nDo: desk\n\nTemat: piec",
        "Kimden: Ann <ann@mail.example>\nGönderildi: 5 Ocak 2026 10:02\nKime: desk",
        "差出人: Ann <ann@mail.example>\n送信日時: 2026年1月5日 10:02\n宛先: desk",
        "-----Oorspronkelijk bericht-----",
        "##- Bitte geben Sie Ihre Antwort oberhalb dieser Zeile ein -##",
    ],
)
def test_a_quoted_mail_is_no_part_of_an_answer_in_any_language(quote: str) -> None:
    assert said(desk(answer=f"{ANSWER}\n\n{quote}\n{Q}")) == 6 * [LEARNED]


@pytest.mark.parametrize(
    "text",
    [
        "Thanks for getting in touch! We are currently closed and will get back to you on Monday.",
        "Unser Büro ist derzeit geschlossen. Wir melden uns am nächsten Werktag.",
        "Bedankt. Wij hebben uw aanvraag ontvangen en reageren binnen 24 uur.",
        "Otrzymaliśmy Państwa zgłoszenie i odpowiemy w ciągu 24 godzin.",
        "Talebiniz alındı. Ekibimiz 24 saat içinde size dönüş yapacaktır.",
        "お問い合わせを受け付けました。24時間以内に担当者よりご返信いたします。",
        "Your case has been closed because we have not heard from you for 7 days.",
        "Uw aanvraag is gesloten omdat we 7 dagen niets van u hebben gehoord.",
        f"Case LH-7 was closed and merged into this case. Last message in LH-7:\n\n{Q}",
        "How did we do? Please rate your experience with our support: Good | Bad",
        # In a language of which no rule knows a word: many tickets, each with its number.
        "Zahtjev LH-1 je zaprimljen.",
    ],
)
def test_what_a_help_desk_sends_by_itself_is_no_answer(text: str) -> None:
    assert said(desk(more=("Agent", text))) == 6 * [LEARNED]


@pytest.mark.parametrize(
    "text",
    [
        "Mail Delivery Subsystem <mailer-daemon@x.example>\n\n** Address not found **\n\n"
        "Your message wasn't delivered to ann@x.example.\n550 5.1.1 No such user.",
        "This is the mail system at host mx1.x.example.\n\nYour message could not be delivered.\n\n"
        "Final-Recipient: rfc822; ann@x.example\nAction: failed\nStatus: 5.2.2",
        "Call from: +358 40 123 4567\nCall to: +358 8 555 0100\nTime of call: July 7, 2025 03:53\n"
        "Answered by: Bo Ek\nLength of phone call: 4 minutes",
        "Automatisch antwoord: ik ben tot 12 januari afwezig.",
        "自動応答：1月12日まで不在にしております。",
        "自动回复：您好，我正在休假，1月12日后回复。",
        "Satisfaction rating: Good\nComment: quick help",
    ],
)
def test_what_mail_servers_and_telephones_write_is_no_question(text: str) -> None:
    assert said(desk(more=("Customer", text))) == 6 * [LEARNED]


@pytest.mark.parametrize(
    "signature",
    [
        f"S pozdravem,\n{BO}",
        f"S pozdravem\n\n{BO}\nZákaznická podpora | Stoves\n+420 555 010 010 | www.x.example",
        f"{BO}\nCustomer Care\nStoves Oy",
        "/Bo",
        f"Hartelijke groet, {BO}",
        f"以上、よろしくお願いいたします。\n{BO}",
    ],
)
@pytest.mark.parametrize("greeting", ["", "Milá Ann,\n\n", f"Sayın {ANN},\n", "Beste Ann,\n"])
def test_who_signs_and_who_is_greeted_is_told_by_the_names_in_the_ticket(
    greeting: str, signature: str
) -> None:
    texts = [f"Answer {number}: twenty kilos." for number in "abcdef"]
    rows = [
        (f"LH-{number}", *message)
        for number, text in enumerate(texts)
        for message in (
            ("Customer", ANN, f"{Q}\n\n{ANN}\nHill 8, 8000 Town\nM: +49 1520 8550724"),
            ("Agent", BO, f"{greeting}{text}\n\n{signature}"),
        )
    ]

    assert said(table(*rows)) == [[(U, Q), (A, text)] for text in texts]


@pytest.mark.parametrize(
    "tail",
    [
        "Attachment(s):\nIMG_2231.HEIC - https://desk.example/attachments/29929452",
        "附件：\n截图.png (34 KB)",
        "Verstuurd vanaf mijn iPhone",
        "iPhoneから送信",
        "De informatie in dit e-mailbericht is vertrouwelijk.",
    ],
)
def test_what_stands_below_a_question_is_no_part_of_it(tail: str) -> None:
    rows = [
        ("LH-1", "Customer", "", f"{Q}\n\n{tail}"),
        ("LH-1", "Agent", "", ANSWER),
        ("LH-2", "Customer", "", Q),
    ]

    assert imported(table(*rows))[0][1] == {
        "messages": [{"role": U, "content": Q}, {"role": A, "content": ANSWER}]
    }


@pytest.mark.parametrize("state", ["Spam", "Deleted", "垃圾邮件"])
def test_a_ticket_marked_as_spam_or_deleted_is_left_out_by_name(state: str) -> None:
    rows = [("LH-1", "Customer", "Promo", "Buy links."), ("LH-1", "Agent", BO, "No, thank you.")]

    assert refused(table(*rows, state=state)) == [(2, "ticket_discarded")]


def test_a_chat_kept_in_one_message_is_split_by_who_wrote() -> None:
    chat = (
        "Chat started: 2025-07-08 11:04 AM UTC\n\n"
        f"(11:04:00 AM) {ANN}: {Q}\n"
        f"(11:04:30 AM) {BO}: Twenty kilos,\nstacked loosely.\n"
        f"(11:05:02 AM) {ANN}: And for the small one?\n"
        f"(11:05:40 AM) {BO}: Ten.\n"
        f"(11:06:00 AM) *** {ANN} left the chat ***"
    )
    rows = [(f"LH-{number}", "Customer", ANN, chat) for number in (1, 2)]
    rows.append(("LH-2", "Agent", BO, "Ten and a half."))

    assert said(table(*rows))[0] == [
        (U, Q),
        (A, "Twenty kilos,\nstacked loosely."),
        (U, "And for the small one?"),
        (A, "Ten."),
    ]


@pytest.mark.parametrize("between", [" ", "\t", "a ", "\u3000"])
def test_a_long_line_that_begins_with_a_time_is_read_in_one_pass(between: str) -> None:
    text = f"10:00{50_000 * between}x"

    assert [row[1] for row in said(desk(answer=text))[:1]] == [(A, text)]


def test_what_only_makes_somebody_wait_is_no_part_of_an_answer() -> None:
    texts = [f"Answer {number}: twenty kilos, stacked loosely." for number in "abcdef"]
    rows = [
        (f"LH-{number}", *message)
        for number, text in enumerate(texts)
        for message in (
            ("Customer", ANN, Q),
            ("Agent", BO, "Momentíček…"),
            ("Agent", BO, text),
        )
    ]

    assert said(table(*rows)) == [[(U, Q), (A, text)] for text in texts]


@pytest.mark.parametrize(
    "text",
    [
        "Our hours:\n10:00 Start: warm up\n11:00 Sauna: go in\n12:00 End: shower",
        "The mailbox is full, so senders get 550 5.2.2 back. Empty it under Settings.",
        "Please send us:\nName: yours\nMail: care@stoves.example\nOrder: its number",
        "Our workshop is here:\n\nStoves Oy\nHill 8\n+358 8 555 0100",
        "Your request has been received by the factory, the part comes on Friday.",
        "Check first: is it warm?\nThen press Bo",
        "The manual is at www.stoves.example/manual.pdf",
    ],
)
def test_an_answer_that_looks_like_mess_is_kept_whole(text: str) -> None:
    rows = [
        (f"LH-{number}", *message)
        for number in (1, 2)
        for message in (("Customer", ANN, Q), ("Agent", "Eve Lind", text))
    ]

    assert said(table(*rows)) == 2 * [[(U, Q), (A, text)]]


def test_names_and_states_are_known_in_json_as_well() -> None:
    def ticket(status: str) -> dict[str, object]:
        texts = ((ANN, "customer", Q), (BO, "agent", f"Milá Ann,\n\n{ANSWER}\n\nS pozdravem,\nBo"))
        messages = [
            {"author": {"name": name, "type": side}, "body": text, "created_at": f"2026-01-0{n}"}
            for n, (name, side, text) in enumerate(texts, 1)
        ]
        return {"id": f"LH-{status}", "status": status, "messages": messages}

    file = json.dumps([ticket("solved"), ticket("spam")]).encode()

    assert refused(file, "desk.json") == [(2, "ticket_discarded")]
    assert imported(file, "desk.json")[0][1] == {
        "messages": [{"role": U, "content": Q}, {"role": A, "content": ANSWER}]
    }


def test_a_row_for_each_ticket_is_cleaned_by_the_same_rules() -> None:
    signed = f"Milá Ann,\n\n{ANSWER}\n\nS pozdravem,\n{BO}"
    receipt = "We received your request. Our team will reply within 24 hours."
    chat = f"(11:04) {ANN}: {Q}\n(11:05) {BO}: Ten.\n(11:06) {ANN}: Thanks"
    rows = [
        ("Case Ref", "Status", "Assignee", "Requester", "Description", "Resolution"),
        ("1", "Solved", BO, ANN, f"{Q}\n\n{ANN}\nTel. +358 40 1234567", signed),
        ("2", "Spam", BO, ANN, Q, ANSWER),
        ("3", "Solved", BO, ANN, Q, receipt),
        ("4", "Solved", BO, ANN, chat, ANSWER),
    ]
    out = io.StringIO()
    csv.writer(out).writerows(rows)
    file = out.getvalue().encode()

    assert [code for _, code in refused(file)] == [
        "row_discarded",
        "cell_automatic",
        "cell_transcript",
    ]
    assert imported(file)[0][1] == {
        "messages": [{"role": U, "content": Q}, {"role": A, "content": ANSWER}]
    }
