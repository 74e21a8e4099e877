"""Cards and charts of a job: live status message, end card, `/tune status` and `/tune jobs`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from bot.commands import JOB_OPTION, Handlers
from bot.domain import (
    LOCAL,
    VALIDATION_LOSS_NAMES,
    Estimate,
    ExampleFilter,
    Job,
    JobId,
    ModelName,
    Notice,
    Phase,
    Role,
    Split,
    StepMetrics,
)
from bot.errors import NotNow, deserialize
from bot.models_in_use import deploy_button, rollback_button
from bot.ports.dependencies import Dependencies
from bot.ports.store import Records
from bot.replies import (
    Button,
    Card,
    Chart,
    Drawn,
    Fact,
    Listing,
    ListingRow,
    Progress,
    Reply,
    Series,
    Text,
    Tone,
)
from bot.request import Request
from bot.rows import count_tokens
from bot.tuning import notices, snapshot
from bot.tuning.state_machine import DEPLOY_BY_HAND
from bot.words import Words

handlers = Handlers()

ChartPoints = list[tuple[float, float]]

PING_BUTTON = "job.ping"
"""The button with which a person asks to be mentioned when the job ends."""
_VALIDATION_ACCURACY = ("full_valid_mean_token_accuracy", "valid_mean_token_accuracy")
_OVERFITTING_RATIO = 1.05
_FILES = ("training_file", "validation_file")
_FIELDS_SHOWN = ("seed", "suffix", "host_job", *_FILES, "model", "trained_tokens")
_FEW_SHOT = 8
_EVENTS_SHOWN = 5
_EVENTS_READ = 20
_TONES = {
    Phase.SUCCEEDED: Tone.GOOD,
    Phase.FAILED: Tone.BAD,
    Phase.ABANDONED: Tone.BAD,
    Phase.CANCELLED: Tone.PLAIN,
}


async def render_status_notice(notice: Notice, records: Records, words: Words) -> Drawn | None:
    """Renders the live status message of a job."""
    job = await records.jobs.get(notice.place.workspace, JobId(notice.subject or 0))
    assistant = await records.assistants.get(job.workspace, job.assistant)
    measures = await records.jobs.metrics(job.workspace, job.id)
    return Card(
        title=words("job.title", id=job.id, name=assistant.name),
        lines=_status_lines(job, words, in_full=notices.may_quote_host(notice)),
        progress=_progress(job),
        trend=None if job.phase.is_over else loss_chart(measures, words),
        buttons=_action_buttons(job, words),
        tone=_TONES.get(job.phase, Tone.BUSY),
    )


async def render_ended_notice(notice: Notice, records: Records, words: Words) -> Drawn | None:
    """Renders the end card of a job: the new model, or why the job failed."""
    job = await records.jobs.get(notice.place.workspace, JobId(notice.subject or 0))
    ended = await _ended_card(notice, job, records, words)
    return replace(ended, pings=tuple(await records.jobs.users_to_ping(job.workspace, job.id)))


@handlers.button(PING_BUTTON, Role.MEMBER)
async def toggle_ping(request: Request, deps: Dependencies) -> Reply:
    """Toggles whether the user is mentioned when the job ends."""
    async with deps.store.writing() as records:
        job = await notices.named_job(request, records)
        is_on = request.user_id not in await records.jobs.users_to_ping(
            request.workspace_id, job.id
        )
        await records.jobs.set_ping(request.workspace_id, job.id, request.user_id, on=is_on)
    return Text(request.words("job.ping_on" if is_on else "job.ping_off", id=job.id), private=True)


async def _ended_card(notice: Notice, job: Job, records: Records, words: Words) -> Card:
    in_full = notices.may_quote_host(notice)
    if job.phase is not Phase.SUCCEEDED:
        return await _failed_card(job, records, words, in_full=in_full)
    measures = await records.jobs.metrics(job.workspace, job.id)
    saved = await _tokens_saved(job, records)
    evaluation = await records.evaluations.find_started_by_job(job.workspace, job.id)
    is_asked = evaluation is not None and evaluation.is_gate
    is_used = job.use_when_done and job.error_message is None
    is_in_use, is_gate = is_used and not job.use_if_better, is_used and job.use_if_better
    model_made = await records.models.find(job.workspace, job.model) if job.model else None
    lines = [words("ended.model", model=model_made.display_name if model_made else job.model)]
    state = "in_use" if is_in_use else "not_compared" if is_gate else "not_in_use"
    state = "evaluating" if is_asked else state
    lines.append(words(f"ended.{state}"))
    if job.error_code == DEPLOY_BY_HAND:
        lines.append(words("ended.by_hand", page=job.error_message, model=job.model))
    elif job.error_message:
        why = notices.job_error_text(job, words, in_full=in_full)
        lines.append(words("ended.not_answering", why=why))
    if is_overfitting(measures):
        lines.append(words("ended.overfitting"))
    if saved:
        lines.append(words("ended.saved", count=saved, shots=_FEW_SHOT))
    model = job.model or job.base
    current = await records.deployments.current(job.workspace, job.assistant)
    use = deploy_button(model, current, words, is_primary=True)
    next_step = rollback_button(model, words) if is_in_use else use
    return Card(
        title=words("ended.succeeded", id=job.id),
        lines=tuple(lines),
        chart=loss_chart(measures, words),
        buttons=(next_step, *_chart_buttons(job, measures, words)),
        tone=Tone.GOOD,
    )


async def _failed_card(job: Job, records: Records, words: Words, *, in_full: bool) -> Card:
    """Renders the card of a job without a model, with the example of the row the host named."""
    lines, buttons = (
        list(_failure_lines(job, words, in_full=in_full)),
        _quote_buttons(job, words, in_full),
    )
    example = await snapshot.example_of_failed_row(job, records)
    if example is not None:
        lines.append(words("ended.example", id=example.id))
        if example.source and example.source.permalink:
            lines.append(example.source.permalink)
        buttons += [
            Button(words("button.show_example"), f"example.show:{example.id}"),
            Button(words("button.edit"), f"example.edit:{example.id}"),
        ]
    title = words(f"ended.{job.phase}", id=job.id)
    tone = _TONES.get(job.phase, Tone.PLAIN)
    return Card(title, lines=tuple(lines), buttons=tuple(buttons), tone=tone)


async def render_action_refused_notice(
    notice: Notice, records: Records, words: Words
) -> Drawn | None:
    """Renders the notice that the host refused a requested action, or that the job had ended."""
    action, error = notice.details["wish"], deserialize(notice.details)
    if error is None:
        return Text(words("job.refused.late", id=notice.subject))
    why = (
        words.error_text(error)
        if notices.may_quote_host(notice)
        else words.error_text_without_host_message(error)
    )
    return Text(words(f"job.refused.{action}", id=notice.subject, why=why))


async def render_late_notice(notice: Notice, records: Records, words: Words) -> Drawn | None:
    """Renders the notice that a job takes unusually long; None if the job is over."""
    job = await records.jobs.get(notice.place.workspace, JobId(notice.subject or 0))
    if job.phase.is_over:
        return None
    seconds, usual = notice.details.get("seconds"), notice.details.get("usual")
    time = notices.duration_text(float(str(seconds)), words)
    lines = [words("late.note")]
    if usual is not None:
        lines.insert(0, words("late.usual", time=notices.duration_text(float(str(usual)), words)))
    title = words("late.title", id=job.id, state=_status_text(job, words), time=time)
    return Card(title, tuple(lines), buttons=_action_buttons(job, words))


@handlers.command("status", Role.MEMBER, JOB_OPTION)
@handlers.button("job.show", Role.MEMBER)
async def show_job(request: Request, deps: Dependencies) -> Reply:
    """Shows one job in detail: ids, settings, the last events."""
    async with deps.store.reading() as records:
        job = await _shown_job(request, records)
        if job is None:
            # Before the first job the size of the dataset is shown instead.
            everything = ExampleFilter(assistant=request.assistant.id)
            count = await records.examples.count(request.workspace_id, everything)
            line = request.words("status.examples", count=count)
            return Card(request.words("status.no_job"), lines=(line,))
        events = await records.jobs.events(request.workspace_id, job.id, last=_EVENTS_READ)
        measures = await records.jobs.metrics(request.workspace_id, job.id)
        checkpoints = await records.jobs.checkpoints(request.workspace_id, job.id)
        assistant = await records.assistants.get(request.workspace_id, job.assistant)
    words, models = request.words, [item.model for item in checkpoints]
    in_full = request.may_quote_host
    messages = [
        item.message for item in events if item.message and (in_full or item.level == "info")
    ]
    return Card(
        title=words("job.title", id=job.id, name=assistant.name),
        lines=(
            *_status_lines(job, words, in_full=in_full),
            *_failure_lines(job, words, in_full=in_full),
            *messages[-_EVENTS_SHOWN:],
        ),
        facts=tuple(notices.job_fact(*fact, words) for fact in _facts(job, words, models)),
        progress=_progress(job),
        chart=loss_chart(measures, words),
        buttons=(
            *_action_buttons(job, words),
            *_quote_buttons(job, words, in_full),
            *_chart_buttons(job, measures, words),
        ),
        tone=_TONES.get(job.phase, Tone.BUSY),
    )


@handlers.button("job.quote", Role.CURATOR)
async def show_host_error(request: Request, deps: Dependencies) -> Reply:
    """Shows the host's own error message of a job."""
    words = request.words
    async with deps.store.reading() as records:
        job = await notices.named_job(request, records)
    why = _failure_lines(job, words, in_full=True) or (
        notices.job_error_text(job, words, in_full=True) or words("trouble.unsaid"),
    )
    return Card(words("job.quoted", id=job.id, host=job.host), lines=why, private=True)


