"""A form that does not fit its surface is filled in on a page of ours, behind a link."""

from __future__ import annotations

from datetime import timedelta

from bot.domain import Role
from bot.errors import NotNow
from bot.ports.links import Invitation, Links
from bot.replies import Button, FieldKind, Form, Text
from bot.request import Request

LINK_LASTS = timedelta(minutes=10)
_TYPED = (FieldKind.LINE, FieldKind.TEXT, FieldKind.NUMBER)


def offer_form_link(
    request: Request, form: Form, links: Links, *, about: str = "form", **details: object
) -> Text:
    """A link to the form, for the asker alone. Raises NotNow where no page can be reached.

    `about` is how the keys of the sentences begin that say so; `details` is what they name.
    """
    is_typed = all(field.kind in _TYPED for field in form.fields)
    invitation = Invitation(
        request.place, request.user, None, request.now + LINK_LASTS, form.reopen_action, form.id
    )
    link = links.create_link(invitation) if form.reopen_action and is_typed else None
    # An admin may sit at the machine itself; whoever else would open it finds nothing there.
    if link is None or (link.is_local and request.role < Role.ADMIN):
        raise NotNow(problem=request.words(f"{about}.no_address", **details))
    minutes = int(LINK_LASTS.total_seconds() // 60)
    text = request.words(f"{about}.link", minutes=minutes, **details)
    if link.is_local:
        text = f"{text} {request.words('write.local')}"
    return Text(
        text, private=True, buttons=(Button(request.words("button.open_page"), link=link.address),)
    )
