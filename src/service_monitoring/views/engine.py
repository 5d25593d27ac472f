"""Engine: that of the templates of whatever is shown as HTML, with the templates that all of it has in common (`html`).

Knows how texts are escaped. Does not know any page.
"""

from __future__ import annotations

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined


def engine(package: str) -> Environment:
    """An engine with the templates of a package and those in common. It escapes every text, and misses no name."""
    return Environment(
        loader=ChoiceLoader([PackageLoader(package), PackageLoader("service_monitoring.views", "html")]),
        undefined=StrictUndefined,
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
