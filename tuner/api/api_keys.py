"""Checks the API key of a request."""

import hmac

from starlette.requests import Request

from tuner.api.dependencies import dependencies_of
from tuner.errors import InvalidApiKey


async def require_key(request: Request) -> None:
    """Raises InvalidApiKey unless the bearer key is valid; compares all keys in constant time."""
    scheme, _, given = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not given.strip():
        raise InvalidApiKey("You didn't provide an API key. " + (InvalidApiKey.__doc__ or ""))
    matches = [_is_same(key, given.strip()) for key in dependencies_of(request).keys]
    if not any(matches):
        raise InvalidApiKey("Incorrect API key provided. " + (InvalidApiKey.__doc__ or ""))


def _is_same(key: str, given: str) -> bool:
    return hmac.compare_digest(key.encode(), given.encode("latin-1", "replace"))
