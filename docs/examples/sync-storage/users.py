"""Who may use the storage. The rest of the app knows no more of users than this interface."""

import abc
import hashlib
import hmac
import json
import secrets

import cloister
import sqlalchemy as sa
from database import engine, metadata

ROUNDS = 50_000


class Users(abc.ABC):
    """Names and passwords, and the number that each user's data is under."""

    @abc.abstractmethod
    def check(self, name: str, password: str) -> "int | None":
        """The number of the user, or None when there is none or the password is another."""

    def register(self, name: str, password: str) -> "int | None":
        """A new user's number, or None: the name is taken, or users are not made here."""
        return None


class ConfigUsers(Users):
    """From the secret USERS: {"ada": {"id": 1, "password": "..."}}."""

    def __init__(self, text):
        self._users = json.loads(text)

    def check(self, name, password):
        user = self._users.get(name)
        if user is None or not hmac.compare_digest(user["password"].encode(), password.encode()):
            return None
        return user["id"]


class TableUsers(Users):
    """In a table of the app's database; whoever comes may register."""

    table = sa.Table(
        "users",
        metadata,
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("name", sa.String(100), nullable=False, unique=True),
        sa.Column("salt", sa.LargeBinary(16), nullable=False),
        sa.Column("digest", sa.LargeBinary(32), nullable=False),
    )

    def check(self, name, password):
        query = sa.select(self.table).where(self.table.c.name == name)
        with engine.connect() as connection:
            user = connection.execute(query).first()
        # As long for a name that there is not.
        salt, digest = (user.salt, user.digest) if user else (b"0" * 16, b"")
        same = hmac.compare_digest(self._digest(password, salt), digest)
        return user.id if same else None

    def register(self, name, password):
        salt = secrets.token_bytes(16)
        row = {"name": name, "salt": salt, "digest": self._digest(password, salt)}
        try:
            with engine.begin() as connection:
                return connection.execute(sa.insert(self.table), row).inserted_primary_key[0]
        except sa.exc.IntegrityError:
            return None

    @staticmethod
    def _digest(password, salt):
        return hashlib.pbkdf2_hmac("sha256", password.encode(), salt, ROUNDS)


def open_users():
    """As the config says: from the secret USERS where there is one, else a table."""
    text = cloister.config.get("USERS")
    return ConfigUsers(text) if text else TableUsers()
