// The connection that libfstrm writes a dnstap stream to.
#pragma once

#include <sys/uio.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>

namespace pharos::dns {

// A connection to a Unix socket. libfstrm's own one would wait for a reader that has stopped
// reading for as long as it likes, also when the agent is to end; this one waits for kPatience. All
// calls on libfstrm's thread; what is counted may be read from any.
class DnstapStream {
 public:
  static constexpr int kPatienceSeconds = 2;

  explicit DnstapStream(std::string path) : path_(std::move(path)) {}
  ~DnstapStream() { Close(); }
  DnstapStream(const DnstapStream&) = delete;
  DnstapStream& operator=(const DnstapStream&) = delete;

  // Each returns whether all of it was done.
  bool Open();
  bool Close();
  bool Read(uint8_t* target, size_t octets);
  bool Write(const iovec* pieces, size_t count);

  bool connected() const { return connected_.load(std::memory_order_relaxed); }

 private:
  // Says why the collector cannot be reached, once until it could again.
  void Complain(const char* doing, int error);

  const std::string path_;
  int socket_ = -1;
  bool told_ = false;  // The log has been told that it cannot be connected.
  std::atomic<bool> connected_{false};
};

}  // namespace pharos::dns
