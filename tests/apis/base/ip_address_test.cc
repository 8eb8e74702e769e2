#include "apis/base/ip_address.h"

#include <gtest/gtest.h>

namespace cloister {
namespace {

IpAddress Address(std::string_view text) {
  return IpAddress::Parse(text).value();
}
IpNetwork Network(std::string_view text) {
  return std::move(IpNetwork::Parse(text)).value();
}

TEST(IpAddressTest, IsWrittenInOneWay) {
  const std::pair<const char*, const char*> kForms[] = {
      {"127.0.0.1", "127.0.0.1"},         {"::ffff:127.0.0.1", "127.0.0.1"},
      {"::FFFF:7f00:1", "127.0.0.1"},     {"::1", "::1"},
      {"2001:DB8:0:0::1", "2001:db8::1"}, {"::", "::"},
  };
  for (const auto& [text, written] : kForms)
    EXPECT_EQ(Address(text).Text(), written);
  EXPECT_EQ(Address("::ffff:10.1.2.3"), Address("10.1.2.3"));
}

TEST(IpAddressTest, NothingElseIsOne) {
  for (const std::string_view text :
       {"", "localhost", "1.2.3", "1.2.3.4.5", "1.2.3.256", "01.2.3.4", "1.2.3.4:80", "[::1]",
        "fe80::1%eth0", ":::", "1.2.3.4 ", "unknown", "_hidden"})
    EXPECT_FALSE(IpAddress::Parse(text).has_value()) << text;
  EXPECT_FALSE(IpAddress::Parse(std::string_view("1.2.3.4\0x", 9)).has_value());
  EXPECT_FALSE(IpAddress::Parse(std::string(1000, '1')).has_value());
}

TEST(IpNetworkTest, ContainsWhatHasItsPrefix) {
  struct Row {
    const char* network;
    const char* address;
    bool inside;
  };
  const Row kRows[] = {
      {"10.0.0.0/8", "10.255.255.255", true},
      {"10.0.0.0/8", "11.0.0.0", false},
      {"10.0.0.0/8", "::ffff:10.1.1.1", true},
      {"10.1.2.3", "10.1.2.3", true},
      {"10.1.2.3", "10.1.2.2", false},
      {"192.168.4.0/22", "192.168.7.255", true},
      {"192.168.4.0/22", "192.168.8.0", false},
      {"0.0.0.0/0", "8.8.8.8", true},
      {"0.0.0.0/0", "2001:db8::1", false},
      {"::/0", "2001:db8::1", true},
      {"::/0", "127.0.0.1", false},
      {"::1", "::1", true},
      {"fd00::/8", "fdff::1", true},
      {"fd00::/8", "fc00::1", false},
      {"2001:db8::/33", "2001:db8:8000::", false},
  };
  for (const Row& row : kRows)
    EXPECT_EQ(Network(row.network).Contains(Address(row.address)), row.inside)
        << row.network << " " << row.address;
}

TEST(IpNetworkTest, TextReadsBack) {
  for (const char* text : {"10.0.0.0/8", "127.0.0.1", "::1", "fd00::/8", "0.0.0.0/0", "::/0"})
    EXPECT_EQ(Network(text).Text(), text);
  EXPECT_EQ(Network("127.0.0.1/32").Text(), "127.0.0.1");
  EXPECT_EQ(Network("::1/128").Text(), "::1");
}

TEST(IpNetworkTest, RefusesWhatIsNoneAndSaysWhy) {
  const std::pair<const char*, const char*> kWrong[] = {
      {"", "is not an address or a network"},
      {"proxy.local", "is not an address or a network"},
      {"10.0.0.0/", "prefix length from 0 to 32"},
      {"10.0.0.0/33", "prefix length from 0 to 32"},
      {"10.0.0.0/-1", "prefix length from 0 to 32"},
      {"10.0.0.0/8x", "prefix length from 0 to 32"},
      {"10.0.0.0/8/8", "prefix length from 0 to 32"},
      {"fd00::/129", "prefix length from 0 to 128"},
      {"10.0.0.1/8", "has bits set behind its prefix"},
      {"fd00::1/8", "has bits set behind its prefix"},
  };
  for (const auto& [text, why] : kWrong) {
    const Result<IpNetwork> parsed = IpNetwork::Parse(text);
    ASSERT_FALSE(parsed.ok()) << text;
    EXPECT_NE(parsed.error().message.find(why), std::string::npos) << parsed.error().message;
  }
}

}  // namespace
}  // namespace cloister
