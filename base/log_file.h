// A log file that is put aside, and begun anew, when it is large or old.
#pragma once

#include <cstdint>
#include <cstdio>
#include <memory>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace pharos {

struct LogFileOptions {
  std::string path;        // The file that is written; one that ends in `/` gets `pharos.log`.
  int64_t octets_max = 0;  // 0: any size.
  absl::Duration age_max = absl::InfiniteDuration();
  // Files put aside that are kept, `NAME-TIME.EXTENSION` with the time in nanoseconds: 0 all of
  // them, -1 none.
  int kept_max = 0;
};

// One thread at a time.
class LogFile {
 public:
  // Appends to what is there. The error says which file cannot be opened, and why.
  static absl::StatusOr<std::unique_ptr<LogFile>> Open(const LogFileOptions& options,
                                                       absl::Time now);
  // What cannot be written is lost: there is no other place to say so.
  void Write(std::string_view line, absl::Time now);

 private:
  struct Close {
    void operator()(FILE* file) const { std::fclose(file); }
  };

  explicit LogFile(LogFileOptions options) : options_(std::move(options)) {}
  absl::Status OpenFile(absl::Time now);
  void Rotate(absl::Time now);
  void RemoveOld() const;

  LogFileOptions options_;
  std::unique_ptr<FILE, Close> file_;
  int64_t octets_ = 0;
  absl::Time begun_;
};

}  // namespace pharos
