#include "apis/wire/messages.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace cloister {
namespace {

using std::string_literals::operator""s;

// "Name=number field:type ...", as the fields come on the wire.
struct Describer {
  std::string& out;
  void operator()(const char* name, wire::U32) { out += " "s + name + ":U32"; }
  void operator()(const char* name, wire::U64) { out += " "s + name + ":U64"; }
  void operator()(const char* name, const wire::STR&) { out += " "s + name + ":STR"; }
};

// Gives every field a value of its own.
struct Filler {
  std::uint32_t next = 1;
  void operator()(const char*, wire::U32& value) { value = 0x01010101 * next++; }
  void operator()(const char*, wire::U64& value) { value = 0x0101010101010101 * next++; }
  void operator()(const char* name, wire::STR& value) { value = name; }
};

template <typename M>
std::string Describe() {
  std::string text =
      std::string(MessageName(M::kType)) + "=" + std::to_string(static_cast<int>(M::kType));
  M().ForEachField(Describer{text});
  return text;
}

template <typename M>
void CheckMessage(std::vector<std::string>& described) {
  described.push_back(Describe<M>());
  SCOPED_TRACE(described.back());
  M message;
  message.ForEachField(Filler());
  const std::string packet = EncodeMessage(message);
  EXPECT_EQ(M::kType, TypeOf(packet));
  const auto decoded = DecodeMessage<M>(packet);
  ASSERT_TRUE(decoded.ok());
  EXPECT_TRUE(message == decoded.value());
  for (std::size_t size = 0; size < packet.size(); ++size)
    EXPECT_FALSE(DecodeMessage<M>(packet.substr(0, size)).ok()) << size;
  EXPECT_FALSE(DecodeMessage<M>(packet + "x").ok());
  std::string other = packet;
  other[0] = static_cast<char>(0x7f);
  EXPECT_FALSE(DecodeMessage<M>(other).ok());
}

// What is on the wire between two versions of the node must not change unseen.
TEST(MessagesTest, NumbersFieldsAndOrderAreAsTheyWere) {
  std::vector<std::string> described;
#define MESSAGE(name, number) CheckMessage<name>(described);
#define FIELD(type, name)
#define END_MESSAGE
#include "apis/wire/messages.def"
#undef MESSAGE
#undef FIELD
#undef END_MESSAGE
  const std::vector<std::string> expected = {
      ("NodeStart=1 generation:U64 settings:STR state_dir:STR writer:U32 per_worker_uids:U32 "
       "cgroups:STR fd_names:STR"),
      "ZygoteSocket=2",
      "WorkerPlaced=3 worker_id:U64 error:STR",
      "WorkerExited=4 worker_id:U64 status:U32 cpu_us:U64",
      "BecomeWriter=5",
      "Drain=6",
      "Stop=7 grace_ms:U64",
      "NodeAlone=17",
      "NodeReady=8",
      "WriterReleased=9",
      "PlaceWorker=10 worker_id:U64 group:STR memory_max_bytes:U64 cpu_millis:U64 pids_max:U64",
      "KillWorker=11 worker_id:U64",
      "InterruptWorker=12 worker_id:U64",
      "DrainDone=14",
      "NodePrepared=15",
      "ZygoteWanted=16",
      "ZygoteStart=20 number:U32 own_uids:U32 landlock:U32",
      "NodeSocket=21 generation:U64",
      "WorkerUid=24 uid:U32",
      "Cloned=22 worker_id:U64 generation:U64 pid:U32 uid:U32",
      "ZygoteReady=23 start_us:U64 python:STR",
      "BlankWanted=30 count:U32",
      "BlankReady=31 worker_id:U64 pid:U32",
      "BlankFailed=32 error:STR",
      ("HandOver=40 worker_id:U64 job:U32 app:STR version:STR entry:STR memory_max_bytes:U64 "
       "address_space_max_bytes:U64 threads_max:U32 environment:STR module_rules:STR"),
      "BlankRefused=41 step:STR error:STR",
      ("LateEvent=50 app:U64 time_us:U64 release:STR worker:U64 request_id:STR source:U32 "
       "level:U32 cut:U32 check:U32 app_name:STR logger:STR fields:STR bytes:STR more:U32"),
      "ClientConnection=51 server:U32 read_ahead:STR",
      "LateCacheSocket=52",
      "CacheLost=53 app:U64 generation:U64",
      "CacheRaised=54 app:U64 generation:U64",
      ("QueryOrders=60 mode:U32 bytes_max:U64 statement_ms:U64 result_max:U64 statements_rate:U32 "
       "transactions_max:U32 transaction_ms:U64 idle_ms:U64"),
      "QueryAttach=61 link:U64 epoch:U32",
      "QueryLogin=62 user:STR password:STR database:STR",
  };
  EXPECT_EQ(expected, described);
}

TEST(MessagesTest, GoldenBytes) {
  WorkerExited message;
  message.worker_id = 0x0000000100000002;
  message.status = 9;
  message.cpu_us = 0x0a0b;
  EXPECT_EQ("\x04\x02\x00\x00\x00\x01\x00\x00\x00\x09\x00\x00\x00\x0b\x0a\x00\x00\x00\x00\x00\x00"s,
            EncodeMessage(message));
  WorkerPlaced placed;
  placed.worker_id = 1;
  placed.error = "no";
  EXPECT_EQ("\x03\x01\x00\x00\x00\x00\x00\x00\x00\x02\x00\x00\x00no"s, EncodeMessage(placed));
  EXPECT_EQ("\x06"s, EncodeMessage(Drain()));
}

TEST(MessagesTest, OtherNumbersAreToldApart) {
  const auto decoded = DecodeMessage<Drain>(EncodeMessage(NodeReady()));
  ASSERT_FALSE(decoded.ok());
  EXPECT_EQ(ErrorCode::kProtocol, decoded.error().code);
  EXPECT_EQ("expected Drain, got NodeReady", decoded.error().message);
  EXPECT_STREQ("nothing", MessageName(TypeOf("")));
  EXPECT_STREQ("unknown", MessageName(TypeOf("\xff")));
}

}  // namespace
}  // namespace cloister