@handlers.command("jobs", Role.MEMBER)
@handlers.button("jobs.more", Role.MEMBER)
async def list_jobs(request: Request, deps: Dependencies) -> Reply:
    """Lists all jobs, newest first; failed ones with the reason."""
    before = notices.parse_job_id(request.argument) if request.argument else None
    async with deps.store.reading() as records:
        page = await records.jobs.page(request.workspace_id, before=before, limit=11)
        models = [
            await records.models.find(request.workspace_id, job.model) for job in page if job.model
        ]
    names = {model.name: model.display_name for model in models if model}
    shown_jobs, words = page[:10], request.words
    more = None
    if len(page) > len(shown_jobs):
        more = Button(words("list.more"), f"jobs.more:{shown_jobs[-1].id}")
    in_full = request.role >= Role.CURATOR
    lines = tuple(_job_line(job, names, words, in_full=in_full) for job in shown_jobs)
    title, empty, replaces = words("jobs.title"), words("jobs.empty"), before is not None
    is_quoting = in_full and any(_quote_buttons(job, words, in_full=False) for job in shown_jobs)
    return Listing(title, lines, empty=empty, more=more, private=is_quoting, replaces=replaces)


def _status_lines(job: Job, words: Words, *, in_full: bool) -> tuple[str, ...]:
    status = [_status_text(job, words)]
    if job.step is not None and job.total_steps:
        status.append(words("job.step", step=job.step, total=job.total_steps))
    if job.train_loss is not None:
        status.append(words("job.loss", loss=f"{job.train_loss:.2f}"))
    if job.valid_loss is not None:
        status.append(words("job.valid_loss", loss=f"{job.valid_loss:.2f}"))
    if job.seconds_left is not None and not job.phase.is_over:
        status.append(words("job.left", time=notices.duration_text(job.seconds_left, words)))
    lines = [" · ".join(status)]
    if job.error_message and not job.phase.is_over:
        why = notices.job_error_text(job, words, in_full=in_full)
        lines.append(words("job.waiting", why=why))
    if job.requested_action is not None and not job.phase.is_over:
        lines.append(words(f"job.wish.{job.requested_action}"))
    return tuple(lines)


