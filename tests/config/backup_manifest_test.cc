#include "config/backup_manifest.h"

#include <gtest/gtest.h>

#include <string>

namespace cloister {
namespace {

BackupManifest Some() {
  BackupManifest manifest{.made = "2026-11-27T22:00:00Z", .version = "0.1.0", .pieces = {}};
  manifest.pieces.push_back({.path = "state.db", .size = 4096, .sha256 = Sha256Of("state")});
  manifest.pieces.push_back({.path = "apps/3/query.db", .size = 0, .sha256 = Sha256Of("")});
  return manifest;
}

Result<BackupManifest> Parse(std::string_view text, std::size_t part = std::string_view::npos) {
  BackupManifestParser parser;
  for (std::string_view rest = text; !rest.empty();) {
    const std::string_view next = rest.substr(0, part);
    rest.remove_prefix(next.size());
    TRY(parser.Add(next));
  }
  return parser.Finish();
}

// With an end that fits.
std::string Ended(const std::string& body, std::size_t pieces) {
  return body + "end " + std::to_string(pieces) + " " + Sha256Of(body).Hex() + "\n";
}

TEST(BackupManifestTest, WhatIsWrittenIsReadAgainInPartsOfAnySize) {
  const std::string text = RenderBackupManifest(Some());
  for (const std::size_t part : {std::size_t{1}, std::size_t{2}, std::size_t{63}, text.size()}) {
    const Result<BackupManifest> parsed = Parse(text, part);
    ASSERT_TRUE(parsed.ok()) << parsed.error().message;
    EXPECT_EQ("0.1.0", parsed.value().version);
    ASSERT_EQ(2U, parsed.value().pieces.size());
    EXPECT_EQ("apps/3/query.db", parsed.value().pieces[1].path);
    EXPECT_EQ(4096U, parsed.value().pieces[0].size);
    EXPECT_EQ(RenderBackupManifest(parsed.value()), text);
  }
}

TEST(BackupManifestTest, EveryTruncationAndEveryFlippedByteIsRefused) {
  const std::string text = RenderBackupManifest(Some());
  for (std::size_t size = 0; size < text.size(); ++size) {
    EXPECT_FALSE(Parse(text.substr(0, size)).ok()) << size;
    std::string flipped = text;
    flipped[size] = static_cast<char>(flipped[size] ^ 1);
    EXPECT_FALSE(Parse(flipped).ok()) << size;
  }
  EXPECT_FALSE(Parse(text + "piece").ok());
  EXPECT_FALSE(Parse(text + text).ok());
}

TEST(BackupManifestTest, APathIsOneThatANodeWrites) {
  const std::string hash = Sha256Of("x").Hex();
  for (const std::string& good :
       {std::string("state.db"), std::string("node.key"), std::string("apps/1/query.db"),
        std::string("apps/18/query.db-wal"), std::string("apps/1/data/7/query.db"),
        std::string("apps/1/objects.db"), "apps/1/objects/" + hash.substr(0, 2) + "/" + hash})
    EXPECT_TRUE(IsBackupPath(good)) << good;
  for (const std::string& bad : {std::string(),
                                 std::string("/state.db"),
                                 std::string("state.db/"),
                                 std::string("apps"),
                                 std::string("apps/"),
                                 std::string("apps//query.db"),
                                 std::string("apps/0/query.db"),
                                 std::string("apps/01/query.db"),
                                 std::string("apps/1/../2/query.db"),
                                 std::string("apps/1/./query.db"),
                                 std::string("apps/-1/query.db"),
                                 std::string("apps/1/query.db-shm"),
                                 std::string("apps/1/data/query.db"),
                                 std::string("apps/1/data/7/objects.db"),
                                 std::string("../state.db"),
                                 std::string("apps/99999999999999999999/query.db"),
                                 std::string("apps/1/objects/") + hash,
                                 "apps/1/objects/zz/" + hash,
                                 "apps/1/objects/" + hash.substr(0, 2) + "/../" + hash,
                                 std::string("lock"),
                                 std::string("MANIFEST")})
    EXPECT_FALSE(IsBackupPath(bad)) << bad;
}

TEST(BackupManifestTest, WhatIsWrongIsNamedWithItsLine) {
  const std::string head = "cloister-backup 1\nmade 2026-11-27T22:00:00Z by 0.1.0\n";
  const std::string piece = "piece " + Sha256Of("x").Hex() + " 1 ";
  EXPECT_TRUE(Parse(Ended(head, 0)).ok());
  EXPECT_TRUE(Parse(Ended(head + piece + "state.db\n", 1)).ok());
  const std::pair<std::string, std::string> cases[] = {
      {Ended("cloister-backup 2\nmade x by y\n", 0), "line 1: not a manifest"},
      {Ended("cloister-backup 1\nmade x\n", 0), "line 2: not by what"},
      {Ended(head + piece + "../state.db\n", 1), "line 3: a path that no node writes"},
      {Ended(head + piece + "state.db\n" + piece + "state.db\n", 2), "line 4: a path that was"},
      {Ended(head + piece + "state.db\n", 2), "the number of pieces"},
      {Ended(head + "piece " + std::string(64, 'g') + " 1 state.db\n", 1), "without hash and size"},
      {Ended(head + piece + std::string(kBackupLineMax, 'a') + "\n", 1), "too long"},
      {Ended(head + "piece " + Sha256Of("x").Hex() + " 9999999999999999 state.db\n", 1),
       "without hash and size"}};
  for (const auto& [text, what] : cases) {
    const Result<BackupManifest> parsed = Parse(text);
    ASSERT_FALSE(parsed.ok()) << what;
    EXPECT_NE(std::string::npos, parsed.error().message.find(what)) << parsed.error().message;
  }
}

}  // namespace
}  // namespace cloister
