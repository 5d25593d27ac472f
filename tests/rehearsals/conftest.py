"""What tests of the command line share, for rehearsals that are asked for there."""

from tests.cli.conftest import command

__all__ = ["command"]