def _status_text(job: Job, words: Words) -> str:
    """Returns the phase as text; while the host has the job, the host's status."""
    if job.phase is not Phase.WATCHING:
        return words(f"phase.{job.phase}")
    key = f"status.{job.status}"
    return words(key) if words.has_sentence(key) else words("status.other", status=job.status)


def _progress(job: Job) -> Progress | None:
    if job.step is None or not job.total_steps or job.phase.is_over:
        return None
    return Progress(min(job.step, job.total_steps), job.total_steps)


def _action_buttons(job: Job, words: Words) -> tuple[Button, ...]:
    if job.phase.is_over or job.phase in (Phase.WARMING, Phase.ESTIMATED):
        return ()
    cancel = Button(words("button.cancel_job"), f"job.cancel:{job.id}", is_danger=True)
    # In the local workspace the operator is the only reader, so nobody needs a mention.
    is_shared = job.workspace != LOCAL
    ping = (Button(words("button.ping"), f"{PING_BUTTON}:{job.id}"),) if is_shared else ()
    if job.phase is not Phase.WATCHING:
        return (cancel, *ping)
    if job.status == "paused":
        return (Button(words("button.resume"), f"job.resume:{job.id}"), cancel, *ping)
    return (Button(words("button.pause"), f"job.pause:{job.id}"), cancel, *ping)


