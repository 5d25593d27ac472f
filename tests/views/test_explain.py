"""Who was told of an incident and who was not, with every reason: as lines, from what is on record."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some
from msgspec.structs import replace

from service_monitoring.domain.configuration import Configuration, Inhibition, Person, QuietHours, Route, Step
from service_monitoring.domain.events import IncidentMoved
from service_monitoring.domain.inputs import Delivery, Settled, Silenced, Unsilenced
from service_monitoring.domain.instants import Instant
from service_monitoring.domain.maintenance import Maintenance, Once
from service_monitoring.domain.matchers import Matcher, MatchOperator
from service_monitoring.domain.notices import Held, Notice, Page, Withheld
from service_monitoring.domain.rotas import DAILY, Handover, Layer, Rota
from service_monitoring.domain.rules import Flapping, Lifecycle, Rule, Severity
from service_monitoring.domain.schedules import ActiveHours
from service_monitoring.domain.silences import Wanted
from service_monitoring.errors import NotFound
from service_monitoring.testing.builders import a_configuration, a_route, a_rule, a_service, instant, span
from service_monitoring.views.explain import Explanation, explain
from service_monitoring.views.on_record import Attempted
from tests.domain.days import Diary
from tests.views.records import RecordedTrial, on_record, tells_of

EQUALS = MatchOperator.EQUALS
SLOW = Matcher("rule", EQUALS, "slow")
ALWAYS = ActiveHours(((0, 0, 24 * 60),), "UTC") if False else None
