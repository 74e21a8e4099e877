"""The specification of a job that the server writes for its worker."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from tuner.job_folder import write_atomically


@dataclass(frozen=True, slots=True)
class JobSpec:
    """Specification of a job.

    Paths are absolute. `hyperparameters` are as requested, including "auto". `base` is the
    folder of the base, or empty if the engine needs no files. `quantization` is the form in
    which weights are loaded, or empty for the form in which they are saved.
    """

    engine: str
    base: str
    method: str
    training: str
    validation: str | None
    start_from: str | None
    hyperparameters: Mapping[str, object]
    seed: int
    quantization: str = ""

    @classmethod
    def read(cls, path: Path) -> "JobSpec":
        return cls(**json.loads(path.read_bytes()))

    def write(self, path: Path) -> None:
        write_atomically(path, json.dumps(asdict(self)).encode())
