#pragma once

// Stores of objects in a directory of the test's own, and objects to put there.

#include <gtest/gtest.h>

#include <filesystem>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "apis/persistence/object_store.h"
#include "tests/support/temp_dir.h"

namespace cloister {

// Bytes in which no two parts are the same.
inline std::string Pattern(std::size_t size, int seed = 0) {
  std::string bytes;
  while (bytes.size() < size)
    bytes += std::to_string(seed) + ":" + std::to_string(bytes.size()) + ";";
  bytes.resize(size);
  return bytes;
}

// Whether a process has files of objects there, temporary ones among them.
inline std::vector<std::string> ObjectFilesIn(const std::string& directory) {
  std::vector<std::string> files;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(directory + "/objects"))
    if (entry.is_regular_file())
      files.push_back(entry.path().string());
  return files;
}

class ObjectStoreTest : public testing::Test {
 protected:
  ObjectStoreTest() { std::filesystem::create_directory(dir.At("apps")); }

  std::string Directory() const { return dir.At("apps/1"); }
  std::unique_ptr<ObjectStore> Open(
      ObjectStore::Use use = ObjectStore::Use::kWrite,
      ObjectStore::Leftovers leftovers = ObjectStore::Leftovers::kSweep) {
    auto opened = ObjectStore::Open(Directory(), use, leftovers);
    EXPECT_TRUE(opened.ok()) << opened.error().message;
    return std::move(opened).value();
  }
  std::unique_ptr<ObjectWriter> Finished(const std::string& bytes) {
    auto writer = std::make_unique<ObjectWriter>(Directory());
    EXPECT_TRUE(writer->Append(bytes).ok());
    EXPECT_TRUE(writer->Finish().ok());
    return writer;
  }
  // In a transaction of its own; the quota that refused it.
  std::string WriteTo(ObjectStore& store, const std::string& bytes) {
    EXPECT_TRUE(store.Begin().ok());
    const auto writer = Finished(bytes);
    const auto written = store.Write(*writer, 1000, quota);
    EXPECT_TRUE(written.ok());
    EXPECT_TRUE(store.Commit().ok());
    const std::optional<QuotaRefusal> refused = written.value();
    return refused ? std::string(refused->quota) : std::string();
  }
  static std::string ReadAll(ObjectStore& store, const std::string& bytes) {
    std::string all;
    while (true) {
      const auto piece = store.Read(Sha256Of(bytes), all.size(), kObjectPieceMax);
      EXPECT_TRUE(piece.ok());
      if (piece.value().state != ObjectPiece::State::kWhole)
        return "not whole: " + piece.value().damage;
      if (piece.value().data.empty())
        return all;
      all += piece.value().data;
    }
  }
  static bool Has(ObjectStore& store, const std::string& bytes) {
    return store.Stat(Sha256Of(bytes)).value().has_value();
  }
  static ObjectVerification VerifyAll(ObjectStore& store) {
    ObjectVerification report;
    EXPECT_TRUE(store.VerifyTotals(report).ok());
    std::optional<Sha256> last;
    do {
      auto next = store.Verify(last, 1 << 20, report);
      EXPECT_TRUE(next.ok());
      last = next.value();
    } while (last);
    return report;
  }

  TempDir dir;
  PersistenceQuota quota;
};

}  // namespace cloister
