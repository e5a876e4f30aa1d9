// Asking the processor for memory before it is read.
#pragma once

namespace pharos {

// Asks for the cache line of an address, which may be null, and waits for nothing.
inline void PrefetchLine(const void* address) {
  __builtin_prefetch(address);
  // GCC takes a function that only prefetches for one that does nothing, and drops calls of it;
  // this it must not.
  asm volatile("");
}

}  // namespace pharos
