#include "agent/cli/command.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdio>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "agent/version.h"

namespace pharos::agent {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

constexpr Command kCommands[] = {
    {"keygen", "Makes a key", RunKeygen},
    {"validate", "Checks", RunValidate},
    {"version", "Prints the version", RunVersion},
};

struct Outcome {
  int exit_status;
  std::string out, err;
};

Outcome RunPharos(std::vector<std::string_view> arguments) {
  std::ostringstream out, err;
  const int status = RunCommandLine(kCommands, arguments, {.out = out, .err = err});
  return {status, out.str(), err.str()};
}

// A configuration file that goes away with it.
class ConfigFile {
 public:
  explicit ConfigFile(std::string_view content) { std::ofstream(path_) << content; }
  ~ConfigFile() { std::remove(path_.c_str()); }
  const std::string& path() const { return path_; }

 private:
  std::string path_ = testing::TempDir() + "pharos-validate-" + std::to_string(getpid()) + ".hcl";
};

TEST(RunCommandLine, PrintsTheUsageForUnknownCommands) {
  for (const std::vector<std::string_view>& given :
       {std::vector<std::string_view>{}, std::vector<std::string_view>{"nonsense", "-x"}}) {
    const Outcome got = RunPharos(given);
    EXPECT_EQ(got.exit_status, 127);
    EXPECT_EQ(got.err,
              "Usage: pharos [--version] [--help] <command> [<args>]\n\nAvailable commands are:\n"
              "    keygen      Makes a key\n    validate    Checks\n"
              "    version     Prints the version\n");
    EXPECT_EQ(got.out, "");
  }
}

TEST(RunCommandLine, HelpsWhenAsked) {
  for (const std::string_view word : {"-h", "-help", "--help"}) {
    EXPECT_EQ(RunPharos({word}).exit_status, 0);
    EXPECT_THAT(RunPharos({word}).out, StartsWith("Usage: pharos "));
    const Outcome validate = RunPharos({"validate", word});
    EXPECT_EQ(validate.exit_status, 0);
    EXPECT_THAT(validate.out, HasSubstr("  -config-format=<hcl|json>\n     Format of all files"));
  }
}

TEST(RunCommandLine, NamesAnUnknownOption) {
  const Outcome got = RunPharos({"keygen", "-x"});
  EXPECT_EQ(got.exit_status, 1);
  EXPECT_THAT(got.err, StartsWith("flag provided but not defined: -x\nUsage: pharos keygen"));
}

TEST(Keygen, PrintsANewKeyEachTime) {
  const Outcome first = RunPharos({"keygen"}), second = RunPharos({"keygen"});
  EXPECT_EQ(first.exit_status, 0);
  EXPECT_EQ(first.out.size(), 45U);  // 44 characters and the line's end.
  EXPECT_NE(first.out, second.out);
}

TEST(Version, PrintsForPeopleAndForPrograms) {
  const std::string version(kVersion);
  for (const std::string_view word : {"version", "-v", "--version"}) {
    EXPECT_THAT(RunPharos({word}).out, StartsWith("Pharos v" + version + "\nProtocol 2 spoken"));
  }
  const auto parsed = nlohmann::json::parse(RunPharos({"version", "-format=json"}).out);
  EXPECT_EQ(parsed["Version"], version);
  EXPECT_EQ(parsed["RPC"]["Default"], 2);
  EXPECT_EQ(RunPharos({"version", "-format", "xml"}).exit_status, 1);
}

TEST(Validate, SaysWhetherAnAgentCouldStart) {
  const ConfigFile good(
      "data_dir = \"/d\" bind_addr = \"127.0.0.1\" "
      "ports { https = 8501 } experiments = [\"new\"]");
  const Outcome valid = RunPharos({"validate", good.path()});
  EXPECT_EQ(valid.exit_status, 0) << valid.err;
  EXPECT_THAT(valid.out, HasSubstr("HTTPS is not started\n"));
  EXPECT_THAT(valid.out, HasSubstr("have no effect in this version: "));
  EXPECT_THAT(valid.out, testing::EndsWith("Configuration is valid!\n"));
  const Outcome quiet = RunPharos({"validate", "-quiet", good.path()});
  EXPECT_EQ(quiet.exit_status, 0);
  EXPECT_EQ(quiet.out + quiet.err, "");
}

TEST(Validate, SaysWhatIsWrong) {
  const ConfigFile bad("ui_confg { }");
  const Outcome invalid = RunPharos({"validate", bad.path()});
  EXPECT_EQ(invalid.exit_status, 1);
  EXPECT_EQ(invalid.err, "Config validation failed: " + bad.path() +
                             ":1:1: invalid config key ui_confg; did you mean ui_config?\n");
  const Outcome none = RunPharos({"validate"});
  EXPECT_EQ(none.exit_status, 1);
  EXPECT_EQ(none.err, "Must specify at least one config file or directory\n");
}

}  // namespace
}  // namespace pharos::agent
