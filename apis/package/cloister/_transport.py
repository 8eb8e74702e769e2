"""Where calls go: to the node in a worker, to the stand-ins in memory everywhere else.

VERSION is the platform's. bind('cache.get') is a callable that takes what the call's row in
calls.def has as ARG and returns what it has as RESULT. wall_time() is time.time(), which a test of
an app can set.
"""

try:
    import _cloister
except ImportError:
    from cloister._local import VERSION, bind, wall_time
else:
    from time import time as wall_time

    VERSION = _cloister.VERSION

    def bind(call):
        return _cloister.bind(call)

__all__ = ['VERSION', 'bind', 'wall_time']
