"""Recognises automatic messages: receipts, closures, surveys, absences, bounces, calls."""

import re
from typing import Final

# Each pair matches that a request was received or nobody is there, and that an answer will follow.
_RECEIPTS: Final = tuple(
    (re.compile(received, re.IGNORECASE | re.DOTALL), re.compile(promised, re.IGNORECASE))
    for received, promised in (
        (
            r"received your (?:\w+ )?(?:request|message|e-?mail|ticket|(?:i|e)nquiry|query|case)\b"
            r"|\byour (?:\w+ )?(?:request|ticket|case|message|(?:i|e)nquiry)\b.{0,60}"
            r"\b(?:received|created|logged|registered|opened)\b",
            r"\bget back to you\b|\b(?:repl(?:y|ied)|respon[ds]\w*|answer\w*|in touch|review\w*)\b"
            r".{0,60}\b(?:soon|shortly|within|hours?|days?|team)\b"
            r"|\b(?:team|staff|agent)\b.{0,60}\b(?:reply|respond|answer|contact|review)"
            r"|to add (?:additional|more) comments",
        ),
        (
            r"\b(?:ihre|deine) (?:anfrage|nachricht|e-?mail|mitteilung)\b.{0,60}"
            r"\b(?:erhalten|eingegangen)\b",
            r"\b(?:melden|antworten|beantworten|bearbeite[nt]|kümmern)\b",
        ),
        (
            r"reçu votre (?:demande|message|e-?mail)|votre demande.{0,60}(?:reçue|enregistrée)",
            r"répond|reviendr|trait(?:er|ée)|délais",
        ),
        (
            r"recibido (?:tu|su) (?:solicitud|mensaje|consulta|correo)",
            r"respond|contact|pondremos",
        ),
        (r"ricevuto la (?:tua|sua|vostra) (?:richiesta|e-?mail)", r"rispond|ricontatt"),
        (
            r"recebemos (?:a )?(?:o )?(?:sua|seu|tua|teu) (?:mensagem|solicitação|pedido|e-?mail)",
            r"respond|retorn|contato|contacto",
        ),
        (
            r"收到了?[您你]的.{0,10}(?:邮件|请求|消息|工单|来信|咨询|反馈)",
            r"(?:尽快|小时内|工作日内?).{0,12}(?:回复|处理|联系|答复)",
        ),
        (r"\b(?:aanvraag|bericht|vraag)\b.{0,40}\bontvangen\b", r"reageren|antwoord|beantwoord"),
        (r"\botrzymaliśmy\b.{0,40}\b(?:zgłoszenie|wiadomość|zapytanie)", r"odpowiemy|odpowiedź"),
        (r"\btalebiniz\b.{0,40}\b(?:alındı|ulaştı)", r"dönüş|yanıt|cevap"),
        (r"お問い合わせ.{0,40}(?:受け付けました|受付|承りました)", r"(?:返信|連絡|回答)"),
        (
            r"\bwe(?:'re| are) (?:currently|now|temporarily) (?:closed|away|offline|unavailable)",
            r"\bget back to you\b|\b(?:reply|respond|answer)\b",
        ),
        (
            r"\b(?:derzeit|momentan|aktuell|zurzeit) (?:geschlossen|nicht (?:besetzt|erreichbar))",
            r"\b(?:melden|antworten|beantworten)\b",
        ),
    )
)
# That a ticket was closed for lack of an answer, or merged into another.
_CLOSURE: Final = re.compile(
    r"\b(?:ticket|case|request|conversation|enquiry|inquiry)\b.{0,40}\b(?:has been|was|is)"
    r" (?:now )?(?:automatically )?closed\b.{0,40}\b(?:not heard|no (?:reply|response)|inactiv\w+)"
    r"|\b(?:ticket|case|request|conversation)\b.{0,80}\bclosed and merged (?:into|with)\b"
    r"|\bgeschlossen, (?:weil|da) wir\b.{0,40}\bnichts\b"
    r"|\b(?:fall|ticket|anfrage|vorgang)\b.{0,80}\bzusammengeführt\b"
    r"|\bclôturée?\b.{0,30}\b(?:faute|absence|sans) (?:de )?réponse"
    r"|\bdemande\b.{0,80}\bfusionnée\b"
    r"|\bgesloten\b.{0,20}\bomdat we\b.{0,40}\b(?:niets|geen)\b"
    r"|\bcerrad[oa]\b.{0,30}\b(?:falta de|sin) respuesta|\bchius[oa]\b.{0,30}\bmancanza di risposta"
    r"|未收到[您你]的?(?:回复|答复).{0,20}关闭|工单.{0,20}合并到",
    re.IGNORECASE | re.DOTALL,
)
_SURVEY: Final = re.compile(
    r"how would you rate (?:the|our|your) (?:support|service|help|experience)"
    r"|love to hear what you think of our (?:customer )?(?:service|support)"
    r"|take a (?:moment|minute) to rate"
    r"|wie zufrieden (?:waren|sind) sie mit|comment évalue(?:z|riez)-vous"
    r"|please rate your (?:experience|conversation)"
    r"|cómo calificar(?:ía|ías) (?:el|la|nuestro)|请.{0,8}对.{0,12}评价",
    re.IGNORECASE,
)
# The answer of a customer to a survey.
_RATED: Final = re.compile(
    r"\s{0,9}(?:customer )?satisfaction (?:rating|score)\s{0,9}:", re.IGNORECASE
)
_ABSENCE: Final = re.compile(
    r"\s{0,9}(?:automatic reply|auto-?reply|automatische antwort|abwesenheitsnotiz"
    r"|réponse automatique|respuesta automática|risposta automatica|resposta automática"
    r"|automatisch antwoord|automatyczna odpowiedź|otomatik yanıt|自动回复|自動応答|自動返信)"
    r"\s*[:：]"
    r"|(?:.{0,80}\n{1,3})?\s{0,9}(?:thank you for your (?:e-?mail|message)[.!]\s{0,9})?"
    r"(?:i am|i'm|i will be) (?:currently |now )?"
    r"(?:out of (?:the )?office|on (?:annual |parental )?leave|on vacation)\b"
    r"|(?:.{0,80}\n{1,3})?\s{0,9}ich bin (?:derzeit |zurzeit |aktuell |bis .{4,20} )?"
    r"(?:nicht im (?:büro|haus)|abwesend|im urlaub)"
    r"|(?:.{0,80}\n{1,3})?\s{0,9}je suis (?:actuellement )?(?:absente? du bureau|en congés?)"
    r"|undeliverable:",
    re.IGNORECASE,
)
# Mail servers write in English and with the codes of RFC 3463 and RFC 3464.
_BOUNCE: Final = re.compile(
    r"\bmail delivery (?:failed|sub-?system)|\bdelivery (?:status notification|has failed)\b"
    r"|\b(?:final|original)-recipient\s{0,9}:|\bmailer-daemon@|\bthis is the mail system at host\b"
    r"|\bundelivered mail returned\b|\bpostmaster@"
    r"|\b(?:could not|couldn't|was not|wasn't) (?:be )?delivered\b"
    r"|\b(?:4\d\d|5\d\d)[ -][45]\.\d{1,3}\.\d{1,3}\b",
    re.IGNORECASE,
)
_BOUNCE_SIGNS: Final = 2
# How a mail server begins; a person tells what happened.
_SERVER: Final = re.compile(
    r"\W{0,9}(?:mail delivery (?:failed|sub-?system)|delivery (?:status notification|has failed)"
    r"|(?:from: )?(?:mailer-daemon|postmaster)@|this is the mail system at host"
    r"|undelivered mail returned|(?:final|original)-recipient\s{0,9}:)",
    re.IGNORECASE,
)
# Sentences that may stand beside a receipt, and how an answer to a question begins.
_COURTESY: Final = re.compile(
    r"(?:hi|hello|dear|thank|thanks|danke|vielen dank|merci|gracias|grazie|obrigad\w|bedankt"
    r"|how did we do)\b.{0,60}|\S{1,12}[您你]好.?|感谢.{0,30}|谢谢.{0,30}"
    r"|good|bad",
    re.IGNORECASE,
)
_ANSWER: Final = re.compile(
    r"(?:yes|no|ja|nein|oui|non|sí|sì|sim|tak|evet)\b|[是不]|はい|いいえ", re.IGNORECASE
)
# The note of a help desk below which the last message of another ticket stands.
_MERGED: Final = re.compile(
    r"(?:ticket|case|request|conversation)\b.{0,80}\bwas closed and merged into this\b",
    re.IGNORECASE,
)
# How long somebody is away; or the mark of a mail program.
_RETURN: Final = re.compile(
    r"\b(?:until|till|back|return\w*|bis|zurück|jusqu\w*|retour)\b|^[^.!?\n]{0,40}[:：]",
    re.IGNORECASE,
)
# What only a person adds to an absence.
_REQUEST: Final = re.compile(
    r"[?？]|\b(?:please|bitte|merci de|por favor)\b(?! (?:contact|call|write|e-?mail|wenden))",
    re.IGNORECASE,
)
_SENTENCE_END: Final = re.compile(r"(?<=[.!?])\s+|(?<=[。！？])|\n+")
_MAX_SENTENCES: Final = 2
# What telephone systems write about a call.
_CALL: Final = re.compile(
    r"^(?:call (?:from|to|id)|time of call|answered by|(?:length|duration) of (?:phone )?call"
    r"|listen to the recording|call recording)\s{0,9}:",
    re.IGNORECASE | re.MULTILINE,
)
_CALL_LINES: Final = 3
_MAX_LENGTH: Final = 1200
"""Maximum number of characters of a receipt, closure or survey."""


