#include "base/published.h"

#include <urcu/urcu-memb.h>

#ifdef PHAROS_TSAN
#include <sanitizer/tsan_interface.h>
#endif

namespace pharos::published_internal {
namespace {

// liburcu must know a thread before it reads, and until it ends.
struct ThreadRegistration {
  ThreadRegistration() { urcu_memb_register_thread(); }
  ~ThreadRegistration() { urcu_memb_unregister_thread(); }
};

void EnsureRegistered() { thread_local const ThreadRegistration registration; }

// TSan (PHAROS_TSAN is set by the build) does not see into liburcu. These say that what was done
// before NoteRelease comes before what is done after NoteAcquire of the same address: a reader's
// use of a value before it is freed, a request's making before its callback.
void NoteRelease([[maybe_unused]] const void* address) {
#ifdef PHAROS_TSAN
  __tsan_release(const_cast<void*>(address));
#endif
}
void NoteAcquire([[maybe_unused]] const void* address) {
#ifdef PHAROS_TSAN
  __tsan_acquire(const_cast<void*>(address));
#endif
}

}  // namespace

void ReadLock() {
  EnsureRegistered();
  urcu_memb_read_lock();
}

void ReadUnlock(const Cell* cell) {
  NoteRelease(cell);
  urcu_memb_read_unlock();
}

// Carries a cell through liburcu's callback thread, which only hands it on: cells are freed on the
// writer's thread. `head` comes first, as the callback is given its address.
struct Retirement::Request {
  rcu_head head;
  Retirement* retirement;
  Cell* cell;
};

void Retirement::Retire(Cell* cell) {
  EnsureRegistered();
  ++pending_;
  auto* request = new Request{{}, this, cell};
  NoteRelease(request);
  urcu_memb_call_rcu(&request->head, [](rcu_head* head) {
    NoteAcquire(head);
    const std::unique_ptr<Request> done(reinterpret_cast<Request*>(head));
    std::atomic<Cell*>& graced = done->retirement->graced_;
    done->cell->next = graced.load(std::memory_order_relaxed);
    while (!graced.compare_exchange_weak(done->cell->next, done->cell, std::memory_order_release,
                                         std::memory_order_relaxed)) {
    }
  });
}

void Retirement::Reclaim() {
  Cell* cell = graced_.exchange(nullptr, std::memory_order_acquire);
  // Pins are only taken under a guard, and no guard on these is left: a count of 0 stays 0.
  Cell* still_pinned = nullptr;
  for (Cell* list : {cell, std::exchange(pinned_, nullptr)}) {
    while (list != nullptr) {
      Cell* const next = list->next;
      if (list->pins.load(std::memory_order_acquire) == 0) {
        NoteAcquire(list);
        delete list;
        --pending_;
      } else {
        list->next = still_pinned;
        still_pinned = list;
      }
      list = next;
    }
  }
  pinned_ = still_pinned;
}

Retirement::~Retirement() {
  if (pending_ == 0) return;
  urcu_memb_barrier();
  Reclaim();
}

}  // namespace pharos::published_internal
