"""Where calls go: to the node in a worker, to the stand-ins in memory everywhere else.

VERSION is the platform's. bind('cache.get') is a callable that takes what the call's row in
calls.def has as ARG and returns what it has as RESULT. config() is the app's config: the values by
their keys, and which of them are secrets. wall_time() is time.time(), which a test of an app can
set. query(...) runs a statement (sandbox/worker/query.h); query_epoch() counts the processes of the
database that were lost.
"""

try:
    import _cloister
except ImportError:
    from cloister._local import VERSION, bind, wall_time
    from cloister._local.config import config

    def query(*statement):
        from cloister._local.query import run
        return run(*statement)

    def query_epoch():
        return 1
else:
    from time import time as wall_time

    VERSION = _cloister.VERSION

    def bind(call):
        return _cloister.bind(call)

    def config():
        return _cloister.config()

    query = _cloister.query
    query_epoch = _cloister.query_epoch

__all__ = ['VERSION', 'bind', 'config', 'query', 'query_epoch', 'wall_time']
