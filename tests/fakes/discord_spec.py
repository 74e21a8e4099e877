"""Holds request bodies against Discord's published description, by method and path."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

PUBLISHED = Path(__file__).parents[2].parent / "shared" / "specs" / "discord.json"
_ADDRESS = "urn:discord"


class Description:
    """The description as JSON Schema 2020-12."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self._document = _absolute(document)
        resource: Resource[Any] = DRAFT202012.create_resource(self._document)
        self._registry: Registry[Any] = Registry().with_resource(_ADDRESS, resource)
        self._paths = [(_pattern(path), path) for path in document["paths"]]
        self._found: dict[tuple[str, str, str], list[str]] = {}

    def problems(self, method: str, path: str, body: object) -> list[str]:
        """What is wrong with a body; an address that is not described is wrong too.

        The same body is held against the description once: each start sends the same commands.
        """
        template = next((one for pattern, one in self._paths if pattern.fullmatch(path)), None)
        if template is None:
            return [f"{path} is not described"]
        asked = (method, template, json.dumps(body))
        if asked not in self._found:
            self._found[asked] = self._problems(method, template, body)
        return self._found[asked]

    def _problems(self, method: str, template: str, body: object) -> list[str]:
        described = self._document["paths"][template].get(method.lower(), {})
        content = described.get("requestBody", {}).get("content", {})
        if "application/json" not in content:
            return [f"{method} {template} takes no body"]
        validator = Draft202012Validator(
            content["application/json"]["schema"], registry=self._registry
        )
        return [
            f"{error.json_path}: {error.message[:300]}" for error in validator.iter_errors(body)
        ]


@cache
def published() -> Description | None:
    """The description beside this checkout; None where there is none."""
    return Description(json.loads(PUBLISHED.read_bytes())) if PUBLISHED.exists() else None


def _pattern(template: str) -> re.Pattern[str]:
    return re.compile(re.sub(r"\\{[^}]*\\}", "[^/]+", re.escape(template)))


def _absolute(node: Any) -> Any:
    """References name the document, so that parts of it can be used alone."""
    if isinstance(node, dict):
        return {key: _absolute(value) for key, value in node.items()}
    if isinstance(node, list):
        return [_absolute(each) for each in node]
    return _ADDRESS + node if isinstance(node, str) and node.startswith("#/") else node
