"""Short names for long links.

    curl -d https://example.com/a/long/way http://link-shortener.demo.localhost/
    http://link-shortener.demo.localhost/NAME

A name is of the link's digest, so the same link has the same name. Links are kept in a table, which
survives everything; what is asked for often comes from the cache, which also counts. What is lost
there is a count, never a link.
"""

import hashlib
import re

import cloister
from cloister import cache

ALPHABET = "23456789abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ"
SHORTEST, LONGEST = 6, 20
LINK_MAX = 2000
LINK = re.compile(r"https?://[!-~]+")
REMEMBERED_SECONDS = 300

links = cloister.table("links")


def names_of(link):
    """Names for the link, each one longer: for the case that two links begin alike."""
    number = int.from_bytes(hashlib.sha256(link.encode()).digest(), "big")
    name = ""
    while len(name) < LONGEST:
        number, digit = divmod(number, len(ALPHABET))
        name += ALPHABET[digit]
        if len(name) >= SHORTEST:
            yield name


def keep(link):
    """Has the link in the table; its name."""
    for name in names_of(link):
        kept = links.get(name)
        if kept is None:
            links.put(name, link.encode())
        if kept in (None, link.encode()):
            return name
    raise LookupError("all names of this link are taken")


def shorten(environ):
    size = int(environ.get("CONTENT_LENGTH") or 0)
    link = environ["wsgi.input"].read(min(size, LINK_MAX + 1)).decode("ascii", "replace").strip()
    if len(link) > LINK_MAX or not LINK.fullmatch(link):
        return "400 Bad Request", "Send one link, http or https, of at most 2000 characters.", []
    name = keep(link)
    base = f"{environ['wsgi.url_scheme']}://{environ['HTTP_HOST']}"
    return "201 Created", f"{base}/{name}", [("Location", f"/{name}")]


def find(name):
    """The link of a name, or None."""
    link = cache.get(f"link:{name}")
    if link is None:
        link = links.get(name)
        if link is not None:
            cache.set(f"link:{name}", link, ttl=REMEMBERED_SECONDS)
    return link and link.decode()


def follow(name):
    link = find(name)
    if link is None:
        return "404 Not Found", "No such link.", []
    cache.incr(f"clicks:{name}", initial=1)
    return "302 Found", "", [("Location", link)]


def show(name):
    link = find(name)
    if link is None:
        return "404 Not Found", "No such link.", []
    clicks = (cache.get(f"clicks:{name}") or b"0").decode()
    return "200 OK", f"{link}\nfollowed {clicks} times, as far as we remember", []


def answer(environ):
    method, path = environ["REQUEST_METHOD"], environ["PATH_INFO"].strip("/")
    if not path:
        return shorten(environ) if method == "POST" else ("200 OK", __doc__, [])
    if method not in ("GET", "HEAD"):
        return "405 Method Not Allowed", "Links are followed.", [("Allow", "GET, HEAD")]
    if path.endswith("+"):
        return show(path[:-1])
    return follow(path)


def application(environ, start_response):
    status, text, headers = answer(environ)
    content = f"{text}\n".encode() if text else b""
    start_response(
        status,
        [
            ("Content-Type", "text/plain; charset=utf-8"),
            ("Content-Length", str(len(content))),
            *headers,
        ],
    )
    return [content]
