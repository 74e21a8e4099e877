"""The tuner's errors, each with its HTTP status.

ApiError                  a request that cannot be carried out (400)
├── InvalidApiKey         no key, or an unknown one (401)
├── NotFound              no such file, job, model or page (404)
├── MethodNotAllowed      the URL does not support the method (405)
├── RequestTimeout        a request that takes too long to arrive (408)
├── Conflict              the object is in use; can be retried (409)
├── TooLarge              a body over the limit (413)
├── ServerBusy            too many requests at a time (429)
├── DiskFull              the disk is full (507)
├── ModelLoadFailed       a model that cannot be loaded (503)
└── UnsupportedMediaType  neither JSON nor multipart, as required (415)
CannotStart               the server cannot start with these settings
"""

from typing import ClassVar


class ApiError(Exception):
    """The request cannot be carried out as it stands."""

    status: ClassVar[int] = 400
    kind: ClassVar[str] = "invalid_request_error"
    code: str | None = None

    def __init__(
        self, sentence: str = "", *, param: str | None = None, code: str | None = None
    ) -> None:
        self.sentence = sentence or (type(self).__doc__ or "")
        self.param = param
        self.code = code or type(self).code
        super().__init__(self.sentence)

    def body(self) -> dict[str, object]:
        return {
            "error": {
                "message": self.sentence,
                "type": self.kind,
                "param": self.param,
                "code": self.code,
            }
        }


class InvalidApiKey(ApiError):
    """Send one of this server's keys as `Authorization: Bearer KEY`."""

    status = 401
    code = "invalid_api_key"


class NotFound(ApiError):
    """There is nothing under this address."""

    status = 404


class MethodNotAllowed(ApiError):
    """This address does not answer that method."""

    status = 405
    code = "method_not_supported"


class RequestTimeout(ApiError):
    """The request took too long to arrive; send it again, all at once."""

    status = 408
    code = "request_timeout"


class Conflict(ApiError):
    """Something else is using this; try again when it is done."""

    status = 409
    code = "conflict"


class TooLarge(ApiError):
    """The request is larger than this server takes."""

    status = 413
    code = "request_too_large"


class ServerBusy(ApiError):
    """Too many questions are waiting for an answer; try again in a moment."""

    status = 429
    kind = "rate_limit_error"
    code = "rate_limit_exceeded"


class ModelLoadFailed(ApiError):
    """This model cannot be loaded; the server's log says why."""

    status = 503
    kind = "server_error"
    code = "model_not_ready"


class DiskFull(ApiError):
    """The server's disk is full; delete files or models there, and send this again."""

    status = 507
    kind = "server_error"
    code = "disk_full"


class UnsupportedMediaType(ApiError):
    """Send JSON, with the header `Content-Type: application/json`."""

    status = 415
    code = "unsupported_media_type"


class CannotStart(Exception):
    """The tuner cannot start."""
