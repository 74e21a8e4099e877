"""The process of one job, which validates files or trains: `python -m tuner.worker JOBDIR`.

All progress is in the folder, so the process may be killed and started again at any time:
without `checked.json` it validates files, without `result.json` it trains from the last saved
state. Exit code 0 means that this part is done, 75 that the worker was stopped and has saved its
state. If several processes are started for a job, as by `torchrun`, only the first one (`RANK`
0) writes.
"""

import json
import os
import sys
from contextlib import nullcontext
from pathlib import Path

from tuner.job_file_checks import check_files
from tuner.job_folder import JobFolder, read_json, write_atomically
from tuner.job_spec import JobSpec
from tuner.training_interface import JobRejected, RunTraining, StopSignal


def main(folder: JobFolder) -> None:
    os.nice(5)
    stop = StopSignal(folder.stop)
    stop.watch()
    is_first = os.environ.get("RANK", "0") == "0"
    # A worker of a killed server may still be saving; the lock prevents writing at the same time.
    with folder.acquire(stop.wait_or_exit) if is_first else nullcontext():
        spec = JobSpec.read(folder.spec)
        if read_json(folder.checked) is None:
            check_job_files(folder, spec, stop)
        elif read_json(folder.result) is None:
            result = train_job(folder, spec, stop)
            if is_first:
                write_atomically(folder.result, json.dumps(result).encode())


def check_job_files(folder: JobFolder, spec: JobSpec, stop: StopSignal) -> None:
    """Validates both files and writes the counts, or the error, to `checked.json`."""
    try:
        counts = check_files(spec, stop)
        report: dict[str, object] = {**counts}
        if spec.engine == "local":
            from tuner.local.training_memory import estimate_job_memory

            report["memory"] = estimate_job_memory(
                spec, rows=counts["rows"], longest=counts["longest"]
            )
    except JobRejected as rejected:
        report = {"error": rejected.error}
    write_atomically(folder.checked, json.dumps(report).encode())


def train_job(folder: JobFolder, spec: JobSpec, stop: StopSignal) -> dict[str, object]:
    """Trains the model; rejected files are a result too, since a retry would not help."""
    try:
        return training_function(spec.engine)(folder, spec, stop)
    except JobRejected as rejected:
        return {"error": rejected.error}


def training_function(engine: str) -> RunTraining:
    # Imported here, since a worker that only validates files needs neither numpy nor torch.
    if engine == "local":
        from tuner.local.gpu_choice import limit_to_one_gpu
        from tuner.local.omp_wait import set_passive_omp_wait
        from tuner.local.training_memory import limit_kernel_cache

        set_passive_omp_wait()
        limit_kernel_cache()
        limit_to_one_gpu()
        from tuner.local.training_run import run_training as run_local

        return run_local
    from tuner.sandbox.training_run import run_training

    return run_training


if __name__ == "__main__":
    main(JobFolder(Path(sys.argv[1])))
