#pragma once

// A query process that a test speaks for, which serves one session.

#include <gtest/gtest.h>
#include <sys/socket.h>

#include <array>
#include <string>
#include <string_view>
#include <utility>

#include "apis/query/packets.h"
#include "apis/wire/fd_socket.h"
#include "apis/wire/frame.h"
#include "tests/daemon/workers/worker_fixture.h"

namespace cloister {

class ScriptedQuery {
 public:
  explicit ScriptedQuery(WorkerGround& ground) : ground_(ground) {}

  // The first statement starts the process, which gets the session's socket. Once.
  void Start() {
    if (socket_.valid())
      return;
    ASSERT_TRUE(ground_.Until([&] { return !ground_.processes.queries.empty(); }));
    const FakeProcesses::Query& process = ground_.processes.queries.back();
    (void)ReceivePacket(process.control.get());
    std::string frame;
    AppendFrame(frame,
                {.type = FrameType::kReady, .flags = 0, .id = 0, .payload = std::string(8, '\0')});
    ASSERT_GT(::send(process.channel.get(), frame.data(), frame.size(), MSG_NOSIGNAL), 0);
    ASSERT_TRUE(ground_.Until([&] { return HasSome(process.control.get()); }));
    auto received = ReceivePacket(process.control.get());
    ASSERT_EQ(1U, received.value().packet.fds.size());
    socket_ = std::move(received.value().packet.fds.front());
  }

  // A packet that it got.
  std::string Received() {
    EXPECT_TRUE(ground_.Until([&] { return HasSome(socket_.get()); }));
    std::string packet(kQueryPacketMax, '\0');
    const ssize_t size = ::recv(socket_.get(), packet.data(), packet.size(), MSG_DONTWAIT);
    packet.resize(size > 0 ? static_cast<std::size_t>(size) : 0);
    return packet;
  }
  // What it got, whole.
  std::string ReceivedStatement() {
    std::string whole;
    for (bool more = true; more;) {
      const std::string packet = Received();
      const auto parsed = ParseQueryPacket(packet);
      if (!parsed.ok())
        return {};
      whole += parsed.value().piece;
      more = (parsed.value().flags & kQueryMore) != 0;
    }
    return whole;
  }

  void Say(std::string_view packet) const {
    ASSERT_GT(::send(socket_.get(), packet.data(), packet.size(), MSG_NOSIGNAL), 0);
  }
  void Reply(std::string_view piece, std::uint8_t flags = 0, std::uint32_t id = 1,
             std::uint32_t epoch = 1) const {
    Say(EncodeQueryPacket({.type = QueryPacketType::kReply,
                           .flags = flags,
                           .epoch = epoch,
                           .id = id,
                           .piece = piece}));
  }
  // A whole answer.
  static std::string Head(bool in_transaction = false) {
    return EncodeQueryFailure({.in_transaction = in_transaction}, QueryErrorClass::kData, "c", "");
  }

 private:
  static bool HasSome(int fd) {
    std::array<char, 1> byte = {};
    return ::recv(fd, byte.data(), 1, MSG_PEEK | MSG_DONTWAIT) > 0;
  }

  WorkerGround& ground_;
  UniqueFd socket_;
};

}  // namespace cloister
