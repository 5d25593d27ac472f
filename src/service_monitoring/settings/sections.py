"""The other sections: store, network, web, mail, rotas, inhibitions, and what concerns the monitor itself.

Knows what must hold across their keys, and which of them this version only reads. Does not know services or routes.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Final

from service_monitoring.domain.instants import SECOND, Duration
from service_monitoring.settings.complaints import KeyPath
from service_monitoring.settings.problems import InvalidValue, one_line, shown
from service_monitoring.settings.reading import Reading
from service_monitoring.settings.shapes import FileShape, OncallShape, SmtpShape
from service_monitoring.settings.validation import faults_of_given, suggestion
from service_monitoring.settings.values import CheckSettings, SmtpSettings, StoreSettings, WebSettings

_CANARY: Final = Duration(3 * SECOND)
"""What a canary may take; nobody asks it at intervals."""


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


def read_web(shape: FileShape, reading: Reading) -> WebSettings | None:
    """Where reports and samples arrive; None: nowhere."""
    if shape.web.listen == "none":
        return None
    host, _, port = shape.web.listen.rpartition(":")
    path = ("web", "listen")
    written = "web" in shape.model_fields_set
    place = f"{reading.gathered.place_of_key(path)} web.listen" if written else "web.listen"
    return WebSettings(host.strip("[]"), int(port), one_line(place))


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


def check_rest(shape: FileShape, reading: Reading) -> None:
    """What is read and checked, and not done by this version."""
    for name, rota in shape.oncall.items():
        _check_rota(rota, ("oncall", name), reading)
        reading.postpone(("oncall", name), "rotas are not asked yet", f"nobody is told through oncall.{name}")
    for index, _ in enumerate(shape.inhibit):
        reading.postpone(("inhibit", index), "inhibition is not done yet", "what it mutes is told")
    if shape.itself.heartbeat is not None:
        what = "the monitor does not report its own life yet"
        reading.postpone(("self", "heartbeat"), what, "the URL is never called")


def _kept(length: Duration, path: KeyPath, reading: Reading) -> Duration:
    if length <= 0:
        reading.complain(path, "nothing would be kept", "write 90d")
    return length


def _check_rota(rota: OncallShape, path: KeyPath, reading: Reading) -> None:
    people = reading.names("people")

    def check(name: str, where: KeyPath) -> None:
        if name not in people:
            reading.complain(where, f"there is no person {shown(name)}", suggestion(name, people))

    for position, layer in enumerate(rota.layers):
        for index, name in enumerate(layer.people):
            check(name, (*path, "layers", position, "people", index))
        if isinstance(layer.rotate, int) and layer.rotate <= 0:
            reading.complain((*path, "layers", position, "rotate"), "nobody has a turn of no length", "write weekly")
    for position, override in enumerate(rota.overrides):
        where = (*path, "overrides", position)
        check(override.person, (*where, "person"))
        _check_span(override.begins, override.ends, where, reading)


def _check_span(begins: str, ends: str, path: KeyPath, reading: Reading) -> None:
    """Both are local to one zone, or have an offset; a mixture is compared by later versions only."""
    first, last = datetime.fromisoformat(begins), datetime.fromisoformat(ends)
    if (first.tzinfo is None) == (last.tzinfo is None) and last <= first:
        reading.complain((*path, "until"), "this is not after its beginning", "write a later moment")
