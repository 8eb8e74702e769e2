"""Paths and their views."""

from django.core.cache import cache
from django.http import HttpResponse
from django.urls import path


def index(request):
    cache.add("visits", 0, None)
    try:
        visits = cache.incr("visits")
    except ValueError:
        visits = "unknown"
    return HttpResponse(f"Hello from @NAME@, visit {visits}\n", content_type="text/plain")


urlpatterns = [path("", index)]
