// Shared ownership of immutable values within the catalog, counted by plain integers: every copy
// and every release of a Ref happens on the writer's thread. Readers borrow (`const T*`) under a
// ReadGuard or a Pin and never touch a count.
#pragma once

#include <cstdint>
#include <utility>

namespace pharos::registry {

template <typename T>
class Ref;

// Base of what a Ref owns.
class RefCounted {
 public:
  RefCounted() = default;
  // A copy is a new value that nobody holds yet.
  RefCounted(const RefCounted&) {}
  RefCounted& operator=(const RefCounted&) { return *this; }

 private:
  template <typename T>
  friend class Ref;
  mutable uint32_t count_ = 0;
};

// The analyzer does not follow the count from one Ref to the next, and takes the one that lives on
// for one that looks at freed memory.
// NOLINTBEGIN(clang-analyzer-cplusplus.NewDelete)
template <typename T>
class Ref {
 public:
  Ref() = default;
  explicit Ref(T* adopted) : value_(adopted) {
    if (value_ != nullptr) ++value_->count_;
  }
  Ref(const Ref& other) : Ref(other.value_) {}
  Ref(Ref&& other) noexcept : value_(std::exchange(other.value_, nullptr)) {}
  Ref& operator=(Ref other) noexcept {
    std::swap(value_, other.value_);
    return *this;
  }
  ~Ref() {
    if (value_ != nullptr && --value_->count_ == 0) delete value_;
  }

  T* get() const { return value_; }
  T& operator*() const { return *value_; }
  T* operator->() const { return value_; }
  explicit operator bool() const { return value_ != nullptr; }
  // True when nobody else holds the value, so the writer may change it in place.
  bool unique() const { return value_ != nullptr && value_->count_ == 1; }
  friend bool operator==(const Ref&, const Ref&) = default;

 private:
  T* value_ = nullptr;
};
// NOLINTEND(clang-analyzer-cplusplus.NewDelete)

template <typename T, typename... Arguments>
Ref<T> MakeRef(Arguments&&... arguments) {
  return Ref<T>(new T(std::forward<Arguments>(arguments)...));
}

}  // namespace pharos::registry
