// The near cache shows no app a value that was overwritten, deleted or cleared before it asked,
// whatever is under way at the same time and whatever becomes of Redis.

#include <gtest/gtest.h>

#include <array>
#include <random>

#include "tests/apis/cache/cache_fixture.h"

namespace cloister {
namespace {

// Random calls of many callers at one time. Every write has a number, which is the value that it
// stores; one write of a key is under way at a time, so when it was answered nothing with a smaller
// number may be read by whoever asks afterwards.
class NearModel {
 public:
  NearModel(RedisServer& server, CacheNode& node, unsigned seed)
      : server_(server), node_(node), random_(seed) {}

  void Run(int steps, bool mistreated) {
    for (int step = 0; step < steps; ++step) {
      for (std::size_t key = 0; key < kKeys; ++key)
        if (writes_[key].id == 0 && Chance(2))
          BeginWrite(key);
      for (int i = Pick(4); i > 0; --i)
        BeginRead();
      if (mistreated && Chance(10))
        Mistreat();
      if (Chance(40))
        Clear();
      // Time passes in steps, so that what is near lasts.
      node_.clock.Advance(Millis(Pick(20)));
      if (Chance(2))
        RunFor(node_.loop, Millis(1));
      EndAll();
    }
    if (stopped_)
      server_.Continue();
    for (const Write& write : writes_)
      if (write.id != 0)
        (void)node_.Await(write.id);
    EndAll();
  }
  int read() const { return read_; }

 private:
  static constexpr std::size_t kKeys = 4;
  static constexpr std::array<std::string_view, kKeys> kNames = {"a", "b", "c", "d"};

  struct Write {
    CallId id = 0;  // 0: none is under way
    CallNumber number = {};
    int value = 0;
  };
  struct Read {
    CallId id = 0;
    bool many = false;
    std::size_t key = 0;
    std::array<int, kKeys> least = {};  // that may be read
  };

  int Pick(int below) { return std::uniform_int_distribution(0, below - 1)(random_); }
  bool Chance(int one_in) { return Pick(one_in) == 0; }

  void BeginWrite(std::size_t key) {
    const int value = ++last_;
    const std::string text = std::to_string(value);
    Write write = {.value = value};
    const auto set = [&](CacheSetMode mode) {
      write.number = CallNumber::kCacheSet;
      write.id = node_.Begin(node_.Origin(), CacheSet{.mode = static_cast<std::uint8_t>(mode),
                                                      .key = kNames[key],
                                                      .value = text,
                                                      .ttl_ms = Chance(3) ? 1000000U : 0U});
    };
    switch (Pick(6)) {
      case 0:
        write.number = CallNumber::kCacheDelete;
        write.id = node_.Begin(node_.Origin(), CacheDelete{.key = kNames[key]});
        break;
      case 1:
        set(CacheSetMode::kAdd);
        break;
      case 2:
        set(CacheSetMode::kReplace);
        break;
      case 3:
        write.number = CallNumber::kCacheTouch;
        write.id = node_.Begin(node_.Origin(), CacheTouch{.key = kNames[key]});
        break;
      default:
        set(CacheSetMode::kSet);
        sets_[key] = value;
        break;
    }
    writes_[key] = write;
  }

  void BeginRead() {
    // What is only checked reads the same.
    const CallOrigin origin = node_.Origin(1, Chance(5) ? 7 : 0);
    Read read = {.many = Chance(4), .key = static_cast<std::size_t>(Pick(kKeys)), .least = least_};
    if (read.many)
      read.id = node_.Begin(origin, CacheGetMulti{.keys = {kNames.begin(), kNames.end()}});
    else
      read.id = node_.Begin(origin, CacheGet{.key = kNames[read.key]});
    reads_.push_back(read);
  }

  void Clear() {
    const int value = ++last_;
    if (node_.Clear(node_.Origin()))
      for (std::size_t key = 0; key < kKeys; ++key)
        // What is being written meanwhile may come after it.
        least_[key] = std::max(least_[key], writes_[key].id != 0 ? writes_[key].value : value);
  }

