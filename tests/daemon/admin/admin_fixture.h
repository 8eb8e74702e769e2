#pragma once

// The admin API over a node without sockets: each request is a WholeExchange.

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "daemon/admin/server.h"
#include "tests/daemon/admin/whole_exchange.h"
#include "tests/daemon/releases/node_fixture.h"

namespace cloister {

inline constexpr const char* kApp = "/v1/tenants/demo/apps/hello";

class AdminTest : public NodeTest {
 protected:
  void Serve() {
    admin = std::make_unique<AdminServer>(
        AdminParts{.clock = clock,
                   .state = *state,
                   .releases = *releases,
                   .logs = *logs,
                   .workers = *workers,
                   .router = *router,
                   .calls = *calls},
        AdminOptions{.version = "0.1.0", .url_port = 8080, .started_at = clock.Wall()}, operators);
  }
  // Asks and waits for the answer.
  WholeExchange& Ask(const std::string& method, const std::string& target,
                     const std::string& body = "") {
    WholeExchange& exchange = Begin(method, target, body);
    EXPECT_TRUE(RunUntil(loop, [&] { return exchange.answered(); })) << target;
    return exchange;
  }
  // Asks.
  WholeExchange& Begin(const std::string& method, const std::string& target,
                       const std::string& body = "") {
    exchanges.push_back(std::make_unique<WholeExchange>(method, target, body));
    admin->Handle(*exchanges.back());
    return *exchanges.back();
  }
  void ExpectProblem(const WholeExchange& exchange, int status, const std::string& code) {
    EXPECT_EQ(exchange.status(), status) << exchange.body();
    EXPECT_EQ(exchange.header("Content-Type"), "application/problem+json");
    const nlohmann::json problem = exchange.json();
    EXPECT_EQ(problem["code"], code);
    EXPECT_EQ(problem["status"], status);
    EXPECT_EQ(problem["type"], "docs/errors.md#" + code);
    EXPECT_EQ(problem["request_id"], "01REQUEST");
    EXPECT_FALSE(problem["title"].get<std::string>().empty());
    EXPECT_FALSE(problem["detail"].get<std::string>().empty());
  }
  // Started and served, with the app demo/hello, through the API alone.
  void Prepare() {
    Start();
    Serve();
    ASSERT_EQ(Ask("POST", "/v1/tenants", R"({"name": "demo"})").status(), 201);
    ASSERT_EQ(Ask("POST", "/v1/tenants/demo/apps", R"({"name": "hello"})").status(), 201);
  }
  static std::string ListJson(const Files& files) {
    nlohmann::json rows = nlohmann::json::array();
    for (const ReleaseFile& file : ListOf(files))
      rows.push_back({{"path", file.path}, {"size", file.size}, {"sha256", file.sha256.Hex()}});
    return nlohmann::json{{"files", rows}}.dump();
  }
  // The release when its deploy has ended.
  nlohmann::json DeployThroughApi(const Files& files) {
    EXPECT_EQ(Ask("POST", "/v1/tenants/demo/contents", BatchOf(files)).status(), 200);
    const WholeExchange& made = Ask("POST", std::string(kApp) + "/releases", ListJson(files));
    EXPECT_EQ(made.status(), 202) << made.body();
    nlohmann::json release = made.json()["release"];
    const std::string target =
        std::string(kApp) + "/releases/" + std::to_string(release["id"].get<std::uint64_t>());
    while (release["state"] != "live" && release["state"] != "rejected") {
      const auto seen = release["steps"].back()["sequence"].get<std::uint64_t>();
      release =
          Ask("GET", target + "?wait_ms=20000&after=" + std::to_string(seen)).json()["release"];
    }
    return release;
  }

  Operators operators{clock, {}, ""};
  std::unique_ptr<AdminServer> admin;
  std::vector<std::unique_ptr<WholeExchange>> exchanges;
};

}  // namespace cloister
