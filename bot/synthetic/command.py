"""Forms and buttons to estimate, confirm and stop a run of synthetic examples, and its notices."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from bot import access
from bot.commands import Handlers
from bot.domain import (
    CallState,
    Contender,
    ContenderKind,
    EvaluationState,
    HostName,
    ModelName,
    Notice,
    Role,
    SyntheticCall,
    SyntheticKind,
    SyntheticRun,
)
from bot.errors import NotFound, NotNow
from bot.evaluation.planning import price_of_tokens
from bot.option_validation import parse_integer
from bot.paid_run_actions import (
    PaidRunKind,
    confirm_run,
    decline_run,
    estimated_run,
    last_error_text,
    progress_card,
    stop_run,
)
from bot.ports.dependencies import Dependencies
from bot.ports.store import Records
from bot.replies import Button, Card, Drawn, Field, FieldKind, Form, Reply, Tone
from bot.request import Request
from bot.synthetic.source_examples import SourceExamples, select_source_examples
from bot.words import Words

handlers = Handlers()

SYNTHETIC_STATUS_NOTICE = "synthetic.status"
SYNTHETIC_RUN_KIND = PaidRunKind(
    "run",
    audit_prefix="synthetic",
    text_key_prefix="synthetic",
    status_notice=SYNTHETIC_STATUS_NOTICE,
)
MAX_WORDINGS, MAX_EXAMPLES = 5, 5000
_WORDINGS, _EXAMPLES = 3, 200


@handlers.button("synthetic.choose", Role.TRAINER, opens_form=True)
async def open_synthetic_form(request: Request, deps: Dependencies) -> Reply:
    """Opens the form for host, model and number of examples."""
    kind, words, assistant = _kind(request), request.words, request.assistant
    usable = [deps.hosts.get(name) for name in deps.hosts.usable_names(request.workspace)]
    hosts = [host for host in usable if not host.profile.memorizes_rows and host.bases]
    if not hosts:
        raise NotNow(problem=words("synthetic.no_host"))
    default = next((host for host in hosts if host.name == assistant.chat_host), hosts[0])
    model = assistant.base if default.name == assistant.chat_host else default.bases[0]
    names = tuple((host.name, host.name) for host in hosts)
    wordings = Field(
        "wordings", words("synthetic.wordings"), FieldKind.NUMBER, str(_WORDINGS), required=False
    )
    return Form(
        id=f"synthetic.choose:{kind}",
        title=words(f"synthetic.choose.{kind}"),
        fields=(
            Field("host", words("synthetic.host"), FieldKind.CHOICE, default.name, choices=names),
            Field("model", words("synthetic.model"), value=model),
            *((wordings,) if kind is SyntheticKind.WORDINGS else ()),
            Field(
                "limit", words("synthetic.limit"), FieldKind.NUMBER, str(_EXAMPLES), required=False
            ),
            Field("tag", words("synthetic.tag"), required=False),
        ),
        submit_label=words("button.show_price"),
        note=words("synthetic.rules"),
        reopen_action=f"synthetic.choose:{kind}",
    )


@handlers.form("synthetic.choose", Role.TRAINER)
async def estimate_run(request: Request, deps: Dependencies) -> Reply:
    """Stores an estimate and shows its size and price; nothing is sent to the model."""
    access.refuse_closed_workspace(request.workspace, request.words)
    new = _requested_run(request, deps)
    async with deps.store.reading() as records:
        sources = await select_source_examples(new, request.assistant, records)
    _require_sources(request, new, sources)
    prompt, completion = sources.prompt_tokens, sources.completion_tokens
    model = Contender(ContenderKind.BASE, new.model, new.host, new.model)
    new = replace(
        new,
        labels=sources.labels if new.kind is SyntheticKind.LABELS else (),
        examples=len(sources.examples),
        tokens=prompt + completion,
        price=price_of_tokens(model, prompt, completion, deps.hosts),
    )
    calls = [SyntheticCall(example, CallState.WAITING) for example in sources.examples]
    async with deps.store.writing() as records:
        run = await records.synthetic_runs.add(request.workspace_id, new, calls)
    return _estimate_card(run, sources.private, request.words)


def _kind(request: Request) -> SyntheticKind:
    try:
        return SyntheticKind(request.argument or request.options.get("propose", ""))
    except ValueError:
        raise NotFound(noun="button", name=request.argument) from None


def _requested_run(request: Request, deps: Dependencies) -> SyntheticRun:
    """Returns the run by the options or the form.

    Raises NotNow for a host whose models only repeat their training rows.
    """
    assistant, words = request.assistant, request.words
    host = deps.hosts.get_paid(
        HostName(request.text_option("host") or assistant.chat_host), request.workspace
    )
    model = ModelName(request.text_option("model") or assistant.base)
    if host.profile.memorizes_rows:
        raise NotNow(problem=words("synthetic.recites", host=host.name))
    return SyntheticRun(
        id=0,
        workspace=request.workspace_id,
        assistant=assistant.id,
        place=request.place,
        idempotency_key=request.idempotency_key,
        asked_by=request.user_id,
        state=EvaluationState.ESTIMATED,
        kind=_kind(request),
        host=host.name,
        model=model,
        wordings=_number(request, "wordings", _WORDINGS, MAX_WORDINGS),
        labels=(),
        tag=request.text_option("tag") or "",
        examples=_number(request, "limit", _EXAMPLES, MAX_EXAMPLES),
        tokens=0,
        price=None,
        created_at=request.now,
    )


def _number(request: Request, name: str, default: int, most: int) -> int:
    """Returns the option's value. Raises BadInput unless it is a number from 1 to `most`."""
    text = request.text_option(name)
    if text is None:
        return default
    return parse_integer(name, text, request.words, minimum=1, maximum=most)


