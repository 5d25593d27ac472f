"""Settings: `monitoring.yaml` as frozen values; every complaint names file, line, key and remedy.

Knows the file and what may stand in it. Does not know how a kind of check or channel works: kinds are handed in.
"""

from __future__ import annotations

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
