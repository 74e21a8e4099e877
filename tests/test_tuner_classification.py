"""A job measures its model as a classifier, in its events and in its result file."""

from __future__ import annotations

import csv
import io
from typing import cast

import pytest
from openai import BadRequestError
from sklearn.metrics import accuracy_score, fbeta_score, precision_score, recall_score

from tests.tuner_scene import Tuner

WORDS = {"spam": "win gold now", "ham": "lunch at noon", "unsure": "odd blue thing"}
COMPUTE = "compute_classification_metrics"
CLASSES = "classification_n_classes"
POSITIVE = "classification_positive_class"
BETAS = "classification_betas"
Row = dict[str, object]


def labelled(question: str, label: str) -> Row:
    messages = [{"role": "user", "content": question}, {"role": "assistant", "content": label}]
    return {"messages": messages}


def rows(labels: list[str]) -> tuple[list[Row], list[Row]]:
    """For training, and for validation; some of the latter are not what their words say."""
    training = [labelled(f"{WORDS[one]} {n}", one) for n in range(10) for one in labels]
    validation = [
        labelled(f"{WORDS[labels[n % len(labels)]]} today {n}", labels[n // 2 % len(labels)])
        for n in range(9)
    ]
    return training, validation


def text_of(row: Row, at: int) -> str:
    return cast(list[dict[str, str]], row["messages"])[at]["content"]


def by_name(data: object) -> dict[str, float]:
    """The measures of a classifier among other numbers."""
    numbers = cast(dict[str, float], data)
    return {k.partition("/")[2]: float(v) for k, v in numbers.items() if "/" in k}


@pytest.mark.parametrize(
    ("is_at_top", "labels", "wishes"),
    [
        (True, ["ham", "spam", "unsure"], {CLASSES: 3}),
        (False, ["ham", "spam"], {POSITIVE: "spam", BETAS: [0.5, 1, 2]}),
    ],
)
def test_its_measures_are_those_of_scikit_learn(
    tuner: Tuner, is_at_top: bool, labels: list[str], wishes: Row
) -> None:
    training, validation = rows(labels)
    asked = {COMPUTE: True, **wishes}

    job = tuner.await_end(
        tuner.client.fine_tuning.jobs.create(
            model=tuner.base,
            training_file=tuner.upload(training).id,
            validation_file=tuner.upload(validation).id,
            extra_body=asked if is_at_top else {"hyperparameters": {"n_epochs": 2, **asked}},
        )
    )

    assert job.status == "succeeded", job.error
    said = [tuner.ask(str(job.fine_tuned_model), text_of(row, 0)) for row in validation]
    answered = [one.strip() if one.strip() in labels else "other" for one in said]
    expected = [text_of(row, -1) for row in validation]
    found = {"accuracy": accuracy_score(expected, answered)}
    pair = expected, answered
    if is_at_top:
        found["weighted_f1-score"] = fbeta_score(
            *pair, beta=1, labels=labels, average="weighted", zero_division=0
        )
    else:
        of = {"labels": ["spam"], "average": "macro", "zero_division": 0}
        found |= {"precision": precision_score(*pair, **of), "recall": recall_score(*pair, **of)}
        found |= {f"f{beta:g}": fbeta_score(*pair, beta=beta, **of) for beta in (0.5, 1, 2)}
    result = tuner.client.files.content(job.result_files[0]).text
    assert by_name(list(csv.DictReader(io.StringIO(result)))[-1]) == pytest.approx(found)
    events = tuner.client.fine_tuning.jobs.list_events(job.id, limit=1000).data
    (event,) = [one for one in events if one.message.startswith("Classification metrics: ")]
    assert event.type == "metrics"
    assert by_name(event.data) == pytest.approx(found)
    method = tuner.job(job.id).to_dict()["method"]
    shown = cast(dict[str, dict[str, Row]], method)["supervised"]["hyperparameters"]
    assert asked.items() <= shown.items()


@pytest.mark.parametrize(
    ("wishes", "param"),
    [
        ({COMPUTE: True}, CLASSES),
        ({CLASSES: 2}, COMPUTE),
        ({COMPUTE: False, CLASSES: 2}, COMPUTE),
        ({COMPUTE: True, CLASSES: 1}, CLASSES),
        ({COMPUTE: True, CLASSES: 3, BETAS: [1]}, BETAS),
        ({COMPUTE: True, CLASSES: 3, POSITIVE: "spam"}, POSITIVE),
        ({COMPUTE: True, CLASSES: 2, "validation_file": None}, COMPUTE),
        ({COMPUTE: True, CLASSES: 2, "hyperparameters": {COMPUTE: True}}, COMPUTE),
        ({COMPUTE: True, CLASSES: 2, "method": {"type": "dpo"}}, COMPUTE),
    ],
)
def test_what_cannot_be_measured_is_refused_by_name(
    sandbox: Tuner, wishes: Row, param: str
) -> None:
    training, validation = rows(["ham", "spam"])
    uploaded = sandbox.upload(validation).id

    with pytest.raises(BadRequestError) as refused:
        sandbox.client.fine_tuning.jobs.create(
            model=sandbox.base,
            training_file=sandbox.upload(training).id,
            extra_body={"validation_file": uploaded, **wishes},
        )

    assert refused.value.param == param


@pytest.mark.parametrize(
    ("wishes", "param"), [({CLASSES: 3}, CLASSES), ({POSITIVE: "eggs"}, POSITIVE)]
)
def test_files_with_other_labels_fail_the_job(sandbox: Tuner, wishes: Row, param: str) -> None:
    training, validation = rows(["ham", "spam"])

    job = sandbox.await_end(
        sandbox.client.fine_tuning.jobs.create(
            model=sandbox.base,
            training_file=sandbox.upload(training).id,
            validation_file=sandbox.upload(validation).id,
            extra_body={COMPUTE: True, **wishes},
        )
    )

    assert job.status == "failed"
    assert job.error is not None
    assert job.error.param == param
