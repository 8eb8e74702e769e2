"""The backend itself: Django looks for DatabaseWrapper here. Which one it is the node says."""

from cloister import db

if db.engine() == 'postgresql':
    from cloister.django.db.postgresql import DatabaseWrapper
elif db.engine() == 'mariadb':
    from cloister.django.db.mariadb import DatabaseWrapper
else:
    from cloister.django.db.sqlite import DatabaseWrapper

__all__ = ['DatabaseWrapper']
