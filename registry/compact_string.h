// A text in half the room that std::string takes: up to 15 octets in itself, more in memory of just
// their number. For records of which there are millions.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <compare>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <ostream>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include "base/check.h"

namespace pharos::registry {

// Reads as a string_view, and is set as a whole. At most 4 GiB - 1.
class CompactString {
 public:
  CompactString() = default;
  // Implicit, so that it is set like a string.
  // NOLINTBEGIN(google-explicit-constructor,bugprone-forwarding-reference-overload)
  template <typename Text>
  requires(std::convertible_to<const Text&, std::string_view> && !std::same_as<Text, CompactString>)
      CompactString(const Text& text) {
    // NOLINTEND(google-explicit-constructor,bugprone-forwarding-reference-overload)
    Assign(text);
  }
  CompactString(const CompactString& other) { Assign(other.view()); }
  CompactString(CompactString&& other) noexcept : octets_(std::exchange(other.octets_, {})) {}
  CompactString& operator=(CompactString other) noexcept {
    std::swap(octets_, other.octets_);
    return *this;
  }
  ~CompactString() {
    if (is_long()) delete[] long_form().text;
  }

  std::string_view view() const {
    if (is_long()) return {long_form().text, long_form().size};
    return {octets_.data(), static_cast<size_t>(octets_.back())};
  }
  operator std::string_view() const { return view(); }  // NOLINT(google-explicit-constructor)
  std::string str() const { return std::string(view()); }
  size_t size() const { return view().size(); }
  bool empty() const { return octets_.back() == 0; }

  template <std::convertible_to<std::string_view> Text>
  friend bool operator==(const CompactString& a, const Text& b) {
    return a.view() == std::string_view(b);
  }
  friend auto operator<=>(const CompactString& a, const CompactString& b) {
    return a.view() <=> b.view();
  }
  friend std::ostream& operator<<(std::ostream& out, const CompactString& text) {
    return out << text.view();
  }

 private:
  static constexpr size_t kShortMax = 15;
  static constexpr char kLong = kShortMax + 1;
  struct LongForm {
    char* text;  // Owned.
    uint32_t size;
    std::array<char, 4> mark;  // Its last is kLong.
  };
  using Octets = std::array<char, kShortMax + 1>;
  static_assert(sizeof(LongForm) == sizeof(Octets));

  bool is_long() const { return octets_.back() == kLong; }
  LongForm long_form() const { return std::bit_cast<LongForm>(octets_); }
  // It is empty.
  void Assign(std::string_view text) {
    if (text.size() <= kShortMax) {
      std::ranges::copy(text, octets_.begin());
      octets_.back() = static_cast<char>(text.size());
      return;
    }
    CHECK(text.size() <= UINT32_MAX);
    auto* const copy = new char[text.size()];
    std::ranges::copy(text, copy);
    octets_ = std::bit_cast<Octets>(LongForm{
        .text = copy, .size = static_cast<uint32_t>(text.size()), .mark = {0, 0, 0, kLong}});
  }

  // The text, and its length in the last octet; or a LongForm.
  alignas(void*) Octets octets_{};
};

}  // namespace pharos::registry
