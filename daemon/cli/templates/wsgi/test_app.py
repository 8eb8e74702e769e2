"""Tests of the app, without a node: `cloister dev --test`."""

import unittest
from wsgiref.util import setup_testing_defaults

import cloister
from app import application


def get(path):
    """Status and body of a request."""
    environ = {"PATH_INFO": path}
    setup_testing_defaults(environ)
    statuses = []
    body = b"".join(application(environ, lambda status, headers: statuses.append(status)))
    return statuses[0], body


class AppTest(unittest.TestCase):
    def setUp(self):
        cloister.testing.reset()

    def test_it_counts_visits(self):
        self.assertEqual(get("/"), ("200 OK", b"Hello from @NAME@, visit 1\n"))
        self.assertEqual(get("/"), ("200 OK", b"Hello from @NAME@, visit 2\n"))

    def test_it_answers_without_a_cache(self):
        with cloister.testing.cache_down():
            self.assertEqual(get("/")[0], "200 OK")

    def test_other_paths_are_not_found(self):
        self.assertEqual(get("/nothing")[0], "404 Not Found")


if __name__ == "__main__":
    unittest.main()
