"""How many examples a dear law draws: a part of what its profile draws, so that `make laws` draws more of them."""

from hypothesis import settings

THOROUGH = settings().max_examples >= 500
"""Whether this is `make laws`."""


def drawn(part: float) -> int:
    """The number of examples: of thirty on any day, of five hundred in `make laws`."""
    return max(1, round(settings().max_examples * part))
