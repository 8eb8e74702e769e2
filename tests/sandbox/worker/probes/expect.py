"""What a probe must yield: a value, or a part of 'Type: message' of what it raises."""

PROBES = []
FILE_TEXT = 'files cannot be written in a worker; use cloister persistence for data to keep'
PROCESS_TEXT = 'PermissionError: [Errno 1] a worker cannot start processes; use threads'
NETWORK_TEXT = 'PermissionError: [Errno 1] a worker has no network'
DESCRIPTOR_TEXT = 'PermissionError: [Errno 1] a worker has no file descriptors'


def yields(value):
    def register(function):
        PROBES.append((function, repr(value), None))
        return function
    return register


def raises(text):
    def register(function):
        PROBES.append((function, None, text))
        return function
    return register


def outcome(function, value, error):
    """None, or how the probe differs from its expectation."""
    try:
        result = repr(function())
    except BaseException as raised:
        result = f'{type(raised).__name__}: {raised}'
        if error is not None and error in result:
            return None
        return f'{function.__name__}: raised {result}, expected {error or value}'
    if result == value:
        return None
    return f'{function.__name__}: {result}, expected {value or error}'
