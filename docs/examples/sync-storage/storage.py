"""Collections of small items, each with the time of its last change, in SQLAlchemy's core.

Times are integers here, hundredths of a second since 1970, and grow with each change of a user.
"""

import time

import sqlalchemy as sa
from database import engine, metadata

ITEMS = sa.Table(
    "items",
    metadata,
    sa.Column("user", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("collection", sa.String(32), primary_key=True),
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("modified", sa.BigInteger, nullable=False),
    sa.Column("sortindex", sa.Integer),
    sa.Column("payload", sa.Text(262144), nullable=False),
)
CHANGES = sa.Table(
    "changes",
    metadata,
    sa.Column("user", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("modified", sa.BigInteger, nullable=False),
)
ORDERS = {
    "newest": ITEMS.c.modified.desc(),
    "oldest": ITEMS.c.modified.asc(),
    "index": ITEMS.c.sortindex.desc(),
}


class Conflict(Exception):
    """Something was changed since the time that the client knows of."""


class Storage:
    """What one user has."""

    def __init__(self, user):
        self.user = user

    def collections(self):
        """Name to time of the last change."""
        last = sa.func.max(ITEMS.c.modified)
        query = self._of_user(sa.select(ITEMS.c.collection, last)).group_by(ITEMS.c.collection)
        with engine.connect() as connection:
            return dict(map(tuple, connection.execute(query)))

    def counts(self):
        """Name to number of items."""
        count = sa.func.count(ITEMS.c.id)
        query = self._of_user(sa.select(ITEMS.c.collection, count)).group_by(ITEMS.c.collection)
        with engine.connect() as connection:
            return dict(map(tuple, connection.execute(query)))

    def items(self, collection, ids=None, newer=None, sort=None, limit=None):
        query = self._of_user(sa.select(ITEMS)).where(ITEMS.c.collection == collection)
        if ids is not None:
            query = query.where(ITEMS.c.id.in_(ids))
        if newer is not None:
            query = query.where(ITEMS.c.modified > newer)
        if sort is not None:
            query = query.order_by(ORDERS[sort])
        if limit is not None:
            query = query.limit(limit)
        with engine.connect() as connection:
            return connection.execute(query).all()

    def put(self, collection, items, unmodified_since=None):
        """Stores {id: {payload, sortindex}}, all of them or none; the time of the change."""
        with engine.begin() as connection:
            now = self._begin_change(connection, unmodified_since)
            for id, values in items.items():
                row = {**values, "modified": now}
                changed = connection.execute(
                    self._of_user(sa.update(ITEMS))
                    .where(ITEMS.c.collection == collection, ITEMS.c.id == id)
                    .values(row)
                )
                if changed.rowcount == 0:
                    key = {"user": self.user, "collection": collection, "id": id}
                    connection.execute(sa.insert(ITEMS).values({"payload": "", **row, **key}))
            return now

    def delete(self, collection, id=None, unmodified_since=None):
        """Removes an item or all of a collection; the time of the change, and how many went."""
        with engine.begin() as connection:
            now = self._begin_change(connection, unmodified_since)
            query = self._of_user(sa.delete(ITEMS)).where(ITEMS.c.collection == collection)
            if id is not None:
                query = query.where(ITEMS.c.id == id)
            return now, connection.execute(query).rowcount

    def modified(self):
        """When anything was changed last; 0: never."""
        with engine.connect() as connection:
            return connection.execute(self._last_change()).scalar() or 0

    def _begin_change(self, connection, unmodified_since):
        """The time of a change that begins; those of one user follow each other."""
        now = int(time.time() * 100)
        later = sa.case((CHANGES.c.modified < now, now), else_=CHANGES.c.modified + 1)
        last = connection.execute(self._last_change()).scalar()
        if unmodified_since is not None and (last or 0) > unmodified_since:
            raise Conflict
        if last is None:
            connection.execute(sa.insert(CHANGES), {"user": self.user, "modified": now})
            return now
        mine = CHANGES.c.user == self.user
        connection.execute(sa.update(CHANGES).where(mine).values(modified=later))
        return connection.execute(self._last_change()).scalar()

    def _last_change(self):
        return sa.select(CHANGES.c.modified).where(CHANGES.c.user == self.user)

    def _of_user(self, query):
        return query.where(ITEMS.c.user == self.user)
