"""Offers a link to a form on a page of the studio if the form does not fit its surface."""

from __future__ import annotations

from datetime import timedelta

from bot.domain import Role
from bot.errors import NotNow
from bot.ports.form_links import Invitation, Links
from bot.replies import Button, FieldKind, Form, Text
from bot.request import Request

LINK_LIFETIME = timedelta(minutes=10)
_TYPED = (FieldKind.LINE, FieldKind.TEXT, FieldKind.NUMBER)


def offer_form_link(
    request: Request, form: Form, links: Links, *, about: str = "form", **details: object
) -> Text:
    """Returns a private text with a link to the form, valid for ten minutes.

    `about` is the prefix of the keys of its sentences, `details` are their details. Raises NotNow
    if the studio has no address that the user can reach, or if a field of the form cannot be
    typed.
    """
    is_typed = all(field.kind in _TYPED for field in form.fields)
    invitation = Invitation(
        request.place, request.user, None, request.now + LINK_LIFETIME, form.reopen_action, form.id
    )
    link = links.create_link(invitation) if form.reopen_action and is_typed else None
    # A local address works only on the machine of the service, which an admin may use.
    if link is None or (link.is_local and request.role < Role.ADMIN):
        raise NotNow(problem=request.words(f"{about}.no_address", **details))
    minutes = int(LINK_LIFETIME.total_seconds() // 60)
    text = request.words(f"{about}.link", minutes=minutes, **details)
    if link.is_local:
        text = f"{text} {request.words('write.local')}"
    return Text(
        text, private=True, buttons=(Button(request.words("button.open_page"), link=link.address),)
    )
