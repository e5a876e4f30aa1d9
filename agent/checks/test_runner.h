// A check runner on a loop of its own, for tests of what it reports.
#pragma once

#include <gtest/gtest.h>
#include <signal.h>

#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "agent/checks/runner.h"

namespace pharos::agent {

class TestRunner {
 public:
  explicit TestRunner(RunnerOptions options = {}, CheckRunner::AliasState alias_state = nullptr)
      : loop_("checks") {
    signal(SIGPIPE, SIG_IGN);  // As the agent does.
    options.interval_min = absl::Milliseconds(1);
    loop_.PostAndWait([&] {
      runner_ = std::make_unique<CheckRunner>(
          loop_, clock_, options, [this](CheckReport report) { Take(std::move(report)); },
          std::move(alias_state));
    });
  }
  ~TestRunner() { Destroy(); }
  TestRunner(const TestRunner&) = delete;
  TestRunner& operator=(const TestRunner&) = delete;

  void Destroy() {
    loop_.PostAndWait([this] { runner_.reset(); });
  }

  // Calls the runner on its thread.
  void Do(const std::function<void(CheckRunner&)>& work) {
    loop_.PostAndWait([&] { work(*runner_); });
  }

  void Set(const CheckDefinition& definition) {
    Do([&](CheckRunner& runner) {
      EXPECT_TRUE(runner.Set(definition, registry::Health::kCritical).ok());
    });
  }

  // Sets the check with a short interval, waits for its first run, and removes it.
  CheckReport RunOnce(CheckDefinition definition) {
    definition.id = "once";
    definition.interval = absl::Milliseconds(5);
    {
      const std::lock_guard lock(mutex_);
      reports_.clear();
    }
    Set(definition);
    CheckReport report = Next("once");
    Do([](CheckRunner& runner) { runner.Remove("once"); });
    return report;
  }

  // The next report of a check that was not returned before; waits for it.
  CheckReport Next(const std::string& id) {
    std::unique_lock lock(mutex_);
    const bool came =
        changed_.wait_for(lock, std::chrono::seconds(60), [&] { return !reports_[id].empty(); });
    EXPECT_TRUE(came) << "no report of " << id;
    if (!came) return {};
    CheckReport report = std::move(reports_[id].front());
    reports_[id].erase(reports_[id].begin());
    return report;
  }

  RunnerCounts Counts() {
    RunnerCounts counts;
    Do([&](const CheckRunner& runner) { counts = runner.Counts(); });
    return counts;
  }

 private:
  void Take(CheckReport report) {
    const std::lock_guard lock(mutex_);
    reports_[report.id].push_back(std::move(report));
    changed_.notify_all();
  }

  RealClock clock_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::map<std::string, std::vector<CheckReport>> reports_;
  Loop loop_;
  std::unique_ptr<CheckRunner> runner_;
};

}  // namespace pharos::agent
