"""What a caller can do about each failure, in the name of its class.

Knows nothing of the rooms that raise these. An adapter translates foreign errors into one of them once, at its edge,
so that no other room has to know a library's exceptions.
"""


class MonitoringError(Exception):
    """Anything this system raises on purpose. Its text is one sentence for a person: place, cause, remedy."""


class Refused(MonitoringError):
    """The request itself is wrong; asking again unchanged will be refused again."""


class NotFound(Refused):
    """Nothing goes by that name or id."""


class Expired(Refused):
    """It was good once, and is too old by now: a newer one may be had."""


class Conflict(MonitoringError):
    """Somebody else changed it first: load again, decide again, retry the command."""


class Unavailable(MonitoringError):
    """It cannot be done now, but later it may: disk full, database locked, program stopping."""


class InUse(Unavailable):
    """Another program has the data folder open."""


class TooMuch(Unavailable):
    """More came than is taken from one sender: come again after `seconds`."""

    def __init__(self, sentence: str, seconds: int) -> None:
        super().__init__(sentence)
        self.seconds = seconds


class Unusable(MonitoringError):
    """The data folder cannot be used by this program as it is: damaged, or written by a newer version."""


class Unauthenticated(MonitoringError):
    """It has to be known first who asks: sign in, or send a token."""


class Forbidden(MonitoringError):
    """It is known who asks, and that one may not: somebody with another role may."""
