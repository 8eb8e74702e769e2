#include "daemon/workers/cookie_scope.h"

#include <gtest/gtest.h>

namespace cloister {
namespace {

struct Row {
  const char* cookie;
  bool for_others;
};
class CookieScopeTest : public testing::TestWithParam<Row> {};

TEST_P(CookieScopeTest, HostIsHelloOfDemo) {
  EXPECT_EQ(IsCookieForOthers(GetParam().cookie, "hello.demo.apps.example.com"),
            GetParam().for_others)
      << GetParam().cookie;
}

INSTANTIATE_TEST_SUITE_P(
    Cookies, CookieScopeTest,
    testing::Values(Row{"a=1", false}, Row{"a=1; Path=/; Secure", false},
                    Row{"a=1; Domain=hello.demo.apps.example.com", false},
                    Row{"a=1; Domain=.hello.demo.apps.example.com", false},
                    Row{"a=1; Domain=other.example.org", false},  // browsers refuse it
                    Row{"a=1; Domain=sub.hello.demo.apps.example.com", false},
                    Row{"a=1; Domain=demo.apps.example.com", true},
                    Row{"a=1; Domain=apps.example.com", true}, Row{"a=1; Domain=example.com", true},
                    Row{"a=1; Domain=com", true}, Row{"a=1; domain=.DEMO.Apps.Example.COM.", true},
                    Row{"a=1;DOMAIN = apps.example.com ;Path=/", true},
                    Row{"a=1; Domain=hello.demo.apps.example.com; Domain=example.com", true},
                    Row{"a=1; Domain=o.apps.example.com", false},  // no parent of ours
                    Row{"a=1; Domain=", false}, Row{"a=1; Domain", false},
                    Row{"Domain=example.com", false},  // the cookie's own name
                    Row{"a=1; NotDomain=example.com", false}, Row{"", false}, Row{";", false}));

}  // namespace
}  // namespace cloister
