"""What Django does on an app's database, wherever it runs. `run()` runs all cases."""

import datetime
import decimal
import io
import sys
import types
import warnings

warnings.simplefilter("ignore", DeprecationWarning)

import django  # noqa: E402
import query_cases  # noqa: E402
from django.conf import settings  # noqa: E402

settings.configure(
    SECRET_KEY="not a secret: a test, fifty characters or more of it",
    DATABASES={"default": {"ENGINE": "cloister.django.db"}},
    INSTALLED_APPS=["django.contrib.contenttypes", "django.contrib.auth",
                    "django.contrib.sessions"],
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    USE_TZ=True,
    TIME_ZONE="UTC",
)
django.setup()

from django.apps import apps  # noqa: E402
from django.contrib.auth.models import Group, User  # noqa: E402
from django.contrib.sessions.backends.db import SessionStore  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.db import IntegrityError, connection, migrations, models, transaction  # noqa: E402
from django.db.migrations.state import ProjectState  # noqa: E402
from django.db.models import Avg, Count, F, StdDev, Value  # noqa: E402
from django.db.models.functions import (MD5, Concat, ExtractWeek, LPad, Reverse,
                                        TruncMonth)  # noqa: E402


class Order(models.Model):
    at = models.DateTimeField()
    took = models.DurationField(null=True)
    price = models.DecimalField(max_digits=8, decimal_places=2)
    more = models.JSONField(default=dict)
    paid = models.BooleanField(default=False)

    class Meta:
        app_label = "shop"


AT = datetime.datetime(2024, 2, 29, 12, 30, 1, 5, tzinfo=datetime.timezone.utc)


def case_types_come_back():
    took = datetime.timedelta(days=1, microseconds=7)
    price = decimal.Decimal("1.50")
    Order.objects.create(at=AT, took=took, price=price, more={"a": [1]}, paid=True)
    order = Order.objects.get()
    assert (order.at, order.took, order.price) == (AT, took, price)
    assert (order.more, order.paid) == ({"a": [1]}, True)
    assert Order.objects.filter(more__a__0=1).count() == 1


def case_users_and_groups():
    user = User.objects.create_user("anna", password="secret")
    group = Group.objects.create(name="staff")
    user.groups.add(group)
    assert User.objects.get(groups__name="staff").check_password("secret")
    assert User.objects.filter(username__iregex="^ANN").count() == 1
    assert User.objects.filter(username__icontains="NN").count() == 1
    user.delete()
    assert group.user_set.count() == 0


def case_transactions_nest():
    with transaction.atomic():
        Group.objects.create(name="a")
        try:
            with transaction.atomic():
                Group.objects.create(name="b")
                Group.objects.create(name="a")
        except IntegrityError:
            pass
        Group.objects.create(name="c")
    assert list(Group.objects.order_by("name").values_list("name", flat=True)) == ["a", "c"]
    try:
        with transaction.atomic():
            Group.objects.all().delete()
            raise KeyError
    except KeyError:
        pass
    assert Group.objects.count() == 2


def case_dates_are_taken_apart():
    for day in (1, 2, 31):
        Order.objects.create(at=AT.replace(month=1, day=day), price=1)
    Order.objects.create(at=AT, price=1)
    months = Order.objects.annotate(month=TruncMonth("at")).values("month").annotate(n=Count("id"))
    assert sorted((row["month"].month, row["n"]) for row in months) == [(1, 3), (2, 1)]
    assert Order.objects.filter(at__year=2024, at__week_day=5).count() == 1
    assert Order.objects.filter(at__date=AT.date()).count() == 1
    assert Order.objects.filter(at__time__hour=12).count() == 4
    assert set(Order.objects.annotate(w=ExtractWeek("at")).values_list("w", flat=True)) == {1, 5, 9}


def case_durations_are_added():
    Order.objects.create(at=AT, price=1, took=datetime.timedelta(days=2))
    later = Order.objects.annotate(
        end=models.ExpressionWrapper(F("at") + F("took"), models.DateTimeField())).get()
    assert later.end == AT + datetime.timedelta(days=2)


def case_functions_are_there():
    Group.objects.create(name="ab")
    row = Group.objects.annotate(l=LPad("name", 4, Value("-")), m=MD5("name"), r=Reverse("name"))
    assert row.values_list("l", "m", "r").get() == (
        "--ab", "187ef4436122d1cc2f40dc2b92f0eba0", "ba")
    for number in (1, 3):
        Order.objects.create(at=AT, price=number)
    assert Order.objects.aggregate(s=StdDev("price"), a=Avg("price")) == {"s": 1.0, "a": 2.0}


def case_sessions_are_kept():
    session = SessionStore()
    session["cart"] = [1, 2]
    session.save()
    assert SessionStore(session.session_key)["cart"] == [1, 2]


