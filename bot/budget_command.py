"""Shows and sets the budgets of tokens and of trainings."""

from __future__ import annotations

from bot.commands import Handlers, Option
from bot.domain import Role
from bot.errors import BadInput
from bot.monthly_budget import committed_dollars_this_month
from bot.ports.dependencies import Dependencies
from bot.replies import Card, Fact, Reply
from bot.request import Request
from bot.words import format_dollars

handlers = Handlers()


_OFF = "off"


@handlers.command(
    "admin budget",
    Role.ADMIN,
    Option.number_or_word("person", suggestions=("off",)),
    Option.number_or_word("workspace", suggestions=("off",)),
    Option.number_or_word("training", suggestions=("off",)),
)
async def manage_budget(request: Request, deps: Dependencies) -> Reply:
    """Sets or shows the caps on answer tokens a day and on training dollars a month."""
    async with deps.store.writing() as records:
        # Read again inside the transaction, as two admins may set different caps at once.
        stored = await records.workspaces.find(request.workspace_id) or request.workspace
        before = stored.person_cap, stored.workspace_cap, stored.training_cap
        person, whole = (
            _cap_option(request, "person", before[0]),
            _cap_option(request, "workspace", before[1]),
        )
        training = _training_cap_option(request, before[2])
        if (person, whole, training) != before:
            caps = {"person": person, "whole": whole, "training": training}
            await records.workspaces.set_caps(
                request.workspace_id, person_cap=person, workspace_cap=whole, training_cap=training
            )
            await request.audit(records, "budget.set", **caps)
        spent = await records.daily_tokens.tokens_of_day(
            request.workspace_id, request.user_id, request.now.date()
        )
        paid = await committed_dollars_this_month(request, records)
    facts = (
        Fact(request.words("budget.person"), _tokens_left(request, person, spent[0])),
        Fact(request.words("budget.workspace"), _tokens_left(request, whole, spent[1])),
        Fact(request.words("budget.training"), _money_left(request, training, paid)),
    )
    return Card(request.words("budget.title"), facts=facts)


def _cap_option(request: Request, name: str, current: int | None) -> int | None:
    value = request.text_option(name)
    if value is None:
        return current
    if value.lower() == _OFF:
        return None
    tokens = request.integer_option(name)
    if tokens is None or tokens < 1:
        raise BadInput(problem=request.words("budget.bad", option=name))
    return tokens


def _tokens_left(request: Request, cap: int | None, spent: int) -> str:
    if cap is None:
        return request.words("budget.off", spent=f"{spent:,}")
    return request.words("budget.left", left=f"{max(0, cap - spent):,}", cap=f"{cap:,}")


def _training_cap_option(request: Request, current: float | None) -> float | None:
    value = request.text_option("training")
    if value is None:
        return current
    if value.lower() == _OFF:
        return None
    dollars = request.number_option("training")
    if dollars is None or dollars < 0:
        raise BadInput(problem=request.words("budget.bad_money", option="training"))
    return dollars


def _money_left(request: Request, cap: float | None, paid: float) -> str:
    if cap is None:
        return request.words("budget.off", spent=format_dollars(paid))
    left = format_dollars(max(0.0, cap - paid))
    return request.words("budget.left", left=left, cap=format_dollars(cap))
