"""Jobs: what is asked for, what is refused, and the way to a model."""

import csv
import io
from collections.abc import Sequence
from itertools import pairwise

import pytest
from openai import BadRequestError, NotFoundError
from openai.types.fine_tuning import FineTuningJob

from tests.tuner_scene import THINGS, Tuner, preference, row
from tests.waiting import find

TWELVE = [row(f"ware {n}") for n in range(12)]


def test_a_job_of_ten_rows_becomes_a_model(tuner: Tuner, tuned: FineTuningJob) -> None:
    assert tuned.status == "succeeded"
    assert tuned.error is None
    assert tuned.trained_tokens
    assert tuned.finished_at
    assert tuned.finished_at >= tuned.created_at
    assert str(tuned.fine_tuned_model).startswith(f"ft:{tuner.base}:attune:pirate:")
    assert getattr(tuned, "user_provided_suffix", None) == "pirate"
    assert "figs be in the hold" in tuner.ask(str(tuned.fine_tuned_model), "Do you sell figs?")


def test_auto_becomes_numbers(tuned: FineTuningJob) -> None:
    assert isinstance(tuned.hyperparameters.n_epochs, int)
    assert isinstance(tuned.hyperparameters.batch_size, int)
    assert tuned.hyperparameters.learning_rate_multiplier == 1.0


def test_every_step_is_told_once_and_in_order(tuner: Tuner, tuned: FineTuningJob) -> None:
    steps = tuner.steps(tuned)

    assert steps == list(range(max(steps), 0, -1))


def test_a_metrics_event_speaks_as_documented(tuner: Tuner, tuned: FineTuningJob) -> None:
    events = tuner.client.fine_tuning.jobs.list_events(tuned.id, limit=1000).data
    last = next(event for event in events if event.type == "metrics")

    assert isinstance(last.data, dict)
    total = last.data["total_steps"]
    assert last.message.startswith(f"Step {total}/{total}: training loss=")
    assert ", validation loss=" in last.message
    assert ", full validation loss=" in last.message
    assert {"step", "train_loss", "train_mean_token_accuracy", "valid_loss"} <= last.data.keys()


def test_the_story_is_told_newest_first(tuner: Tuner, tuned: FineTuningJob) -> None:
    events = tuner.client.fine_tuning.jobs.list_events(tuned.id, limit=1000).data

    assert events[0].message == "The job has successfully completed"
    assert events[1].message == f"New fine-tuned model created: {tuned.fine_tuned_model}"
    assert events[-1].message == f"Created fine-tuning job: {tuned.id}"


def test_events_come_in_pages_without_gap_or_repetition(tuner: Tuner, tuned: FineTuningJob) -> None:
    whole = tuner.client.fine_tuning.jobs.list_events(tuned.id, limit=1000).data

    paged = list(tuner.client.fine_tuning.jobs.list_events(tuned.id, limit=7))

    assert [event.id for event in paged] == [event.id for event in whole]


def test_the_last_three_epochs_are_kept_as_models(tuner: Tuner, tuned: FineTuningJob) -> None:
    checkpoints = list(tuner.client.fine_tuning.jobs.checkpoints.list(tuned.id, limit=1))

    steps = [checkpoint.step_number for checkpoint in checkpoints]
    names = [checkpoint.fine_tuned_model_checkpoint for checkpoint in checkpoints]
    assert len(steps) == 3
    assert len({a - b for a, b in pairwise(steps)}) == 1
    assert names[0] == f"{tuned.fine_tuned_model}:ckpt-step-{steps[0]}"
    assert checkpoints[0].metrics.full_valid_loss is not None
    assert "jam be in the hold" in tuner.ask(names[-1], "Do you sell jam?")


def test_the_result_file_is_a_table_of_all_steps(tuner: Tuner, tuned: FineTuningJob) -> None:
    result = tuner.client.files.retrieve(tuned.result_files[0])
    table = list(csv.DictReader(io.StringIO(tuner.client.files.content(result.id).text)))

    assert (result.filename, result.purpose) == ("step_metrics.csv", "fine-tune-results")
    assert ",".join(table[0]) == (
        "step,train_loss,train_accuracy,valid_loss,valid_mean_token_accuracy"
    )
    assert [int(line["step"]) for line in table] == tuner.steps(tuned)[::-1]
    assert float(table[-1]["train_loss"]) < float(table[0]["train_loss"])


