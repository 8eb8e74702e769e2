"""The standard library in a worker: an app whose answer lists the probes that differ."""

import file_probes  # noqa: F401
import import_probes  # noqa: F401
import system_probes  # noqa: F401
from expect import PROBES, outcome


def application(environ, start_response):
    differences = [text for text in (outcome(*probe) for probe in PROBES) if text]
    start_response('200 OK', [('X-Probes', str(len(PROBES)))])
    return ['\n'.join(differences).encode('utf-8', 'backslashreplace')]
