"""The other sections: store, network, web, mail, and what concerns the monitor itself.

Knows what must hold across their keys, and which of them this version only reads. Does not know services, routes or
rotas.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from service_monitoring.access.permissions import Role
from service_monitoring.domain.instants import SECOND, Duration
from service_monitoring.settings.complaints import KeyPath
from service_monitoring.settings.network import network
from service_monitoring.settings.problems import InvalidValue, one_line, shown
from service_monitoring.settings.reading import Reading
from service_monitoring.settings.shapes import FileShape, SmtpShape, TlsShape
from service_monitoring.settings.validation import faults_of_given
from service_monitoring.settings.values import (
    CheckSettings,
    HeartbeatSettings,
    OidcSettings,
    SmtpSettings,
    StoreSettings,
    TelemetrySettings,
    TlsSettings,
    WebSettings,
)

_CANARY: Final = Duration(3 * SECOND)
"""What a canary may take; nobody asks it at intervals."""
_HEARTBEAT: Final = Duration(10 * SECOND)
"""What a call of the outward heartbeat may take."""


def read_store(shape: FileShape, folder: Path, reading: Reading) -> StoreSettings:
    """The data folder and how long things are kept."""
    store = shape.store
    if store.url is not None:
        reading.postpone(("store", "url"), "PostgreSQL is not used yet", f"everything is kept in {store.path}")
    if "\0" in store.path:
        reading.complain(("store", "path"), "this is not a path", "write ./data")
    made = StoreSettings(folder / store.path.replace("\0", ""))
    history, facts = made.history_keep, made.facts_keep
    if store.history is not None:
        history = _kept(store.history.keep, ("store", "history", "keep"), reading)
        what = "history is not moved into Parquet files yet"
        reading.postpone(("store", "history"), what, "all samples stay in the sample file of the store")
    if store.facts is not None:
        facts = _kept(store.facts.keep, ("store", "facts", "keep"), reading)
    return StoreSettings(made.path, history, facts)


def read_smtp(shape: SmtpShape | None, reading: Reading) -> SmtpSettings | None:
    """The server that takes mail."""
    if shape is None:
        return None
    if (shape.username is None) is not (shape.password is None):
        reading.complain(("smtp",), "username and password go together", "give both, or neither")
    return SmtpSettings(shape.host, shape.port, shape.sender, shape.username, shape.password, shape.tls)


def read_web(shape: FileShape, folder: Path, reading: Reading) -> WebSettings | None:
    """Where the console, the API, reports and samples are; None: nowhere."""
    if shape.web.listen == "none":
        if shape.web.url is not None:
            problem = "links would lead to where nobody listens"
            reading.complain(("web", "url"), problem, "write listen: 127.0.0.1:8080, or leave url out")
        return None
    host, _, port = shape.web.listen.rpartition(":")
    path = ("web", "listen")
    written = "web" in shape.model_fields_set
    place = f"{reading.gathered.place_of_key(path)} web.listen" if written else "web.listen"
    made = WebSettings(
        host.strip("[]"),
        int(port),
        one_line(place),
        shape.web.url or "",
        shape.web.authentication,
        _tls(shape.web.tls, folder, reading),
        tuple(network(text) for text in shape.web.behind_proxy),
        _oidc(shape, reading),
    )
    _guarded(made, shape.web.listen, reading)
    return made


def _tls(shape: TlsShape | None, folder: Path, reading: Reading) -> TlsSettings | None:
    if shape is None:
        return None
    for key, text in (("certificate", shape.certificate), ("key", shape.key)):
        if "\0" in text:
            reading.complain(("web", "tls", key), "this is not a path", "write tls/monitor.pem")
    return TlsSettings(
        folder / shape.certificate.replace("\0", ""),
        folder / shape.key.replace("\0", ""),
        reading.gathered.place_of_key(("web", "tls")),
    )


def _oidc(shape: FileShape, reading: Reading) -> OidcSettings | None:
    """The identity provider, where there is one."""
    oidc, path = shape.web.oidc, ("web", "oidc")
    if oidc is None:
        return None
    roles = {Role.ADMIN: oidc.roles.admin, Role.RESPONDER: oidc.roles.responder, Role.VIEWER: oidc.roles.viewer}
    if shape.web.url is None:
        problem = "the provider leads people back to web.url, and there is none"
        reading.complain(path, problem, "write url: https://monitor.example.com beside it")
    if shape.web.authentication == "none":
        reading.complain(path, "nobody signs in here", "leave authentication out, or leave oidc out")
    if "openid" not in oidc.scopes:
        reading.complain((*path, "scopes"), "without openid it does not say who signs in", "add openid")
    if not any(roles.values()):
        reading.complain((*path, "roles"), "nobody would be let in", "write viewer: [GROUP]")
    return OidcSettings(
        oidc.issuer,
        oidc.client_id,
        oidc.client_secret,
        oidc.name,
        tuple(dict.fromkeys(oidc.scopes)),
        oidc.account,
        oidc.claim,
        tuple((role, frozenset(groups)) for role, groups in roles.items()),
        reading.gathered.place_of_key(path),
    )


def _guarded(web: WebSettings, listen: str, reading: Reading) -> None:
    """Complain of an address at which strangers would be let in, or passwords be read on their way."""
    if web.authentication == "none" and not web.local:
        problem = f"whoever reaches {shown(listen)} could do everything"
        reading.complain(("web", "authentication"), problem, "leave it out, or listen on 127.0.0.1")
    elif web.authentication == "none" and web.behind_proxy:
        problem = "whoever reaches the proxy could do everything"
        reading.complain(("web", "authentication"), problem, "leave it out, or leave behind_proxy out")
    elif not web.local and web.tls is None and not web.behind_proxy:
        problem = f"passwords would travel unencrypted to {shown(listen)}"
        remedy = "add tls: {certificate: FILE, key: FILE}, or behind_proxy: [ADDRESS] of a proxy that ends TLS"
        reading.complain(("web", "listen"), problem, f"{remedy}, or listen on 127.0.0.1")


def read_telemetry(shape: FileShape, reading: Reading) -> TelemetrySettings:
    """Whether there are traces."""
    if shape.telemetry.propagate and not shape.telemetry.traces:
        reading.complain(("telemetry", "propagate"), "there is no trace to go on with", "write traces: true beside it")
    return TelemetrySettings(shape.telemetry.traces, shape.telemetry.propagate)


def read_canaries(shape: FileShape, reading: Reading) -> tuple[CheckSettings, ...]:
    """Targets that tell whether our own network is up: a URL of http, or `host:port`, which is only connected to."""
    found: list[CheckSettings] = []
    for index, target in enumerate(shape.itself.canaries):
        path: KeyPath = ("self", "canaries", index)
        kind = "http" if target.startswith(("http://", "https://")) else "tcp"
        try:
            model = reading.sources.model(kind)
        except InvalidValue as error:
            reading.complaints.invalid(path, error)
            continue
        # A canary need not be well: whoever answers was reached.
        faulty = list(faults_of_given(model, {kind: target}, secrets=reading.secrets))
        for fault in faulty:
            reading.complain(path, fault.problem, fault.remedy or "write https://example.com or 192.0.2.1:443")
        if not faulty:
            options = model.model_validate({kind: target})
            found.append(CheckSettings("self", target, kind, options, _CANARY, _CANARY, 0, _CANARY))
    return tuple(found)


def read_heartbeat(shape: FileShape, reading: Reading) -> HeartbeatSettings | None:
    """The URL that is called while all is well."""
    secret, every = shape.itself.heartbeat, shape.itself.heartbeat_every
    if every < SECOND:
        reading.complain(("self", "heartbeat_every"), "nobody outside wants it that often", "write 60s")
    if secret is None:
        return None
    path: KeyPath = ("self", "heartbeat")
    try:
        model = reading.sources.model("http")
    except InvalidValue as error:
        reading.complaints.invalid(path, error)
        return None
    given = {"http": secret.reveal()}
    faulty = list(faults_of_given(model, given, secrets=reading.secrets))
    for fault in faulty:
        reading.complain(path, fault.problem, fault.remedy or "write https://watcher.example.com/ping/KEY")
    if faulty or every < SECOND:
        return None
    options = model.model_validate(given)
    check = CheckSettings("self", "heartbeat", "http", options, every, _HEARTBEAT, 0, every)
    return HeartbeatSettings(check, every, secret)


def _kept(length: Duration, path: KeyPath, reading: Reading) -> Duration:
    if length <= 0:
        reading.complain(path, "nothing would be kept", "write 90d")
    return length
