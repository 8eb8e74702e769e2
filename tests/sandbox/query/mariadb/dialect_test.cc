#include "sandbox/query/mariadb/dialect.h"

#include <gtest/gtest.h>

#include <string>

namespace cloister {
namespace {

std::string ControlOf(std::string_view sql) {
  const ServerDialect& dialect = MyDialect();
  return dialect.control(dialect.words(sql), sql);
}

TEST(MyDialectTest, WordsOfOtherEnginesBecomeMariadbs) {
  EXPECT_EQ("BEGIN", ControlOf("BEGIN IMMEDIATE"));
  EXPECT_EQ("BEGIN", ControlOf("begin exclusive"));
  EXPECT_EQ("COMMIT", ControlOf("END"));
  EXPECT_EQ("RELEASE SAVEPOINT one", ControlOf("release one"));
  EXPECT_EQ("RELEASE SAVEPOINT `a b`", ControlOf("RELEASE `a b`"));
  EXPECT_EQ("RELEASE SAVEPOINT `a b`", ControlOf("RELEASE SAVEPOINT `a b`"));
  EXPECT_EQ("RELEASE SAVEPOINT one", ControlOf("RELEASE SAVEPOINT one"));
  EXPECT_EQ("ROLLBACK TO \"a b\"", ControlOf("ROLLBACK TO \"a b\""));
}

}  // namespace
}  // namespace cloister
