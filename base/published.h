// Publication of immutable values: one writer replaces the current value, any number of readers use
// it without locks or waiting. Read-copy-update by liburcu, memb flavour (McKenney and Slingwine
// 1998): a reader costs two plain stores, and an old value is freed once no reader can hold it.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>

namespace pharos {

namespace published_internal {

// What stands around each published value. Allocated and freed on the writer's thread.
struct Cell {
  virtual ~Cell() = default;
  std::atomic<uint32_t> pins{0};
  Cell* next = nullptr;  // In a list of retired cells.
};

// A place that retired cells come to once every reader that may hold them has left.
class Retirement {
 public:
  Retirement() = default;
  Retirement(const Retirement&) = delete;
  Retirement& operator=(const Retirement&) = delete;
  // Waits for readers and frees all; nobody may hold a guard or a pin by now.
  ~Retirement();

  // All on the writer's thread.
  void Retire(Cell* cell);
  void Reclaim();
  size_t pending() const { return pending_; }

 private:
  struct Request;
  std::atomic<Cell*> graced_{nullptr};
  Cell* pinned_ = nullptr;
  size_t pending_ = 0;
};

void ReadLock();
void ReadUnlock(const Cell* cell);

}  // namespace published_internal

template <typename T>
class Published {
  struct TypedCell : published_internal::Cell {
    explicit TypedCell(std::unique_ptr<const T> v) : value(std::move(v)) {}
    std::unique_ptr<const T> value;
  };

 public:
  class Pin;

  // Holds the value that was current when the guard was made. For short use on one thread: one
  // batch, never across a turn of a loop, as all values retired meanwhile are kept.
  class ReadGuard {
   public:
    explicit ReadGuard(const Published& published) {
      published_internal::ReadLock();
      cell_ = published.current_.load(std::memory_order_acquire);
    }
    ReadGuard(const ReadGuard&) = delete;
    ReadGuard& operator=(const ReadGuard&) = delete;
    ~ReadGuard() { published_internal::ReadUnlock(cell_); }

    const T& operator*() const { return *cell_->value; }
    const T* operator->() const { return cell_->value.get(); }

   private:
    friend class Pin;
    TypedCell* cell_;
  };

  // Keeps one value for as long as it likes, on any thread, and keeps no other.
  class Pin {
   public:
    Pin() = default;
    explicit Pin(const ReadGuard& guard) : cell_(guard.cell_) {
      cell_->pins.fetch_add(1, std::memory_order_relaxed);
    }
    Pin(Pin&& other) noexcept : cell_(std::exchange(other.cell_, nullptr)) {}
    Pin& operator=(Pin&& other) noexcept {
      std::swap(cell_, other.cell_);
      return *this;
    }
    ~Pin() {
      if (cell_ != nullptr) cell_->pins.fetch_sub(1, std::memory_order_release);
    }

    explicit operator bool() const { return cell_ != nullptr; }
    const T& operator*() const { return *cell_->value; }
    const T* operator->() const { return cell_->value.get(); }

   private:
    TypedCell* cell_ = nullptr;
  };

  explicit Published(std::unique_ptr<const T> first) : current_(new TypedCell(std::move(first))) {}
  Published(const Published&) = delete;
  Published& operator=(const Published&) = delete;
  // On the writer's thread or after it has ended; no guard and no pin is left.
  ~Published() { delete current_.load(std::memory_order_relaxed); }

  // The writer's thread: makes `next` current. Readers that come now see it. The value before is
  // destroyed here or in a later call of Publish or Reclaim, on this thread.
  void Publish(std::unique_ptr<const T> next) {
    TypedCell* old = current_.exchange(new TypedCell(std::move(next)), std::memory_order_acq_rel);
    retirement_.Retire(old);
    retirement_.Reclaim();
  }
  // The writer's thread: frees what no reader can hold any more.
  void Reclaim() { retirement_.Reclaim(); }
  // The writer's thread: values that were replaced and are not freed yet.
  size_t retired_count() const { return retirement_.pending(); }

 private:
  std::atomic<TypedCell*> current_;
  published_internal::Retirement retirement_;
};

}  // namespace pharos