def _require_sources(request: Request, new: SyntheticRun, sources: SourceExamples) -> None:
    """Raises NotNow if there are no examples to use, or no labels to choose from."""
    words = request.words
    if new.kind is SyntheticKind.LABELS and not sources.labels:
        raise NotNow(problem=words("synthetic.no_labels"))
    if not sources.examples:
        raise NotNow(problem=words("synthetic.none", private=sources.private))


def _estimate_card(run: SyntheticRun, private: int, words: Words) -> Card:
    counts = {"count": run.examples, "wordings": run.wordings, "labels": len(run.labels)}
    lines = [
        words(f"synthetic.asked.{run.kind}", **counts),
        words("evaluate.cost", tokens=f"{run.tokens:,}", price=words.price_text(run.price)),
    ]
    lines += [words("synthetic.private", count=private)] if private else []
    return Card(
        words("synthetic.title", model=run.model, host=run.host),
        lines=(*lines, words("synthetic.rules")),
        buttons=(
            Button(words("button.ask_model"), f"synthetic.confirm:{run.id}", is_primary=True),
            Button(words("button.cancel"), f"synthetic.decline:{run.id}"),
        ),
    )


@handlers.button("synthetic.confirm", Role.TRAINER)
async def confirm(request: Request, deps: Dependencies) -> Reply:
    """Confirms a run; its runner then sends the requests."""
    async with deps.store.writing() as records:
        run = await estimated_run(request, records.synthetic_runs, SYNTHETIC_RUN_KIND)
        await confirm_run(
            request, run, records.synthetic_runs, records, SYNTHETIC_RUN_KIND, host=run.host
        )
    deps.wake_runners()
    return Card(request.words("synthetic.confirmed", name=request.user.name), replaces=True)


@handlers.button("synthetic.decline", Role.TRAINER)
async def decline(request: Request, deps: Dependencies) -> Reply:
    async with deps.store.writing() as records:
        return await decline_run(request, records.synthetic_runs, SYNTHETIC_RUN_KIND)


@handlers.button("synthetic.stop", Role.TRAINER)
async def stop(request: Request, deps: Dependencies) -> Reply:
    """Stops a run; examples proposed so far stay."""
    async with deps.store.writing() as records:
        reply = await stop_run(request, records.synthetic_runs, records, SYNTHETIC_RUN_KIND)
    deps.wake_runners()
    return reply


async def render_status_notice(notice: Notice, records: Records, words: Words) -> Drawn | None:
    """Renders a run's progress, or the number of its proposals once it is over."""
    run = await records.synthetic_runs.get(notice.place.workspace, notice.subject or 0)
    why = last_error_text(notice, words)
    title = words("synthetic.of", model=run.model, host=run.host)
    if run.finished_at is None:
        return await progress_card(
            run, records.synthetic_runs, run.examples, title, words, name="synthetic", why=why
        )
    counts = await records.synthetic_runs.count_by_state(run.workspace, run.id)
    lines = [*_result_lines(run, counts, words)]
    lines += [words("judge.why", why=why)] if why and counts.get(CallState.FAILED) else []
    return Card(title, tuple(lines), tone=Tone.GOOD if run.report["proposed"] else Tone.PLAIN)


def _result_lines(
    run: SyntheticRun, counts: Mapping[CallState, int], words: Words
) -> Iterator[str]:
    if run.state in (EvaluationState.STOPPED, EvaluationState.FAILED):
        yield words(f"synthetic.{run.state}")
    proposed = run.report["proposed"]
    yield words("synthetic.proposed" if proposed else "synthetic.nothing", count=proposed)
    if unused := run.report["unused"]:
        yield words(f"synthetic.unused.{run.kind}", count=unused)
    if missing := run.examples - counts.get(CallState.DONE, 0):
        yield words("synthetic.missing", count=missing)
