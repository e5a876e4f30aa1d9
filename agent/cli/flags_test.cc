#include "agent/cli/flags.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sstream>

#include "agent/cli/agent_flags.h"
#include "agent/cli/command.h"
#include "agent/config/schema.h"

namespace pharos::agent {
namespace {

using testing::ElementsAre;

constexpr Flag kFlags[] = {{"name", "text", "A name."}, {"on", "", "A switch."}};

TEST(ParseFlags, ReadsEveryFormThatGoReads) {
  const struct {
    std::string_view shows;
    std::vector<std::string_view> given;
    std::string_view want;  // name=value ... | arguments
  } kRows[] = {
      {"the value apart", {"-name", "a"}, "name=a |"},
      {"the value behind =", {"-name=a=b"}, "name=a=b |"},
      {"two dashes", {"--name", "a", "--on"}, "name=a on=true |"},
      {"an empty value", {"-name="}, "name= |"},
      {"a value that looks like a flag", {"-name", "-on"}, "name=-on |"},
      {"a bool takes no word", {"-on", "false"}, "on=true | false"},
      {"a bool set off", {"-on=false", "-on=T"}, "on=false on=true |"},
      {"repeats are kept in order", {"-name", "a", "-name", "b"}, "name=a name=b |"},
      {"flags end at the first argument", {"-on", "x", "-name", "a"}, "on=true | x -name a"},
      {"flags end at --", {"--", "-on"}, "| -on"},
      {"a single dash is an argument", {"-"}, "| -"},
  };
  for (const auto& row : kRows) {
    const auto parsed = ParseFlags(kFlags, row.given);
    ASSERT_TRUE(parsed.ok()) << row.shows << ": " << parsed.status();
    std::string got;
    for (const auto& [name, value] : parsed->values) {
      got.append(name).append("=").append(value).append(" ");
    }
    got += "|";
    for (const std::string& argument : parsed->arguments) got.append(" ").append(argument);
    EXPECT_EQ(got, row.want) << row.shows;
  }
}

TEST(ParseFlags, RefusesInGosWords) {
  const struct {
    std::vector<std::string_view> given;
    std::string_view want;
  } kRows[] = {
      {{"-x"}, "flag provided but not defined: -x"},
      {{"--x=1"}, "flag provided but not defined: -x"},
      {{"-name"}, "flag needs an argument: -name"},
      {{"-on=maybe"}, "invalid boolean value \"maybe\" for -on: parse error"},
      {{"-=x"}, "bad flag syntax: -=x"},
      {{"---name"}, "bad flag syntax: ---name"},
  };
  for (const auto& row : kRows) {
    EXPECT_EQ(std::string(ParseFlags(kFlags, row.given).status().message()), row.want);
  }
}

TEST(AgentFlags, SetKeysThatExist) {
  for (const Flag& flag : AgentFlags()) {
    ParsedFlags parsed;
    parsed.values.emplace_back(flag.name, flag.is_bool() ? "true" : "1");
    const auto request = MakeConfigRequest(parsed);
    ASSERT_TRUE(request.ok()) << flag.name << ": " << request.status();
    for (const FlagSetting& setting : request->flags) {
      EXPECT_NE(FindKey(setting.path), nullptr) << flag.name;
    }
  }
}

TEST(AgentFlags, BecomeSettings) {
  const std::vector<std::string_view> given = {
      "-config-dir", "d",   "-config-file=f.json", "-hcl", "a=1",   "-dev",   "-dns-port", "53",
      "-recursor",   "::1", "-node-meta=k:v:w",    "-ui",  "-bind", "0.0.0.0"};
  const auto parsed = ParseFlags(AgentFlags(), given);
  ASSERT_TRUE(parsed.ok()) << parsed.status();
  const auto request = MakeConfigRequest(*parsed);
  ASSERT_TRUE(request.ok()) << request.status();
  EXPECT_THAT(request->paths, ElementsAre("d", "f.json"));
  EXPECT_THAT(request->hcl, ElementsAre("a=1"));
  EXPECT_TRUE(request->dev_mode);
  ASSERT_EQ(request->flags.size(), 5U);
  EXPECT_EQ(request->flags[0].path, "ports.dns");
  EXPECT_EQ(request->flags[0].value.integer, 53);
  EXPECT_EQ(request->flags[1].value.list.at(0).text, "::1");
  EXPECT_EQ(request->flags[2].value.Find("k")->text, "v:w");
  EXPECT_TRUE(request->flags[3].value.boolean);
  EXPECT_EQ(request->flags[4].value.text, "0.0.0.0");
}

TEST(AgentFlags, RefuseWhatIsNoNumberAndWhatIsNoFlag) {
  const struct {
    std::vector<std::string_view> given;
    std::string_view want;
  } kRows[] = {
      {{"-dns-port", "many"}, "invalid value \"many\" for flag -dns-port: parse error"},
      {{"-dev", "x"}, "\"x\" is no option; expected options only"},
  };
  for (const auto& row : kRows) {
    const auto parsed = ParseFlags(AgentFlags(), row.given);
    ASSERT_TRUE(parsed.ok());
    EXPECT_EQ(std::string(MakeConfigRequest(*parsed).status().message()), row.want);
  }
}

}  // namespace
}  // namespace pharos::agent
