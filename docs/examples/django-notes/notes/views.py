from django.shortcuts import render
from notes.models import Note


def listing(request):
    """The public notes, the newest first."""
    return render(request, "notes/listing.html", {"notes": Note.objects.filter(is_public=True)[:50]})
