from django.db import models


class Note(models.Model):
    title = models.CharField(max_length=80)
    text = models.TextField()
    is_public = models.BooleanField(default=False)
    written_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-written_at", "-id"]

    def __str__(self):
        return self.title
