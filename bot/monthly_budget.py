"""The monthly budget of a workspace in US dollars, checked before a paid run."""

from __future__ import annotations

from bot.domain import HostName, Role
from bot.errors import NotNow
from bot.ports.store import Records
from bot.request import Request
from bot.words import format_dollars


async def monthly_cap(request: Request, records: Records) -> float | None:
    """Returns US dollars a month, read anew: an admin may have lowered the cap meanwhile."""
    workspace = await records.workspaces.find(request.workspace_id)
    return (workspace or request.workspace).training_cap


async def committed_dollars_this_month(request: Request, records: Records) -> float:
    """Returns the estimated US dollars of all runs confirmed since the month began."""
    kinds = records.jobs, records.evaluations, records.judgings, records.synthetic_runs
    since = request.month_start
    return sum([await runs.committed_cost(request.workspace_id, since=since) for runs in kinds])


async def require_monthly_budget(
    request: Request, price: float | None, host: HostName, records: Records
) -> None:
    """Raises NotNow if less than `price` US dollars remain of this month's budget.

    Also for an unknown price, unless the user is an admin.
    """
    cap = await monthly_cap(request, records)
    if cap is None or price == 0:
        return
    if price is None:
        if request.role < Role.ADMIN:
            raise NotNow(problem=request.words("budget.unpriced", host=host))
        return
    spent = await committed_dollars_this_month(request, records)
    if spent + price > cap:
        remaining, words = format_dollars(max(0.0, cap - spent)), request.words
        raise NotNow(
            problem=words("budget.exceeded", price=words.price_text(price), left=remaining)
        )
