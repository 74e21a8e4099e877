"""All errors as one tree; the docstring of an error class is the sentence for the user.

AttuneError
├── SettingsError           a variable is wrong; ends the start
│   ├── FolderTaken         another service holds the data folder
│   └── DatabaseTaken       another service holds the database
├── EngineError             the engine for language models cannot be installed or started
│   ├── IndexUnreachable    pip reaches no package index
│   ├── NotEnoughSpace      the disk is too full for it
│   ├── InstallRunning      an installation is running already
│   └── ModelRefused        a model cannot be taken as a base
├── ExportRefused           a tuned model cannot be exported
├── Refusal                 the asker can do something about it
│   ├── NotAllowed          the role is too low
│   │   └── NotForGuests    a guest, or a person of another organisation
│   ├── OverCap             today's tokens are spent
│   ├── NotFound            no such example, job, model or assistant here
│   │   └── UnknownCommand  no such command
│   ├── BadInput            an option or a field is wrong
│   ├── NothingToTrain      too few permitted rows
│   ├── BadRow              a row breaks a published rule
│   └── NotNow              the present state does not allow it
│       └── Outdated        the state has changed since the button was shown
├── HostError               the model host
│   ├── HostUnreachable     the request was not sent
│   ├── HostTimeout         the request was sent without a response: its outcome is unknown
│   ├── HostBusy            429
│   │   └── FileUnchecked   the host does not finish checking an uploaded file
│   ├── HostServerError     5xx, or an invalid response
│   │   ├── ModelUnnamed    a job that succeeded without a model
│   │   ├── StateUnknown    a job in an undocumented state for days
│   │   └── NotBegun        a job that the host does not start
│   ├── HostRefused         4xx with the host's own words
│   │   ├── KeyRefused      401
│   │   ├── HostNotAllowed  the operator has not allowed this server
│   │   ├── TrainingClosed  403 training_not_available
│   │   ├── AnswerFiltered  a content filter left nothing of the answer
│   │   └── HostNotFound    404
│   │       ├── WrongAddress    no API at this address
│   │       ├── TuningGone      the company has ended fine-tuning
│   │       └── TrainsNothing   a host without fine-tuning
│   ├── AnswerCut           an answer that ended at its limit of tokens
│   └── EmptyAnswer         a stream that ended without text
│       └── OnlyThoughts    a stream with reasoning but no answer
└── SurfaceError            the chat platform
    ├── MessageGone         the message or channel was deleted
    ├── PlaceClosed         the bot may not post in the channel
    └── SurfaceBusy         rate limited
"""

from __future__ import annotations

from collections.abc import Mapping


class AttuneError(Exception):
    """Something went wrong that nobody had foreseen. Please tell whoever runs the bot."""

    def __init__(self, /, **details: object) -> None:
        self.details = details
        super().__init__(self.sentence)

    @property
    def key(self) -> str:
        """Key of the sentence in `bot/words`."""
        return f"error.{type(self).__name__}"

    @property
    def sentence(self) -> str:
        """English sentence with the details filled in."""
        return template(type(self)).format_map(Details(self.details))


class Details(dict[str, object]):
    """A mapping that returns a dash for a missing key instead of raising KeyError."""

    def __missing__(self, key: str) -> str:
        return "–"


def template(error: type[AttuneError]) -> str:
    """Returns the English sentence of an error class with placeholders for its details."""
    return " ".join((error.__doc__ or AttuneError.__doc__ or "").split())


def serialize(error: AttuneError) -> dict[str, object]:
    """Returns an error as plain values that can be stored and worded later in any language."""
    return {"error": type(error).__name__, **error.details}


def deserialize(values: Mapping[str, object]) -> AttuneError | None:
    """Returns a serialized error, or None if its class does not exist in this version."""
    kind = globals().get(str(values.get("error")))
    if not isinstance(kind, type) or not issubclass(kind, AttuneError):
        return None
    return kind(**{name: value for name, value in values.items() if name != "error"})


class SettingsError(AttuneError):
    """{variable} is wrong: {problem}. {remedy}"""


class FolderTaken(SettingsError):
    """Another Attune runs on {folder}. Stop that one first, or give this one a folder of its own with ATTUNE_DATA_DIR."""


class DatabaseTaken(SettingsError):
    """Another Attune works on the database {database} ({holder}). Stop that one first, or give this one a database of its own with DATABASE_URL."""


class EngineError(AttuneError):
    """The language model could not be installed: {problem} The whole of it is in {log}."""


class IndexUnreachable(EngineError):
    """The package index cannot be reached. Check the network, or the index in pip's own settings, and start again; what was downloaded is kept."""


class NotEnoughSpace(EngineError):
    """{folder} needs {needed} of free space for that, and has {free}."""


class InstallRunning(EngineError):
    """A language model is being installed here already. Wait until that has ended."""


