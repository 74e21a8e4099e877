"""What the routes work on, in one value."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from starlette.requests import Request

from tuner.engines import Engines
from tuner.runner import Runner
from tuner.store.database import Database
from tuner.store.files import Files
from tuner.store.jobs import Jobs
from tuner.store.models import Models


@dataclass(frozen=True, slots=True)
class ApiDependencies:
    """`drafts` is a folder on the same disk as the files, for what is not whole yet.

    `aliases` are other names that clients may give to models, by name.
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
    runner: Runner
    engines: Engines

    def model_named(self, name: str) -> str:
        """The model that an alias stands for; any other name is the model's own."""
        return self.aliases.get(name, name)


def dependencies_of(request: Request) -> ApiDependencies:
    place: ApiDependencies = request.app.state.place
    return place
