"""The objects that the routes use, in one value."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from starlette.requests import Request

from tuner.engine_registry import Engines
from tuner.job_runner import JobRunner
from tuner.store.database import Database
from tuner.store.files import Files
from tuner.store.jobs import Jobs
from tuner.store.models import Models


@dataclass(frozen=True, slots=True)
class ApiDependencies:
    """The objects that the routes use.

    `drafts` is a folder for incomplete uploads, on the same disk as the files. `aliases` maps
    further names that clients may use to model names.
    """

    keys: Sequence[str]
    aliases: Mapping[str, str]
    cors_origins: Sequence[str]
    min_examples: int
    max_rows: int
    drafts: Path
    database: Database
    files: Files
    jobs: Jobs
    models: Models
    runner: JobRunner
    engines: Engines

    def model_named(self, name: str) -> str:
        """Returns the model of an alias, or the name itself if it is not an alias."""
        return self.aliases.get(name, name)


def dependencies_of(request: Request) -> ApiDependencies:
    deps: ApiDependencies = request.app.state.deps
    return deps
