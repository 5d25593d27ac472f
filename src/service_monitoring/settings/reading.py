"""Reading: what is collected while one configuration is read: complaints, doubts, what is not done yet, secrets.

Knows places and kinds for those who read the sections. Does not know any section.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel

from service_monitoring.ports import NO_TEMPLATE, Template
from service_monitoring.settings.anchoring import anchored
from service_monitoring.settings.complaints import Complaint, Complaints, KeyPath, path_text
from service_monitoring.settings.gather import Gathered
from service_monitoring.settings.kinds import Kinds
from service_monitoring.settings.problems import InvalidValue
from service_monitoring.settings.secrets import SecretReader
from service_monitoring.settings.shapes import CheckShape, EveryChannelShape, TemplateShape
from service_monitoring.settings.validation import Fault, fields_of, validated
from service_monitoring.settings.values import ChannelSettings, NotYet

Model = TypeVar("Model", bound=BaseModel)

TemplateCheck = Callable[[str], str | None]
"""What is wrong with a template, or None."""


class Reading:
    """One reading of one configuration. For one thread, thrown away afterwards.

    `raw` holds the sections as they were written, for names that exist although something within them is wrong.
    """

    def __init__(
        self,
        gathered: Gathered,
        *,
        secrets: SecretReader,
        sources: Kinds,
        sinks: Kinds,
        channel_template: TemplateCheck | None = None,
    ) -> None:
        self.gathered = gathered
        self.raw: Mapping[str, Any] = gathered.data
        self.secrets = secrets
        self.sources = sources
        self.sinks = sinks
        self._channel_template = channel_template
        self.complaints = Complaints(gathered.place, files=gathered.files)
        self.not_yet: list[NotYet] = []
        self.warnings: list[Complaint] = []
        self.cadences: dict[tuple[object, ...], CheckShape] = {}
        self.conditions: dict[tuple[int, int], Any] = {}

    @property
    def said(self) -> int:
        """How much was said so far, of any sort: the same before and after what is entirely right."""
        return len(self.complaints) + len(self.not_yet) + len(self.warnings)

    def complain(self, path: KeyPath, problem: str, remedy: str = "") -> None:
        """Something is wrong with the value at `path`."""
        self.complaints.add(path, problem, remedy)

    def within(self, base: KeyPath) -> Callable[[KeyPath, str, str], None]:
        """`complain`, for paths that start at `base`."""

        def complain(path: KeyPath, problem: str, remedy: str) -> None:
            self.complaints.add((*base, *path), problem, remedy)

        return complain

    def fault(self, fault: Fault, *, base: KeyPath = ()) -> None:
        """A model's error, for a value at `base`."""
        if fault.unread:
            return
        path = (*base, *fault.path)
        place = self.gathered.place_of_key(path) if fault.key else self.gathered.place(path)
        self.complaints.add(path, fault.problem, fault.remedy, at=place)

    def postpone(self, path: KeyPath, what: str, instead: str) -> None:
        """Something at `path` is not done by this version."""
        self.not_yet.append(NotYet(path_text(path), self.gathered.place_of_key(path), what, instead))

    def warn(self, path: KeyPath, problem: str, remedy: str = "") -> None:
        """Something at `path` is doubtful."""
        self.warnings.append(Complaint(self.gathered.place_of_key(path), path_text(path), problem, remedy))

    def names(self, section: str) -> list[str]:
        """The names that a section has, right or wrong."""
        content = self.raw.get(section)
        return list(content) if isinstance(content, dict) else []

    def rules_of(self, service: str) -> list[str]:
        """The names of the rules of a service, right or wrong."""
        content = self.raw["services"][service]
        rules = content.get("rules") if isinstance(content, dict) else None
        return list(rules) if isinstance(rules, dict) else []

    def validated(
        self,
        model: type[Model],
        given: Mapping[str, Any],
        path: KeyPath,
        *,
        inherited: Mapping[str, KeyPath],
        besides: Iterable[str] = (),
    ) -> Model | None:
        """An instance of `model`, or None after complaining; `inherited` says where keys stand that are elsewhere."""

        def report(fault: Fault) -> None:
            origin = inherited.get(str(fault.path[0])) if fault.path else None
            if origin is None:
                self.fault(fault, base=path)
            else:
                inner = Fault(fault.path[1:], fault.problem, fault.remedy, key=fault.key)
                self.fault(inner, base=origin)

        placed = anchored(model, given, lambda key: self._folder(inherited.get(key, path)))
        return validated(model, placed, secrets=self.secrets, report=report, besides=besides)

    def _folder(self, path: KeyPath) -> Path:
        """Where the file lies that says what stands at `path`."""
        return Path(self.gathered.place_of_key(path).file).parent

    def channel(self, name: str, given: Mapping[str, Any], path: KeyPath) -> ChannelSettings | None:
        """A channel as it is written at `path`, or None after complaining."""
        try:
            kind = self.sinks.of(given, besides=fields_of(EveryChannelShape))
            model = self.sinks.model(kind)
        except InvalidValue as error:
            self.complaints.invalid(path, error)
            return None
        options = dict(given)
        template: Template | None = NO_TEMPLATE
        if "template" not in model.model_fields and "template" in options:
            template = self._template(options.pop("template"), (*path, "template"))
        inherited: dict[str, KeyPath] = {}
        if "smtp" in model.model_fields and "smtp" not in options:
            # Mail is sent by the one server of the whole configuration unless a channel has its own.
            if self.raw.get("smtp") is None:
                self.complain(path, "mail needs a server", "add smtp: {host: ..., from: ...} to the file")
                return None
            options["smtp"] = self.raw["smtp"]
            inherited["smtp"] = ("smtp",)
        made = self.validated(model, options, path, inherited=inherited, besides=fields_of(EveryChannelShape))
        return None if made is None or template is None else ChannelSettings(name, kind, made, template)

    def _template(self, given: Any, path: KeyPath) -> Template | None:
        """A channel's own words, as they are written at `path`, or None after complaining."""
        shape = validated(TemplateShape, given, secrets=self.secrets, report=lambda fault: self.fault(fault, base=path))
        if shape is None:
            return None
        for key, text in (("subject", shape.subject), ("text", shape.text)):
            problem = self._channel_template(text) if self._channel_template and "{" in text else None
            if problem:
                self.complain((*path, key), f"the template cannot be used: {problem}", "mend it")
        return Template(shape.subject, shape.text)
