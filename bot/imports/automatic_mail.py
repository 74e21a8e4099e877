"""Recognises automatic mail: confirmations of receipt, surveys and out-of-office replies."""

import re
from typing import Final

# Each pair matches that a request was received, and that an answer will follow.
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
    )
)
_SURVEY: Final = re.compile(
    r"how would you rate (?:the|our|your) (?:support|service|help|experience)"
    r"|love to hear what you think of our (?:customer )?(?:service|support)"
    r"|take a (?:moment|minute) to (?:rate|answer|complete|fill)"
    r"|wie zufrieden (?:waren|sind) sie mit|comment évalue(?:z|riez)-vous"
    r"|cómo calificar(?:ía|ías) (?:el|la|nuestro)|请.{0,8}对.{0,12}评价",
    re.IGNORECASE,
)
_ABSENCE: Final = re.compile(
    r"\s{0,9}(?:automatic reply|auto-?reply|automatische antwort|abwesenheitsnotiz"
    r"|réponse automatique|respuesta automática|risposta automatica|resposta automática|自动回复)"
    r"\s*[:：]"
    r"|(?:.{0,80}\n{1,3})?\s{0,9}(?:thank you for your (?:e-?mail|message)[.!]\s{0,9})?"
    r"(?:i am|i'm|i will be) (?:currently |now )?"
    r"(?:out of (?:the )?office|on (?:annual |parental )?leave|on vacation)\b"
    r"|(?:.{0,80}\n{1,3})?\s{0,9}ich bin (?:derzeit |zurzeit |aktuell |bis .{4,20} )?"
    r"(?:nicht im (?:büro|haus)|abwesend|im urlaub)"
    r"|(?:.{0,80}\n{1,3})?\s{0,9}je suis (?:actuellement )?(?:absente? du bureau|en congés?)"
    r"|(?:this is )?(?:the )?mail delivery (?:failed|subsystem)"
    r"|delivery status notification|undeliverable:",
    re.IGNORECASE,
)
_LONGEST: Final = 1200
"""Most characters of a confirmation or survey."""


def is_automatic(text: str, *, is_customers: bool) -> bool:
    """Whether a plain text of a customer, or else of the help desk, was sent automatically."""
    if is_customers:
        return _ABSENCE.match(text) is not None
    if len(text) > _LONGEST:
        return False
    return _SURVEY.search(text) is not None or any(
        received.search(text) and promised.search(text) for received, promised in _RECEIPTS
    )
