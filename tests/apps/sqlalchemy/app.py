"""SQLAlchemy's ORM on SQLite in memory."""
from sqlalchemy import Column, ForeignKey, Integer, String, create_engine, func, select
from sqlalchemy.orm import Session, declarative_base, relationship
from sqlalchemy.pool import StaticPool

Base = declarative_base()


class Author(Base):
    __tablename__ = "author"
    id = Column(Integer, primary_key=True)
    name = Column(String(40), nullable=False)
    books = relationship("Book", back_populates="author")


class Book(Base):
    __tablename__ = "book"
    id = Column(Integer, primary_key=True)
    title = Column(String(80))
    author_id = Column(ForeignKey("author.id"))
    author = relationship(Author, back_populates="books")


engine = create_engine("sqlite://", poolclass=StaticPool,
                       connect_args={"check_same_thread": False})
Base.metadata.create_all(engine)


def application(environ, start_response):
    with Session(engine) as session:
        author = Author(name="Mary", books=[Book(title="Frankenstein"), Book(title="Valperga")])
        session.add(author)
        session.flush()
        titles = session.scalars(
            select(Book.title).join(Author).where(Author.id == author.id).order_by(Book.title))
        text = ", ".join(titles) + f"; {session.scalar(select(func.count(Book.id)))} books"
        session.rollback()
    start_response("200 OK", [("Content-Type", "text/plain; charset=utf-8")])
    return [text.encode()]
