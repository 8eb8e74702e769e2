#include "daemon/store/bytecode.h"

#include <gtest/gtest.h>

#include "tests/daemon/store/store_fixture.h"

namespace cloister {
namespace {

using BytecodeTest = StoreTest;

TEST_F(BytecodeTest, OnlyWhatHasNoneIsMissing) {
  const ReleaseRow release = Must(CreateRelease(
      db_,
      Release("1.0.0", {FileOf("a.py", "same"), FileOf("b.py", "same"), FileOf("c.txt", "text"),
                        FileOf("d.PY", "text"), FileOf("sub/e.py", "e")}),
      At(0)));
  std::vector<BytecodeName> missing = Must(MissingBytecode(db_, release.id, "311"));
  ASSERT_EQ(missing.size(), 3U);
  EXPECT_EQ(missing[0].path, "a.py");
  EXPECT_EQ(missing[2].path, "sub/e.py");
  Must(StoreBytecode(db_, app_.id, {{.name = missing[0], .code = "code of a"}}, "311"));
  missing = Must(MissingBytecode(db_, release.id, "311"));
  ASSERT_EQ(missing.size(), 2U) << "the same content at another path is another module";
  EXPECT_EQ(missing[0].path, "b.py");
  EXPECT_EQ(Must(MissingBytecode(db_, release.id, "312")).size(), 3U);
}

TEST_F(BytecodeTest, ComesBackForItsAppAlone) {
  const BytecodeName name{.sha256 = Sha256Of("x"), .path = "a.py"};
  const AppRow other = Must(CreateApp(db_, tenant_, Must(AppName::Parse("demo/other")), At(0)));
  Must(StoreBytecode(db_, app_.id, {{.name = name, .code = "code"}}, "311"));
  Must(StoreBytecode(db_, app_.id, {{.name = name, .code = "later"}}, "311"));
  EXPECT_EQ(Must(LoadBytecode(db_, app_.id, name, "311")), "code");
  EXPECT_EQ(Must(LoadBytecode(db_, other.id, name, "311")), "");
  EXPECT_EQ(Must(LoadBytecode(db_, app_.id, name, "312")), "");
}

TEST_F(BytecodeTest, WhatWasChangedInTheTableIsDamaged) {
  const BytecodeName name{.sha256 = Sha256Of("x"), .path = "a.py"};
  const BytecodeName moved{.sha256 = Sha256Of("x"), .path = "b.py"};
  const AppRow other = Must(CreateApp(db_, tenant_, Must(AppName::Parse("demo/other")), At(0)));
  Must(StoreBytecode(db_, app_.id, {{.name = name, .code = "code"}}, "311"));
  Must(CheckBytecode(db_, app_.id, name));
  const auto damaged = [&](AppId app, const BytecodeName& at, std::string_view magic) {
    const Result<std::string> code = LoadBytecode(db_, app, at, magic);
    return !code.ok() && code.error().code == ErrorCode::kSystem &&
           !CheckBytecode(db_, app, at).ok();
  };
  Must(db_.Run("UPDATE bytecode SET path = 'b.py'"));
  EXPECT_TRUE(damaged(app_.id, moved, "311"));
  Must(db_.Run("UPDATE bytecode SET path = 'a.py', magic = '312'"));
  EXPECT_TRUE(damaged(app_.id, name, "312"));
  Must(db_.Run("UPDATE bytecode SET magic = '311', app_id = ?", other.id.number));
  EXPECT_TRUE(damaged(other.id, name, "311"));
  Must(db_.Run("UPDATE bytecode SET app_id = ?", app_.id.number));
  EXPECT_EQ(Must(LoadBytecode(db_, app_.id, name, "311")), "code");
  Must(db_.Run("UPDATE bytecode SET code = ?", Blob{Compress("evil")}));
  EXPECT_TRUE(damaged(app_.id, name, "311"));
}

}  // namespace
}  // namespace cloister
