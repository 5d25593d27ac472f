"""libcurl's multi interface on an asyncio loop: one engine a loop, no thread of ours, no polling.

Knows handles, sockets and libcurl's own timer. Does not know what is transferred, nor any deadline but the one that a
handle carries (`TIMEOUT_MS`).

Sockets are watched by a selector of our own, nested in the loop: the loop watches that one descriptor alone, and one
turn serves every socket that is ready. With `loop.add_reader` for each socket, as pycurl's own `AsyncCurlMulti` does
it, a check costs a third to two thirds more CPU.

Whoever can should resolve names beforehand (`RESOLVE`): the wheel's libcurl has no c-ares but a pool of twenty threads,
which never blocks the loop, but in which twenty silent name servers hold up every other name.
"""

from __future__ import annotations

import asyncio
import threading
from contextlib import suppress
from itertools import chain
from selectors import DefaultSelector
from typing import Final

import pycurl

from service_monitoring.errors import Unavailable

Manner = tuple[tuple[int, object], ...]
"""Options of libcurl and their values, in the order in which they are set."""

_MOST_KEPT: Final = 512
"""Idle handles that are kept, of all manners together: each takes some kilobytes."""

_PATIENCE: Final = 0.5
"""Seconds that closing waits for libcurl's threads."""


class Engine:
    """Performs transfers for one loop. Belongs to that loop's thread; never blocks; not to be used after `close`."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._multi = pycurl.CurlMulti()
        self._transfers: dict[pycurl.Curl, asyncio.Future[int]] = {}
        self._idle: dict[Manner, list[pycurl.Curl]] = {}
        self._kept = 0
        self._selector = DefaultSelector()
        # Every selector that POSIX systems choose by default has a descriptor of its own, which becomes readable when
        # one of those that it watches is ready.
        self._descriptor: int = self._selector.fileno()
        self._watched: set[int] = set()
        self._closed = False
        self._timer: asyncio.TimerHandle | None = None
        self._soon: asyncio.Handle | None = None
        self._multi.setopt(pycurl.M_SOCKETFUNCTION, self._watch)
        self._multi.setopt(pycurl.M_TIMERFUNCTION, self._arm)
        self._multi.setopt(pycurl.M_PIPELINING, pycurl.PIPE_NOTHING)
        loop.add_reader(self._descriptor, self._ready)

    @property
    def running(self) -> int:
        """How many transfers are going on."""
        return len(self._transfers)

    def take(self, manner: Manner) -> pycurl.Curl:
        """A handle with the options of `manner`, and none besides but those that its last user may leave."""
        idle = self._idle.get(manner)
        if idle:
            self._kept -= 1
            return idle.pop()
        handle = pycurl.Curl()
        for option, value in manner:
            handle.setopt(option, value)
        return handle

    def give_back(self, handle: pycurl.Curl, manner: Manner) -> None:
        """Keep a handle for the next one who takes one in this manner: setting its options costs tens of microseconds.

        Whoever set an option that the next one will not set anyway closes the handle instead.
        """
        if self._kept < _MOST_KEPT and not self._closed:
            self._kept += 1
            self._idle.setdefault(manner, []).append(handle)
        else:
            handle.close()

    async def perform(self, handle: pycurl.Curl) -> int:
        """Run the transfer to its end and return libcurl's code for it (`pycurl.E_*`).

        Cancelled, it takes the handle out at once, which closes its socket. `Unavailable` when the engine is or gets
        closed.
        """
        if self._closed:
            raise Unavailable("no transfer can begin: the sources are closed")
        done: asyncio.Future[int] = self._loop.create_future()
        self._multi.add_handle(handle)
        self._transfers[handle] = done
        try:
            return await done
        finally:
            if self._transfers.pop(handle, None) is not None:
                self._multi.remove_handle(handle)

    async def close(self) -> None:
        """Break off every transfer and let go of everything, within half a second. May be called twice.

        Closing a multi waits for the threads of libcurl that still resolve a name, up to the resolver's own timeout of
        many seconds; its option not to wait (QUICK_EXIT) cannot be set through pycurl. Neither the loop nor the end of
        the program may wait for a dead name server, so a daemon thread does.
        """
        if self._closed:
            return
        self._closed = True
        for handle, done in list(self._transfers.items()):
            del self._transfers[handle]
            self._multi.remove_handle(handle)
            if not done.done():
                done.set_exception(Unavailable("the transfer was broken off: the sources are closed"))
        for scheduled in (self._timer, self._soon):
            if scheduled is not None:
                scheduled.cancel()
        self._loop.remove_reader(self._descriptor)
        for handle in chain.from_iterable(self._idle.values()):
            handle.close()
        self._idle.clear()
        gone = asyncio.Event()
        threading.Thread(target=self._dismantle, args=(gone,), name="closing-curl", daemon=True).start()
        with suppress(TimeoutError):
            async with asyncio.timeout(_PATIENCE):
                await gone.wait()

    def _dismantle(self, gone: asyncio.Event) -> None:
        self._multi.close()
        self._selector.close()
        with suppress(RuntimeError):  # the loop may be closed before a dead name server is given up
            self._loop.call_soon_threadsafe(gone.set)

    def _watch(self, wanted: int, descriptor: int, multi: object, state: object) -> None:
        """Watch what libcurl waits for on a socket; its numbers are the selector's: 1 readable, 2 writable."""
        if wanted == pycurl.POLL_REMOVE:
            if descriptor in self._watched:
                self._watched.remove(descriptor)
                self._selector.unregister(descriptor)
        elif descriptor in self._watched:
            self._selector.modify(descriptor, wanted)
        else:
            self._watched.add(descriptor)
            self._selector.register(descriptor, wanted)

    def _ready(self) -> None:
        """Serve every socket that is ready; one that an earlier one closed in the same turn is a look in vain."""
        try:
            for key, events in self._selector.select(0):
                self._multi.socket_action(key.fd, events)
        finally:
            self._settle()

    def _arm(self, milliseconds: int) -> None:
        """Ask libcurl again when it says so.

        It says so at every step of every transfer, mostly for later than before: a timer that is early costs one look
        in vain, one that is moved each time would cost more than the transfer.
        """
        if self._closed:
            return
        if milliseconds == 0:
            # Never at once: libcurl is in the middle of something when it calls here.
            if self._soon is None:
                self._soon = self._loop.call_soon(self._timed_out)
        elif milliseconds > 0:
            due = self._loop.time() + milliseconds / 1000
            if self._timer is None or due < self._timer.when():
                if self._timer is not None:
                    self._timer.cancel()
                self._timer = self._loop.call_at(due, self._timer_due)

    def _timer_due(self) -> None:
        self._timer = None
        self._timed_out()
        if self._timer is None:
            self._arm(self._multi.timeout())

    def _timed_out(self) -> None:
        self._soon = None
        try:
            self._multi.socket_action(pycurl.SOCKET_TIMEOUT, 0)
        finally:
            self._settle()

    def _settle(self) -> None:
        """Tell whoever waits for what has ended."""
        waiting = 1
        while waiting:
            waiting, succeeded, failed = self._multi.info_read()
            for handle in succeeded:
                self._end(handle, pycurl.E_OK)
            for handle, code, _ in failed:
                self._end(handle, code)

    def _end(self, handle: pycurl.Curl, code: int) -> None:
        done = self._transfers.pop(handle, None)
        if done is None:
            return
        self._multi.remove_handle(handle)
        if not done.done():
            done.set_result(code)