class ModelRefused(EngineError):
    """{name} cannot be taken: {problem}"""


class ExportRefused(AttuneError):
    """The model cannot be taken away: {problem}"""


class Refusal(AttuneError):
    """That is not possible."""


class NotAllowed(Refusal):
    """That needs the role “{role}”. Ask {who}."""


class NotForGuests(NotAllowed):
    """Guests and people of another organisation may not do that here. An admin can let them ask questions with /tune admin guests."""


class OverCap(Refusal):
    """Today's {cap} tokens for {whom} are used up. The count starts anew at midnight UTC."""


class NotFound(Refusal):
    """There is no {noun} “{name}” here."""


class UnknownCommand(NotFound):
    """There is no command “{name}”. /tune help shows what there is."""


class BadInput(Refusal):
    """{problem}"""


class NothingToTrain(Refusal):
    """There are {rows} approved examples that may be trained on, and training needs {minimum}. /tune import brings in more, and so does what is taught here: /tune help."""


class NotEnoughAllowed(NothingToTrain):
    """There are {rows} approved examples that may be trained on, and training needs {minimum}. {left_out} more are approved, but not permitted: whoever wrote them agrees with /tune consent on, /tune admin sources says what may be learned from, and /tune check lists private text to decide upon."""


class BadRow(Refusal):
    """Example {example} cannot be trained on: {reason}. Edit it with /tune examples edit:{example}, then start again."""


class NotNow(Refusal):
    """{problem}"""


class Outdated(NotNow):
    """{problem}"""


class HostError(AttuneError):
    """The host “{host}” could not do it: {message}"""

    @property
    def retry_after(self) -> float | None:
        """Seconds to wait before a retry as told by the host, or None."""
        value = self.details.get("retry_after")
        return float(value) if isinstance(value, int | float) else None


class HostUnreachable(HostError):
    """The host “{host}” cannot be reached. Check its address and that it runs."""


class HostTimeout(HostError):
    """The host “{host}” did not answer in time."""


class HostBusy(HostError):
    """The host “{host}” is busy. Try again in a moment."""


class FileUnchecked(HostBusy):
    """The host “{host}” goes on checking the file that was sent. Start again later, or elsewhere: /tune start host:NAME."""


class HostServerError(HostError):
    """The host “{host}” has a fault of its own: {message}"""


class ModelUnnamed(HostServerError):
    """The host “{host}” says that the training succeeded, but names no model."""


class StateUnknown(HostServerError):
    """The host “{host}” has reported the state “{message}” for too long, and nothing else. Nobody waits for it any more."""


class NotBegun(HostServerError):
    """The host “{host}” took the training and has not begun it for too long. It is taken back there. Start again later, or elsewhere: /tune start host:NAME."""


class HostRefused(HostError):
    """The host “{host}” said no: {message}"""


class KeyRefused(HostRefused):
    """The host “{host}” does not accept the key. Whoever runs the bot must check {variable}."""


class HostNotAllowed(HostRefused):
    """This server may use the sandbox alone, not the host “{host}”. Whoever runs Attune allows it: in the studio under Workspaces, or by adding {server} to ATTUNE_DISCORD_SERVERS."""


class AnswerFiltered(HostRefused):
    """The content filter of the host “{host}” stopped the answer. Ask in other words."""


class TrainingClosed(HostRefused):
    """The host “{host}” no longer lets this account train. Choose another host: /tune start host:NAME."""


class HostNotFound(HostRefused):
    """The host “{host}” does not know this, or not any more: {message}"""


class WrongAddress(HostNotFound):
    """Nothing answers at {message}. Check the address of the host “{host}”: it usually ends in /v1."""


class TuningGone(HostNotFound):
    """{who} does not train ({since}), so the host “{host}” only answers. Choose another host: /tune start host:NAME."""


class TrainsNothing(HostNotFound):
    """The host “{host}” answers questions alone: it has no {message}. Choose another host: /tune start host:NAME."""


class AnswerCut(HostError):
    """The model at “{host}” reached its limit of tokens before its answer was whole. A higher max_tokens helps: /tune assistant edit."""


class EmptyAnswer(HostError):
    """The model at “{host}” sent an empty answer. Try again."""


class OnlyThoughts(EmptyAnswer):
    """The model at “{host}” only thought and wrote no answer before its limit of tokens. A higher max_tokens or a lower reasoning_effort helps: /tune assistant edit."""


class SurfaceError(AttuneError):
    """The chat platform could not do it: {message}"""


class MessageGone(SurfaceError):
    """The message is gone."""


class PlaceClosed(SurfaceError):
    """The bot may not speak there. Invite it to the channel first."""


class PermissionMissing(SurfaceError):
    """The bot has no permission for that: {permissions}"""


class SurfaceBusy(SurfaceError):
    """The chat platform asks for a pause."""
