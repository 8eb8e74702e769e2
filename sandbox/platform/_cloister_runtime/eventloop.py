"""asyncio without file descriptors: an event loop that sleeps on a condition.

Tasks, sleep, gather, queues, run_in_executor and asyncio.run work. Sockets, pipes and subprocesses
cannot be had in a worker; asking for them raises.
"""

import asyncio
import threading
from asyncio import base_events, unix_events


class _Waiter:
    """Has the place of a selector: select() waits until the timeout or a wake-up."""

    def __init__(self):
        self._condition = threading.Condition()
        self._woken = False

    def select(self, timeout=None):
        with self._condition:
            if not self._woken and (timeout is None or timeout > 0):
                self._condition.wait(timeout)
            self._woken = False
        return []

    def wake(self):
        with self._condition:
            self._woken = True
            self._condition.notify()

    def close(self):
        pass

    def get_map(self):
        return {}


class EventLoop(base_events.BaseEventLoop):
    """The event loop of a worker."""

    def __init__(self, selector=None):
        super().__init__()
        self._selector = _Waiter()

    def _process_events(self, event_list):
        pass

    def _write_to_self(self):
        self._selector.wake()


def install():
    unix_events._UnixDefaultEventLoopPolicy._loop_factory = EventLoop
    unix_events.SelectorEventLoop = unix_events._UnixSelectorEventLoop = EventLoop
    asyncio.SelectorEventLoop = EventLoop
