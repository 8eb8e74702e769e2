"""What a request of an app may meet: raised by the worker, named by the app."""


class WallTimeExceeded(BaseException):
    """Raised in the main thread when a request has used up its wall time.

    Not an Exception, so that `except Exception` does not swallow it. The process is ended shortly
    after when the request does not end.
    """


# It is cloister.WallTimeExceeded, in tracebacks too.
WallTimeExceeded.__module__ = 'cloister'
