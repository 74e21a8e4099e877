"""What a worker is told: written by the server before the worker starts."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from tuner.folder import write_atomically


@dataclass(frozen=True, slots=True)
class Spec:
    """Paths are absolute; `hyperparameters` are as asked for, "auto" included.

    `base` is where the engine finds its base, empty where it needs no files; `quantization` says in
    which form its weights are loaded, empty as they are saved.
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
    def read(cls, path: Path) -> "Spec":
        return cls(**json.loads(path.read_bytes()))

    def write(self, path: Path) -> None:
        write_atomically(path, json.dumps(asdict(self)).encode())
