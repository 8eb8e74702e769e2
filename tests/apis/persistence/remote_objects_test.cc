#include "apis/persistence/remote_objects.h"

#include <fcntl.h>
#include <gtest/gtest.h>

#include "apis/persistence/object_writer.h"
#include "tests/apis/persistence/fake_server.h"
#include "tests/apis/persistence/object_fixture.h"

namespace cloister {
namespace {

class RemoteObjectsTest : public testing::Test {
 protected:
  // All of it is put; what its row would say.
  RemotePart Put(const std::string& bytes) {
    dir.Write("object", bytes);
    const UniqueFd file(::open(dir.At("object").c_str(), O_RDONLY | O_CLOEXEC));
    RemotePart part{.id = Sha256Of(bytes),
                    .mark = NewRemoteMark(),
                    .size = bytes.size(),
                    .offset = 0,
                    .count = bytes.size()};
    for (std::size_t at = 0; at < bytes.size(); at += kObjectChunk)
      part.hashes += Sha256Of(bytes.substr(at, kObjectChunk)).view();
    const RemoteObject object{.id = part.id, .mark = part.mark};
    EXPECT_TRUE(remote.Put(AppId{7}, object, file.get(), bytes.size()).ok());
    return part;
  }
  static RemotePart Cut(RemotePart part, std::uint64_t offset, std::uint64_t count) {
    const std::uint64_t first = offset / kObjectChunk;
    const std::uint64_t last = (offset + count - 1) / kObjectChunk;
    part.hashes = part.hashes.substr(first * 32, (last - first + 1) * 32);
    part.offset = offset;
    part.count = count;
    return part;
  }

  TempDir dir;
  FakeServer server;
  RemoteObjects remote{server};
};

TEST_F(RemoteObjectsTest, KeysAreOfTheAppTheIdAndChance) {
  const RemotePart one = Put("some bytes");
  const RemotePart two = Put("some bytes");
  EXPECT_NE(one.mark, two.mark);
  const auto objects = server.objects();
  ASSERT_EQ(objects.size(), 2U);
  for (const auto& [key, bytes] : objects) {
    EXPECT_EQ(key.size(), 2U + 64 + 1 + 32);
    EXPECT_TRUE(key.starts_with("7/" + one.id.Hex() + "-")) << key;
  }
}

TEST_F(RemoteObjectsTest, AnyRangeIsReadAndCheckedByWholeChunks) {
  const std::string bytes = Pattern(3 * kObjectChunk + 77);
  const RemotePart whole = Put(bytes);
  EXPECT_EQ(remote.Read(AppId{7}, whole).value(), bytes);
  for (const auto& [offset, count] : {std::pair<std::size_t, std::size_t>{0, 1},
                                      {kObjectChunk - 1, 2},
                                      {kObjectChunk, kObjectChunk},
                                      {2 * kObjectChunk + 5, kObjectChunk},
                                      {3 * kObjectChunk, 77}})
    EXPECT_EQ(remote.Read(AppId{7}, Cut(whole, offset, count)).value(),
              bytes.substr(offset, count));
  EXPECT_EQ(server.gets(), 4U) << "what was read last is kept";
  EXPECT_TRUE(remote.Check(AppId{7}, whole).ok());
  EXPECT_EQ(server.gets(), 8U) << "a check reads the server's";
}

TEST_F(RemoteObjectsTest, WhatIsOtherThanWhatWasWrittenIsDamage) {
  std::string bytes = Pattern(2 * kObjectChunk);
  const RemotePart whole = Put(bytes);
  const std::string key = server.objects().begin()->first;
  bytes[kObjectChunk + 9] ^= 1;
  server.Set(key, bytes);
  EXPECT_TRUE(remote.Read(AppId{7}, Cut(whole, 0, kObjectChunk)).ok());
  EXPECT_EQ(remote.Read(AppId{7}, Cut(whole, kObjectChunk, 1)).error().message,
            "its bytes from 1048576 to 2097152 are not those that were written");
  EXPECT_EQ(remote.Check(AppId{7}, whole).error().code, ErrorCode::kProtocol);
  server.Set(key, bytes.substr(0, 100));
  EXPECT_EQ(remote.Read(AppId{7}, Cut(whole, kObjectChunk, 1)).error().code, ErrorCode::kProtocol);
  server.Erase(key);
  EXPECT_EQ(remote.Read(AppId{7}, Cut(whole, kObjectChunk, 1)).error().message,
            "it is missing on the server of objects");
  server.SetAway(true);
  EXPECT_EQ(remote.Read(AppId{7}, Cut(whole, kObjectChunk, 1)).error().code,
            ErrorCode::kUnavailable);
}

TEST_F(RemoteObjectsTest, AnotherAppsObjectIsNotThere) {
  const RemotePart whole = Put("of app 7");
  EXPECT_EQ(remote.Read(AppId{8}, whole).error().code, ErrorCode::kProtocol);
  EXPECT_EQ(remote.Read(AppId{7}, whole).value(), "of app 7");
  EXPECT_EQ(remote.Read(AppId{8}, whole).error().code, ErrorCode::kProtocol) << "nor as kept";
}

TEST_F(RemoteObjectsTest, WhatIsKeptIsBounded) {
  const std::string bytes = Pattern((RemoteObjects::kChunksKept + 1) * kObjectChunk);
  const RemotePart whole = Put(bytes);
  EXPECT_EQ(remote.Read(AppId{7}, whole).value(), bytes);
  const std::size_t before = server.gets();
  EXPECT_TRUE(remote.Read(AppId{7}, Cut(whole, 0, 1)).ok());
  EXPECT_EQ(server.gets(), before + 1) << "the oldest one went";
}

}  // namespace
}  // namespace cloister
