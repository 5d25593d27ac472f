"""Composing: everything that stands between a TCP connection and the application, in its order.

Knows the order alone: from the doorstep, past what brings a key of its own, to the doorman and what he guards.
"""

from __future__ import annotations

from service_monitoring.settings import WebSettings
from service_monitoring.views.faces import Faces
from service_monitoring.web.acts import Acts
from service_monitoring.web.application import application
from service_monitoring.web.arrivals import Arrivals, Asgi
from service_monitoring.web.doorman import Doorman
from service_monitoring.web.doorstep import Doorstep, cookie_of
from service_monitoring.web.pages.readable import Readable


def composed(faces: Faces, web: WebSettings, *, csrf: str) -> Asgi:
    """The application with its door in front."""
    return behind_door(application(faces, cookie=cookie_of(web)), faces, web, csrf=csrf)


def behind_door(application: Asgi, faces: Faces, web: WebSettings, *, csrf: str) -> Asgi:
    """An application that is made already, with the door in front."""
    inside: Asgi = Readable(Doorman(application, web, faces.access, csrf=csrf))
    if faces.intake is not None:
        inside = Arrivals(faces.intake, inside)
    if faces.links is not None:
        inside = Acts(faces.links, inside)
    return Doorstep(inside, web)
