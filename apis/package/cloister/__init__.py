"""What Cloister gives to the apps that run on it."""

from _cloister import VERSION as __version__

__all__ = ['ApiError', 'QuotaExceeded', 'WallTimeExceeded', '__version__']


class WallTimeExceeded(BaseException):
    """Raised in the main thread when a request has used up its wall time.

    Not an Exception, so that `except Exception` does not swallow it. The process is ended shortly
    after when the request does not end.
    """


class QuotaExceeded(Exception):
    """A call was refused because the app has used up one of its quotas."""

    def __init__(self, quota, limit, used, retry_after=None):
        super().__init__(f'the quota {quota} allows {limit}, {used} are used')
        self.quota = quota
        self.limit = limit
        self.used = used
        self.retry_after = retry_after


class ApiError(Exception):
    """A call of an API failed for another reason than a quota. `code` is stable."""

    def __init__(self, code, message):
        super().__init__(f'{message} ({code})')
        self.code = code
