"""What SQLAlchemy does on an app's database, wherever it runs. `run()` runs all cases."""

import datetime
import decimal
import warnings

import cloister.sqlalchemy  # noqa: F401 (registers the dialect)
import query_cases
from sqlalchemy import (ARRAY, JSON, Boolean, Column, Date, DateTime, Float, ForeignKey, Index,
                        Integer, LargeBinary, MetaData, Numeric, String, Table, Time,
                        create_engine, exc, func, inspect, literal, select, text)
from sqlalchemy.orm import Session, declarative_base, relationship

Base = declarative_base()
tags = Table("tags", Base.metadata,
             Column("item_id", ForeignKey("items.id"), primary_key=True),
             Column("tag", String(20), primary_key=True))


class Item(Base):
    __tablename__ = "items"
    id = Column(Integer, primary_key=True)
    name = Column(String(50), unique=True, nullable=False)
    at = Column(DateTime)
    day = Column(Date)
    clock = Column(Time)
    price = Column(Numeric(10, 2))
    weight = Column(Float)
    sold = Column(Boolean)
    more = Column(JSON)
    raw = Column(LargeBinary)
    parts = relationship("Part", back_populates="item", order_by="Part.id")


class Part(Base):
    __tablename__ = "parts"
    id = Column(Integer, primary_key=True)
    item_id = Column(ForeignKey("items.id"))
    __table_args__ = (Index("by_item", "item_id", "id"),)
    item = relationship(Item, back_populates="parts")


VALUES = {
    "at": datetime.datetime(2024, 2, 29, 12, 30, 1, 5),
    "day": datetime.date(2024, 2, 29),
    "clock": datetime.time(12, 30, 1, 5),
    "price": decimal.Decimal("1.25"),
    "weight": 0.5,
    "sold": True,
    "more": {"a": [1, None]},
    "raw": b"\0\xff",
}


def case_types_come_back(engine):
    with Session(engine) as session:
        session.add(Item(name="tea", parts=[Part(), Part()], **VALUES))
        session.commit()
    with Session(engine) as session:
        item = session.execute(select(Item)).scalars().one()
        assert {name: getattr(item, name) for name in VALUES} == VALUES
        assert len(item.parts) == 2


def case_a_broken_constraint_undoes(engine):
    with Session(engine) as session:
        session.add(Item(name="tea"))
        session.commit()
        session.add_all([Item(name="milk"), Item(name="tea")])
        try:
            session.commit()
        except exc.IntegrityError as error:
            assert isinstance(error.orig, cloister.db.IntegrityError)
        else:
            raise AssertionError("it was taken")
        session.rollback()
        assert session.query(Item).count() == 1


def case_savepoints(engine):
    with Session(engine) as session, session.begin():
        session.add(Item(name="a"))
        nested = session.begin_nested()
        session.add(Item(name="b"))
        session.flush()
        nested.rollback()
        session.add(Item(name="c"))
    with Session(engine) as session:
        assert session.execute(select(Item.name).order_by(Item.name)).scalars().all() == ["a", "c"]


def case_queries(engine):
    with Session(engine) as session, session.begin():
        session.add_all([Item(name=f"n{number:02}", weight=number) for number in range(20)])
    with Session(engine) as session:
        assert session.query(func.sum(Item.weight)).scalar() == 190
        matched = session.query(Item).filter(Item.name.regexp_match("^n0[13]$"))
        assert matched.count() == 2
        in_order = session.query(Item.id).order_by(Item.weight.desc()).limit(3).offset(1)
        assert [row.id for row in in_order] == [19, 18, 17]


def case_values_of_no_type(engine):
    if cloister.db.engine() == "sqlite":
        return
    with engine.begin() as connection:
        assert connection.execute(select(func.concat("a", literal("b")))).scalar() == "ab"
        asked = text("SELECT count(*) FROM items WHERE :name IS NULL OR name = :name")
        assert connection.execute(asked, {"name": None}).scalar() == 0


def case_arrays(engine):
    if cloister.db.engine() != "postgresql":
        return
    table = Table("arrays", MetaData(), Column("a", ARRAY(Integer)), Column("t", ARRAY(String)))
    table.create(engine)
    with engine.begin() as connection:
        connection.execute(table.insert(), [{"a": [1, None], "t": ["x,", '"']}])
        assert connection.execute(select(table)).one() == ([1, None], ["x,", '"'])
        assert connection.execute(select(table.c.a[1])).scalar() == 1


def case_the_schema_is_seen(engine):
    seen = inspect(engine)
    assert [each["column_names"] for each in seen.get_unique_constraints("items")] == [["name"]]
    assert [each["column_names"] for each in seen.get_indexes("parts")
            if each["name"] == "by_item"] == [["item_id", "id"]]
    again = MetaData()
    again.reflect(engine)
    assert set(again.tables) == {"items", "parts", "tags"}
    assert set(seen.get_table_names()) == {"items", "parts", "tags"}
    assert [column["name"] for column in seen.get_columns("parts")] == ["id", "item_id"]
    assert seen.get_foreign_keys("parts")[0]["referred_table"] == "items"
    assert seen.get_pk_constraint("tags")["constrained_columns"] == ["item_id", "tag"]


def case_a_url_names_nothing_else(engine):
    for url in ("cloister://host/", "cloister:///file.db"):
        try:
            create_engine(url).connect()
        except exc.ArgumentError:
            continue
        raise AssertionError(url)


def case_autocommit(engine):
    plain = create_engine("cloister://", isolation_level="AUTOCOMMIT")
    with plain.connect() as connection:
        connection.execute(text("INSERT INTO items (name) VALUES ('x')"))
    with engine.connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM items")).scalar() == 1


CASES = {name: value for name, value in sorted(globals().items()) if name.startswith("case_")}


def run():
    # Of numbers, which SQLite has as floats.
    warnings.simplefilter("ignore", exc.SAWarning)
    for case in CASES.values():
        query_cases.empty()
        engine = create_engine("cloister://")
        Base.metadata.create_all(engine)
        case(engine)
        engine.dispose()
    return len(CASES)
