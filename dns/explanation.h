// The steps that lead to one answer, in words, for people who want to know why it is what it is.
#pragma once

#include <cstddef>
#include <string>
#include <utility>
#include <vector>

namespace pharos::dns {

class Explanation {
 public:
  // Steps beyond are left out; whoever reads that many has seen enough.
  static constexpr size_t kStepsMax = 256;

  struct Step {
    std::string topic;  // One word: name, service, instance, limit, chain, reply ...
    std::string text;   // A sentence without a full stop.
  };

  void Add(std::string topic, std::string text) {
    if (steps_.size() < kStepsMax) steps_.push_back({std::move(topic), std::move(text)});
  }
  const std::vector<Step>& steps() const { return steps_; }

 private:
  std::vector<Step> steps_;
};

}  // namespace pharos::dns
