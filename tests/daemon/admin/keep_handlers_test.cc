// What daemon/admin/keep_handlers.cc answers.

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "tests/daemon/admin/admin_fixture.h"

namespace cloister {
namespace {

using Json = nlohmann::json;

class KeepHandlersTest : public AdminTest {};

TEST_F(KeepHandlersTest, VerifyingCountsWhatIsSound) {
  Prepare();
  DeployThroughApi(HelloFiles("1.0.0"));
  ASSERT_EQ(Ask("POST", "/v1/tenants/demo/apps", R"({"name": "other"})").status(), 201);
  EXPECT_EQ(Ask("GET", "/v1/verify").json(),
            Json::parse(R"({"apps": 2, "releases": 1, "files": 3, "damaged_releases": 0,
                            "damages": 0, "secrets": 0, "sealed": 0, "found": [],
                            "objects": 0, "object_damages": 0, "found_objects": [],
                            "query_key": null})"));
  EXPECT_EQ(Ask("GET", "/v1/verify?app=demo/other").json()["releases"], 0);
  ExpectProblem(Ask("GET", "/v1/verify?app=demo/nobody"), 404, "app_not_found");
  ExpectProblem(Ask("GET", "/v1/verify?app=..%2f"), 404, "app_not_found");
}

TEST_F(KeepHandlersTest, VerifyingNamesWhatIsDamaged) {
  Prepare();
  const Json release = DeployThroughApi(HelloFiles("1.0.0"));
  bool tampered = false;
  state->Write(
      1, [](Database& db) { return db.Run("UPDATE bytecode SET code = x'00'"); },
      [&](const Result<void>& done) { tampered = done.ok(); });
  ASSERT_TRUE(RunUntil(loop, [&] { return tampered; }));
  const Json report = Ask("GET", "/v1/verify?app=demo/hello").json();
  EXPECT_EQ(report["damages"], 1);
  ASSERT_EQ(report["found"].size(), 1U);
  const Json& found = report["found"][0];
  EXPECT_EQ(found["app"], "demo/hello");
  EXPECT_EQ(found["version"], "1.0.0");
  EXPECT_EQ(found["release"], release["id"]);
  EXPECT_EQ(found["file"], "main.py");
  EXPECT_NE(found["what"].get<std::string>().find("bytecode"), std::string::npos);
}

TEST_F(KeepHandlersTest, PinsAreSetShownAndTakenOff) {
  Prepare();
  DeployThroughApi(HelloFiles("1.0.0"));
  const std::string pin = std::string(kApp) + "/pins/1.0.0";
  const auto pinned = [&] {
    return Ask("GET", std::string(kApp) + "/releases").json()["releases"][0]["pinned"] == true;
  };
  EXPECT_FALSE(pinned());
  EXPECT_EQ(Ask("POST", pin).status(), 204);
  EXPECT_TRUE(pinned());
  EXPECT_EQ(Ask("DELETE", pin).status(), 204);
  EXPECT_FALSE(pinned());
  ExpectProblem(Ask("POST", std::string(kApp) + "/pins/2.0.0"), 404, "release_not_found");
  ExpectProblem(Ask("POST", "/v1/tenants/demo/apps/nobody/pins/1.0.0"), 404, "app_not_found");
}

TEST_F(KeepHandlersTest, WhatWentIsListedWhenAllIsAskedFor) {
  policy = {.kept_max = 0};
  Crash();
  Prepare();
  for (const char* version : {"1.0.0", "2.0.0", "3.0.0"})
    DeployThroughApi(HelloFiles(version));
  const std::string list = std::string(kApp) + "/releases";
  Json all = Ask("GET", list + "?all=1").json();
  // Asking runs the loop, so the collector goes on.
  for (int asked = 0; asked < 20'000 && all["releases"].size() > 2; ++asked)
    all = Ask("GET", list + "?all=1").json();
  ASSERT_EQ(all["collected"].size(), 1U);
  EXPECT_EQ(all["collected"][0]["version"], "1.0.0");
  EXPECT_EQ(all["collected"][0]["state"], "collected");
  EXPECT_EQ(all["collected"][0]["id"], 1);
  EXPECT_FALSE(Ask("GET", list).json().contains("collected"));
}

}  // namespace
}  // namespace cloister