def is_automatic_mail(text: str, *, is_customers: bool) -> bool:
    """Whether a plain text of a customer, or else of the help desk, was sent automatically."""
    if len(_CALL.findall(text)) >= _CALL_LINES or _is_bounce(text):
        return True
    if _RATED.match(text) or _is_absence(text):
        return True
    if is_customers or len(text) > _MAX_LENGTH or _ANSWER.match(text):
        return False
    return (
        bool(_MERGED.match(text))
        or _says_only(text, _SURVEY)
        or _says_only(text, _CLOSURE)
        or any(
            received.search(text) and promised.search(text) and _says_only(text, received, promised)
            for received, promised in _RECEIPTS
        )
    )


def has_automatic_sentence(text: str) -> bool:
    """Whether a sentence of a text is one of a receipt, closure, merge or survey.

    People write such sentences too, so this alone does not make a message automatic.
    """
    received = (pattern for pattern, _ in _RECEIPTS)
    patterns = (_SURVEY, _CLOSURE, *received)
    return bool(_MERGED.match(text)) or any(
        pattern.search(part) for part in _SENTENCE_END.split(text) for pattern in patterns
    )


def _is_absence(text: str) -> bool:
    """Whether a text tells of an absence and its end, and asks and requests nothing."""
    return (
        bool(_ABSENCE.match(text))
        and _RETURN.search(text) is not None
        and not _REQUEST.search(text)
    )


def _says_only(text: str, *kinds: re.Pattern[str]) -> bool:
    """Whether a text says nothing but one or two sentences of these kinds, and courtesies."""
    sentences = [part.strip() for part in _SENTENCE_END.split(text) if part.strip()]
    said = [part for part in sentences if not _COURTESY.fullmatch(part)]
    return 0 < len(said) <= _MAX_SENTENCES and all(
        any(kind.search(part) for kind in kinds) for part in said
    )


def _is_bounce(text: str) -> bool:
    """Whether a mail server wrote a text; a person may quote a part of what it wrote."""
    return (
        _SERVER.match(text) is not None
        and len(set(map(str.lower, _BOUNCE.findall(text)))) >= _BOUNCE_SIGNS
    )
