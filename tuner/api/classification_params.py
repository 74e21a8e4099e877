"""The metrics of a classifier, as a client requests them with a job."""

from bot.rows import Method
from tuner.api.schemas import CreateJob
from tuner.classification_metrics import BETAS, CLASSES, COMPUTE, FIELDS, POSITIVE
from tuner.errors import ApiError


def with_classification(
    params: CreateJob, method: Method, numbers: dict[str, object]
) -> dict[str, object]:
    """Adds the classification fields of the top level to the hyperparameters. Raises ApiError."""
    top = params.model_dump(include=set(FIELDS), exclude_none=True)
    fields = {name: numbers[name] for name in FIELDS if name in numbers}
    if duplicates := sorted(top.keys() & fields.keys()):
        raise ApiError(f"'{duplicates[0]}' is given twice.", param=duplicates[0])
    fields |= top
    if fields:
        _check(fields, method, has_validation=params.validation_file is not None)
    return {**numbers, **fields}


def _check(fields: dict[str, object], method: Method, *, has_validation: bool) -> None:
    problems = (
        (method is not Method.SUPERVISED, COMPUTE, "Preferences have no classes to measure."),
        (
            fields.get(COMPUTE) is not True,
            COMPUTE,
            f"Set '{COMPUTE}' to true.",
        ),
        (not has_validation, COMPUTE, "Classes are measured on a validation_file; give one."),
        (
            CLASSES not in fields and POSITIVE not in fields,
            CLASSES,
            f"Give '{CLASSES}', or '{POSITIVE}' where there are two classes.",
        ),
        (
            POSITIVE in fields and fields.get(CLASSES, 2) != 2,
            POSITIVE,
            "A positive class is for two classes.",
        ),
        (BETAS in fields and POSITIVE not in fields, BETAS, f"'{BETAS}' needs '{POSITIVE}'."),
    )
    for is_wrong, param, message in problems:
        if is_wrong:
            raise ApiError(message, param=param, code="invalid_value")
