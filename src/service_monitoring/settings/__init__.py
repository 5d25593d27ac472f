"""Settings: `monitoring.yaml` as frozen values; every complaint names file, line, key and remedy.

Knows the file and what may stand in it. Does not know how a kind of check or channel works: kinds are handed in.
"""

from __future__ import annotations

from service_monitoring.settings.network import AddressPolicy
from service_monitoring.settings.problems import InvalidValue
from service_monitoring.settings.quantities import DurationField, SizeField
from service_monitoring.settings.secrets import Redactor, Secret, redact

__all__ = ["AddressPolicy", "DurationField", "InvalidValue", "Redactor", "Secret", "SizeField", "redact"]