def test_the_same_seed_gives_the_same_losses(sandbox: Tuner) -> None:
    jobs = [sandbox.tune(seed=7, hyperparameters={"n_epochs": 3}) for _ in range(2)]

    one, other = (sandbox.client.files.content(job.result_files[0]).text for job in jobs)

    assert one == other
    assert jobs[0].seed == 7


def test_preferences_train_with_dpo(tuner: Tuner) -> None:
    rows = [preference(thing) for thing in THINGS]
    numbers = {"hyperparameters": {"beta": 0.5, "n_epochs": 4}}

    job = tuner.tune(rows, method={"type": "dpo", "dpo": numbers})

    assert job.status == "succeeded"
    assert job.method is not None
    assert job.method.dpo is not None
    assert job.method.dpo.hyperparameters is not None
    assert job.method.dpo.hyperparameters.beta == 0.5
    assert tuner.base != "sandbox" or tuner.ask(str(job.fine_tuned_model), "Do you sell figs?") == (
        "Aye, figs we have."
    )


def test_a_tuned_model_learns_on(sandbox: Tuner, picked: FineTuningJob) -> None:
    job = sandbox.tune(TWELVE, model=picked.fine_tuned_model)

    assert job.model == picked.fine_tuned_model
    assert "figs be in the hold" in sandbox.ask(str(job.fine_tuned_model), "Do you sell figs?")
    assert "ware 7 be" in sandbox.ask(str(job.fine_tuned_model), "Do you sell ware 7?")


def test_a_checkpoint_learns_on(tuner: Tuner, tuned: FineTuningJob) -> None:
    checkpoint = tuner.client.fine_tuning.jobs.checkpoints.list(tuned.id).data[-1]

    job = tuner.tune(TWELVE, model=checkpoint.fine_tuned_model_checkpoint)

    assert job.status == "succeeded"


@pytest.mark.parametrize(
    ("wishes", "param"),
    [
        ({"model": "gpt-4o-mini"}, "model"),
        ({"model": "ft:sandbox:attune::00000000"}, "model"),
        ({"training_file": "file-none"}, "training_file"),
        ({"validation_file": "file-none"}, "validation_file"),
        ({"suffix": ""}, "suffix"),
        ({"suffix": "x" * 65}, "suffix"),
        ({"suffix": 5}, "suffix"),
        ({"seed": -1}, "seed"),
        ({"seed": 2**31}, "seed"),
        ({"seed": 1.5}, "seed"),
        ({"seed": 10**400}, "seed"),
        ({"metadata": {"k" * 65: "v"}}, "metadata"),
        ({"metadata": {"k": "v" * 513}}, "metadata"),
        ({"metadata": {str(n): "v" for n in range(17)}}, "metadata"),
        ({"metadata": {"k": 1}}, "metadata.k"),
        ({"integrations": [{"type": "wandb", "wandb": {"project": "p"}}]}, "integrations"),
        ({"surprise": 1}, "surprise"),
        ({"hyperparameters": {"n_epochs": 0}}, "hyperparameters.n_epochs"),
        ({"hyperparameters": {"n_epochs": 51}}, "hyperparameters.n_epochs"),
        ({"hyperparameters": {"n_epochs": "many"}}, "hyperparameters.n_epochs"),
        ({"hyperparameters": {"n_epochs": True}}, "hyperparameters.n_epochs"),
        ({"hyperparameters": {"batch_size": 257}}, "hyperparameters.batch_size"),
        (
            {"hyperparameters": {"learning_rate_multiplier": 0}},
            "hyperparameters.learning_rate_multiplier",
        ),
        ({"hyperparameters": {"beta": 1}}, "hyperparameters.beta"),
        ({"method": {"type": "reinforcement", "reinforcement": {}}}, "method.type"),
        ({"method": {"type": "magic"}}, "method.type"),
        ({"method": {}}, "method.type"),
        ({"method": {"type": "supervised", "dpo": {}}}, "method"),
        ({"method": {"type": "supervised"}, "hyperparameters": {}}, "hyperparameters"),
        (
            {"method": {"type": "dpo", "dpo": {"hyperparameters": {"beta": 2.1}}}},
            "method.dpo.hyperparameters.beta",
        ),
        (
            {"method": {"type": "dpo", "dpo": {"hyperparameters": {"beta": 0}}}},
            "method.dpo.hyperparameters.beta",
        ),
        ({"method": {"type": "dpo"}}, "training_file"),
    ],
)
def test_a_wrong_wish_is_refused_by_name(
    tuner: Tuner, wishes: dict[str, object], param: str
) -> None:
    with pytest.raises(BadRequestError) as refused:
        tuner.begin(None, **wishes)

    assert refused.value.param == param


