"""Tests of the app, without a node: `cloister dev --test`."""

import unittest

import cloister
from app import app


class AppTest(unittest.TestCase):
    def setUp(self):
        cloister.testing.reset()
        self.client = app.test_client()

    def test_it_counts_visits(self):
        self.assertEqual(self.client.get("/").text, "Hello from @NAME@, visit 1\n")
        self.assertEqual(self.client.get("/").text, "Hello from @NAME@, visit 2\n")

    def test_it_answers_without_a_cache(self):
        with cloister.testing.cache_down():
            self.assertEqual(self.client.get("/").status_code, 200)

    def test_other_paths_are_not_found(self):
        self.assertEqual(self.client.get("/nothing").status_code, 404)


if __name__ == "__main__":
    unittest.main()