def _chart_buttons(job: Job, measures: Sequence[StepMetrics], words: Words) -> tuple[Button, ...]:
    """Returns the buttons for the accuracy chart and the host's result files, if there are any."""
    buttons = []
    if token_accuracy_chart(measures, words):
        buttons.append(Button(words("button.accuracy"), f"job.accuracy:{job.id}"))
    if job.result_files:
        buttons.append(Button(words("button.results"), f"job.results:{job.id}"))
    return tuple(buttons)


def _quote_buttons(job: Job, words: Words, in_full: bool) -> list[Button]:
    """Returns the curators' button for the host's error message, unless the card quotes it."""
    if in_full or job.error_message == notices.job_error_text(job, words, in_full=False):
        return []
    return [Button(words("button.quote"), f"job.quote:{job.id}")]


def _failure_lines(job: Job, words: Words, *, in_full: bool) -> tuple[str, ...]:
    """Returns why a job failed; with `in_full` in the host's own words."""
    if job.phase not in (Phase.FAILED, Phase.ABANDONED):
        return ()
    key = f"trouble.{job.error_code}"
    trouble = notices.job_error_text(job, words, in_full=in_full) or words("trouble.unsaid")
    if words.has_sentence(key):
        return (words(key, message=trouble),)
    if job.error_code is None or not in_full:
        return (trouble,)
    return (words("trouble.host", message=trouble, code=job.error_code),)


def _facts(job: Job, words: Words, checkpoints: Sequence[str]) -> list[tuple[str, str]]:
    estimate = job.estimate
    values: dict[str, object] = {
        "host": job.host,
        "base": job.base,
        "method": words(f"method.{job.method}"),
        "examples": _row_counts(estimate, words),
        "epochs": _hyperparameter_text(job, "n_epochs", words),
        "batch_size": _hyperparameter_text(job, "batch_size", words),
        "learning_rate": _hyperparameter_text(job, "learning_rate_multiplier", words),
        **{name: getattr(job, name) for name in _FIELDS_SHOWN},
        "checkpoints": ", ".join(checkpoints) or None,
    }
    return [(name, str(value)) for name, value in values.items() if value is not None]


def _row_counts(estimate: Estimate, words: Words) -> str:
    if not estimate.validation_rows:
        return str(estimate.rows)
    return words("job.rows", train=estimate.rows, held=estimate.validation_rows)


def _hyperparameter_text(job: Job, name: str, words: Words) -> str:
    """Returns the requested value of a hyperparameter; for "auto" with the host's value."""
    requested = getattr(job.hyperparameters, name)
    if requested is not None:
        return f"{requested:g}"
    resolved = job.resolved_hyperparameters.get(name)
    return words("auto") if resolved in (None, "auto") else words("auto.became", value=resolved)


def _job_line(
    job: Job, names: Mapping[ModelName, str], words: Words, *, in_full: bool
) -> ListingRow:
    notes = [_status_text(job, words), words("job.rows_short", count=job.estimate.rows)]
    if job.train_loss is not None:
        notes.append(words("job.loss", loss=f"{job.train_loss:.2f}"))
    notes.extend(_failure_lines(job, words, in_full=in_full))
    started_at = job.confirmed_at or job.created_at
    date = f"{started_at:%Y-%m-%d %H:%M}" if started_at else ""
    return ListingRow(
        str(job.id),
        names.get(job.model, job.model) if job.model else f"{job.base} @ {job.host}",
        " · ".join(notes),
        facts=(
            Fact(words("fact.state"), _status_text(job, words), "state"),
            Fact(words("fact.examples"), str(job.estimate.rows), "examples"),
            Fact(words("fact.host"), job.host, "host"),
            Fact(words("fact.date"), date, "date"),
        ),
        tone=_TONES.get(job.phase, Tone.BUSY),
    )


