// docs/protocol.md shows messages as bytes. This holds every example to the encoder.

#include <gtest/gtest.h>

#include <array>
#include <cstdio>
#include <fstream>
#include <functional>
#include <iterator>
#include <map>
#include <sstream>
#include <string>

#include "apis/base/units.h"
#include "apis/calls.h"
#include "apis/query/packets.h"
#include "apis/wire/channel.h"
#include "apis/wire/codec.h"
#include "apis/wire/config_values.h"
#include "apis/wire/event_fields.h"
#include "apis/wire/frame.h"
#include "apis/wire/messages.h"

namespace cloister {
namespace {

using Examples = std::map<std::string, std::string>;

std::string FrameOf(FrameType type, std::uint8_t flags, std::uint32_t id,
                    const std::function<void(WireWriter&)>& write) {
  std::string bytes;
  const std::size_t begin = BeginFrame(bytes, type, flags, id);
  WireWriter writer(bytes);
  write(writer);
  FinishFrame(bytes, begin);
  return bytes;
}

void AddNodeFrames(Examples& examples) {
  examples["request"] = FrameOf(FrameType::kRequest, 0, 0x11, [](WireWriter& writer) {
    const RequestHead head{.slot = 0,
                           .http_minor = 1,
                           .wall_ms = 30000,
                           .content_length = 0,
                           .method = "GET",
                           .target = "/",
                           .scheme = "http",
                           .server_name = "h.d.localhost",
                           .server_port = "8080",
                           .remote_addr = "127.0.0.1",
                           .remote_port = "40000",
                           .request_id = "01HF",
                           .headers = {{.name = "accept", .value = "*/*"}}};
    head.Encode(writer);
  });
  examples["runtime-request"] = FrameOf(
      FrameType::kRequest, kFrameForRuntime | kFrameInlineBody, 0x11, [](WireWriter& writer) {
        const RequestHead head{.slot = 0,
                               .http_minor = 1,
                               .wall_ms = 5000,
                               .content_length = 5,
                               .method = "POST",
                               .target = "match",
                               .scheme = "http",
                               .server_name = {},
                               .server_port = {},
                               .remote_addr = {},
                               .remote_port = {},
                               .request_id = "01HF",
                               .headers = {{.name = "pattern", .value = "hel+"}}};
        head.Encode(writer);
        writer.Raw("hello");
      });
  examples["request-body"] = FrameOf(FrameType::kRequestBody, kFrameEnd, 0x11,
                                     [](WireWriter& writer) { writer.Raw("last"); });
  examples["credit"] =
      FrameOf(FrameType::kCredit, 0, 0x11, [](WireWriter& writer) { writer.U32(65536); });
  examples["call-reply"] = FrameOf(FrameType::kCallReply, 0, 2, [](WireWriter& writer) {
    writer.Raw(EncodeReply(CacheGetResult{.value = "v"}));
  });
  examples["call-refused"] = FrameOf(FrameType::kCallReply, 0, 2, [](WireWriter& writer) {
    writer.Raw(EncodeReply(
        QuotaRefusal{.quota = "cache.calls", .limit = 5000, .used = 5001, .retry_after_ms = 1000}));
  });
  examples["config"] = FrameOf(FrameType::kConfig, 0, 0, [](WireWriter& writer) {
    std::string payload;
    EncodeConfig(payload, {{.name = "SIZE", .value = "20", .secret = false},
                           {.name = "TOKEN", .value = "a-token-1-2", .secret = true}});
    writer.Raw(payload);
  });
  examples["shutdown"] = FrameOf(FrameType::kShutdown, 0, 0, [](WireWriter&) {});
}

void AddWorkerFrames(Examples& examples) {
  examples["ready"] =
      FrameOf(FrameType::kReady, 0, 0, [](WireWriter& writer) { writer.U64(3100); });
  examples["boot-failed"] = FrameOf(FrameType::kBootFailed, 0, 0, [](WireWriter& writer) {
    const BootReport report{.code = "import_error",
                            .message = "No module named 'x'",
                            .file = "app.py",
                            .line = 3,
                            .traceback = "..."};
    report.Encode(writer);
  });
  examples["response"] =
      FrameOf(FrameType::kResponse, kFrameEnd | kFrameInlineBody, 0x11, [](WireWriter& writer) {
        const ResponseHead head{
            .status = 200, .reason = "OK", .headers = {{.name = "Content-Length", .value = "5"}}};
        head.Encode(writer);
        writer.Raw("Hello");
      });
  examples["response-body"] = FrameOf(FrameType::kResponseBody, kFrameEnd, 0x11,
                                      [](WireWriter& writer) { writer.Raw("end"); });
  examples["body-credit"] =
      FrameOf(FrameType::kBodyCredit, 0, 0x11, [](WireWriter& writer) { writer.U32(131072); });
  examples["log"] = FrameOf(FrameType::kLog, 0, 0x11, [](WireWriter& writer) {
    const LogHead head{.source = LogSource::kStdout, .level = 0, .logger = ""};
    head.Encode(writer);
    writer.Raw("hi\n");
  });
  examples["log-with-fields"] = FrameOf(FrameType::kLog, 0, 0x11, [](WireWriter& writer) {
    const std::string fields = EncodeEventFields(
        {{.name = "user", .value = std::int64_t{3}}, {.name = "coupon", .value = "FREE"}});
    const LogHead head{
        .source = LogSource::kLogging, .level = 20, .logger = "shop", .fields = fields};
    head.Encode(writer);
    writer.Raw("sold");
  });
  examples["call"] = FrameOf(FrameType::kCall, 0, 2, [](WireWriter& writer) {
    std::string args;
    EncodeFields(CacheSet{.mode = 0, .key = "k", .value = "v", .ttl_ms = 60000}, args);
    writer.U16(static_cast<std::uint16_t>(CacheSet::kNumber));
    writer.Raw(args);
  });
  examples["abort"] = FrameOf(FrameType::kResponseAbort, 0, 0x11,
                              [](WireWriter& writer) { writer.Str32("raised"); });
  examples["code"] = FrameOf(FrameType::kCode, 0, 0, [](WireWriter& writer) {
    writer.Str16("a.py");
    writer.Raw("\xe3");
  });
  examples["refused"] = FrameOf(FrameType::kRefused, 0, 0x11, [](WireWriter& writer) {
    writer.Str16("open");
    writer.U32(2);
  });
}

void AddMessages(Examples& examples) {
  examples["blank-wanted"] = EncodeMessage(BlankWanted{.count = 2});
  examples["blank-ready"] = EncodeMessage(BlankReady{.worker_id = 0x100000007, .pid = 4711});
  examples["place-worker"] = EncodeMessage(PlaceWorker{.worker_id = 0x100000007,
                                                       .group = "app-3",
                                                       .memory_max_bytes = MiB(256).count,
                                                       .cpu_millis = 1000,
                                                       .pids_max = 64});
  examples["worker-placed"] = EncodeMessage(WorkerPlaced{.worker_id = 0x100000007, .error = {}});
  examples["worker-exited"] =
      EncodeMessage(WorkerExited{.worker_id = 0x100000007, .status = 9, .cpu_us = 1500});
  examples["zygote-wanted"] = EncodeMessage(ZygoteWanted{});
  examples["zygote-socket"] = EncodeMessage(ZygoteSocket{});
  examples["client-connection"] =
      EncodeMessage(ClientConnection{.server = 1, .read_ahead = "GET /"});
  examples["cache-lost"] = EncodeMessage(CacheLost{.app = 3, .generation = 7});
  examples["cache-raised"] = EncodeMessage(CacheRaised{.app = 3, .generation = 8});
}

void AddPackets(Examples& examples) {
  examples["query-attach"] = EncodeMessage(QueryAttach{.link = 5, .epoch = 1});
  std::string statement;
  WireWriter out(statement);
  out.U64(3);
  out.U8(static_cast<std::uint8_t>(QueryBegin::kDeferred));
  out.U8(0);
  out.U8(0);
  out.U64(0);
  out.Str32("SELECT ?");
  out.U8(0);
  out.U32(1);
  out.U32(1);
  out.U8(static_cast<std::uint8_t>(QueryValueType::kInt));
  out.U64(42);
  EXPECT_TRUE(QueryStatement::Decode(statement).ok());
  examples["query-statement"] = EncodeQueryPacket(
      {.type = QueryPacketType::kStatement, .flags = 0, .epoch = 1, .id = 7, .piece = statement});
  std::string reply;
  WireWriter answer(reply);
  QueryReplyHead{}.Encode(answer);
  answer.U64(~std::uint64_t{0});
  answer.U8(0);
  answer.U64(0);
  answer.U16(1);
  answer.U8(1);
  answer.Str32("?");
  answer.U8(0);
  answer.U32(1);
  answer.U8(static_cast<std::uint8_t>(QueryValueType::kInt));
  answer.U64(42);
  examples["query-reply"] = EncodeQueryPacket(
      {.type = QueryPacketType::kReply, .flags = 0, .epoch = 1, .id = 7, .piece = reply});
  examples["query-reset"] = EncodeQueryPacket(
      {.type = QueryPacketType::kReset, .flags = 0, .epoch = 2, .id = 0, .piece = "gone"});
}

Examples Expected() {
  Examples examples;
  AddNodeFrames(examples);
  AddWorkerFrames(examples);
  AddMessages(examples);
  AddPackets(examples);
  return examples;
}

// The blocks ```hex NAME of the document, without comments, as bytes.
Examples Documented() {
  std::ifstream file(CLOISTER_SOURCE_DIR "/docs/protocol.md");
  Examples examples;
  std::string* block = nullptr;
  for (std::string line; std::getline(file, line);) {
    constexpr std::string_view kOpen = "```hex ";
    if (line.starts_with(kOpen)) {
      block = &examples[line.substr(kOpen.size())];
      continue;
    }
    if (line.starts_with("```"))
      block = nullptr;
    if (block == nullptr)
      continue;
    std::istringstream words(line.substr(0, line.find('#')));
    for (std::string word; words >> word;)
      *block += static_cast<char>(std::stoi(word, nullptr, 16));
  }
  return examples;
}

std::string Hex(std::string_view bytes) {
  std::string text;
  for (const char byte : bytes) {
    std::array<char, 4> digits = {};
    (void)std::snprintf(digits.data(), digits.size(), "%02x ", static_cast<unsigned char>(byte));
    text += digits.data();
  }
  return text;
}

TEST(ProtocolDocTest, EveryExampleIsWhatTheEncoderWrites) {
  const Examples documented = Documented();
  for (const auto& [name, bytes] : Expected()) {
    const auto found = documented.find(name);
    if (found == documented.end())
      ADD_FAILURE() << name << " is not shown: " << Hex(bytes);
    else
      EXPECT_EQ(Hex(found->second), Hex(bytes)) << name;
  }
}

TEST(ProtocolDocTest, NothingElseIsShown) {
  const Examples expected = Expected();
  for (const auto& [name, bytes] : Documented())
    EXPECT_TRUE(expected.contains(name)) << name;
}

}  // namespace
}  // namespace cloister
