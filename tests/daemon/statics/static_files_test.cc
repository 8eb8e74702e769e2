#include "daemon/statics/static_files.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <set>

#include "tests/support/fake_exchange.h"

namespace cloister {
namespace {

using ::testing::HasSubstr;

constexpr std::int64_t kTime = 784111777;
constexpr const char* kDate = "Sun, 06 Nov 1994 08:49:37 GMT";

using FileMap = std::map<std::string, std::string>;

std::shared_ptr<const StaticImage> ImageOf(const FileMap& files) {
  ImageBuilder builder;
  builder.SetTime(kTime);
  std::vector<Sha256> hashes;
  for (const auto& [path, bytes] : files) {
    builder.Add(path, bytes, "");
    hashes.push_back(Sha256Of(bytes));
  }
  auto fd = std::make_shared<const UniqueFd>(std::move(builder.BuildMemfd("test")).value());
  Image image = std::move(Image::Open(fd->get(), Image::NeedSeals::kYes)).value();
  return std::make_shared<const StaticImage>(std::move(fd), std::move(image), std::move(hashes));
}

// Gives images when the test says so.
class FakeSource : public StaticSource {
 public:
  void LoadStatics(ReleaseId release, StaticDone done) override {
    asked.push_back(release.number);
    waiting.push_back(std::move(done));
  }
  void Give(Result<std::shared_ptr<const StaticImage>> image) {
    const StaticDone done = std::move(waiting.front());
    waiting.erase(waiting.begin());
    done(std::move(image));
  }
  std::vector<std::uint64_t> asked;
  std::vector<StaticDone> waiting;
};

class StaticFilesTest : public testing::Test {
 protected:
  using Found = StaticFiles::Found;

  StaticSite Site(std::uint64_t release = 7) {
    return {.release = {release}, .app = app_, .version = "1.2.0", .routes = routes_};
  }
  // With the image loaded.
  Found Ask(FakeExchange& exchange, std::uint64_t release = 7) {
    const Found found = files_.Answer(Site(release), exchange);
    if (found != Found::kNotLoaded)
      return found;
    files_.Load({release}, exchange, [](Exchange&) {});
    source_.Give(ImageOf(contents_));
    return files_.Answer(Site(release), exchange);
  }

