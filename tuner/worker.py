"""One job's process: checks the files, or trains; `python -m tuner.worker JOBDIR`.

What it has done is in the folder, so it may be killed at any line and started again:
no `checked.json` means check, no `result.json` means train from the last saved state.
It exits 0 when the turn is done and 75 when it was told to stop and saved its state.
Started several times for one job, as `torchrun` does, only the first of them (`RANK` 0) writes.
"""

import json
import os
import sys
from contextlib import nullcontext
from pathlib import Path

from tuner.folder import JobFolder, read_json, write_atomically
from tuner.job_file_checks import check_files
from tuner.spec import Spec
from tuner.training_run import Rejected, StopSignal, TrainingRun


def main(folder: JobFolder) -> None:
    os.nice(5)
    stop = StopSignal(folder.stop)
    stop.watch()
    is_first = os.environ.get("RANK", "0") == "0"
    # A worker of a server that was killed may still be saving; nobody else writes meanwhile.
    with folder.acquire(stop.wait_a_moment) if is_first else nullcontext():
        spec = Spec.read(folder.spec)
        if read_json(folder.checked) is None:
            check(folder, spec, stop)
        elif read_json(folder.result) is None:
            result = train(folder, spec, stop)
            if is_first:
                write_atomically(folder.result, json.dumps(result).encode())


def check(folder: JobFolder, spec: Spec, stop: StopSignal) -> None:
    """Read every row of both files and write down what was found."""
    try:
        counts = check_files(spec, stop)
        found: dict[str, object] = {**counts}
        if spec.engine == "local":
            from tuner.local.memory import job_memory

            found["memory"] = job_memory(spec, rows=counts["rows"], longest=counts["longest"])
    except Rejected as rejected:
        found = {"error": rejected.error}
    write_atomically(folder.checked, json.dumps(found).encode())


def train(folder: JobFolder, spec: Spec, stop: StopSignal) -> dict[str, object]:
    """Make the model; what makes it impossible is a result too, for trying again would not help."""
    try:
        return training_function(spec.engine)(folder, spec, stop)
    except Rejected as rejected:
        return {"error": rejected.error}


def training_function(engine: str) -> TrainingRun:
    # Here and not at the top: a worker that only checks files needs no numbers.
    if engine == "local":
        from tuner.local.gpu_choice import limit_to_one_gpu
        from tuner.local.omp_wait import set_passive_omp_wait

        set_passive_omp_wait()
        limit_to_one_gpu()
        from tuner.local.worker import run as run_local

        return run_local
    from tuner.sandbox.training_run import run

    return run


if __name__ == "__main__":
    main(JobFolder(Path(sys.argv[1])))
