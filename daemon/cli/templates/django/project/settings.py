"""Settings of the project. Config of the app is in the environment."""

import os

SECRET_KEY = os.environ.get("SECRET_KEY", "")
DEBUG = False
# The node sends only requests whose Host is the app's.
ALLOWED_HOSTS = ["*"]
ROOT_URLCONF = "project.urls"
WSGI_APPLICATION = "project.wsgi.application"
USE_TZ = True
INSTALLED_APPS = ["django.contrib.sessions"]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
]
TEMPLATES = [{"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True}]
CACHES = {"default": {"BACKEND": "cloister.django.cache.CloisterCache"}}
# In a cookie: what the cache has may go at any time.
SESSION_ENGINE = "django.contrib.sessions.backends.signed_cookies"
DATABASES = {}