  AppName app_ = AppName::Parse("demo/hello").value();
  StaticRoutes routes_ = {{.path = "/favicon.ico", .target = "icons/one.ico", .cache = Seconds(60)},
                          {.path = "/s/", .target = "static/"}};
  FileMap contents_ = {{"static/app.js", "plain script"},
                       {"static/app.js.br", "br script"},
                       {"static/app.js.gz", "gzip script"},
                       {"static/docs/index.html", "<p>"},
                       {"static/img/a b.png", "png"},
                       {"static/large.bin", std::string(300'000, 'x')},
                       {"static/empty.txt", ""},
                       {"icons/one.ico", "icon"},
                       {"main.py", "secret = 1"}};
  Loop loop_;
  FakeSource source_;
  StaticFiles files_{loop_, source_, StaticFiles::Options()};
};

TEST_F(StaticFilesTest, AFileComesWithAllThatCachesNeed) {
  FakeExchange exchange("/s/img/a%20b.png?v=1");
  ASSERT_EQ(Ask(exchange), Found::kAnswered);
  EXPECT_TRUE(exchange.finished);
  EXPECT_EQ(exchange.status, 200);
  EXPECT_EQ(exchange.length, 3U);
  EXPECT_EQ(exchange.body, "png");
  EXPECT_EQ(exchange.ResponseHeader("Content-Type"), "image/png");
  EXPECT_EQ(exchange.ResponseHeader("ETag"), "\"" + Sha256Of("png").Hex() + "\"");
  EXPECT_EQ(exchange.ResponseHeader("Last-Modified"), kDate);
  EXPECT_EQ(exchange.ResponseHeader("Cache-Control"), "no-cache");
  EXPECT_EQ(exchange.ResponseHeader("Accept-Ranges"), "bytes");
  EXPECT_EQ(exchange.ResponseHeader("X-Content-Type-Options"), "nosniff");
  EXPECT_EQ(exchange.ResponseHeader("Vary"), "");
  EXPECT_EQ(exchange.notes().app, "demo/hello");
  EXPECT_EQ(exchange.notes().release, "1.2.0");
}

TEST_F(StaticFilesTest, ASinglePathIsOneFileAndMayBeKept) {
  FakeExchange exchange("/favicon.ico");
  ASSERT_EQ(Ask(exchange), Found::kAnswered);
  EXPECT_EQ(exchange.body, "icon");
  EXPECT_EQ(exchange.ResponseHeader("Cache-Control"), "public, max-age=60");
}

TEST_F(StaticFilesTest, APathThatEndsInASlashIsItsIndex) {
  FakeExchange exchange("/s/docs/");
  ASSERT_EQ(Ask(exchange), Found::kAnswered);
  EXPECT_EQ(exchange.body, "<p>");
  EXPECT_EQ(exchange.ResponseHeader("Content-Type"), "text/html; charset=utf-8");
}

TEST_F(StaticFilesTest, WhatIsNoFileIsTheApps) {
  for (const char* target :
       {"/", "/s", "/s/", "/s/none.js", "/s/docs", "/s/img/", "/s/../main.py", "/s/%2e%2e/main.py",
        "/s/..%2fmain.py", "/s//app.js", "/s/./app.js", "/s/app.js/", "/favicon.ico/", "/S/app.js",
        "/s/APP.JS", "/s/app.js%2f", "*", "/s/\\..\\main.py"}) {
    FakeExchange exchange(target);
    EXPECT_EQ(Ask(exchange), Found::kNoFile) << target;
    EXPECT_EQ(exchange.status, 0) << target;
  }
}

TEST_F(StaticFilesTest, EscapesAreDecodedBeforeARowIsLookedFor) {
  for (const char* target : {"/%73/app.js", "/s%2Fapp.js", "/s/app%2ejs", "/s/%61pp.js"}) {
    FakeExchange exchange(target);
    ASSERT_EQ(Ask(exchange), Found::kAnswered) << target;
    EXPECT_EQ(exchange.body, "plain script") << target;
  }
}

TEST_F(StaticFilesTest, AFileIsOnlyRead) {
  for (const char* method : {"POST", "PUT", "DELETE", "OPTIONS", "PATCH"}) {
    FakeExchange exchange("/s/app.js");
    exchange.request().method = method;
    ASSERT_EQ(Ask(exchange), Found::kAnswered) << method;
    EXPECT_EQ(exchange.status, 405) << method;
    EXPECT_EQ(exchange.ResponseHeader("Allow"), "GET, HEAD");
    EXPECT_THAT(exchange.body, HasSubstr("\"code\":\"static_method\""));
    EXPECT_EQ(exchange.notes().problem, "static_method");
  }
  FakeExchange post("/s/none");
  post.request().method = "POST";
  EXPECT_EQ(Ask(post), Found::kNoFile) << "no file: the app's";
}

TEST_F(StaticFilesTest, OfAHeadTheHeadAlone) {
  FakeExchange exchange("/s/large.bin");
  exchange.request().method = "HEAD";
  ASSERT_EQ(Ask(exchange), Found::kAnswered);
  EXPECT_EQ(exchange.status, 200);
  EXPECT_EQ(exchange.length, 300'000U);
  EXPECT_EQ(exchange.body, "");
  EXPECT_TRUE(exchange.finished);
}

struct CodingCase {
  const char* accept;  // null: no header
  const char* coding;
};

TEST_F(StaticFilesTest, TheFormThatTheClientLikesBest) {
  const CodingCase kCases[] = {
      {nullptr, ""},         {"", ""},
      {"gzip", "gzip"},      {"br", "br"},
      {"gzip, br", "br"},    {"gzip, br;q=0.9", "gzip"},
      {"br;q=0", ""},        {"*", "br"},
      {"identity", ""},      {"identity;q=0.5, gzip;q=0.5", "gzip"},
      {"zstd, deflate", ""}, {"gzip;q=0.5, identity", ""},
      {"identity;q=0", ""},  {"br;q=2", ""},
  };
  std::set<std::string> tags;
  for (const CodingCase& row : kCases) {
    FakeExchange exchange("/s/app.js");
    if (row.accept != nullptr)
      exchange.request().headers.push_back({.name = "accept-encoding", .value = row.accept});
    ASSERT_EQ(Ask(exchange), Found::kAnswered);
    const std::string shown = row.accept == nullptr ? "none" : row.accept;
    const std::string coding = row.coding;
    EXPECT_EQ(exchange.ResponseHeader("Content-Encoding"), coding) << shown;
    EXPECT_EQ(exchange.body, (coding.empty() ? "plain" : coding) + " script") << shown;
    EXPECT_EQ(exchange.ResponseHeader("Content-Type"), "text/javascript; charset=utf-8");
    EXPECT_EQ(exchange.ResponseHeader("Vary"), "Accept-Encoding");
    tags.insert(exchange.ResponseHeader("ETag"));
  }
  EXPECT_EQ(tags.size(), 3U) << "each form has its own";
}

TEST_F(StaticFilesTest, ACompressedFormAskedForByNameIsAFileLikeOthers) {
  FakeExchange exchange("/s/app.js.gz");
  exchange.request().headers = {{.name = "accept-encoding", .value = "gzip"}};
  ASSERT_EQ(Ask(exchange), Found::kAnswered);
  EXPECT_EQ(exchange.ResponseHeader("Content-Type"), "application/gzip");
  EXPECT_EQ(exchange.ResponseHeader("Content-Encoding"), "");
}

TEST_F(StaticFilesTest, WhoHasTheFileIsNotSentItAgain) {
  const std::string tag = "\"" + Sha256Of("gzip script").Hex() + "-gzip\"";
  FakeExchange exchange("/s/app.js");
  exchange.request().headers = {{.name = "accept-encoding", .value = "gzip"},
                                {.name = "if-none-match", .value = tag}};
  ASSERT_EQ(Ask(exchange), Found::kAnswered);
  EXPECT_EQ(exchange.status, 304);
  EXPECT_EQ(exchange.body, "");
  EXPECT_FALSE(exchange.length.has_value());
  EXPECT_EQ(exchange.ResponseHeader("ETag"), tag);
  EXPECT_EQ(exchange.ResponseHeader("Vary"), "Accept-Encoding");
  EXPECT_EQ(exchange.ResponseHeader("Cache-Control"), "no-cache");
  FakeExchange plain("/s/app.js");
  plain.request().headers = {{.name = "if-none-match", .value = tag}};
  ASSERT_EQ(Ask(plain), Found::kAnswered);
  EXPECT_EQ(plain.status, 200) << "another form is another file";
  FakeExchange dated("/s/app.js");
  dated.request().headers = {{.name = "if-modified-since", .value = kDate}};
  ASSERT_EQ(Ask(dated), Found::kAnswered);
  EXPECT_EQ(dated.status, 200) << "another release may be of the same second";
  FakeExchange wrong("/s/app.js");
  wrong.request().headers = {{.name = "if-match", .value = "\"x\""}};
  ASSERT_EQ(Ask(wrong), Found::kAnswered);
  EXPECT_EQ(wrong.status, 412);
}

TEST_F(StaticFilesTest, APartIsA206AndWhatIsNotThereA416) {
  FakeExchange part("/s/app.js");
  part.request().headers = {{.name = "range", .value = "bytes=6-8"}};
  ASSERT_EQ(Ask(part), Found::kAnswered);
  EXPECT_EQ(part.status, 206);
  EXPECT_EQ(part.body, "scr");
  EXPECT_EQ(part.length, 3U);
  EXPECT_EQ(part.ResponseHeader("Content-Range"), "bytes 6-8/12");
  EXPECT_EQ(part.ResponseHeader("Content-Type"), "text/javascript; charset=utf-8");
  FakeExchange beyond("/s/app.js");
  beyond.request().headers = {{.name = "range", .value = "bytes=12-"}};
  ASSERT_EQ(Ask(beyond), Found::kAnswered);
  EXPECT_EQ(beyond.status, 416);
  EXPECT_EQ(beyond.ResponseHeader("Content-Range"), "bytes */12");
  EXPECT_THAT(beyond.body, HasSubstr("range_not_satisfiable"));
  FakeExchange several("/s/app.js");
  several.request().headers = {{.name = "range", .value = "bytes=0-1,3-4"}};
  ASSERT_EQ(Ask(several), Found::kAnswered);
  EXPECT_EQ(several.status, 200);
}

TEST_F(StaticFilesTest, AnEmptyFileIsAnEmptyAnswer) {
  FakeExchange exchange("/s/empty.txt");
  ASSERT_EQ(Ask(exchange), Found::kAnswered);
  EXPECT_EQ(exchange.status, 200);
  EXPECT_EQ(exchange.length, 0U);
  EXPECT_TRUE(exchange.finished);
}

TEST_F(StaticFilesTest, ALargeFileWaitsForItsClient) {
  FakeExchange exchange("/s/large.bin");
  exchange.full = true;
  ASSERT_EQ(Ask(exchange), Found::kAnswered);
  const std::size_t piece = exchange.body.size();
  EXPECT_LE(piece, 64U * 1024);
  EXPECT_FALSE(exchange.finished);
  for (std::size_t taken = piece; taken < 300'000; taken = exchange.body.size()) {
    EXPECT_LE(exchange.body.size() - taken, piece);
    exchange.BecomeWritable();
  }
  EXPECT_TRUE(exchange.finished);
  EXPECT_EQ(exchange.body, std::string(300'000, 'x'));
}

TEST_F(StaticFilesTest, AClientThatGoesEndsItsTransfer) {
  FakeExchange exchange("/s/large.bin");
  exchange.full = true;
  ASSERT_EQ(Ask(exchange), Found::kAnswered);
  exchange.GoAway();
  EXPECT_FALSE(exchange.finished);
}

TEST_F(StaticFilesTest, WhatIsBeingSentOutlivesItsRelease) {
  FakeExchange exchange("/s/large.bin");
  exchange.full = true;
  ASSERT_EQ(Ask(exchange), Found::kAnswered);
  files_.Forget({7});
  exchange.BecomeWritable();
  while (!exchange.finished)
    exchange.BecomeWritable();
  EXPECT_EQ(exchange.body.size(), 300'000U);
}

TEST_F(StaticFilesTest, ManyWaitForOneImage) {
  FakeExchange first("/s/app.js");
  FakeExchange second("/s/empty.txt");
  std::vector<Exchange*> again;
  for (FakeExchange* exchange : {&first, &second}) {
    EXPECT_EQ(files_.Answer(Site(), *exchange), Found::kNotLoaded);
    files_.Load({7}, *exchange, [&again](Exchange& ready) { again.push_back(&ready); });
  }
  EXPECT_EQ(source_.asked, std::vector<std::uint64_t>{7});
  source_.Give(ImageOf(contents_));
  EXPECT_EQ(again, (std::vector<Exchange*>{&first, &second}));
  EXPECT_EQ(files_.Answer(Site(), first), Found::kAnswered);
}

TEST_F(StaticFilesTest, AClientThatGoesWhileTheImageLoadsIsForgotten) {
  FakeExchange stays("/s/app.js");
  int again = 0;
  {
    FakeExchange goes("/s/app.js");
    files_.Load({7}, goes, [&again](Exchange&) { ++again; });
    files_.Load({7}, stays, [&again](Exchange&) { ++again; });
  }
  source_.Give(ImageOf(contents_));
  EXPECT_EQ(again, 1);
  EXPECT_EQ(files_.Answer(Site(), stays), Found::kAnswered);
}

TEST_F(StaticFilesTest, AnImageThatCannotBeHadIsA503AndNotTriedAtOnce) {
  FakeExchange exchange("/s/app.js");
  files_.Load({7}, exchange, [](Exchange&) { FAIL(); });
  source_.Give(Error{ErrorCode::kSystem, "damaged"});
  EXPECT_EQ(exchange.status, 503);
  EXPECT_THAT(exchange.body, HasSubstr("static_unavailable"));
  EXPECT_EQ(exchange.ResponseHeader("Retry-After"), "1");
  FakeExchange next("/s/app.js");
  EXPECT_EQ(files_.Answer(Site(), next), Found::kNotLoaded);
  files_.Load({7}, next, [](Exchange&) { FAIL(); });
  EXPECT_EQ(next.status, 503);
  EXPECT_EQ(source_.asked.size(), 1U);
}

TEST_F(StaticFilesTest, TheLeastRecentlyUsedImagesGo) {
  StaticFiles files{loop_, source_, {.budget = Bytes{1}, .images_max = 256}};
  const auto ask = [&](std::uint64_t release) {
    FakeExchange exchange("/s/app.js");
    if (files.Answer(Site(release), exchange) == Found::kAnswered)
      return "kept";
    files.Load({release}, exchange, [](Exchange& ready) { ready.Respond(200, {}, ""); });
    source_.Give(ImageOf(contents_));
    return "loaded";
  };
  EXPECT_STREQ(ask(1), "loaded");
  EXPECT_STREQ(ask(2), "loaded");
  EXPECT_STREQ(ask(1), "kept") << "two stay whatever they take";
  EXPECT_STREQ(ask(3), "loaded");
  EXPECT_STREQ(ask(1), "kept");
  EXPECT_STREQ(ask(2), "loaded") << "it was used least recently";
  files.Forget({1});
  EXPECT_STREQ(ask(1), "loaded");
}

TEST_F(StaticFilesTest, SlowClientsHoldNoMoreImagesThanTheBudget) {
  const auto image = ImageOf(contents_);
  StaticFiles files{loop_, source_, {.budget = Bytes{2 * image->size()}, .images_max = 2}};
  std::vector<std::unique_ptr<FakeExchange>> slow;
  for (std::uint64_t release = 1; release <= 6; ++release) {
    slow.push_back(std::make_unique<FakeExchange>("/s/large.bin"));
    FakeExchange& exchange = *slow.back();
    exchange.full = true;
    files.Load({release}, exchange, [](Exchange&) {});
    source_.Give(ImageOf(contents_));
    ASSERT_EQ(files.Answer(Site(release), exchange), Found::kAnswered);
  }
  // Two images are kept; of the others those that were asked for last stay within the budget.
  std::vector<bool> aborted;
  for (const auto& exchange : slow)
    aborted.push_back(exchange->aborted);
  EXPECT_EQ(aborted, (std::vector<bool>{true, true, false, false, false, false}));
  files.Forget({6});
  EXPECT_TRUE(slow[2]->aborted);
  EXPECT_FALSE(slow[3]->aborted);
}

TEST_F(StaticFilesTest, AnotherReleaseHasOtherFiles) {
  FakeExchange old_file("/s/app.js");
  ASSERT_EQ(Ask(old_file, 7), Found::kAnswered);
  contents_ = {{"static/app.js", "new script"}};
  FakeExchange new_file("/s/app.js");
  ASSERT_EQ(Ask(new_file, 8), Found::kAnswered);
  EXPECT_EQ(new_file.body, "new script");
  EXPECT_NE(new_file.ResponseHeader("ETag"), old_file.ResponseHeader("ETag"));
}

}  // namespace
}  // namespace cloister
