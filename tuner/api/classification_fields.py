"""The measures of a classifier, as a client asks for them with a job."""

from bot.rows import Method
from tuner.api.schemas import CreateJob
from tuner.classification import BETAS, CLASSES, COMPUTE, FIELDS, POSITIVE
from tuner.errors import ApiError


def with_classification(
    wanted: CreateJob, method: Method, numbers: dict[str, object]
) -> dict[str, object]:
    """The hyperparameters with what was asked for at the top level. Raises ApiError."""
    top = wanted.model_dump(include=set(FIELDS), exclude_none=True)
    asked = {name: numbers[name] for name in FIELDS if name in numbers}
    if twice := sorted(top.keys() & asked.keys()):
        raise ApiError(f"'{twice[0]}' is given twice.", param=twice[0])
    asked |= top
    if asked:
        _check(asked, method, has_validation=wanted.validation_file is not None)
    return {**numbers, **asked}


def _check(asked: dict[str, object], method: Method, *, has_validation: bool) -> None:
    problems = (
        (method is not Method.SUPERVISED, COMPUTE, "Preferences have no classes to measure."),
        (
            asked.get(COMPUTE) is not True,
            COMPUTE,
            f"Set '{COMPUTE}' to true.",
        ),
        (not has_validation, COMPUTE, "Classes are measured on a validation_file; give one."),
        (
            CLASSES not in asked and POSITIVE not in asked,
            CLASSES,
            f"Give '{CLASSES}', or '{POSITIVE}' where there are two classes.",
        ),
        (
            POSITIVE in asked and asked.get(CLASSES, 2) != 2,
            POSITIVE,
            "A positive class is for two classes.",
        ),
        (BETAS in asked and POSITIVE not in asked, BETAS, f"'{BETAS}' needs '{POSITIVE}'."),
    )
    for is_wrong, param, message in problems:
        if is_wrong:
            raise ApiError(message, param=param, code="invalid_value")
