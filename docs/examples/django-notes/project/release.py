"""What brings the data forward, before a release goes live: cloister.toml names it."""

import os

from django.core.management import call_command


def run():
    call_command("migrate", interactive=False)
    make_admin()


def make_admin():
    """The first user, so that somebody can log in; its password is the secret ADMIN_PASSWORD."""
    # Models can be imported once the project is set up.
    from django.contrib.auth import get_user_model

    users = get_user_model().objects
    if not users.filter(username="admin").exists():
        users.create_superuser("admin", password=os.environ["ADMIN_PASSWORD"])