def case_the_schema_changes():
    with connection.schema_editor() as editor:
        field = models.IntegerField(null=True)
        field.set_attributes_from_name("amount")
        editor.add_field(Order, field)
        editor.remove_field(Order, Order._meta.get_field("paid"))
    with connection.cursor() as cursor:
        columns = connection.introspection.get_table_description(cursor, "shop_order")
    assert "paid" not in [column.name for column in columns]


class Stall(models.Model):
    name = models.CharField(max_length=20, unique=True)
    photo = models.BinaryField(null=True)

    class Meta:
        app_label = "shop"


def constraints_of(table):
    """What the introspection says of the constraints."""
    with connection.cursor() as cursor:
        return connection.introspection.get_constraints(cursor, table).values()


def migrate(state, *operations):
    """As `migrate` does; returns the state that follows."""
    for operation in operations:
        after = state.clone()
        operation.state_forwards("shop", after)
        with connection.schema_editor() as editor:
            operation.database_forwards("shop", editor, state, after)
        state = after
    return state


def case_bytes_come_back():
    photo = bytes(range(256)) + b"\\'"
    with connection.schema_editor() as editor:
        editor.create_model(Stall)
    Stall.objects.create(name="a", photo=photo)
    Stall.objects.bulk_create([Stall(name="b", photo=memoryview(photo)), Stall(name="c")])
    assert [stall.photo and bytes(stall.photo) for stall in Stall.objects.order_by("name")] == [
        photo, photo, None]
    assert Stall.objects.filter(photo=photo).count() == 2


def case_texts_are_put_together():
    Group.objects.create(name="a")
    Group.objects.update(name=Concat(F("name"), Value("!"), Value("%'")))
    assert Group.objects.annotate(x=Concat(Value("x"), "name")).get().x == "xa!%'"


def case_a_table_with_rows_gets_columns():
    state = migrate(ProjectState.from_apps(apps), migrations.CreateModel("Shelf", [
        ("id", models.BigAutoField(primary_key=True))]))
    state.apps.get_model("shop", "Shelf").objects.create()
    more = {"amount": (models.IntegerField(default=-5), -5),
            "label": (models.CharField(max_length=20, default="it's 100 % \\"), "it's 100 % \\"),
            "since": (models.DateTimeField(default=AT), AT),
            "open": (models.BooleanField(default=True), True),
            "price": (models.DecimalField(max_digits=6, decimal_places=2,
                                          default=decimal.Decimal("1.50")), decimal.Decimal("1.5")),
            "owner": (models.ForeignKey("auth.User", models.CASCADE, null=True), None)}
    for name, (field, _) in more.items():
        state = migrate(state, migrations.AddField("Shelf", name, field))
    shelf = state.apps.get_model("shop", "Shelf").objects.get()
    assert {name: getattr(shelf, name) for name in more} == {
        name: value for name, (_, value) in more.items()}
    assert [each["foreign_key"] for each in constraints_of("shop_shelf")
            if each["foreign_key"]] == [("auth_user", "id")]
    state = migrate(
        state, migrations.AlterField("Shelf", "label", models.CharField(max_length=30, null=True)),
        migrations.AlterField("Shelf", "label", models.CharField(max_length=30, default="new")),
        migrations.RemoveField("Shelf", "owner"))
    assert not any(each["foreign_key"] for each in constraints_of("shop_shelf"))


def case_constraints_are_found_and_taken_away():
    def unique():
        return sorted(each["columns"] for each in constraints_of("shop_shelf")
                      if each["unique"] and not each["primary_key"])

    state = migrate(ProjectState.from_apps(apps), migrations.CreateModel("Shelf", [
        ("id", models.BigAutoField(primary_key=True)),
        ("name", models.CharField(max_length=20, unique=True)), ("a", models.IntegerField()),
        ("b", models.IntegerField())], {"unique_together": {("a", "b")}}))
    assert unique() == [["a", "b"], ["name"]], unique()
    migrate(state, migrations.AlterUniqueTogether("Shelf", set()),
            migrations.AlterField("Shelf", "name", models.CharField(max_length=20)))
    assert unique() == [], unique()
    call_command("inspectdb", "shop_shelf", stdout=io.StringIO())


def case_a_script_of_a_migration_has_several_statements():
    operation = migrations.RunSQL("INSERT INTO auth_group (name) VALUES ('a;''%');\n"
                                  "INSERT INTO auth_group (name) VALUES ('b');")
    with_values = migrations.RunSQL([("INSERT INTO auth_group (name) VALUES (%s)", ["50 %"])])
    for each in (operation, with_values):
        migrate(ProjectState(), each)
    names = Group.objects.order_by("name").values_list("name", flat=True)
    assert list(names) == ["50 %", "a;'%", "b"]


CASES = {name: value for name, value in sorted(globals().items()) if name.startswith("case_")}


def run():
    for case in CASES.values():
        connection.close()
        query_cases.empty()
        call_command("migrate", verbosity=0)
        with connection.schema_editor() as editor:
            editor.create_model(Order)
        case()
    connection.close()
    return len(CASES)


# Models want an app of a name, and need no files of it.
sys.modules.setdefault("shop", types.ModuleType("shop"))
