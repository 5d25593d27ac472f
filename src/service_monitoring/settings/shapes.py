"""Shapes: which keys the file has, of which type, with the sentence that an editor shows.

Knows one value at a time. What must fit together across keys is checked elsewhere (`conditions`, `references`), and
what a kind of check or channel takes is in the kind's own model.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Final, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator

from service_monitoring.domain.instants import DAY, MINUTE, Duration
from service_monitoring.settings.calendars import (
    CronField,
    HandoverField,
    HoursField,
    MomentField,
    MonthMomentField,
    RecurrenceField,
    WeekdaysField,
    WeekMomentField,
    ZoneField,
)
from service_monitoring.settings.matchers import MatchersField
from service_monitoring.settings.network import is_loopback, network
from service_monitoring.settings.problems import InvalidValue, shown
from service_monitoring.settings.quantities import DurationField
from service_monitoring.settings.rule_shapes import LabelsField, RuleField
from service_monitoring.settings.secrets import Secret

STRICT: Final = ConfigDict(extra="forbid", frozen=True, strict=True, defer_build=True)

_NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,100}", re.ASCII)


def _name(text: str) -> str:
    if _NAME.fullmatch(text) is None:
        raise InvalidValue(f"{shown(text)} is not a name", "use letters, digits, _ and -, at most 100 of them")
    return text


def _public_text(text: str) -> str:
    if not text.strip() or not text.isprintable() or len(text) > 100:
        raise InvalidValue(f"{shown(text)} is not a line that people can read", "write 1 to 100 characters in one line")
    return text


def _page_name(text: str) -> str:
    if re.fullmatch(r"[a-z0-9](?:[a-z0-9-]{0,60}[a-z0-9])?", text, re.ASCII) is None:
        raise InvalidValue(f"{shown(text)} is not a name for an address", "use a to z, 0 to 9 and -, as in my-shop")
    return text


def _recipient(text: str) -> str:
    sort, dot, name = text.partition(".")
    if sort not in {"channel", "person", "oncall"} or not dot or not name:
        raise InvalidValue(f"{shown(text)} names nobody", "write channel.NAME, person.NAME or oncall.NAME")
    return text


def _network(text: str) -> str:
    network(text)
    return text


def _listen(text: str) -> str:
    if text == "none":
        return text
    match = re.fullmatch(r"(?:\[([0-9a-fA-F:]+)\]|([A-Za-z0-9.-]+)):(\d{1,5})", text, re.ASCII)
    if match is None or int(match[3]) > 65535:
        raise InvalidValue(f"{shown(text)} is not an address with a port", "write 127.0.0.1:8080")
    return text


def _public(text: str) -> str:
    try:
        parts = urlsplit(text)
        whole = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0
    except ValueError:
        whole = False
    plain = re.fullmatch(r"[!-~]{1,500}", text, re.ASCII) and not re.search(r"[@?#\\\"'<>]", text)
    if not whole or not plain:
        raise InvalidValue(f"{shown(text)} is not a URL that links may begin with", "write https://monitor.example.com")
    return text.rstrip("/")


def _issuer(text: str) -> str:
    _public(text)
    parts = urlsplit(text)
    if parts.scheme == "http" and not is_loopback(parts.hostname or ""):
        raise InvalidValue(f"{shown(text)} is not encrypted: anybody on the way could sign in", "write https://...")
    return text


def _scope(text: str) -> str:
    if not re.fullmatch(r"[!#-\[\]-~]+", text, re.ASCII):
        raise InvalidValue(f"{shown(text)} is not a scope", "write openid")
    return text


Name = Annotated[str, AfterValidator(_name)]
PageName = Annotated[str, AfterValidator(_page_name)]
PublicText = Annotated[str, AfterValidator(_public_text)]
RecipientsField = Annotated[
    list[Annotated[str, AfterValidator(_recipient)]], Field(description="Who is told: channel.NAME, person.NAME, ...")
]


class Shape(BaseModel):
    """A mapping of the file: unknown keys are refused, types are not guessed."""

    model_config = STRICT


class KeepShape(Shape):
    """How long something is kept."""

    keep: DurationField


class StoreShape(Shape):
    """Where everything is kept, and for how long."""

    path: str = Field("./data", min_length=1, description="The data folder, relative to this file.")
    url: Secret | None = Field(None, description="A PostgreSQL database in place of the folder.")
    history: KeepShape | None = Field(None, description="How long samples are kept.")
    facts: KeepShape | None = Field(None, description="How long incidents and notices are kept.")


class NetworkShape(Shape):
    """Which addresses that are not public may be connected to."""

    allow: list[Annotated[str, AfterValidator(_network)]] = Field(
        default_factory=list, description="Networks, as 10.0.0.0/8."
    )


class ServiceShape(Shape):
    """One service: what is polled, and what is wrong when."""

    description: str = Field("", description="What it is, for people.")
    labels: LabelsField = Field(default_factory=dict, description="Labels of every incident of this service.")
    checks: dict[Name, dict[str, Any]] = Field(default_factory=dict, description="What is polled, by name.")
    rules: dict[Name, RuleField] = Field(default_factory=dict, description="When something is wrong, by name.")


class QuietHoursShape(Shape):
    """When a person is left alone."""

    times: HoursField
    weekdays: WeekdaysField | None = None
    timezone: ZoneField | None = None
    excepted: list[Literal["info", "warning", "critical"]] = Field(
        default_factory=list, alias="except", description="Severities that are told nevertheless."
    )


class PersonShape(Shape):
    """One person, and how to reach them: the next contact is used where one fails."""

    timezone: ZoneField | None = None
    contact: list[Any] = Field(
        default_factory=list, description="channel.NAME, or a channel written in place: {email: ...}."
    )
    quiet_hours: QuietHoursShape | None = None


class TemplateShape(Shape):
    """What a channel says in its own words."""

    subject: str = Field("", max_length=8192, description="A template of the subject or title, in one line.")
    text: str = Field("", max_length=8192, description="A template of the text.")


class EveryChannelShape(Shape):
    """The keys that every channel has besides those of its kind."""

    template: TemplateShape = Field(
        TemplateShape(), description="What is said in place of the built-in subject and text."
    )


class SmtpShape(Shape):
    """The server that takes mail."""

    host: str = Field(min_length=1, description="Its name or address.")
    port: int = Field(25, ge=1, le=65535)
    sender: str = Field(alias="from", min_length=3, description="The address that mail comes from.")
    username: str | None = None
    password: Secret | None = None
    tls: Literal["auto", "starttls", "implicit", "none"] = Field(
        "auto", description="auto: encrypted where the server offers it, and always with a password."
    )


class RestrictionShape(Shape):
    """When a layer counts."""

    weekdays: WeekdaysField | None = None
    times: HoursField | None = None


class LayerShape(Shape):
    """People who take turns, one at a time. A later layer counts before those above it in the file."""

    people: list[str] = Field(min_length=1, description="Who takes turns, in this order.")
    rotate: Literal["daily", "weekly"] | DurationField = Field(
        "weekly", description="How long a turn is, in local time: daily, weekly, 12h, 2w."
    )
    handover: HandoverField | None = None
    starts: MomentField | None = None
    restrictions: list[RestrictionShape] = Field(
        default_factory=list, description="When the layer counts; always, where it is left out."
    )


class OverrideShape(Shape):
    """Somebody stands in."""

    person: str
    begins: MomentField = Field(alias="from")
    ends: MomentField = Field(alias="until")


class SwapShape(Shape):
    """Two people change places."""

    person: str
    substitute: str = Field(alias="with", description="Who takes the turns of the person, and gives theirs.")
    begins: MomentField = Field(alias="from")
    ends: MomentField = Field(alias="until")


class OncallShape(Shape):
    """A rota."""

    timezone: ZoneField | None = None
    layers: list[LayerShape] = Field(min_length=1, description="From the lowest to the highest.")
    overrides: list[OverrideShape] = Field(default_factory=list, description="Who stands in; the last one counts.")
    swaps: list[SwapShape] = Field(default_factory=list, description="Who changes places with whom.")


class TimesShape(Shape):
    """Hours of a week."""

    weekdays: WeekdaysField | None = None
    times: HoursField | None = None
    timezone: ZoneField | None = None


class StepShape(Shape):
    """One step of an escalation."""

    after: DurationField = Field(description="How long after the first notice.")
    notify: RecipientsField
    match: MatchersField = Field((), description="Only while such an incident is open.")


class RouteShape(Shape):
    """Who hears of which incidents: the first route that matches."""

    match: MatchersField = Field((), description="Which incidents; all, where it is left out.")
    group_by: list[str] | None = Field(
        None, description="Labels by which incidents share notices; [...] for each by itself, none for all together."
    )
    group_wait: DurationField | None = Field(None, description="From the first incident to the first notice; 30s.")
    group_interval: DurationField | None = Field(
        None, description="How often changes are told after that; 5m. 0s tells each at once."
    )
    repeat_interval: DurationField | None = Field(None, description="When what has not changed is told again; 4h.")
    send_resolved: bool | None = Field(None, description="Whether the end of incidents is told; true.")
    listed: int | None = Field(None, ge=1, le=100, description="How many incidents one notice writes out; 20.")
    mute_times: list[TimesShape] = Field(default_factory=list, description="Hours in which nothing is told.")
    active_times: list[TimesShape] = Field(default_factory=list, description="The only hours in which it is told.")
    notify: RecipientsField | None = None
    escalate: list[StepShape] | None = Field(None, description="Who is told after which time.")
    repeat: int | None = Field(None, ge=1, description="Rounds of the escalation.")
    proceed: bool = Field(False, alias="continue", description="Whether later routes are asked, too.")
    routes: list[RouteShape] = Field(default_factory=list, description="Narrower ones: what they leave out is as here.")


class InhibitShape(Shape):
    """While one sort of incident is open, another is not told."""

    when: MatchersField
    mutes: MatchersField
    same: list[str] = Field(default_factory=list, description="Labels that must agree.")


class SpanShape(Shape):
    """A span of local time."""

    begins: MomentField = Field(alias="from")
    ends: MomentField = Field(alias="until")


class MaintenanceShape(Shape):
    """Planned work: nobody is told."""

    name: Name
    match: MatchersField
    comment: str = ""
    timezone: ZoneField | None = None
    once: SpanShape | None = None
    weekly: WeekMomentField | None = None
    monthly: MonthMomentField | None = None
    cron: CronField | None = None
    rrule: RecurrenceField | None = None
    starts: MomentField | None = None
    lasts: DurationField | None = None
    flexible: bool = Field(False, description="It begins at the first failure within its window, and lasts from there.")
    within: DurationField | None = Field(None, description="How long the window of a flexible one is; not with once.")
    public_name: PublicText | None = Field(None, description="What status pages call it, which is planned work.")


class SelfShape(Shape):
    """What concerns the monitor itself."""

    notify: RecipientsField = Field(default_factory=list)
    heartbeat: Secret | None = Field(None, description="A URL that is called while all is well.")
    heartbeat_every: DurationField = Field(MINUTE, description="How often it is called; 1m, where it is left out.")
    canaries: list[str] = Field(default_factory=list, description="Targets that tell whether our own network is up.")


class TlsShape(Shape):
    """The certificate that the address shows, in PEM. Both files are read again when they change."""

    certificate: str = Field(min_length=1, description="Its file, with those that signed it, relative to this file.")
    key: str = Field(min_length=1, description="The file of its private key, without a passphrase.")


class OidcRolesShape(Shape):
    """Groups of the provider whose members have a role here; of several roles, the highest."""

    admin: list[str] = Field(default_factory=list)
    responder: list[str] = Field(default_factory=list)
    viewer: list[str] = Field(default_factory=list)


class OidcShape(Shape):
    """An identity provider that speaks OpenID Connect, with whose accounts people sign in."""

    issuer: Annotated[str, AfterValidator(_issuer)] = Field(
        description="Its URL, as it calls itself; what it is asked for stands below it."
    )
    client_id: str = Field(min_length=1, description="What it calls this program.")
    client_secret: Secret = Field(description="With what this program shows it who it is.")
    name: PublicText = Field("single sign-on", description="What people call it: the button says it.")
    scopes: list[Annotated[str, AfterValidator(_scope)]] = Field(
        default=["openid", "email", "profile"], description="What it is asked for."
    )
    account: str = Field("email", min_length=1, description="The claim that names the account here.")
    claim: str = Field("groups", min_length=1, description="The claim that has the groups.")
    roles: OidcRolesShape


class WebShape(Shape):
    """Pages and API."""

    listen: Annotated[str, AfterValidator(_listen)] = Field(
        "127.0.0.1:8080",
        description="Address and port of the console, the API, reports and samples; none, to listen nowhere.",
    )
    authentication: Literal["accounts", "none"] = Field(
        "accounts", description="accounts: people sign in; none: whoever is on this machine may do everything."
    )
    tls: TlsShape | None = None
    behind_proxy: list[Annotated[str, AfterValidator(_network)]] = Field(
        default_factory=list,
        description="Addresses of proxies that end TLS: what they say in X-Forwarded-For and -Proto is believed.",
    )
    url: Annotated[str, AfterValidator(_public)] | None = Field(
        None, description="Where people reach this address, for links in notices; without it there are none."
    )
    oidc: OidcShape | None = None


class PublicGroupShape(Shape):
    """Services of a status page that stand together."""

    name: PublicText
    services: list[str] = Field(min_length=1)


class ShowShape(Shape):
    """How much a status page shows."""

    history_days: int = Field(90, ge=1, le=365, description="How many days the bars have; 90.")


class StatusPageShape(Shape):
    """What anybody may see: nothing but what is listed here."""

    title: PublicText = Field(description="The heading of the page.")
    description: PublicText | None = Field(None, description="A sentence below it.")
    services: list[str] = Field(default_factory=list, description="Services that are shown, in this order.")
    match: MatchersField = Field((), description="Services whose labels are such are shown, too.")
    groups: list[PublicGroupShape] = Field(default_factory=list, description="Services that stand together.")
    rename: dict[str, PublicText] = Field(default_factory=dict, description="What the public calls a service.")
    show: ShowShape = ShowShape()
    url: Annotated[str, AfterValidator(_public)] | None = Field(
        None, description="Where the public reaches the page, for links in its feed."
    )


class TelemetryShape(Shape):
    """What the program tells of its own work."""

    traces: bool = Field(False, description="Spans of checks, rounds, deliveries and requests, for OpenTelemetry.")
    propagate: bool = Field(False, description="Whether probes and webhooks send `traceparent` along; with traces.")


class FileShape(Shape):
    """The configuration of service-monitoring."""

    timezone: ZoneField = Field("UTC", description="The default zone of calendars.")
    include: list[str] = Field(default_factory=list, description="More files, relative to this one: [services/*.yaml].")
    store: StoreShape = StoreShape()
    network: NetworkShape = NetworkShape()
    defaults: dict[str, dict[str, Any]] = Field(
        default_factory=dict, description="Values for every check of a kind, by kind."
    )
    services: dict[Name, ServiceShape] = Field(default_factory=dict, description="What is monitored, by name.")
    people: dict[Name, PersonShape] = Field(default_factory=dict)
    channels: dict[Name, dict[str, Any]] = Field(default_factory=dict, description="Where notices go, by name.")
    smtp: SmtpShape | None = None
    oncall: dict[Name, OncallShape] = Field(default_factory=dict)
    routes: list[RouteShape] = Field(default_factory=list)
    inhibit: list[InhibitShape] = Field(default_factory=list)
    maintenance: list[MaintenanceShape] = Field(default_factory=list)
    itself: SelfShape = Field(SelfShape(), alias="self")
    web: WebShape = WebShape()
    status_pages: dict[PageName, StatusPageShape] = Field(
        default_factory=dict, description="Pages that anybody may see, by name."
    )
    telemetry: TelemetryShape = TelemetryShape()


class EveryCheckShape(Shape):
    """The keys that every check has besides those of its kind, polled or not."""

    forget_after: DurationField = Field(DAY, description="When a series that fell silent is forgotten.")

    @field_validator("forget_after", mode="after")
    @classmethod
    def _some_time(cls, length: Duration) -> Duration:
        if length <= 0:
            raise InvalidValue("a series would be forgotten at once", "write 24h, or longer")
        return length


class CheckShape(EveryCheckShape):
    """The keys that every polled check has besides those of its kind."""

    every: DurationField = Field(MINUTE, description="How often it runs; 1m, where it is left out.")
    timeout: DurationField | None = Field(
        None, description="How long one try may take; 10s, or what fits into `every`, where it is left out."
    )
    retries: int = Field(0, ge=0, le=10, description="How often it is tried again at once before it counts as failed.")
    stale_after: DurationField | None = Field(
        None, description="When its verdicts turn unknown without samples; 2.5 times `every`, where it is left out."
    )