  void EndAll() {
    for (std::size_t key = 0; key < kKeys; ++key)
      if (writes_[key].id != 0 && node_.answers.replies.contains(writes_[key].id))
        EndWrite(key);
    std::erase_if(reads_, [this](const Read& read) {
      if (!node_.answers.replies.contains(read.id))
        return false;
      End(read);
      return true;
    });
    node_.kept.clear();
  }

  void EndWrite(std::size_t key) {
    const Write write = std::exchange(writes_[key], Write());
    bool written = false;
    if (write.number == CallNumber::kCacheDelete) {
      // Whether it was there, not there, or is unknown: it is gone now.
      (void)node_.Take<CacheDeleteResult>(write.id);
      written = true;
    } else if (write.number == CallNumber::kCacheSet) {
      // A set that stored nothing has removed what was there.
      written = node_.Take<CacheSetResult>(write.id).stored != 0 || sets_[key] == write.value;
    } else {
      (void)node_.Take<CacheTouchResult>(write.id);
    }
    if (written)
      least_[key] = std::max(least_[key], write.value);
    node_.answers.replies.erase(write.id);
  }

  void Check(const Read& read, std::size_t key, const std::optional<std::string_view>& value) {
    if (!value)
      return;
    ++read_;
    EXPECT_GE(std::stoi(std::string(*value)), read.least[key]) << kNames[key] << " is stale";
  }

  void End(const Read& read) {
    if (read.many) {
      const auto result = node_.Take<CacheGetMultiResult>(read.id);
      for (std::size_t key = 0; key < result.values.size(); ++key)
        Check(read, key, result.values[key]);
    } else {
      Check(read, read.key, node_.Take<CacheGetResult>(read.id).value);
    }
    node_.answers.replies.erase(read.id);
  }

  void Mistreat() {
    switch (Pick(5)) {
      case 0:
        if (server_.runs() && !stopped_)
          server_.Stop();
        stopped_ = server_.runs();
        return;
      case 1:
      case 2:
        if (stopped_)
          server_.Continue();
        stopped_ = false;
        return;
      case 3:
        if (!server_.runs())
          server_.Start();
        else if (!stopped_ && Chance(4))
          server_.Kill();
        return;
      default:
        if (server_.runs() && !stopped_)
          server_.Cli({"CLIENT", "KILL", "TYPE", "normal"});
        return;
    }
  }

  RedisServer& server_;
  CacheNode& node_;
  std::mt19937 random_;
  std::array<Write, kKeys> writes_;
  std::array<int, kKeys> sets_ = {};   // the last one's number
  std::array<int, kKeys> least_ = {};  // that may be read from now on
  std::vector<Read> reads_;
  int last_ = 0;
  int read_ = 0;
  bool stopped_ = false;
};

TEST(CacheNearModelTest, WhoAsksAfterAWriteWasAnsweredReadsNothingOlder) {
  for (unsigned seed = 1; seed <= 4; ++seed) {
    RedisServer server;
    CacheNode node(server.socket());
    ASSERT_TRUE(node.IsUp());
    node.service.SetNear(true);
    NearModel model(server, node, seed);
    model.Run(3000, false);
    EXPECT_GT(model.read(), 1000) << "seed " << seed;
    EXPECT_GT(node.service.counters().near, 100U) << "seed " << seed;
  }
}

TEST(CacheNearModelTest, NorWhenTheServerIsMistreated) {
  std::uint64_t near = 0;
  for (unsigned seed = 1; seed <= 4; ++seed) {
    RedisServer server;
    CacheNode node(server.socket(), Millis(10));
    ASSERT_TRUE(node.IsUp());
    node.service.SetNear(true);
    NearModel model(server, node, seed);
    model.Run(1500, true);
    near += node.service.counters().near;
    EXPECT_GT(node.service.counters().invalidated, 0U) << "seed " << seed;
  }
  EXPECT_GT(near, 50U) << "a test that reads nothing near shows nothing";
}

}  // namespace
}  // namespace cloister
