"""All of it; what does not apply is in requirements.py, with the reason."""

from sqlalchemy.testing.suite import *  # noqa: F401, F403
