// A text or a list that most records leave empty: a pointer while it is, where a string or a vector
// would be three or four words in each of a million records.
#pragma once

#include <concepts>
#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

namespace pharos::registry {

// Reads as a `const T`, and is set as a whole.
template <typename T>
class Rare {
 public:
  Rare() = default;
  // Implicit, so that it is set like a T.
  // NOLINTBEGIN(google-explicit-constructor,bugprone-forwarding-reference-overload)
  template <typename Value>
  requires(std::constructible_from<T, Value> && !std::same_as<std::remove_cvref_t<Value>, Rare>)
      Rare(Value&& value) {
    // NOLINTEND(google-explicit-constructor,bugprone-forwarding-reference-overload)
    T given(std::forward<Value>(value));
    if (!given.empty()) value_ = std::make_unique<const T>(std::move(given));
  }
  Rare(const Rare& other) : value_(Copy(other)) {}
  Rare(Rare&&) noexcept = default;
  Rare& operator=(const Rare& other) {
    value_ = Copy(other);
    return *this;
  }
  Rare& operator=(Rare&&) noexcept = default;
  ~Rare() = default;

  const T& get() const {
    static const T& none = *new const T();
    return value_ == nullptr ? none : *value_;
  }
  operator const T&() const { return get(); }  // NOLINT(google-explicit-constructor)
  // NOLINTNEXTLINE(google-explicit-constructor)
  operator std::string_view() const requires std::same_as<T, std::string> { return get(); }

  const T& operator*() const { return get(); }
  const T* operator->() const { return &get(); }

  bool empty() const { return value_ == nullptr; }
  size_t size() const { return get().size(); }
  const auto& operator[](size_t i) const { return get()[i]; }
  auto begin() const { return get().begin(); }
  auto end() const { return get().end(); }

  friend bool operator==(const Rare& a, const Rare& b) { return a.get() == b.get(); }
  template <typename Other>
  requires(!std::same_as<Other, Rare>) friend bool operator==(const Rare& a, const Other& b) {
    return a.get() == b;
  }

 private:
  static std::unique_ptr<const T> Copy(const Rare& other) {
    return other.empty() ? nullptr : std::make_unique<const T>(other.get());
  }

  std::unique_ptr<const T> value_;
};

}  // namespace pharos::registry
