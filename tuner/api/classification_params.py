"""The metrics of a classifier, as a client requests them with a job."""

from bot.rows import Method
from tuner.api.schemas import CreateJob
from tuner.classification_metrics import (
    BETAS_FIELD,
    CLASS_COUNT_FIELD,
    CLASSIFICATION_FIELDS,
    COMPUTE_METRICS_FIELD,
    POSITIVE_CLASS_FIELD,
)
from tuner.errors import ApiError


def add_classification_params(
    params: CreateJob, method: Method, numbers: dict[str, object]
) -> dict[str, object]:
    """Adds the classification fields of the top level to the hyperparameters. Raises ApiError."""
    top = params.model_dump(include=set(CLASSIFICATION_FIELDS), exclude_none=True)
    fields = {name: numbers[name] for name in CLASSIFICATION_FIELDS if name in numbers}
    if duplicates := sorted(top.keys() & fields.keys()):
        raise ApiError(f"'{duplicates[0]}' is given twice.", param=duplicates[0])
    fields |= top
    if fields:
        _check(fields, method, has_validation=params.validation_file is not None)
    return {**numbers, **fields}


def _check(fields: dict[str, object], method: Method, *, has_validation: bool) -> None:
    problems = (
        (
            method is not Method.SUPERVISED,
            COMPUTE_METRICS_FIELD,
            "Preferences have no classes to measure.",
        ),
        (
            fields.get(COMPUTE_METRICS_FIELD) is not True,
            COMPUTE_METRICS_FIELD,
            f"Set '{COMPUTE_METRICS_FIELD}' to true.",
        ),
        (
            not has_validation,
            COMPUTE_METRICS_FIELD,
            "Classes are measured on a validation_file; give one.",
        ),
        (
            CLASS_COUNT_FIELD not in fields and POSITIVE_CLASS_FIELD not in fields,
            CLASS_COUNT_FIELD,
            f"Give '{CLASS_COUNT_FIELD}', or '{POSITIVE_CLASS_FIELD}' where there are two classes.",
        ),
        (
            POSITIVE_CLASS_FIELD in fields and fields.get(CLASS_COUNT_FIELD, 2) != 2,
            POSITIVE_CLASS_FIELD,
            "A positive class is for two classes.",
        ),
        (
            BETAS_FIELD in fields and POSITIVE_CLASS_FIELD not in fields,
            BETAS_FIELD,
            f"'{BETAS_FIELD}' needs '{POSITIVE_CLASS_FIELD}'.",
        ),
    )
    for is_wrong, param, message in problems:
        if is_wrong:
            raise ApiError(message, param=param, code="invalid_value")
