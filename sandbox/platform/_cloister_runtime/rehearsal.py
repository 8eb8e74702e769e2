"""What a blank does while it waits for an app: it boots one of ours.

The first boot in a process maps pages and copies those that it writes to, which takes longer than
the boot itself. Here that happens before anybody waits. Nothing of it stays to be seen.
"""

import gc
import os
import sys

from _cloister_runtime import boot, files, loader

_MODULE = 'cloister_rehearsal'
_ENVIRONMENT = b'CLOISTER_REHEARSAL=1\0'


def _undo(argv):
    sys.modules.pop(_MODULE, None)
    # Their entries hold the app's image, or that there is none.
    for path in (loader.APP_ROOT, loader.SITE_PACKAGES):
        sys.path_importer_cache.pop(path, None)
    os.environb.pop(_ENVIRONMENT.partition(b'=')[0], None)
    sys.argv[:] = argv
    loader.set_label(None)
    files.end()
    # Modules are cycles, and theirs hold the image.
    gc.collect()


def rehearse():
    """Boots the app whose image is in place, which holds the module `cloister_rehearsal`."""
    argv = list(sys.argv)
    try:
        boot.begin('rehearsal@0.0.0', _ENVIRONMENT, 0, '')
        app, report = boot.load_entry(_MODULE + ':application')
        if report is not None:
            raise RuntimeError(report)
    finally:
        _undo(argv)
