"""A development server: `python3 -m cloister.dev app:application`, without a node."""