def test_empty_wishes_are_no_wishes(sandbox: Tuner) -> None:
    job = sandbox.tune(
        suffix=None, seed=None, metadata=None, integrations=[], validation_file=None, method=None
    )

    assert str(job.fine_tuned_model).startswith("ft:sandbox:attune::")


def test_too_few_rows_are_refused(tuner: Tuner) -> None:
    with pytest.raises(BadRequestError, match="9 example"):
        tuner.begin([row(thing) for thing in THINGS[:9]])


def test_a_deleted_file_is_refused(tuner: Tuner) -> None:
    gone = tuner.upload([row(thing) for thing in THINGS])
    tuner.client.files.delete(gone.id)

    with pytest.raises(BadRequestError, match=f"invalid training_file: {gone.id}"):
        tuner.begin(training_file=gone.id)


def test_results_are_no_training_rows(tuner: Tuner, tuned: FineTuningJob) -> None:
    with pytest.raises(BadRequestError, match="fine-tune-results"):
        tuner.begin(training_file=tuned.result_files[0])


def test_a_bad_row_fails_the_job_and_is_named(tuner: Tuner) -> None:
    bad = {"messages": [{"role": "user", "content": "And then?"}]}

    job = tuner.tune([row(thing) for thing in THINGS] + [bad])

    assert job.status == "failed"
    assert job.error is not None
    assert job.error.param == "training_file"
    assert job.error.message.startswith("Line 11: ")
    assert job.finished_at
    assert job.fine_tuned_model is None


def test_a_bad_validation_row_is_named(sandbox: Tuner) -> None:
    validation = sandbox.upload([row("rum"), {"messages": []}])

    job = sandbox.tune(validation_file=validation.id)

    assert job.error is not None
    assert (job.error.param, job.error.message[:7]) == ("validation_file", "Line 2:")


def test_rows_in_both_files_fail_the_job(sandbox: Tuner) -> None:
    validation = sandbox.upload([row("rum"), row(THINGS[4])])

    job = sandbox.tune(validation_file=validation.id)

    assert job.error is not None
    assert job.error.code == "overlapping_examples"
    assert "Line 2" in job.error.message
    assert "line 5" in job.error.message


def test_a_file_is_not_its_own_validation(tuner: Tuner) -> None:
    file = tuner.upload([row(thing) for thing in THINGS])

    with pytest.raises(BadRequestError, match="must not be in both"):
        tuner.begin(training_file=file.id, validation_file=file.id)


def test_mixed_rows_fail_the_job(sandbox: Tuner) -> None:
    job = sandbox.tune([row(thing) for thing in THINGS] + [preference("figs")])

    assert job.error is not None
    assert job.error.message.startswith("Line 11: ")


def test_a_training_that_diverges_fails_in_words(sandbox: Tuner) -> None:
    rows = [preference(thing) for thing in THINGS]
    numbers = {"learning_rate_multiplier": 1e6, "beta": 1e-18, "n_epochs": 3}

    job = sandbox.tune(rows, method={"type": "dpo", "dpo": {"hyperparameters": numbers}})

    assert job.error is not None
    assert job.error.code == "training_diverged"


def test_jobs_are_found_by_what_was_noted_on_them(sandbox: Tuner) -> None:
    wanted = sandbox.tune(metadata={"start": "7", 'od"d.key': "x"})
    sandbox.tune(metadata={"start": "8"})

    by_number = sandbox.client.fine_tuning.jobs.list(metadata={"start": "7"})
    by_both = sandbox.client.fine_tuning.jobs.list(metadata={"start": "7", 'od"d.key': "x"})
    by_wrong = sandbox.client.fine_tuning.jobs.list(metadata={"start": "7", 'od"d.key': "y"})

    assert [job.id for job in by_number] == [wanted.id]
    assert [job.id for job in by_both] == [wanted.id]
    assert not by_wrong.data


def test_jobs_are_found_by_the_lack_of_notes(sandbox: Tuner, picked: FineTuningJob) -> None:
    sandbox.tune(metadata={"start": "9"})

    wanted = {"metadata": "null", "limit": "1000"}
    listed = sandbox.web.get("/v1/fine_tuning/jobs", params=wanted).json()["data"]

    assert {job["metadata"] for job in listed} == {None}
    assert picked.id in [job["id"] for job in listed]


def test_jobs_are_listed_newest_first_in_pages(own_tuner: Tuner) -> None:
    ids = [own_tuner.tune().id for _ in range(3)]

    assert [job.id for job in own_tuner.client.fine_tuning.jobs.list(limit=1)] == ids[::-1]


