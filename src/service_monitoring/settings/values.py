"""Settings as values: everything that the file says, checked and resolved, for those who build the program.

Knows shapes of results alone. Nothing here changes, and no secret shows in any text of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from service_monitoring.access.permissions import Role
from service_monitoring.domain.configuration import Configuration
from service_monitoring.domain.instants import DAY, Duration
from service_monitoring.ports import NO_TEMPLATE, Template
from service_monitoring.settings.complaints import Complaint, Place
from service_monitoring.settings.network import AddressPolicy, Network, is_loopback
from service_monitoring.settings.origin import Origin
from service_monitoring.settings.problems import one_line
from service_monitoring.settings.secrets import Secret


@dataclass(frozen=True, slots=True)
class CheckSettings:
    """One check that is polled; `options` is an instance of its kind's model."""

    service: str
    name: str
    kind: str
    options: Any = field(repr=False)
    every: Duration
    timeout: Duration
    retries: int
    stale_after: Duration
    forget_after: Duration = DAY

    @property
    def id(self) -> str:
        """`service.check`, as people write it."""
        return f"{self.service}.{self.name}"


@dataclass(frozen=True, slots=True)
class ChannelSettings:
    """One channel; `options` is an instance of its kind's model. A person's own contact is `NAME.kind`."""

    name: str
    kind: str
    options: Any = field(repr=False)
    template: Template = NO_TEMPLATE


@dataclass(frozen=True, slots=True)
class StoreSettings:
    """The data folder, and how long samples and facts are kept."""

    path: Path
    history_keep: Duration = Duration(90 * DAY)
    facts_keep: Duration = Duration(400 * DAY)


@dataclass(frozen=True, slots=True)
class SmtpSettings:
    """The server that takes mail."""

    host: str
    port: int
    sender: str
    username: str | None = None
    password: Secret | None = None
    tls: Literal["auto", "starttls", "implicit", "none"] = "auto"


@dataclass(frozen=True, slots=True)
class TlsSettings:
    """A certificate and its key, each a file in PEM. `place` is where that is written, for complaints."""

    certificate: Path
    key: Path
    place: Place


@dataclass(frozen=True, slots=True)
class OidcSettings:
    """An identity provider with whose accounts people sign in, and which of its groups have which role, highest first.

    `issuer` is as it was written. `account` and `claim` are the claims that name an account and its groups.
    """

    issuer: str
    client_id: str
    client_secret: Secret
    name: str
    scopes: tuple[str, ...]
    account: str
    claim: str
    roles: tuple[tuple[Role, frozenset[str]], ...]
    place: Place


@dataclass(frozen=True, slots=True)
class WebSettings:
    """Where the console, the API, reports and samples are. `place` is where that is written, for complaints.

    `url` is where people reach it, without a slash at its end; empty where nobody said so. `behind_proxy` are addresses
    that are believed when they say for whom they ask, and that TLS ends there.
    """

    host: str
    port: int
    place: str = "web.listen"
    url: str = ""
    authentication: Literal["accounts", "none"] = "accounts"
    tls: TlsSettings | None = None
    behind_proxy: tuple[Network, ...] = ()
    oidc: OidcSettings | None = None

    @property
    def local(self) -> bool:
        """Whether nobody but this machine reaches the address."""
        return is_loopback(self.host)

    @property
    def encrypted(self) -> bool:
        """Whether what people send there is encrypted on its way, as far as the file says."""
        return self.tls is not None or bool(self.behind_proxy) or self.url.startswith("https://")


@dataclass(frozen=True, slots=True)
class PublicService:
    """A service that a status page shows: under `name`, and in addresses as `slug`. The public never sees `service`."""

    service: str
    name: str
    slug: str


@dataclass(frozen=True, slots=True)
class PublicGroup:
    """Services that stand together; those without a group have one without a name."""

    name: str
    services: tuple[PublicService, ...]


@dataclass(frozen=True, slots=True)
class StatusPageSettings:
    """A page that anybody may see, with everything that it shows. `url` is where people reach it, or nothing."""

    name: str
    title: str
    description: str
    groups: tuple[PublicGroup, ...]
    history_days: int = 90
    url: str = ""


@dataclass(frozen=True, slots=True)
class TelemetrySettings:
    """Whether there are traces of the program's own work, and whether whoever is asked hears of them."""

    traces: bool = False
    propagate: bool = False


@dataclass(frozen=True, slots=True)
class HeartbeatSettings:
    """What is called outside while all is well: as a check that nobody judges. Its URL is a secret."""

    check: CheckSettings
    every: Duration
    url: Secret


@dataclass(frozen=True, slots=True)
class NotYet:
    """Something that is understood and checked, but not done by this version; `instead` says what happens."""

    path: str
    place: Place
    what: str
    instead: str

    def __str__(self) -> str:
        """One line, as a complaint."""
        return one_line(f"{self.place} {self.path}: {self.what}; {self.instead}")


@dataclass(frozen=True, slots=True)
class Settings:
    """One configuration, valid as a whole. `files` are all that it was read from; `folder` is what paths start from.

    `contacts` are the channels of people by name; `public_work` is what status pages call planned work, by its name.
    `origin` tells later whether these still say the same. `warnings` are doubts that keep nothing from running.
    `secrets` are all secret values, to be struck out of texts.
    """

    file: Path
    files: tuple[Path, ...]
    folder: Path
    timezone: str
    store: StoreSettings
    network: AddressPolicy
    checks: tuple[CheckSettings, ...]
    channels: Mapping[str, ChannelSettings]
    smtp: SmtpSettings | None
    web: WebSettings | None
    configuration: Configuration
    people: tuple[str, ...] = ()
    canaries: tuple[CheckSettings, ...] = ()
    heartbeat: HeartbeatSettings | None = None
    contacts: Mapping[str, str] = field(default_factory=dict)
    status_pages: tuple[StatusPageSettings, ...] = ()
    public_work: Mapping[str, str] = field(default_factory=dict)
    telemetry: TelemetrySettings = TelemetrySettings()
    not_yet: tuple[NotYet, ...] = ()
    warnings: tuple[Complaint, ...] = ()
    secrets: tuple[Secret, ...] = field(default=(), repr=False)
    origin: Origin | None = field(default=None, repr=False, compare=False)
