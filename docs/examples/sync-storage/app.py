"""A storage server in the style of a browser's sync service.

Each user has collections of items, which clients fetch and change; a client that changes what
another one has changed meanwhile is told so (412). WebOb reads requests, Routes finds what they
are for, SQLAlchemy's core keeps the items; the users stand behind an interface of their own.

    POST   /users                          {"name", "password"}
    GET    /1.5/USER/info/collections      when each was changed
    GET    /1.5/USER/info/collection_counts
    GET    /1.5/USER/storage/NAME          ids; ?full=1, ids=, newer=, sort=, limit=
    POST   /1.5/USER/storage/NAME          several items at once
    DELETE /1.5/USER/storage/NAME
    GET, PUT, DELETE /1.5/USER/storage/NAME/ID
"""

import base64
import binascii
import re

from database import make_tables
from routes import Mapper
from storage import ORDERS, Conflict, Storage
from users import open_users
from webob import Request, Response, exc
from webob.dec import wsgify

BATCH_MAX = 100
PAYLOAD_MAX = 256 * 1024
NAME = re.compile(r"[a-zA-Z0-9._-]{1,32}")
ID = re.compile(r"[!-~]{1,64}")

routes = Mapper(explicit=True)


def route(method, path, action):
    routes.connect(
        None,
        path,
        action=action,
        requirements={"user": r"\d{1,9}"},
        conditions={"method": [method]},
    )


route("POST", "/users", "register")
route("GET", "/1.5/{user}/info/collections", "collections")
route("GET", "/1.5/{user}/info/collection_counts", "collection_counts")
for method in ("GET", "POST", "DELETE"):
    route(method, "/1.5/{user}/storage/{name}", f"{method.lower()}_collection")
for method in ("GET", "PUT", "DELETE"):
    route(method, "/1.5/{user}/storage/{name}/{id}", f"{method.lower()}_item")

users = open_users()
make_tables()


def seconds(time):
    """A time as clients see it: seconds, with two digits behind the point."""
    return time / 100


def header_of(time):
    return f"{seconds(time):.2f}"


def read_time(text):
    try:
        return round(float(text) * 100)
    except (ValueError, OverflowError):
        raise exc.HTTPBadRequest(f"not a time: {text[:40]!r}") from None


def json_of(request):
    try:
        return request.json_body
    except ValueError:
        raise exc.HTTPBadRequest("the body is not JSON") from None


def answer(content, modified=None, status=200):
    response = Response(json_body=content, status=status)
    if modified is not None:
        response.headers["X-Last-Modified"] = header_of(modified)
    return response


def values_of(item):
    """The columns of what a client sent; only what it sent is changed."""
    if not isinstance(item, dict):
        raise exc.HTTPBadRequest("an item is an object")
    values = {key: item[key] for key in ("payload", "sortindex") if key in item}
    if not isinstance(values.get("payload", ""), str):
        raise exc.HTTPBadRequest("a payload is a string")
    if len(values.get("payload", "")) > PAYLOAD_MAX:
        raise exc.HTTPRequestEntityTooLarge(f"a payload has at most {PAYLOAD_MAX} characters")
    index = values.get("sortindex")
    if index is not None and (type(index) is not int or abs(index) > 999_999_999):
        raise exc.HTTPBadRequest("a sortindex is an integer of up to 9 digits")
    return values


def shown(item):
    content = {"id": item.id, "modified": seconds(item.modified), "payload": item.payload}
    return content if item.sortindex is None else {**content, "sortindex": item.sortindex}


