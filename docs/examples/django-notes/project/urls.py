from django.contrib import admin
from django.urls import path
from notes.views import listing

urlpatterns = [path("", listing), path("admin/", admin.site.urls)]
