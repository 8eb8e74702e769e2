"""Django's file storage on cloister.persistence, for Django 3.2 and later.

    STORAGES = {"default": {"BACKEND": "cloister.django.storage.CloisterStorage"}}

Before Django 4.2: DEFAULT_FILE_STORAGE. Each file is an object with the file's name as its name;
files of the same bytes are kept once. OPTIONS: `prefix`, which goes before each name, and
`base_url` (default: MEDIA_URL).
"""

from __future__ import annotations

from typing import Any
from urllib.parse import urljoin

from cloister import persistence

from django.conf import settings
from django.core.files.base import ContentFile, File
from django.core.files.storage import Storage
from django.utils.deconstruct import deconstructible
from django.utils.encoding import filepath_to_uri
from django.utils.timezone import make_naive


def _missing(name):
    return FileNotFoundError(f'there is no file {name!r}')


@deconstructible
class CloisterStorage(Storage):
    """The app's objects as files, shared by all of its workers."""

    def __init__(self, prefix: str = '', base_url: str | None = None) -> None:
        self._prefix = prefix
        self._base_url = base_url

    def _key(self, name):
        return self._prefix + name.replace('\\', '/')

    def _id(self, name):
        id = persistence.get(self._key(name)) if name else None
        if id is None:
            raise _missing(name)
        return id

    def _open(self, name, mode='rb'):
        if mode not in ('rb', 'r'):
            raise ValueError(f'a file is opened for reading, not with mode {mode!r}: save() it')
        if mode == 'r':
            return ContentFile(persistence.read(self._id(name)).decode(), name)
        return File(persistence.open(self._id(name)), name)

    def _save(self, name, content):
        if content.seekable():
            content.seek(0)
        chunks = (chunk.encode() if isinstance(chunk, str) else chunk
                  for chunk in content.chunks())
        id = persistence.write(chunks)
        # Another worker may have taken the name since it was found to be free.
        while not persistence.swap(self._key(name), id, None):
            name = self.get_available_name(name)
        return name

    def delete(self, name: str) -> None:
        """Removes the file; its object, too, when nothing else has the same bytes."""
        if not name:
            raise ValueError('the name of the file to delete is empty')
        persistence.delete_name(self._key(name), with_object=True)

    def exists(self, name: str) -> bool:
        """Whether there is such a file."""
        return persistence.get(self._key(name)) is not None

    def listdir(self, path: str) -> tuple[list[str], list[str]]:
        """Names of the directories and of the files right below a path."""
        start = self._key(path.strip('/') + '/' if path.strip('/') else '')
        folders: dict[str, None] = {}
        files = []
        for name, _ in persistence.names(start):
            first, slash, _ = name[len(start):].partition('/')
            if slash:
                folders[first] = None
            else:
                files.append(first)
        return list(folders), files

    def size(self, name: str) -> int:
        """The file's bytes."""
        return persistence.stat(self._id(name)).size

    def get_created_time(self, name: str) -> Any:
        """When its bytes were first written."""
        created = persistence.stat(self._id(name)).created
        return created if settings.USE_TZ else make_naive(created)

    get_modified_time = get_created_time

    def url(self, name: str | None) -> str:
        """Where a view of the app serves it."""
        base = settings.MEDIA_URL if self._base_url is None else self._base_url
        if not base:
            raise ValueError('files have no URL without MEDIA_URL or base_url')
        return urljoin(base, filepath_to_uri(name).lstrip('/'))
