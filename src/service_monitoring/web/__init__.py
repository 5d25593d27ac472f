"""Faces over HTTP: the API of the running program, first of all on its owner-only Unix socket."""
