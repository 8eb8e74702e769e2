"""Small apps that tests write for themselves."""

import os
import pathlib

HELLO = """
def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "12")])
    return [b"Hello, world"]
"""


def write_app(
    folder,
    source=HELLO,
    version="1.0.0",
    name="app",
    entry="main:application",
    files=None,
    extra="",
):
    """Writes an app with one module `main`, readable for every user; returns its folder."""
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    manifest = f'[app]\nname = "{name}"\nversion = "{version}"\n\n[entry]\nweb = "{entry}"\n{extra}'
    contents = {"cloister.toml": manifest, "main.py": source, **(files or {})}
    for path, content in contents.items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, str):
            content = content.encode()
        target.write_bytes(content)
    open_to_all(folder)
    return folder


def open_to_all(folder):
    """Lets other users read a temporary folder, which pytest makes for one user only."""
    for parent in [folder, *folder.parents]:
        if parent.stat().st_uid == os.geteuid() and len(parent.parts) > 2:
            parent.chmod(parent.stat().st_mode | 0o555)
    for path in folder.rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)
