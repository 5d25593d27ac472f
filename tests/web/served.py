"""The API as it is served on the owner's socket."""

from service_monitoring.access.desk import AccessDesk
from service_monitoring.views.desk import Desk
from service_monitoring.views.faces import Faces
from service_monitoring.web.api.application import api
from service_monitoring.web.entering import AsOwner


def for_the_owner(desk: Desk, version: str = "1", *, access: AccessDesk | None = None) -> AsOwner:
    return AsOwner(api(Faces(version, desk, access=access)))
