#include "config/query_address.h"

#include <gtest/gtest.h>

#include "config/parser.h"

namespace cloister {
namespace {

TEST(QueryAddressTest, AServerIsAHostOrTheDirectoryOfASocket) {
  const SqlServerAddress unix_socket =
      ParseQueryServer("postgresql:///postgres?host=/run/postgresql").value();
  EXPECT_EQ((SqlServerAddress{.directory = "/run/postgresql"}), unix_socket);
  const SqlServerAddress other =
      ParseQueryServer("postgresql://admin@/main?host=/run/x&port=5433").value();
  EXPECT_EQ(
      (SqlServerAddress{.directory = "/run/x", .port = 5433, .user = "admin", .database = "main"}),
      other);
  EXPECT_EQ((SqlServerAddress{.host = "db.example", .port = 6000, .user = "a", .database = "b"}),
            ParseQueryServer("postgresql://a@db.example:6000/b").value());
  EXPECT_EQ((SqlServerAddress{.host = "::1"}), ParseQueryServer("postgresql://[::1]").value());
}

TEST(QueryAddressTest, AMariadbServerIsAHostOrASocket) {
  const SqlServerAddress unix_socket =
      ParseQueryServer("mariadb://node@/?socket=/run/mysqld/mysqld.sock").value();
  EXPECT_EQ((SqlServerAddress{.kind = SqlServerKind::kMariadb,
                              .socket = "/run/mysqld/mysqld.sock",
                              .port = 3306,
                              .user = "node",
                              .database = {}}),
            unix_socket);
  const SqlServerAddress host = ParseQueryServer("mariadb://db.example:6000").value();
  EXPECT_EQ("db.example", host.host);
  EXPECT_EQ(6000, host.port);
  EXPECT_EQ("root", host.user);
}

TEST(QueryAddressTest, WhatIsNoAddressIsRefusedWithTheReason) {
  const std::pair<const char*, const char*> wrong[] = {
      {"mysql://host", "does not begin"},
      {"postgresql://", "names a host"},
      {"postgresql://host/?host=/run", "names a host"},
      {"postgresql://user:secret@host", "password_file"},
      {"postgresql://user:sec/ret@host", "password_file"},
      {"postgresql://@host", "no user"},
      {"postgresql://host:0", "no port"},
      {"postgresql://host:70000", "no port"},
      {"postgresql://ho st", "no host"},
      {"postgresql://[::1]x", "no port"},
      {"postgresql://host/a b", "no name of a database"},
      {"postgresql:///?host=relative", "neither"},
      {"postgresql://host?sslmode=require", "neither"},
      {"mariadb://", "names a host"},
      {"mariadb://host/name", "names a database"},
      {"mariadb://host/?socket=/run/x", "names a host"},
      {"mariadb:///?socket=relative", "not socket"},
      {"mariadb:///?host=/run", "not socket"},
      {"mariadb://user:secret@host", "password_file"}};
  for (const auto& [url, why] : wrong) {
    const Result<SqlServerAddress> parsed = ParseQueryServer(url);
    ASSERT_FALSE(parsed.ok()) << url;
    EXPECT_NE(std::string::npos, parsed.error().message.find(why))
        << url << ": " << parsed.error().message;
    EXPECT_EQ(std::string::npos, parsed.error().message.find("sec")) << "a password is not shown";
  }
}

TEST(QueryAddressTest, WithoutASettingThereIsNone) {
  Settings settings;
  EXPECT_EQ(std::nullopt, QueryServerAddress(settings));
  settings.query.server = "postgresql://host";
  EXPECT_EQ("host", QueryServerAddress(settings)->host);
}

TEST(QueryAddressTest, SettingsAreHeldAgainstIt) {
  EXPECT_TRUE(ParseSettings("[query]\nserver = \"postgresql://host\"\n", "test").ok());
  for (const char* text : {"[query]\nserver = \"sqlite://\"\n", "[query]\npassword_file = \"x\"\n",
                           "[query]\nconnections = 1\n"})
    EXPECT_FALSE(ParseSettings(text, "test").ok()) << text;
}

}  // namespace
}  // namespace cloister
