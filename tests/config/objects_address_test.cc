#include "config/objects_address.h"

#include <gtest/gtest.h>

#include "config/parser.h"

namespace cloister {
namespace {

constexpr const char* kUrl = "s3://shop/a/b?endpoint=https://s3.example:9000&region=eu-1";

TEST(ObjectsAddressTest, AServerHasABucketAndAnEndpoint) {
  const S3Address address = ParseObjectServer(kUrl).value();
  EXPECT_EQ(address.bucket, "shop");
  EXPECT_EQ(address.prefix, "a/b");
  EXPECT_EQ(address.endpoint, "https://s3.example:9000");
  EXPECT_EQ(address.region, "eu-1");
  const S3Address plain = ParseObjectServer("s3://my.bucket?endpoint=http://[::1]:80").value();
  EXPECT_EQ(plain.bucket, "my.bucket");
  EXPECT_EQ(plain.prefix, "");
  EXPECT_EQ(plain.endpoint, "http://[::1]:80");
  EXPECT_EQ(plain.region, "us-east-1");
}

TEST(ObjectsAddressTest, WhatIsNoAddressIsRefusedWithTheReason) {
  const std::pair<const char*, const char*> wrong[] = {
      {"https://host/bucket", "does not begin"},
      {"s3://", "no bucket"},
      {"s3://ab?endpoint=http://h", "no bucket"},
      {"s3://Bucket?endpoint=http://h", "no bucket"},
      {"s3://a..b?endpoint=http://h", "no bucket"},
      {"s3://bucket/../x?endpoint=http://h", "no prefix"},
      {"s3://bucket/x/?endpoint=http://h", "no prefix"},
      {"s3://bucket//x?endpoint=http://h", "no prefix"},
      {"s3://bucket/a b?endpoint=http://h", "no prefix"},
      {"s3://key:secret@bucket?endpoint=http://h", "secret_key_file"},
      {"s3://bucket", "names no server"},
      {"s3://bucket?endpoint=ftp://h", "begins neither"},
      {"s3://bucket?endpoint=http://", "no host"},
      {"s3://bucket?endpoint=http://h:0", "no port"},
      {"s3://bucket?endpoint=http://h/path", "no"},
      {"s3://bucket?endpoint=http://u:p@h", "no"},
      {"s3://bucket?endpoint=http://h&region=a/b", "neither"},
      {"s3://bucket?endpoint=http://h&acl=public", "neither"}};
  for (const auto& [url, why] : wrong) {
    const Result<S3Address> parsed = ParseObjectServer(url);
    ASSERT_FALSE(parsed.ok()) << url;
    EXPECT_NE(std::string::npos, parsed.error().message.find(why))
        << url << ": " << parsed.error().message;
    EXPECT_EQ(std::string::npos, parsed.error().message.find("key:secret"));
  }
}

TEST(ObjectsAddressTest, SettingsAreHeldAgainstIt) {
  const std::string server = std::string("[persistence]\nserver = \"") + kUrl + "\"\n";
  const std::string keys = "access_key = \"AKIA:x\"\nsecret_key_file = \"/etc/secret\"\n";
  const Result<Settings> settings = ParseSettings(server + keys + "timeout = \"3s\"\n", "test");
  ASSERT_TRUE(settings.ok()) << settings.error().message;
  const std::optional<S3Address> address = ObjectServerAddress(settings.value());
  ASSERT_TRUE(address);
  EXPECT_EQ(address->access_key, "AKIA:x");
  EXPECT_EQ(address->secret_key, "") << "it is in no setting";
  EXPECT_EQ(address->timeout, Millis(3000));
  for (const std::string& text :
       {server, server + "access_key = \"x\"\n", server + "secret_key_file = \"/x\"\n",
        server + "access_key = \"a b\"\nsecret_key_file = \"/x\"\n",
        server + "access_key = \"x\"\nsecret_key_file = \"x\"\n",
        std::string("[persistence]\nca_file = \"x\"\n"),
        std::string("[persistence]\nserver = \"s3://x\"\n") + keys})
    EXPECT_FALSE(ParseSettings(text, "test").ok()) << text;
  EXPECT_EQ(std::nullopt, ObjectServerAddress(Settings()));
}

}  // namespace
}  // namespace cloister
