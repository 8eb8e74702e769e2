"""Django's database backend on the app's own database.

    DATABASES = {'default': {'ENGINE': 'cloister.django.db'}}

For Django 3.2 to 4.2, which the app brings along. It is Django's backend for SQLite with another
driver: migrations, transactions and queries are the same. The database knows the time zone UTC
only: with USE_TZ, queries that group or filter by parts of a date in another zone raise
OperationalError.
"""
