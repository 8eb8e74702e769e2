"""docs/examples/django-notes, used as people use it; deploy_test walks the other examples.

query_servers_cases_test has them on servers.
"""

from django_notes import deploy_notes, read_notes, write_notes


def test_notes_are_written_in_the_admin_and_read_by_all(own_node, tmp_path):
    notes = deploy_notes(own_node, tmp_path / "app")
    write_notes(notes)
    style = notes.ask("/static/admin/css/base.css")
    assert style.status == 200 and "css" in style.header("Content-Type")

    own_node.restart()
    read_notes(notes)
