#include "agent/checks/runner.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "agent/checks/test_runner.h"
#include "agent/checks/test_server.h"

namespace pharos::agent {
namespace {

using registry::Health;

CheckDefinition Ttl(const std::string& id, absl::Duration ttl) {
  CheckDefinition check;
  check.id = id;
  check.ttl = ttl;
  return check;
}

TEST(CheckRunner, RefusesWhatIsNoCheck) {
  TestRunner test;
  CheckDefinition timed;
  timed.tcp = "127.0.0.1:1";
  test.Do([&](CheckRunner& runner) {
    EXPECT_EQ(runner.Set({}, Health::kCritical),
              absl::InvalidArgumentError("Invalid check: TTL must be > 0 for TTL checks"));
    EXPECT_EQ(runner.Set(timed, Health::kCritical),
              absl::InvalidArgumentError(
                  "Invalid check: Interval must be > 0 for Script, HTTP, or TCP checks"));
  });
}

TEST(CheckRunner, TakesWhatATtlCheckIsToldUntilItsTtlPasses) {
  TestRunner test;
  test.Set(Ttl("short", absl::Milliseconds(50)));
  EXPECT_EQ(test.Next("short").output, "TTL expired");
  test.Do([&](CheckRunner& runner) {
    const absl::Time told = absl::Now();
    EXPECT_TRUE(runner.UpdateTtl("short", Health::kPassing, "fine").ok());
    EXPECT_GE(*runner.TtlDeadline("short"), told + absl::Milliseconds(50));
  });
  CheckReport report = test.Next("short");
  EXPECT_EQ(report.status, Health::kPassing);
  EXPECT_EQ(report.output, "fine");
  report = test.Next("short");
  EXPECT_EQ(report.status, Health::kCritical);
  EXPECT_EQ(report.output, "TTL expired (last output before timeout follows): fine");
}

TEST(CheckRunner, KeepsATtlDeadlineOfBefore) {
  TestRunner test;
  const absl::Time deadline = absl::Now() + absl::Hours(1);
  test.Do([&](CheckRunner& runner) {
    EXPECT_TRUE(runner.Set(Ttl("kept", absl::Hours(2)), Health::kPassing, deadline).ok());
    EXPECT_EQ(runner.TtlDeadline("kept"), deadline);
    EXPECT_TRUE(
        runner.Set(Ttl("past", absl::Hours(2)), Health::kPassing, absl::Now() - absl::Hours(1))
            .ok());
    EXPECT_GT(*runner.TtlDeadline("past"), deadline);
    EXPECT_EQ(runner.TtlDeadline("unknown"), std::nullopt);
  });
}

TEST(CheckRunner, UpdatesTtlChecksOnly) {
  TestRunner test;
  CheckDefinition tcp;
  tcp.id = "tcp";
  tcp.tcp = "127.0.0.1:1";
  tcp.interval = absl::Hours(1);
  test.Set(tcp);
  test.Do([](CheckRunner& runner) {
    EXPECT_EQ(runner.UpdateTtl("x", Health::kPassing, "").code(), absl::StatusCode::kNotFound);
    EXPECT_EQ(runner.UpdateTtl("tcp", Health::kPassing, ""),
              absl::FailedPreconditionError("CheckID \"tcp\" does not have associated TTL"));
  });
}

TEST(CheckRunner, CutsWhatATtlCheckIsTold) {
  TestRunner test;
  CheckDefinition check = Ttl("long", absl::Hours(1));
  check.output_octets_max = 3;
  test.Set(check);
  test.Do([](CheckRunner& runner) {
    EXPECT_TRUE(runner.UpdateTtl("long", Health::kWarning, "abcdef").ok());
  });
  EXPECT_EQ(test.Next("long").output, "abc ... (captured 3 of 6 bytes)");
}

TEST(CheckRunner, DiscardsOutputWhenTold) {
  RunnerOptions options;
  options.discard_output = true;
  TestRunner test(options);
  test.Set(Ttl("mute", absl::Hours(1)));
  test.Do([](CheckRunner& runner) {
    EXPECT_TRUE(runner.UpdateTtl("mute", Health::kPassing, "text").ok());
  });
  EXPECT_EQ(test.Next("mute").output, "");
}

TEST(CheckRunner, LetsAnIdenticalCheckGoOnAndReplacesAnother) {
  TestRunner test;
  test.Set(Ttl("same", absl::Hours(1)));
  test.Do([](CheckRunner& runner) {
    const auto deadline = runner.TtlDeadline("same");
    EXPECT_TRUE(runner.Set(Ttl("same", absl::Hours(1)), Health::kPassing).ok());
    EXPECT_EQ(runner.TtlDeadline("same"), deadline);
    EXPECT_TRUE(runner.Set(Ttl("same", absl::Hours(9)), Health::kPassing).ok());
    EXPECT_GT(*runner.TtlDeadline("same"), *deadline + absl::Hours(7));
  });
}

TEST(CheckRunner, HoldsAStatusUntilItsThresholdIsReached) {
  ClosedPort port;
  TestRunner test;
  CheckDefinition check;
  check.id = "held";
  check.tcp = port.address();
  check.interval = absl::Milliseconds(1);
  check.failures_before_critical = 3;
  test.Do([&](CheckRunner& runner) { EXPECT_TRUE(runner.Set(check, Health::kPassing).ok()); });
  EXPECT_EQ(test.Next("held").status, Health::kPassing);
  EXPECT_EQ(test.Next("held").output, "");
  const CheckReport report = test.Next("held");
  EXPECT_EQ(report.status, Health::kCritical);
  EXPECT_THAT(report.output, testing::HasSubstr("refused"));
}

TEST(CheckRunner, ReportsAnAliasWhenItsStateChanges) {
  AliasResult state;  // Of the loop's thread.
  size_t asked = 0;
  TestRunner test({}, [&](const CheckDefinition& check) {
    EXPECT_EQ(check.alias_service, "web");
    ++asked;
    return state;
  });
  CheckDefinition alias;
  alias.id = "alias";
  alias.alias_service = "web";
  test.Set(alias);
  CheckReport report = test.Next("alias");
  EXPECT_EQ(report.status, Health::kPassing);
  EXPECT_EQ(report.output, "No checks found.");
  test.Do([&](CheckRunner& runner) {
    runner.AliasesChanged();  // To the same.
    state = {.status = Health::kCritical, .output = "Aliased check \"web\" failing: bad"};
    runner.AliasesChanged();
  });
  report = test.Next("alias");
  EXPECT_EQ(report.status, Health::kCritical);
  EXPECT_EQ(report.output, "Aliased check \"web\" failing: bad");
  test.Do([&](CheckRunner&) { EXPECT_EQ(asked, 2u); });
}

TEST(CheckRunner, RunsAThousandChecksWithinItsBounds) {
  TestServer server([](TestPeer& peer) {
    peer.Read();
    peer.Write("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
  });
  RunnerOptions options;
  options.network_runs_max = 16;
  options.process_runs_max = 2;
  TestRunner test(options);
  constexpr int kChecks = 1000;
  test.Do([&](CheckRunner& runner) {
    for (int i = 0; i < kChecks; ++i) {
      CheckDefinition check;
      check.id = absl::StrCat(i);
      check.interval = absl::Milliseconds(500);
      check.timeout = absl::Seconds(60);
      if (i % 20 == 0) {
        check.args = {"true"};
      } else if (i % 2 == 0) {
        check.http = "http://" + server.address() + "/";
      } else {
        check.tcp = server.address();
      }
      ASSERT_TRUE(runner.Set(check, Health::kCritical).ok());
    }
  });
  for (int i = 0; i < kChecks; ++i) {
    EXPECT_EQ(test.Next(absl::StrCat(i)).status, Health::kPassing) << i;
    if (i % 100 != 0) continue;
    const RunnerCounts counts = test.Counts();
    EXPECT_LE(counts.running, 18u);
    // Beside the two that run there may be some that have ended and not been reaped.
    EXPECT_LE(counts.children, 10u);
  }
  EXPECT_GE(test.Counts().runs, 1000u);
}

TEST(CheckRunner, LetsReportsChangeTheChecks) {
  ClosedPort port;
  Loop loop("checks");
  const RealClock clock;
  std::unique_ptr<CheckRunner> runner;
  std::mutex mutex;
  std::condition_variable changed;
  int reports = 0;
  RunnerOptions options;
  options.interval_min = absl::Milliseconds(1);
  loop.PostAndWait([&] {
    runner = std::make_unique<CheckRunner>(loop, clock, options, [&](const CheckReport& report) {
      runner->Remove(report.id);
      const std::lock_guard lock(mutex);
      ++reports;
      changed.notify_all();
    });
    for (int i = 0; i < 50; ++i) {
      CheckDefinition check;
      check.id = absl::StrCat(i);
      check.tcp = i % 2 == 0 ? port.address() : "no address";
      check.interval = absl::Milliseconds(1);
      EXPECT_TRUE(runner->Set(check, Health::kPassing).ok());
    }
  });
  {
    std::unique_lock lock(mutex);
    EXPECT_TRUE(changed.wait_for(lock, std::chrono::seconds(60), [&] { return reports == 50; }));
  }
  loop.PostAndWait([&] {
    EXPECT_EQ(runner->Counts().running, 0u);
    runner.reset();
  });
}

}  // namespace
}  // namespace pharos::agent
