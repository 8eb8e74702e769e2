"""SQLAlchemy's own suite for dialects, on cloister://; tests/apis/package runs it."""

import cloister.sqlalchemy  # noqa: F401 (registers the dialect)
import pytest
from cloister import testing as stand_in
from sqlalchemy.dialects import registry

pytest.register_assert_rewrite("sqlalchemy.testing.assertions")

from sqlalchemy.testing.plugin.pytestplugin import *  # noqa: E402, F401, F403

# The suite names the driver, too.
registry.register("cloister.cloister", "cloister.sqlalchemy", "CloisterDialect")
# More statements a second than an app has.
stand_in.limits(query_statements=1_000_000)
