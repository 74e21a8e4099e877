"""Between a trained model and its first answer: deployed where it must be, then asked."""

from __future__ import annotations

from contextlib import aclosing
from datetime import timedelta

from bot.domain import Job, ModelName, Phase, RequestedAction, Sampling
from bot.errors import EmptyAnswer, HostError, HostSilent
from bot.ports.provider import Host, PaidHost, Serving
from bot.tuning.job_record import JobRecord, trouble
from bot.tuning.results import BY_HAND, keep_models, put_to_use

_LONGEST = timedelta(minutes=30)
_LONGEST_DEPLOYING = timedelta(hours=1)


async def warm(ledger: JobRecord, job: Job, host: PaidHost) -> None:
    """A model is announced only once it has answered, or somebody must do something first."""
    model = ModelName(job.model or "")
    if host.profile.serving is Serving.BY_HAND:
        where = host.profile.serving_page or host.name
        return await _end(ledger, job, called=None, trouble=where, trouble_code=BY_HAND)
    try:
        name = f"attune-{job.start}"
        called = await host.serve(job.host_job or "", model, base=job.base, name=name)
        if called is None:
            return await _wait(ledger, job, host)
        await _ask(host, called)
    except HostError as error:
        if not _is_given_up(ledger, job, host):
            raise
        return await _end(ledger, job, called=None, **trouble(error))
    return await _end(ledger, job, called=None if called == model else called)


async def _wait(ledger: JobRecord, job: Job, host: Host) -> None:
    """Raises HostSilent where the deployment should long have been ready."""
    if _is_given_up(ledger, job, host):
        raise HostSilent(host=host.name)
    await ledger.postpone(job, seconds=host.profile.poll_seconds)


async def _ask(host: PaidHost, model: ModelName) -> None:
    """One word is enough; an empty answer is one too."""
    question = [{"role": "user", "content": "Hello"}]
    try:
        async with aclosing(host.chat(model, question, Sampling(max_tokens=8))) as deltas:
            await anext(deltas, None)
    except EmptyAnswer:
        return


def _is_given_up(ledger: JobRecord, job: Job, host: Host) -> bool:
    now = ledger.clock.now()
    longest = _LONGEST if host.profile.serving is Serving.AT_ONCE else _LONGEST_DEPLOYING
    return now - (job.finished_at or now) > longest


async def _end(ledger: JobRecord, job: Job, *, called: ModelName | None, **changes: object) -> None:
    changes = {"trouble": None, "trouble_details": {}, **changes}
    at = ledger.clock.now()
    async with ledger.store.writing() as records:
        is_tainted = await keep_models(records, job, called=called, at=at)
        if job.use_when_done and changes["trouble"] is None:
            await put_to_use(records, job, called=called, at=at)
        requested_action = RequestedAction.FORGET if is_tainted else None
        await ledger.write_end(
            records, job, Phase.SUCCEEDED, requested_action=requested_action, **changes
        )
