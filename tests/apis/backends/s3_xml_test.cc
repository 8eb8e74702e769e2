#include "apis/backends/s3_xml.h"

#include <gtest/gtest.h>

namespace cloister {
namespace {

TEST(S3XmlTest, ElementsAreFoundByTheirNames) {
  const std::string_view xml =
      "<?xml version='1.0'?><R xmlns=\"http://x/\"><Uploads>3</Uploads><Upload><Key>a&amp;b</Key>"
      "<UploadId>1</UploadId></Upload><Upload x=\"y\"><Key>c</Key><UploadId>2&lt;</UploadId>"
      "</Upload></R>";
  const auto uploads = XmlElements(xml, "Upload", 10);
  ASSERT_EQ(uploads.size(), 2U);
  EXPECT_EQ(XmlText(uploads[0], "Key"), "a&b");
  EXPECT_EQ(XmlText(uploads[1], "UploadId"), "2<");
  EXPECT_EQ(XmlElements(xml, "Upload", 1).size(), 1U);
  EXPECT_EQ(XmlText(xml, "Missing"), "");
}

TEST(S3XmlTest, WhatIsNoXmlGivesNothing) {
  for (const std::string_view text :
       {"", "<", "<Code", "<Code>", "<Code>x", "<Code>x</Code", "Code>x</Code>", "<Code/>",
        "<Code x/>", "<Codes>x</Codes>", "<a<Code", "</Code><Code>", "<Code x", "<Code "})
    EXPECT_EQ(XmlText(text, "Code"), "") << text;
}

TEST(S3XmlTest, EveryTextComesBack) {
  for (const std::string_view text : {"", "plain", "\"etag\"", "a<b>&c'&amp;", "&", "&nbsp;"})
    EXPECT_EQ(XmlDecode(XmlEncode(text)), text);
  EXPECT_EQ(XmlEncode("\"x\""), "&quot;x&quot;");
}

}  // namespace
}  // namespace cloister
