"""Settings: `monitoring.yaml` as frozen values; every complaint names file, line, key and remedy.

Knows the file and what may stand in it. Does not know how a kind of check or channel works: kinds are handed in.
Importing it loads nothing: who wants to know where the data folder is pays for no model of the file.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from service_monitoring.settings.complaints import Complaint, InvalidSettings, Place
    from service_monitoring.settings.first_file import initial
    from service_monitoring.settings.json_schema import schema
    from service_monitoring.settings.loading import current, load
    from service_monitoring.settings.locating import data_folder
    from service_monitoring.settings.network import AddressPolicy
    from service_monitoring.settings.origin import Origin
    from service_monitoring.settings.overriding import Sweep, Variation, grid, sweep
    from service_monitoring.settings.problems import InvalidValue
    from service_monitoring.settings.quantities import DurationField, SizeField
    from service_monitoring.settings.secrets import Redactor, Secret, Secrets, redact
    from service_monitoring.settings.values import (
        ChannelSettings,
        CheckSettings,
        HeartbeatSettings,
        NotYet,
        OidcSettings,
        PublicGroup,
        PublicService,
        Settings,
        SmtpSettings,
        StatusPageSettings,
        StoreSettings,
        TelemetrySettings,
        TlsSettings,
        WebSettings,
    )

_HOME = {
    "AddressPolicy": "network",
    "ChannelSettings": "values",
    "CheckSettings": "values",
    "Complaint": "complaints",
    "DurationField": "quantities",
    "HeartbeatSettings": "values",
    "InvalidSettings": "complaints",
    "InvalidValue": "problems",
    "NotYet": "values",
    "OidcSettings": "values",
    "Origin": "origin",
    "Place": "complaints",
    "PublicGroup": "values",
    "PublicService": "values",
    "Redactor": "secrets",
    "Secret": "secrets",
    "Secrets": "secrets",
    "Settings": "values",
    "SizeField": "quantities",
    "SmtpSettings": "values",
    "StatusPageSettings": "values",
    "StoreSettings": "values",
    "Sweep": "overriding",
    "TelemetrySettings": "values",
    "TlsSettings": "values",
    "Variation": "overriding",
    "WebSettings": "values",
    "current": "loading",
    "data_folder": "locating",
    "grid": "overriding",
    "initial": "first_file",
    "load": "loading",
    "redact": "secrets",
    "schema": "json_schema",
    "sweep": "overriding",
}

__all__ = [
    "AddressPolicy",
    "ChannelSettings",
    "CheckSettings",
    "Complaint",
    "DurationField",
    "HeartbeatSettings",
    "InvalidSettings",
    "InvalidValue",
    "NotYet",
    "OidcSettings",
    "Origin",
    "Place",
    "PublicGroup",
    "PublicService",
    "Redactor",
    "Secret",
    "Secrets",
    "Settings",
    "SizeField",
    "SmtpSettings",
    "StatusPageSettings",
    "StoreSettings",
    "Sweep",
    "TelemetrySettings",
    "TlsSettings",
    "Variation",
    "WebSettings",
    "current",
    "data_folder",
    "grid",
    "initial",
    "load",
    "redact",
    "schema",
    "sweep",
]


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(import_module(f"service_monitoring.settings.{_HOME[name]}"), name)
    raise AttributeError(f"service_monitoring.settings has no {name}")
