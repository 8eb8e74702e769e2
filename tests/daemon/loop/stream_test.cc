#include "daemon/loop/stream.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <memory>
#include <string>

#include "tests/daemon/loop/support.h"

namespace cloister {
namespace {

class Collector : public Stream::Handler {
 public:
  void OnData(std::string_view bytes) override {
    data += bytes;
    if (on_data)
      on_data();
  }
  void OnEnd(bool broken) override {
    ended = true;
    was_broken = broken;
    if (on_end)
      on_end();
  }
  void OnDrained() override { ++drained; }
  std::string data;
  bool ended = false;
  bool was_broken = false;
  int drained = 0;
  std::function<void()> on_data;
  std::function<void()> on_end;
};

std::string ReadAvailable(int fd) {
  std::string all;
  std::array<char, 65536> buffer = {};
  ssize_t size = 0;
  while ((size = ::recv(fd, buffer.data(), buffer.size(), MSG_DONTWAIT)) > 0)
    all.append(buffer.data(), static_cast<std::size_t>(size));
  return all;
}

TEST(StreamTest, ReadsOnlyWhenItShall) {
  Loop loop;
  auto [ours, theirs] = SocketPair();
  Collector collector;
  Stream stream(loop, std::move(ours), collector);
  ASSERT_EQ(5, ::write(theirs.get(), "hello", 5));
  RunBriefly(loop);
  EXPECT_EQ("", collector.data);
  stream.ReadStart();
  RunUntil(loop, [&] { return collector.data == "hello"; });
  stream.ReadStop();
  ASSERT_EQ(5, ::write(theirs.get(), "again", 5));
  RunBriefly(loop);
  EXPECT_EQ("hello", collector.data);
}

TEST(StreamTest, WritesOfATurnLeaveTogether) {
  Loop loop;
  auto [ours, theirs] = SocketPair(SOCK_SEQPACKET);  // shows what one system call sent
  Collector collector;
  Stream stream(loop, std::move(ours), collector);
  loop.Post([&] {
    stream.Write("a");
    stream.Write("bc");
    stream.out() += "def";
    stream.Touch();
    EXPECT_EQ(6u, stream.pending());
  });
  RunUntil(loop, [&] { return collector.drained > 0; });
  std::array<char, 100> buffer = {};
  EXPECT_EQ(6, ::recv(theirs.get(), buffer.data(), buffer.size(), MSG_DONTWAIT));
  EXPECT_EQ("abcdef", std::string(buffer.data(), 6));
  EXPECT_EQ(6u, stream.sent());
  EXPECT_EQ(1, collector.drained);
}

TEST(StreamTest, WhatThePeerDoesNotTakeIsKept) {
  Loop loop;
  auto [ours, theirs] = SocketPair();
  Collector collector;
  Stream stream(loop, std::move(ours), collector);
  const std::string bytes(8 << 20, 'x');
  stream.Write(bytes);
  RunBriefly(loop);
  EXPECT_GT(stream.pending(), 0u);
  EXPECT_EQ(0, collector.drained);
  stream.Write("end");
  std::string received;
  RunUntil(loop, [&] {
    received += ReadAvailable(theirs.get());
    return received.size() == bytes.size() + 3;
  });
  EXPECT_TRUE(received.ends_with("xend"));
  RunUntil(loop, [&] { return collector.drained == 1; });
  EXPECT_EQ(0u, stream.pending());
}

TEST(StreamTest, FlushSendsAtOnce) {
  Loop loop;
  auto [ours, theirs] = SocketPair();
  Collector collector;
  Stream stream(loop, std::move(ours), collector);
  stream.Write("now");
  stream.Flush();
  EXPECT_EQ("now", ReadAvailable(theirs.get()));
}

TEST(StreamTest, AHalfClosedPeerCanStillBeWrittenTo) {
  Loop loop;
  auto [ours, theirs] = SocketPair();
  Collector collector;
  Stream stream(loop, std::move(ours), collector);
  stream.ReadStart();
  ASSERT_EQ(3, ::write(theirs.get(), "bye", 3));
  ASSERT_EQ(0, ::shutdown(theirs.get(), SHUT_WR));
  RunUntil(loop, [&] { return collector.ended; });
  EXPECT_EQ("bye", collector.data);
  EXPECT_FALSE(collector.was_broken);
  stream.Write("answer");
  RunUntil(loop, [&] { return collector.drained > 0; });
  EXPECT_EQ("answer", ReadAvailable(theirs.get()));
}

TEST(StreamTest, APeerThatIsGoneHasBrokenIt) {
  Loop loop;
  auto [ours, theirs] = SocketPair();
  Collector collector;
  Stream stream(loop, std::move(ours), collector);
  stream.ReadStart();
  ASSERT_EQ(4, ::write(theirs.get(), "last", 4));
  theirs.Reset();
  RunUntil(loop, [&] { return collector.ended; });
  EXPECT_TRUE(collector.was_broken);
  EXPECT_EQ("last", collector.data);
}

TEST(StreamTest, AWriteToNobodyBreaksIt) {
  Loop loop;
  auto [ours, theirs] = SocketPair();
  Collector collector;
  Stream stream(loop, std::move(ours), collector);
  theirs.Reset();
  stream.Write("anybody?");
  EXPECT_FALSE(collector.ended);  // not from within the call
  RunUntil(loop, [&] { return collector.ended; });
  EXPECT_TRUE(collector.was_broken);
  EXPECT_EQ(0u, stream.pending());
  stream.Write("lost");
  RunBriefly(loop);
}

TEST(StreamTest, ABlockedWriterHearsThatItsPeerDied) {
  Loop loop;
  auto [ours, theirs] = SocketPair();
  Collector collector;
  Stream stream(loop, std::move(ours), collector);  // never reads
  stream.Write(std::string(8 << 20, 'x'));
  RunBriefly(loop);
  EXPECT_GT(stream.pending(), 0u);
  theirs.Reset();
  RunUntil(loop, [&] { return collector.ended; });
  EXPECT_TRUE(collector.was_broken);
}

TEST(StreamTest, ShutsItsSideWhenAllHasLeft) {
  Loop loop;
  auto [ours, theirs] = SocketPair();
  Collector collector;
  Stream stream(loop, std::move(ours), collector);
  stream.Write("last words");
  stream.ShutdownWrite();
  RunUntil(loop, [&] { return collector.drained > 0; });
  EXPECT_EQ("last words", ReadAvailable(theirs.get()));
  char byte = 0;
  EXPECT_EQ(0, ::recv(theirs.get(), &byte, 1, MSG_DONTWAIT));
}

TEST(StreamTest, MayBeDestroyedByItsHandler) {
  for (const bool at_end : {false, true}) {
    Loop loop;
    auto [ours, theirs] = SocketPair();
    Collector collector;
    auto stream = std::make_unique<Stream>(loop, std::move(ours), collector);
    (at_end ? collector.on_end : collector.on_data) = [&] { stream.reset(); };
    stream->ReadStart();
    stream->Write("pending");
    ASSERT_EQ(1, ::write(theirs.get(), "x", 1));
    ASSERT_EQ(0, ::shutdown(theirs.get(), SHUT_WR));
    RunUntil(loop, [&] { return stream == nullptr; });
  }
}

TEST(StreamTest, IsDestroyedWithBytesPending) {
  Loop loop;
  auto [ours, theirs] = SocketPair();
  Collector collector;
  loop.Post([&, &our_end = ours] {
    Stream stream(loop, std::move(our_end), collector);
    stream.Write("dropped");
  });
  RunBriefly(loop);
  EXPECT_EQ("", ReadAvailable(theirs.get()));
  EXPECT_EQ(0, collector.drained);
}

TEST(StreamTest, GivesItsDescriptorAway) {
  Loop loop;
  auto [ours, theirs] = SocketPair();
  Collector collector;
  Stream stream(loop, std::move(ours), collector);
  stream.ReadStart();
  RunBriefly(loop);
  const UniqueFd fd = stream.Release();
  ASSERT_EQ(1, ::write(theirs.get(), "x", 1));
  RunBriefly(loop);
  EXPECT_EQ("", collector.data);
  EXPECT_EQ("x", ReadAvailable(fd.get()));
}

TEST(StreamTest, ManyBytesOfOneDoNotKeepOthersWaiting) {
  Loop loop;
  auto [greedy_ours, greedy_theirs] = SocketPair();
  auto [modest_ours, modest_theirs] = SocketPair();
  ASSERT_EQ(0, ::fcntl(greedy_theirs.get(), F_SETFL, O_NONBLOCK));
  Collector greedy;
  Collector modest;
  Stream greedy_stream(loop, std::move(greedy_ours), greedy);
  Stream modest_stream(loop, std::move(modest_ours), modest);
  const std::string much(64 * 1024, 'x');
  // As fast as it is read, more is there.
  greedy.on_data = [&, &fd = greedy_theirs] {
    if (greedy.data.size() < (64u << 20))
      (void)::send(fd.get(), much.data(), much.size(), MSG_NOSIGNAL);
  };
  greedy_stream.ReadStart();
  modest_stream.ReadStart();
  ASSERT_GT(::send(greedy_theirs.get(), much.data(), much.size(), MSG_NOSIGNAL), 0);
  ASSERT_EQ(1, ::write(modest_theirs.get(), "x", 1));
  std::size_t greedy_before = 0;
  modest.on_data = [&] { greedy_before = greedy.data.size(); };
  RunUntil(loop, [&] { return !modest.data.empty(); });
  EXPECT_LE(greedy_before, 256u * 1024);
}

}  // namespace
}  // namespace cloister
