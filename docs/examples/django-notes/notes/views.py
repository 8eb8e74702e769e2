from django.shortcuts import render
from notes.models import Note


def listing(request):
    """The public notes, the newest first."""
    notes = Note.objects.filter(is_public=True)[:50]
    return render(request, "notes/listing.html", {"notes": notes})
