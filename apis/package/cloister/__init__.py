"""What Cloister gives to the apps that run on it.

The same package runs in a worker and, with stand-ins in memory, under any python3 from 3.9 on.
Its modules come in when they are first used: `import cloister` costs an app nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from cloister._transport import VERSION as __version__
from cloister.entrypoint import WallTimeExceeded

if TYPE_CHECKING:
    from cloister import cache as cache, config as config, db as db
    from cloister import persistence as persistence, query as query
    from cloister import testing as testing
    from cloister.config import ConfigError as ConfigError
    from cloister.query import table as table

__all__ = ['ApiError', 'ConfigError', 'QuotaExceeded', 'WallTimeExceeded', '__version__',
           'cache', 'config', 'db', 'persistence', 'query', 'table']

_LATER = ('cache', 'config', 'db', 'persistence', 'query', 'testing')


class QuotaExceeded(Exception):
    """A call was refused because it would have gone beyond one of the app's quotas."""

    quota: str
    """The quota's name, as `cloister quota show` lists it: `cache.calls`."""
    limit: int
    used: int
    """What would have been used with this call."""
    retry_after: float | None
    """After so many seconds the same call may succeed; None: it never does."""

    def __init__(self, quota: str, limit: int, used: int,
                 retry_after: float | None = None) -> None:
        super().__init__(f'the quota {quota} allows {limit}, {used} are used')
        self.quota = quota
        self.limit = limit
        self.used = used
        self.retry_after = retry_after

    def __reduce__(self):
        return type(self), (self.quota, self.limit, self.used, self.retry_after)


class ApiError(Exception):
    """A call that the node could not do, for a reason that is no quota."""

    code: str
    """Stable; docs/errors.md has a section for each."""
    message: str

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f'{message} ({code})')
        self.code = code
        self.message = message

    def __reduce__(self):
        return type(self), (self.code, self.message)


def __getattr__(name: str):
    if name in _LATER:
        try:
            return importlib.import_module('cloister.' + name)
        except ModuleNotFoundError as error:
            if error.name != 'cloister.' + name:
                raise
    if name == 'ConfigError':
        return importlib.import_module('cloister.config').ConfigError
    if name == 'table':
        return importlib.import_module('cloister.query').table
    raise AttributeError(f"module 'cloister' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted(__all__)
