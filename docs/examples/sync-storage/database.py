"""The engine that everything here shares. Which server is behind it is the node's to say."""

import cloister.sqlalchemy  # noqa: F401: it registers the dialect
import sqlalchemy as sa

engine = sa.create_engine("cloister://", future=True)
metadata = sa.MetaData()


def make_tables():
    """Makes what is missing."""
    try:
        metadata.create_all(engine)
    except (sa.exc.OperationalError, sa.exc.ProgrammingError):
        # Another worker did so at the same moment: what is still missing is missing for a reason.
        metadata.create_all(engine)
