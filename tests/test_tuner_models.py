"""Models: listed, looked up, deleted with their files."""

import pytest
from openai import BadRequestError, ConflictError, NotFoundError
from openai.types.fine_tuning import FineTuningJob

from tests.tuner_scene import Tuner

BASE_ID = "sandbox"


def test_the_base_says_what_it_is(sandbox: Tuner) -> None:
    base = sandbox.client.models.retrieve(BASE_ID)

    assert (base.id, base.owned_by) == (BASE_ID, "sandbox: picks from your examples")


def test_a_tuned_model_is_listed_and_found(tuner: Tuner, tuned: FineTuningJob) -> None:
    name = str(tuned.fine_tuned_model)

    assert {tuner.base, name} <= {model.id for model in tuner.client.models.list()}
    assert tuner.client.models.retrieve(name).owned_by == "attune"


def test_an_odd_suffix_still_makes_a_usable_name(sandbox: Tuner) -> None:
    name = str(sandbox.tune(suffix="our/voice: é?#%").fine_tuned_model)

    assert name.startswith("ft:sandbox:attune:our-voice------:")
    assert sandbox.client.models.retrieve(name).id == name


def test_a_deleted_model_is_gone_with_its_files(sandbox: Tuner) -> None:
    job = sandbox.tune()
    name = str(job.fine_tuned_model)
    sandbox.ask(name, "Do you sell figs?")

    assert sandbox.client.models.delete(name).deleted

    with pytest.raises(NotFoundError) as gone:
        sandbox.client.chat.completions.create(
            model=name, messages=[{"role": "user", "content": "Do you sell figs?"}]
        )
    assert gone.value.code == "model_not_found"
    assert name not in " ".join(model.id for model in sandbox.client.models.list())
    assert not (sandbox.data / "jobs" / job.id).exists()


def test_a_deleted_checkpoint_leaves_the_others(sandbox: Tuner) -> None:
    job = sandbox.tune()
    last, *others = sandbox.client.fine_tuning.jobs.checkpoints.list(job.id).data

    sandbox.client.models.delete(last.fine_tuned_model_checkpoint)

    assert sandbox.client.fine_tuning.jobs.checkpoints.list(job.id).data == others
    assert "figs" in sandbox.ask(str(job.fine_tuned_model), "Do you sell figs?")


def test_a_base_is_not_deleted(tuner: Tuner) -> None:
    with pytest.raises(BadRequestError, match="base model"):
        tuner.client.models.delete(tuner.base)


def test_a_model_that_a_job_starts_from_is_not_deleted(sandbox: Tuner) -> None:
    name = str(sandbox.tune().fine_tuned_model)
    job = sandbox.begin_long(model=name)

    with pytest.raises(ConflictError, match=job.id):
        sandbox.client.models.delete(name)

    sandbox.client.fine_tuning.jobs.cancel(job.id)
    assert sandbox.client.models.delete(name).deleted


@pytest.mark.parametrize("name", ["gpt-4o", "ft:sandbox:attune::00000000", "a/b", "../../x"])
def test_an_unknown_model_is_not_found(tuner: Tuner, name: str) -> None:
    with pytest.raises(NotFoundError, match="does not exist"):
        tuner.client.models.retrieve(name)