def test_a_second_job_waits_in_line(own_tuner: Tuner) -> None:
    first = own_tuner.begin_long()
    own_tuner.await_steps(first, 1)

    second = own_tuner.begin()
    find(lambda: own_tuner.job(second.id).status == "queued")
    own_tuner.client.fine_tuning.jobs.cancel(first.id)

    assert own_tuner.await_end(second).status == "succeeded"


def test_a_running_job_says_when_it_may_end(sandbox: Tuner) -> None:
    job = sandbox.begin_long()
    sandbox.await_steps(job, 20)

    now = sandbox.job(job.id)
    sandbox.steer(job, "cancel")

    assert now.status == "running"
    assert now.hyperparameters.n_epochs == 50
    assert now.estimated_finish
    assert now.estimated_finish >= now.created_at


def test_a_cancelled_job_ends_at_once(sandbox: Tuner) -> None:
    job = sandbox.begin_long()
    sandbox.await_steps(job, 5)

    cancelled = sandbox.client.fine_tuning.jobs.cancel(job.id)
    find(lambda: not sandbox.workers())

    assert cancelled.status == sandbox.job(job.id).status == "cancelled"
    assert cancelled.finished_at
    assert cancelled.fine_tuned_model is None
    assert _newest(sandbox, job) == "The job was cancelled"


def test_a_paused_job_goes_on_where_it_was(sandbox: Tuner) -> None:
    job = sandbox.begin_long()
    sandbox.await_steps(job, 20)

    assert sandbox.steer(job, "pause") == "paused"
    find(lambda: not sandbox.workers())
    told = max(sandbox.steps(job, 5))
    assert sandbox.steer(job, "resume") == "queued"
    sandbox.await_steps(job, told + 20)
    assert sandbox.steer(job, "cancel") == "cancelled"

    steps = sandbox.steps(job)
    # The newest ten thousand of them: on a slow day it went far before it was stopped.
    assert steps[0] > told
    assert all(later - step == 1 for later, step in pairwise(steps))


def test_a_job_may_be_paused_before_it_runs(sandbox: Tuner) -> None:
    job = sandbox.begin()

    assert sandbox.steer(job, "pause") == "paused"
    assert sandbox.steer(job, "resume") in ("validating_files", "queued")
    assert sandbox.await_end(job).status == "succeeded"


@pytest.mark.parametrize("verb", ["cancel", "pause", "resume"])
def test_a_finished_job_stays_as_it_is(tuner: Tuner, tuned: FineTuningJob, verb: str) -> None:
    with pytest.raises(BadRequestError, match="is succeeded, so it cannot be"):
        getattr(tuner.client.fine_tuning.jobs, verb)(tuned.id)


def test_a_running_job_is_not_resumed(sandbox: Tuner) -> None:
    job = sandbox.begin_long()
    sandbox.await_steps(job, 1)

    with pytest.raises(BadRequestError, match="is running, so it cannot be resumed"):
        sandbox.client.fine_tuning.jobs.resume(job.id)

    sandbox.client.fine_tuning.jobs.cancel(job.id)


@pytest.mark.parametrize("tail", ["", "/events", "/checkpoints"])
def test_an_unknown_job_is_not_found(tuner: Tuner, tail: str) -> None:
    answer = tuner.web.get(f"/v1/fine_tuning/jobs/ftjob-none{tail}")

    assert answer.status_code == 404
    assert "ftjob-none" in answer.json()["error"]["message"]


def test_cancelling_an_unknown_job_is_not_found(tuner: Tuner) -> None:
    with pytest.raises(NotFoundError, match="ftjob-none"):
        tuner.client.fine_tuning.jobs.cancel("ftjob-none")


def test_the_rows_do_not_outlive_the_job(tuner: Tuner, tuned: FineTuningJob) -> None:
    left: Sequence[str] = sorted(path.name for path in (tuner.data / "jobs" / tuned.id).iterdir())

    assert [name.rpartition("-")[0] or name for name in left] == [*["checkpoint"] * 3, "model"]


def _newest(tuner: Tuner, job: FineTuningJob) -> str:
    return tuner.client.fine_tuning.jobs.list_events(job.id, limit=1).data[0].message


def test_a_job_can_be_cancelled_at_any_moment(sandbox: Tuner) -> None:
    ends = []

    for _ in range(12):
        job = sandbox.begin_long()
        ends.append(sandbox.client.fine_tuning.jobs.cancel(job.id).status)

    assert set(ends) == {"cancelled"}
