from django.db import migrations, models


class Migration(migrations.Migration):
    initial = True
    dependencies = []
    operations = [
        migrations.CreateModel(
            name="Note",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("title", models.CharField(max_length=80)),
                ("text", models.TextField()),
                ("is_public", models.BooleanField(default=False)),
                ("written_at", models.DateTimeField(auto_now_add=True)),
            ],
            options={"ordering": ["-written_at", "-id"]},
        ),
    ]
