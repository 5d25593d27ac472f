"""Describing answers: the shapes that faces show, as schemas of the API's description.

The shapes are written once, as they are: no route has a second model of what it answers. Knows structs and OpenAPI.
"""

from __future__ import annotations

from copy import deepcopy
from functools import cache
from typing import Any, Final

import msgspec
from fastapi import FastAPI

_TEMPLATE: Final = "#/components/schemas/{name}"


def answers(kind: Any) -> dict[int | str, dict[str, Any]]:
    """The `responses` of a route that answers a value of this kind."""
    return {200: {"content": {"application/json": {"schema": deepcopy(_schema(kind))}}}}


@cache
def _schema(kind: Any) -> dict[str, Any]:
    (schema,), _ = msgspec.json.schema_components([kind], ref_template=_TEMPLATE)
    return schema


def describe(app: FastAPI, *kinds: Any) -> None:
    """Let the description hold the schemas of these kinds, and of what they are made of."""
    described = app.openapi

    def openapi() -> dict[str, Any]:
        # Not before somebody asks: most programs serve for ever and are never asked.
        _, components = msgspec.json.schema_components(kinds, ref_template=_TEMPLATE)
        description = described()
        description.setdefault("components", {}).setdefault("schemas", {}).update(components)
        return description

    app.openapi = openapi  # type: ignore[method-assign]  # how FastAPI has its description extended
