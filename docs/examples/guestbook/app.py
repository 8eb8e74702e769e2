"""A guestbook: whoever comes reads it and signs it. Its entries are rows of the app's database.

The SQL is what SQLite, PostgreSQL and MariaDB have in common, so it runs on whichever the node has.
"""

import html
import secrets
from datetime import datetime, timezone
from urllib.parse import parse_qs

from cloister import db

NAME_MAX, TEXT_MAX, FORM_MAX = 60, 1000, 16 * 1024

TABLE = """
CREATE TABLE IF NOT EXISTS entries (
  id VARCHAR(48) PRIMARY KEY,
  name VARCHAR(60) NOT NULL,
  text VARCHAR(1000) NOT NULL,
  written_at VARCHAR(32) NOT NULL
)
"""
PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>Guestbook</title>
<h1>Guestbook</h1>
<form method="post" action="sign">
  <p><label>Your name <input name="name" required maxlength="60"></label>
  <p><label>Your words <textarea name="text" required maxlength="1000"></textarea></label>
  <p><button>Sign</button>
</form>
{entries}
"""
ENTRY = "<article><b>{name}</b> <time>{written_at}</time><p>{text}</article>\n"

connection = None


def database():
    """The one connection of this worker, made when it is first needed."""
    global connection
    if connection is None:
        connection = db.connect()
        connection.row_factory = db.Row
        connection.execute(TABLE)
        connection.commit()
    return connection


def show(environ):
    entries = database().execute("SELECT * FROM entries ORDER BY id DESC LIMIT 50").fetchall()
    shown = "".join(
        ENTRY.format(**{key: html.escape(str(entry[key])) for key in entry.keys()})
        for entry in entries
    )
    return "200 OK", PAGE.format(entries=shown or "<p>Nobody has signed yet."), []


def new_id(now):
    """Ids sort by time, and two of one moment differ."""
    return f"{now:%Y%m%d%H%M%S%f}-{secrets.token_hex(8)}"


def sign(environ):
    size = int(environ.get("CONTENT_LENGTH") or 0)
    if size > FORM_MAX:
        return "413 Content Too Large", "A name and a few words, please.", []
    form = parse_qs(environ["wsgi.input"].read(size).decode(errors="replace"))
    name, text = (form.get(key, [""])[0].strip() for key in ("name", "text"))
    if not 0 < len(name) <= NAME_MAX or not 0 < len(text) <= TEXT_MAX:
        return "400 Bad Request", "A name and a few words, please.", []
    now = datetime.now(timezone.utc)
    entry = (new_id(now), name, text, f"{now:%Y-%m-%d %H:%M:%S}")
    with database() as transaction:
        transaction.execute("INSERT INTO entries VALUES (?, ?, ?, ?)", entry)
    return "303 See Other", "", [("Location", "/")]


ROUTES = {("GET", "/"): show, ("POST", "/sign"): sign}


def application(environ, start_response):
    route = ROUTES.get((environ["REQUEST_METHOD"], environ["PATH_INFO"]))
    status, body, headers = route(environ) if route else ("404 Not Found", "Not here.", [])
    content = body.encode()
    start_response(
        status,
        [
            ("Content-Type", "text/html; charset=utf-8"),
            ("Content-Length", str(len(content))),
            *headers,
        ],
    )
    return [content]
