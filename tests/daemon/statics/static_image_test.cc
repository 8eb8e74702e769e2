#include "daemon/statics/static_image.h"

#include <gtest/gtest.h>

namespace cloister {
namespace {

TEST(StaticImageTest, FindsFilesWithTheirHashes) {
  ImageBuilder builder;
  builder.SetTime(1700000000);
  builder.Add("static/b.txt", "bee", "");
  builder.Add("a.py", "", "code");
  builder.Add("static/a.txt", "", "");
  auto fd = std::make_shared<const UniqueFd>(std::move(builder.BuildMemfd("test")).value());
  Image mapped = std::move(Image::Open(fd->get(), Image::NeedSeals::kYes)).value();
  const StaticImage image(fd, std::move(mapped), {Sha256Of("1"), Sha256Of("2"), Sha256Of("3")});
  const std::optional<StaticFile> found = image.Find("static/b.txt");
  ASSERT_TRUE(found.has_value());
  EXPECT_EQ(found->contents, "bee");
  EXPECT_EQ(found->sha256, Sha256Of("3"));
  EXPECT_EQ(image.Find("static/a.txt")->contents, "");
  for (const char* missing : {"", "static", "static/", "static/c.txt", "z", "static/b.txt/",
                              "../static/b.txt", "/static/b.txt", "static/./b.txt"})
    EXPECT_FALSE(image.Find(missing).has_value()) << missing;
  EXPECT_EQ(image.time_seconds(), 1700000000);
  EXPECT_GT(image.size(), 3 * sizeof(Sha256));
}

}  // namespace
}  // namespace cloister
