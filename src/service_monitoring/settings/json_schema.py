"""The JSON Schema of the configuration, for editors: the shapes, with the kinds that are installed filled in.

Knows how the models of kinds become the forms of a check and of a channel. Does not check anything itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from service_monitoring.ports import Kind
from service_monitoring.settings.kinds import ARRIVING, LATER, LATER_REASONS, Kinds
from service_monitoring.settings.shapes import (
    CheckShape,
    EveryChannelShape,
    EveryCheckShape,
    FileShape,
    PersonShape,
    ServiceShape,
)

_DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
_REFERENCE: Final = "#/$defs/"


def schema(sources: Mapping[str, Kind], sinks: Mapping[str, Kind]) -> dict[str, Any]:
    """The schema of the whole file. Imports every kind, so it blocks; `Refused` where a package cannot be used."""
    checks, channels = Kinds("check", sources, arriving=ARRIVING, later=LATER), Kinds("channel", sinks)
    models: dict[str, type[BaseModel]] = {"file": FileShape, "polled": CheckShape, "arriving": EveryCheckShape}
    models["told"] = EveryChannelShape
    models |= {f"check {name}": checks.model(name) for name in checks.names}
    models |= {f"channel {name}": channels.model(name) for name in channels.names}
    # The same model under two names would be one key of pydantic's answer, and that is right: it is one definition.
    found, definitions = models_json_schema([(model, "validation") for model in models.values()])
    names = {key: _name(found[model, "validation"]) for key, model in models.items()}
    forms: dict[str, Any] = dict(definitions["$defs"])
    common = {
        name: forms[names["arriving" if checks.is_arriving(name) else "polled"]]["properties"] for name in checks.names
    }
    forms["check"] = _either(
        {f"check {name}": _check(forms[names[f"check {name}"]], name, common[name]) for name in checks.names}, forms
    )
    told = forms[names["told"]]["properties"]
    forms["channel"] = _either(
        {
            key: {**forms[names[key]], "properties": {**told, **forms[names[key]]["properties"]}}
            for key in (f"channel {name}" for name in channels.names)
        },
        forms,
    )
    forms["defaults"] = _defaults({name: forms[f"check {name}"]["properties"] for name in checks.names})
    file = forms.pop(names["file"])
    _fill(file, forms, found)
    return {"$schema": _DIALECT, **file, "title": "service-monitoring", "$defs": forms}


def _name(reference: Mapping[str, Any]) -> str:
    return str(reference["$ref"]).removeprefix(_REFERENCE)


def _fill(file: dict[str, Any], forms: dict[str, Any], found: Mapping[Any, Any]) -> None:
    """Put the forms of kinds where the shapes only say `a mapping`."""
    file["properties"]["channels"]["additionalProperties"] = {"$ref": _REFERENCE + "channel"}
    file["properties"]["defaults"] = {"$ref": _REFERENCE + "defaults"}
    forms[ServiceShape.__name__]["properties"]["checks"]["additionalProperties"] = {"$ref": _REFERENCE + "check"}
    contact = {"anyOf": [{"type": "string", "pattern": r"^channel\."}, {"$ref": _REFERENCE + "channel"}]}
    forms[PersonShape.__name__]["properties"]["contact"]["items"] = contact


def _check(own: Mapping[str, Any], name: str, common: Mapping[str, Any]) -> dict[str, Any]:
    """The form of a check: the kind's own keys, and those that it has in common with others."""
    form = {**own, "properties": {**common, **own["properties"]}}
    if name in LATER_REASONS:
        form["description"] = f"{form.get('description', '')} Not in this version: {LATER_REASONS[name][0]}."
    return form


def _either(variants: Mapping[str, dict[str, Any]], forms: dict[str, Any]) -> dict[str, Any]:
    """Name each variant, and choose by the key that is called like its kind, so that editors complain of one only."""
    forms.update(variants)
    kinds = [key.partition(" ")[2] for key in variants]
    return {
        "type": "object",
        "anyOf": [{"required": [kind]} for kind in kinds],
        "oneOf": [{"$ref": _REFERENCE + key.replace(" ", "%20")} for key in variants],
    }


def _defaults(properties: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Any keys of a kind, none of them needed."""
    return {
        "type": "object",
        "description": "Values for every check of a kind, by kind.",
        "properties": {
            name: {"type": "object", "properties": dict(own), "additionalProperties": False}
            for name, own in properties.items()
        },
        "additionalProperties": False,
    }
