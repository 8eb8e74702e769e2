"""Tests of the app, without a node: `cloister dev --test`."""

import os
import unittest

os.environ.setdefault("SECRET_KEY", "for tests alone")

import cloister
from django.test import Client
from project.wsgi import application  # noqa: F401  (it sets Django up)


class AppTest(unittest.TestCase):
    def setUp(self):
        cloister.testing.reset()
        self.client = Client()

    def test_it_counts_visits(self):
        self.assertEqual(self.client.get("/").content, b"Hello from @NAME@, visit 1\n")
        self.assertEqual(self.client.get("/").content, b"Hello from @NAME@, visit 2\n")

    def test_it_answers_without_a_cache(self):
        with cloister.testing.cache_down():
            self.assertEqual(self.client.get("/").status_code, 200)

    def test_other_paths_are_not_found(self):
        self.assertEqual(self.client.get("/nothing").status_code, 404)


if __name__ == "__main__":
    unittest.main()