async def _shown_job(request: Request, records: Records) -> Job | None:
    """Returns the named job, else the newest running one, else the newest."""
    if request.text_option("job") or request.argument:
        return await notices.named_job(request, records)
    running = await records.jobs.list_open_in_workspace(request.workspace_id)
    newest = running or await records.jobs.page(request.workspace_id, limit=1)
    return newest[-1] if newest else None


async def _tokens_saved(job: Job, records: Records) -> int:
    """Returns the tokens of the first training rows, the cost of a few-shot prompt with them."""
    counted: list[int] = []
    async for row in records.snapshots.rows(job.workspace, job.snapshot, Split.TRAIN):
        if row.row is not None:
            counted.append(count_tokens(row.row))
        if len(counted) == _FEW_SHOT:
            break
    return sum(counted)


@handlers.button("job.accuracy", Role.MEMBER)
async def show_token_accuracy(request: Request, deps: Dependencies) -> Reply:
    """Shows the share of tokens predicted correctly, on training and validation rows."""
    async with deps.store.reading() as records:
        job = await notices.named_job(request, records)
        measures = await records.jobs.metrics(request.workspace_id, job.id)
    chart = token_accuracy_chart(measures, request.words)
    if chart is None:
        raise NotNow(problem=request.words("job.no_numbers", id=job.id))
    is_learned = not _preferred_points(measures, _VALIDATION_ACCURACY)
    lines = (request.words("accuracy.learned_only"),) if is_learned else ()
    return Card(request.words("accuracy.title", id=job.id), lines=lines, chart=chart)


def loss_chart(measures: Sequence[StepMetrics], words: Words) -> Chart | None:
    """Returns the chart of training and validation loss by step; None below two points."""
    return _chart(
        measures, "train_loss", VALIDATION_LOSS_NAMES, ".2f", words, "chart.title", "chart.summary"
    )


def token_accuracy_chart(measures: Sequence[StepMetrics], words: Words) -> Chart | None:
    """Returns the chart of token accuracy by step; None below two points."""
    name, keys = "train_mean_token_accuracy", ("accuracy.chart", "accuracy.summary")
    return _chart(measures, name, _VALIDATION_ACCURACY, ".0%", words, *keys)


def is_overfitting(measures: Sequence[StepMetrics]) -> bool:
    """Whether the last validation loss is clearly above the lowest one."""
    losses = [loss for _, loss in _preferred_points(measures, VALIDATION_LOSS_NAMES)]
    return len(losses) >= 3 and losses[-1] > _OVERFITTING_RATIO * min(losses)


def _chart(
    measures: Sequence[StepMetrics],
    name: str,
    held_names: Sequence[str],
    spec: str,
    words: Words,
    title: str,
    summary: str,
) -> Chart | None:
    train, validation = _points(measures, name), _preferred_points(measures, held_names)
    if len(train) < 2:
        return None
    summary_text = words(summary, first=f"{train[0][1]:{spec}}", last=f"{train[-1][1]:{spec}}")
    series = [Series(words("chart.train"), train)]
    if validation:
        series.append(Series(words("chart.validation"), validation))
    return Chart(words(title), words("chart.step"), tuple(series), summary_text)


def _preferred_points(measures: Sequence[StepMetrics], names: Sequence[str]) -> ChartPoints:
    """Returns the points of the first metric that has any; names are in order of preference."""
    candidates = (_points(measures, name) for name in names)
    return next((points for points in candidates if points), [])


def _points(measures: Sequence[StepMetrics], name: str) -> ChartPoints:
    return [
        (float(step_metrics.step), step_metrics.values[name])
        for step_metrics in measures
        if name in step_metrics.values
    ]
