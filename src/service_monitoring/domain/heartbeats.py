from __future__ import annotations
from msgspec import Struct


class Job(Struct, frozen=True):
    x: int = 0


def begun(e, at):
    return Job()


def due(j, e):
    return None


def reported(j, e, s, r, x, at):
    return j


def fired(j, e, at):
    return j


def sighted(j, e, a, b):
    return j


def shifted(j, e, at, d):
    return j


def failings(j):
    return frozenset()