class Api:
    """What one request asks of one user's storage."""

    def __init__(self, request, storage):
        self.request = request
        self.storage = storage
        since = request.headers.get("X-If-Unmodified-Since")
        self.since = None if since is None else read_time(since)

    def collections(self):
        found = self.storage.collections()
        return answer({name: seconds(time) for name, time in found.items()},
                      self.storage.modified())

    def collection_counts(self):
        return answer(self.storage.counts(), self.storage.modified())

    def get_collection(self, name):
        asked = self.request.GET
        sort = asked.get("sort")
        if sort is not None and sort not in ORDERS:
            raise exc.HTTPBadRequest(f"sort is one of {', '.join(ORDERS)}")
        limit = asked.get("limit")
        if limit is not None and not re.fullmatch(r"\d{1,6}", limit):
            raise exc.HTTPBadRequest("limit is a number")
        ids = asked["ids"].split(",") if "ids" in asked else None
        if ids is not None and len(ids) > BATCH_MAX:
            raise exc.HTTPBadRequest(f"at most {BATCH_MAX} ids at a time")
        items = self.storage.items(
            name,
            ids=ids,
            newer=read_time(asked["newer"]) if "newer" in asked else None,
            sort=sort,
            limit=None if limit is None else int(limit),
        )
        content = [shown(item) if "full" in asked else item.id for item in items]
        return answer(content, max((item.modified for item in items), default=0))

    def post_collection(self, name):
        items = json_of(self.request)
        if not isinstance(items, list) or len(items) > BATCH_MAX:
            raise exc.HTTPBadRequest(f"a list of at most {BATCH_MAX} items")
        good, failed = {}, {}
        for item in items:
            values = values_of(item)
            id = item.get("id")
            if isinstance(id, str) and ID.fullmatch(id):
                good[id] = values
            else:
                failed[str(id)[:64]] = "not an id"
        modified = self.storage.put(name, good, self.since)
        content = {"modified": seconds(modified), "success": list(good), "failed": failed}
        return answer(content, modified)

    def delete_collection(self, name):
        modified, _ = self.storage.delete(name, unmodified_since=self.since)
        return answer({"modified": seconds(modified)}, modified)

    def get_item(self, name, id):
        items = self.storage.items(name, ids=[id])
        if not items:
            raise exc.HTTPNotFound("there is no such item")
        return answer(shown(items[0]), items[0].modified)

    def put_item(self, name, id):
        if not ID.fullmatch(id):
            raise exc.HTTPBadRequest("not an id")
        modified = self.storage.put(name, {id: values_of(json_of(self.request))}, self.since)
        return answer(seconds(modified), modified)

    def delete_item(self, name, id):
        modified, count = self.storage.delete(name, id, self.since)
        if count == 0:
            raise exc.HTTPNotFound("there is no such item")
        return answer({"modified": seconds(modified)}, modified)


def register(request):
    body = json_of(request)
    name, password = (body.get(key) if isinstance(body, dict) else None
                      for key in ("name", "password"))
    if not isinstance(name, str) or not NAME.fullmatch(name) or ":" in name:
        raise exc.HTTPBadRequest("a name has 1 to 32 letters, digits, '.', '_' and '-'")
    if not isinstance(password, str) or not 8 <= len(password) <= 200:
        raise exc.HTTPBadRequest("a password has 8 to 200 characters")
    user = users.register(name, password)
    if user is None:
        raise exc.HTTPConflict("this name cannot be registered")
    return answer({"user": user}, status=201)


def user_of(request):
    """The number of who asks, by HTTP's basic authentication."""
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    try:
        name, _, password = base64.b64decode(token, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        name = password = ""
    user = users.check(name, password) if scheme.lower() == "basic" else None
    if user is None:
        raise exc.HTTPUnauthorized(headers=[("WWW-Authenticate", 'Basic realm="sync"')])
    return user


@wsgify
def application(request: Request) -> Response:
    found = routes.match(request.path_info, request.environ)
    if found is None:
        raise exc.HTTPNotFound("there is nothing here")
    action = found.pop("action")
    if action == "register":
        return register(request)
    user = user_of(request)
    if int(found.pop("user")) != user:
        raise exc.HTTPForbidden("this is another user's")
    if not NAME.fullmatch(found.get("name", "x")):
        raise exc.HTTPBadRequest("a collection has a name of 1 to 32 letters, digits and ._-")
    try:
        return getattr(Api(request, Storage(user)), action)(**found)
    except Conflict:
        raise exc.HTTPPreconditionFailed("it was changed since then") from None
