#include "daemon/store/state.h"

#include "daemon/store/schema.h"

namespace cloister {
namespace {

Result<Database> OpenWriter(const std::string& path) {
  Database db = TRY(Database::Open(path, {}));
  // What is deleted is overwritten: values that have become secrets, too.
  TRY(db.Execute("PRAGMA secure_delete=ON"));
  TRY(Migrate(db));
  return db;
}

}  // namespace

State::State(Loop& loop, std::string directory)
    : directory_(std::move(directory)),
      writer_(std::make_unique<Side>(loop)),
      reader_(std::make_unique<Side>(loop)),
      bulk_(std::make_unique<Side>(loop)) {}

State::~State() = default;

void State::OpenReader(Side& side, const std::string& path,
                       std::function<void(Result<void>)> done) {
  Side* borrowed = &side;
  side.pool.Run(
      0,
      [borrowed, path]() -> Result<void> {
        borrowed->db = TRY(Database::Open(path, {.access = Database::Access::kReadOnly}));
        return {};
      },
      std::move(done));
}

void State::Open(std::function<void(Result<void>)> done) {
  Side* writer = writer_.get();
  const std::string path = database_path();
  auto open_bulk = [bulk = bulk_.get(), path, done](Result<void> opened) {
    if (!opened.ok())
      return done(std::move(opened));
    OpenReader(*bulk, path, done);
  };
  // Readers come last: the writer makes the file and its tables.
  auto open_reader = [reader = reader_.get(), path, done, open_bulk](Result<void> opened) {
    if (!opened.ok())
      return done(std::move(opened));
    OpenReader(*reader, path, open_bulk);
  };
  writer_->pool.Run(
      0,
      [writer, path]() -> Result<void> {
        writer->db = TRY(OpenWriter(path));
        return {};
      },
      open_reader);
}

void State::CloseSide(Side& side, std::function<void()> done) {
  Side* borrowed = &side;
  // Keys take turns, so a job at the end of one key is not the last of all: asks again until
  // nothing else is queued.
  side.pool.Run(
      0,
      [borrowed] {
        if (borrowed->pool.queued() > 0)
          return false;
        borrowed->db.reset();
        return true;
      },
      [borrowed, done = std::move(done)](bool closed) {
        if (closed)
          done();
        else
          CloseSide(*borrowed, done);
      });
}

void State::Close(std::function<void()> done) {
  // The writer last: it checkpoints the log into the database when no reader is left.
  CloseSide(*bulk_, [this, done = std::move(done)] {
    CloseSide(*reader_, [this, done] { CloseSide(*writer_, done); });
  });
}

void State::CloseWriter(std::function<void()> done) {
  CloseSide(*writer_, std::move(done));
}

}  // namespace cloister
