#include "daemon/releases/bundle.h"

#include <gtest/gtest.h>

#include "config/bundle_rules.h"
#include "config/manifest.h"

namespace cloister {
namespace {

ReleaseFile FileOf(std::string path, std::string_view bytes = "x") {
  return {.path = std::move(path), .sha256 = Sha256Of(bytes), .size = bytes.size()};
}

std::vector<ReleaseFile> WithManifest(std::vector<ReleaseFile> files) {
  files.push_back(FileOf("cloister.toml", "manifest"));
  return files;
}

// The code and detail of a refusal.
std::string Refusal(std::vector<ReleaseFile> files) {
  const Outcome<Bundle> bundle = CheckBundle(std::move(files));
  if (bundle.ok())
    return "accepted";
  return std::string(InfoOf(bundle.error().code).code) + ": " + bundle.error().detail;
}

void ExpectRefused(std::vector<ReleaseFile> files, const std::string& code,
                   const std::string& detail) {
  const std::string refusal = Refusal(std::move(files));
  EXPECT_TRUE(refusal.starts_with(code + ": ")) << refusal;
  EXPECT_NE(refusal.find(detail), std::string::npos) << refusal;
}

TEST(BundleTest, AnOrdinaryBundleIsSortedAndNamed) {
  const Outcome<Bundle> bundle =
      CheckBundle(WithManifest({FileOf("b.py"), FileOf("a/c.py"), FileOf("a.py")}), 3);
  ASSERT_TRUE(bundle.ok());
  std::vector<std::string> paths;
  for (const ReleaseFile& file : bundle.value().files)
    paths.push_back(file.path);
  EXPECT_EQ(paths, (std::vector<std::string>{"a.py", "a/c.py", "b.py", "cloister.toml"}));
  EXPECT_EQ(bundle.value().manifest, Sha256Of("manifest"));
  EXPECT_EQ(bundle.value().left_out, 3U);
}

TEST(BundleTest, EachRefusalNamesThePathAndTheRule) {
  for (const char* path : {"../outside.py", "a/../../outside.py", "/etc/passwd", "./main.py",
                           "a//b.py", "a/", "..", "a/./b"})
    ExpectRefused(WithManifest({FileOf(path)}), "bundle_refused", path);
  ExpectRefused(WithManifest({FileOf("")}), "bundle_refused", "empty");
  ExpectRefused(WithManifest({FileOf(std::string("a\0b", 3))}), "bundle_refused", "a\\x00b");
  ExpectRefused(WithManifest({FileOf("a\nb")}), "bundle_refused", "a\\x0ab");
  ExpectRefused(WithManifest({FileOf("a\xff")}), "bundle_refused", "UTF-8");
  ExpectRefused(WithManifest({FileOf(std::string(1025, 'x'))}), "bundle_refused", "1024");
  ExpectRefused(WithManifest({FileOf("a.py"), FileOf("a.py")}), "bundle_refused", "twice");
  ExpectRefused(WithManifest({FileOf("caf\xc3\xa9.py"), FileOf("cafe\xcc\x81.py")}),
                "bundle_refused", "twice");
  ExpectRefused(WithManifest({FileOf("a"), FileOf("a/b")}), "bundle_refused", "'a/b'");
  ExpectRefused(WithManifest({FileOf("cloister/__init__.py")}), "bundle_refused", "cloister");
  ExpectRefused(WithManifest({FileOf("cloister.py")}), "bundle_refused", "cloister");
}

TEST(BundleTest, PathsAreCaseSensitive) {
  EXPECT_EQ(Refusal(WithManifest({FileOf("a.py"), FileOf("A.py")})), "accepted");
}

TEST(BundleTest, ABundleHasAManifestAtItsTop) {
  ExpectRefused({FileOf("a.py")}, "bundle_refused", "cloister.toml");
  ExpectRefused({}, "bundle_refused", "cloister.toml");
  ExpectRefused({FileOf("sub/cloister.toml")}, "bundle_refused", "cloister.toml");
  ReleaseFile large = FileOf("cloister.toml");
  large.size = kManifestMax;
  EXPECT_EQ(Refusal({large}), "accepted");
  ++large.size;
  ExpectRefused({large}, "bundle_too_large", "cloister.toml");
}

TEST(BundleTest, SizesAreBounded) {
  ReleaseFile file = FileOf("large.bin");
  file.size = kBundleFileMax.count;
  EXPECT_EQ(Refusal(WithManifest({file})), "accepted");
  ++file.size;
  ExpectRefused(WithManifest({file}), "bundle_too_large", "large.bin");
  file.size = ~std::uint64_t{0};
  ExpectRefused(WithManifest({file}), "bundle_too_large", "large.bin");
  std::vector<ReleaseFile> files;
  for (int i = 0; i < 8; ++i) {
    files.push_back(FileOf(std::to_string(i)));
    files.back().size = kBundleFileMax.count;
  }
  ExpectRefused(WithManifest(files), "bundle_too_large", "256");
  files.pop_back();
  EXPECT_EQ(Refusal(WithManifest(files)), "accepted");
}

TEST(BundleTest, TheNumberOfFilesIsBounded) {
  std::vector<ReleaseFile> files;
  for (std::size_t i = 0; i + 1 < kBundleFilesMax; ++i)
    files.push_back(FileOf(std::to_string(i)));
  EXPECT_EQ(Refusal(WithManifest(files)), "accepted");
  files.push_back(FileOf("one too many"));
  ExpectRefused(WithManifest(files), "bundle_too_large", "20000");
}

TEST(BundleTest, TheDigestIsThatOfTheSortedList) {
  // printf 'a.py\0001\0%s\n' $(printf x | sha256sum) | sha256sum, with the manifest's line behind
  // it
  const auto files = [](std::vector<ReleaseFile> list) {
    return std::move(CheckBundle(WithManifest(std::move(list)))).value().digest;
  };
  EXPECT_EQ(files({FileOf("a.py"), FileOf("b.py")}), files({FileOf("b.py"), FileOf("a.py")}));
  EXPECT_NE(files({FileOf("a.py")}), files({FileOf("b.py")}));
  EXPECT_NE(files({FileOf("a.py", "x")}), files({FileOf("a.py", "y")}));
  std::string list = "a.py";
  list += '\0';
  list += "1";
  list += '\0';
  list += Sha256Of("x").Hex() + "\n";
  EXPECT_EQ(DigestOf({FileOf("a.py")}), Sha256Of(list));
}

TEST(BundleTest, DifferencesAreNamedUpToALimit) {
  const std::vector<ReleaseFile> before = {FileOf("a", "1"), FileOf("b", "1"), FileOf("d", "1")};
  const std::vector<ReleaseFile> after = {FileOf("a", "1"), FileOf("b", "2"), FileOf("c", "1")};
  EXPECT_EQ(DifferingPaths(before, after, 10), (std::vector<std::string>{"b", "c", "d"}));
  EXPECT_EQ(DifferingPaths(before, after, 2), (std::vector<std::string>{"b", "c"}));
  EXPECT_TRUE(DifferingPaths(before, before, 10).empty());
  EXPECT_EQ(DifferingPaths({}, after, 10).size(), 3U);
}

}  // namespace
}  // namespace cloister
