#include "apis/persistence/object_store.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <fstream>
#include <thread>

#include <sqlite3.h>

#include "tests/apis/persistence/object_fixture.h"

namespace cloister {
namespace {

void FlipBit(const std::string& path, std::size_t place) {
  std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
  file.seekg(static_cast<std::streamoff>(place));
  char byte = 0;
  file.get(byte);
  file.seekp(static_cast<std::streamoff>(place));
  file.put(static_cast<char>(byte ^ 1));
}

// Another connection of an application of its own, as an operator's tool would be.
void Sql(const std::string& directory, const std::string& sql) {
  sqlite3* db = nullptr;
  ASSERT_EQ(::sqlite3_open((directory + "/objects.db").c_str(), &db), SQLITE_OK);
  EXPECT_EQ(::sqlite3_exec(db, sql.c_str(), nullptr, nullptr, nullptr), SQLITE_OK)
      << ::sqlite3_errmsg(db);
  ::sqlite3_close(db);
}

TEST_F(ObjectStoreTest, SmallObjectsAreRowsAndLargeOnesFiles) {
  const auto store = Open();
  for (const std::size_t size :
       {std::size_t{0}, std::size_t{1}, kObjectRowMax - 1, kObjectRowMax}) {
    EXPECT_EQ(WriteTo(*store, Pattern(size)), "");
    EXPECT_EQ(ReadAll(*store, Pattern(size)), Pattern(size));
  }
  EXPECT_TRUE(ObjectFilesIn(Directory()).empty());
  for (const std::size_t size : {kObjectRowMax + 1, kObjectChunk, 2 * kObjectChunk + 1}) {
    EXPECT_EQ(WriteTo(*store, Pattern(size)), "");
    EXPECT_EQ(ReadAll(*store, Pattern(size)), Pattern(size));
  }
  EXPECT_EQ(ObjectFilesIn(Directory()).size(), 3U);
  EXPECT_EQ(store->Totals().value().objects, 7U);
  EXPECT_EQ(VerifyAll(*store).damages, 0U);
}

TEST_F(ObjectStoreTest, WhatIsWrittenTwiceIsKeptOnce) {
  const auto store = Open();
  for (int i = 0; i < 2; ++i) {
    EXPECT_EQ(WriteTo(*store, Pattern(100)), "");
    EXPECT_EQ(WriteTo(*store, Pattern(300000)), "");
  }
  EXPECT_EQ(store->Totals().value(), (ObjectTotals{.bytes = 300100, .objects = 2}));
  EXPECT_EQ(ObjectFilesIn(Directory()).size(), 1U);
}

TEST_F(ObjectStoreTest, AFileGoesAfterItsRow) {
  const auto store = Open();
  WriteTo(*store, Pattern(300000));
  ASSERT_TRUE(store->Begin().ok());
  EXPECT_EQ(store->Delete(Sha256Of(Pattern(300000))).value(), ObjectDeletion::kDeleted);
  EXPECT_EQ(ObjectFilesIn(Directory()).size(), 1U);
  ASSERT_TRUE(store->Commit().ok());
  EXPECT_TRUE(ObjectFilesIn(Directory()).empty());
  EXPECT_EQ(store->Totals().value(), ObjectTotals{});
}

TEST_F(ObjectStoreTest, ARollbackLeavesNothing) {
  const auto store = Open();
  WriteTo(*store, Pattern(200000, 1));
  ASSERT_TRUE(store->Begin().ok());
  const auto small = Finished(Pattern(10));
  const auto large = Finished(Pattern(300000));
  ASSERT_TRUE(store->Write(*small, 1, quota).ok());
  ASSERT_TRUE(store->Write(*large, 1, quota).ok());
  ASSERT_TRUE(store->Delete(Sha256Of(Pattern(200000, 1))).ok());
  store->Rollback();
  EXPECT_FALSE(Has(*store, Pattern(10)));
  EXPECT_FALSE(Has(*store, Pattern(300000)));
  EXPECT_EQ(ReadAll(*store, Pattern(200000, 1)), Pattern(200000, 1));
  EXPECT_EQ(ObjectFilesIn(Directory()).size(), 1U);
  EXPECT_EQ(store->Totals().value(), (ObjectTotals{.bytes = 200000, .objects = 1}));
  EXPECT_EQ(VerifyAll(*store).damages, 0U);
}

TEST_F(ObjectStoreTest, DeletedAndWrittenInOneTransaction) {
  const auto store = Open();
  WriteTo(*store, Pattern(300000));
  ASSERT_TRUE(store->Begin().ok());
  ASSERT_TRUE(store->Delete(Sha256Of(Pattern(300000))).ok());
  const auto again = Finished(Pattern(300000));
  ASSERT_TRUE(store->Write(*again, 1, quota).ok());
  ASSERT_TRUE(store->Commit().ok());
  EXPECT_EQ(ReadAll(*store, Pattern(300000)), Pattern(300000));
}

TEST_F(ObjectStoreTest, QuotasAtTheirLimits) {
  const auto store = Open();
  quota = {.bytes_max = Bytes{1000}, .object_max = Bytes{600}, .objects_max = 3};
  EXPECT_EQ(WriteTo(*store, Pattern(601)), "persistence.object");
  EXPECT_EQ(WriteTo(*store, Pattern(600)), "");
  EXPECT_EQ(WriteTo(*store, Pattern(401, 1)), "persistence.bytes");
  EXPECT_EQ(WriteTo(*store, Pattern(399, 1)), "");
  EXPECT_EQ(WriteTo(*store, "ab"), "persistence.bytes");
  EXPECT_EQ(WriteTo(*store, "a"), "");
  EXPECT_EQ(WriteTo(*store, ""), "persistence.objects");
  EXPECT_EQ(WriteTo(*store, "a"), "") << "it is there already";
  EXPECT_EQ(store->Totals().value(), (ObjectTotals{.bytes = 1000, .objects = 3}));
}

TEST_F(ObjectStoreTest, NamesCountAsBytes) {
  quota.bytes_max = Bytes{5 + 2 * ObjectTotals::kNameBytes};
  const auto store = Open();
  EXPECT_EQ(WriteTo(*store, "bytes"), "");
  ASSERT_TRUE(store->Begin().ok());
  const auto put = [&](const char* name) {
    return store->Put({.name = name, .id = Sha256Of("bytes"), .expected = {}}, quota)
        .value()
        .refused;
  };
  EXPECT_FALSE(put("a"));
  EXPECT_FALSE(put("b"));
  EXPECT_EQ(put("c").value_or(QuotaRefusal{}).quota, "persistence.bytes");
  // A name that is there already takes no more.
  EXPECT_FALSE(put("b"));
  ASSERT_TRUE(store->Commit().ok());
  EXPECT_EQ(WriteTo(*store, "x"), "persistence.bytes");
}

TEST_F(ObjectStoreTest, AnObjectBeyondTheQuotaLeavesNoFile) {
  const auto store = Open();
  quota.bytes_max = Bytes{300000};
  EXPECT_EQ(WriteTo(*store, Pattern(300001)), "persistence.bytes");
  EXPECT_TRUE(ObjectFilesIn(Directory()).empty());
}

TEST_F(ObjectStoreTest, NamesAreBoundedAsObjectsAre) {
  const auto store = Open();
  quota.objects_max = 2;
  WriteTo(*store, "a");
  const Sha256 id = Sha256Of("a");
  ASSERT_TRUE(store->Begin().ok());
  const auto put = [&](const std::string& name) {
    return store->Put({.name = name, .id = id, .expected = {}}, quota).value();
  };
  EXPECT_FALSE(put("1").refused);
  EXPECT_FALSE(put("2").refused);
  EXPECT_FALSE(put("2").refused);
  const QuotaRefusal refused = put("3").refused.value_or(QuotaRefusal());
  EXPECT_EQ(refused.quota, "persistence.objects");
  EXPECT_EQ(refused.used, 3U);
  ASSERT_TRUE(store->Commit().ok());
  EXPECT_EQ(store->Totals().value().names, 2U);
}

TEST_F(ObjectStoreTest, ABitThatFlipsInAFileIsFoundByTheReadOfItsChunk) {
  const std::string bytes = Pattern(3 * kObjectChunk);
  {
    const auto store = Open();
    WriteTo(*store, bytes);
    EXPECT_EQ(ReadAll(*store, bytes), bytes);
  }
  FlipBit(ObjectPath(Directory(), Sha256Of(bytes)), kObjectChunk + 5);
  const auto store = Open();
  const auto read = [&](std::uint64_t offset, std::uint32_t count) {
    return store->Read(Sha256Of(bytes), offset, count).value();
  };
  EXPECT_EQ(read(kObjectChunk - 10, 10).data, bytes.substr(kObjectChunk - 10, 10));
  EXPECT_EQ(read(2 * kObjectChunk, 10).data, bytes.substr(2 * kObjectChunk, 10));
  const ObjectPiece piece = read(2 * kObjectChunk - 1, 1);
  EXPECT_EQ(piece.state, ObjectPiece::State::kDamaged);
  EXPECT_EQ(piece.damage, "its bytes from 1048576 to 2097152 are not those that were written");
  const ObjectVerification report = VerifyAll(*store);
  ASSERT_EQ(report.damages, 1U);
  EXPECT_EQ(report.found[0].id, Sha256Of(bytes));
}

TEST_F(ObjectStoreTest, WhatIsDeletedWhileItIsReadIsNotDamaged) {
  const auto store = Open();
  const auto reader = Open(ObjectStore::Use::kRead, ObjectStore::Leftovers::kKeep);
  const std::string bytes = Pattern(200000);
  std::atomic<bool> stop = false;
  std::thread writer([&] {
    while (!stop) {
      WriteTo(*store, bytes);
      EXPECT_TRUE(store->Begin().ok());
      EXPECT_TRUE(store->Delete(Sha256Of(bytes)).ok());
      EXPECT_TRUE(store->Commit().ok());
    }
  });
  int whole = 0;
  for (int i = 0; i < 2000; ++i) {
    const auto piece = reader->Read(Sha256Of(bytes), 100, 10);
    ASSERT_TRUE(piece.ok());
    ASSERT_NE(piece.value().state, ObjectPiece::State::kDamaged) << piece.value().damage;
    whole += piece.value().state == ObjectPiece::State::kWhole ? 1 : 0;
  }
  ObjectVerification report;
  for (int i = 0; i < 200; ++i)
    EXPECT_TRUE(reader->Verify({}, 1, report).ok());
  EXPECT_EQ(report.damages, 0U);
  stop = true;
  writer.join();
  EXPECT_GT(whole, 0);
}

TEST_F(ObjectStoreTest, AFileThatChangesWhileItIsOpenIsReadAnew) {
  const auto store = Open();
  const std::string bytes = Pattern(300000);
  WriteTo(*store, bytes);
  EXPECT_EQ(ReadAll(*store, bytes), bytes);
  FlipBit(ObjectPath(Directory(), Sha256Of(bytes)), 299999);
  EXPECT_NE(ReadAll(*store, bytes), bytes);
}

TEST_F(ObjectStoreTest, AFileThatIsCutOffOrMissing) {
  const auto store = Open();
  const std::string bytes = Pattern(300000);
  WriteTo(*store, bytes);
  const std::string path = ObjectPath(Directory(), Sha256Of(bytes));
  ASSERT_EQ(::truncate(path.c_str(), 299999), 0);
  EXPECT_EQ(ReadAll(*store, bytes), "not whole: its file has 299999 bytes instead of 300000");
  ASSERT_EQ(::unlink(path.c_str()), 0);
  EXPECT_EQ(ReadAll(*store, bytes), "not whole: its file is missing");
  EXPECT_EQ(VerifyAll(*store).damages, 1U);
}

TEST_F(ObjectStoreTest, ARowThatWasChangedIsFound) {
  const auto store = Open();
  WriteTo(*store, "hello");
  WriteTo(*store, "world");
  Sql(Directory(), "UPDATE objects SET data = x'68656c6c00' WHERE data = x'68656c6c6f'");
  EXPECT_EQ(ReadAll(*store, "hello"), "not whole: its bytes are not those that were written");
  EXPECT_EQ(ReadAll(*store, "world"), "world");
  Sql(Directory(), "UPDATE totals SET bytes = bytes + 1");
  const ObjectVerification report = VerifyAll(*store);
  EXPECT_EQ(report.objects, 2U);
  ASSERT_EQ(report.damages, 2U);
  EXPECT_FALSE(report.found[0].id) << "the totals";
  EXPECT_EQ(report.found[1].id, Sha256Of("hello"));
}

TEST_F(ObjectStoreTest, LeftoversAreSweptWhenTheStoreIsOpened) {
  const std::string kept = Pattern(300000);
  {
    const auto store = Open();
    WriteTo(*store, kept);
    WriteTo(*store, Pattern(400000));
  }
  // As a process leaves it that is killed between a file and its row, and within a file.
  Sql(Directory(),
      "DELETE FROM objects WHERE size = 400000;"
      "UPDATE totals SET bytes = 300000, objects = 1");
  dir.Write("apps/1/objects/tmp/77-1", "half");
  EXPECT_EQ(ObjectFilesIn(Directory()).size(), 3U);
  Open(ObjectStore::Use::kWrite, ObjectStore::Leftovers::kKeep);
  EXPECT_EQ(ObjectFilesIn(Directory()).size(), 3U);
  const auto store = Open();
  EXPECT_EQ(ObjectFilesIn(Directory()).size(), 1U);
  EXPECT_EQ(ReadAll(*store, kept), kept);
}

TEST_F(ObjectStoreTest, WhatSomebodyElseHasPutThereStays) {
  Open();
  dir.Write("apps/1/objects/notes", "kept aside");
  dir.Write("apps/1/objects/aa/notes", "kept aside");
  Open();
  EXPECT_EQ(ObjectFilesIn(Directory()).size(), 2U);
}

TEST_F(ObjectStoreTest, WhatIsBeingWrittenIsNoLeftover) {
  const auto writer = std::make_unique<ObjectWriter>(Directory());
  ASSERT_TRUE(writer->Append(Pattern(200000)).ok());
  const auto store = Open();
  ASSERT_TRUE(writer->Append(Pattern(1000)).ok());
  ASSERT_TRUE(writer->Finish().ok());
  ASSERT_TRUE(store->Begin().ok());
  EXPECT_TRUE(store->Write(*writer, 1, quota).ok());
  EXPECT_TRUE(store->Commit().ok());
  EXPECT_EQ(ReadAll(*store, Pattern(200000) + Pattern(1000)), Pattern(200000) + Pattern(1000));
}

TEST_F(ObjectStoreTest, AWriterThatEndsLeavesNothing) {
  {
    ObjectWriter writer(Directory());
    ASSERT_TRUE(writer.Append(Pattern(200000)).ok());
    EXPECT_EQ(ObjectFilesIn(Directory()).size(), 1U);
  }
  EXPECT_TRUE(ObjectFilesIn(Directory()).empty());
}

TEST_F(ObjectStoreTest, FilesAreForTheNodeAlone) {
  const auto store = Open();
  WriteTo(*store, Pattern(300000));
  struct stat status = {};
  ASSERT_EQ(::stat(ObjectFilesIn(Directory()).at(0).c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0600U);
  ASSERT_EQ(::stat((Directory() + "/objects").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0700U);
}

TEST_F(ObjectStoreTest, ALaterVersionsDatabaseIsRefused) {
  Open();
  Sql(Directory(), "PRAGMA user_version = 3");
  EXPECT_FALSE(ObjectStore::Open(Directory(), ObjectStore::Use::kWrite).ok());
}

}  // namespace
}  // namespace cloister
