// MessagePack as the members of a pool write it: the old specification, without the types bin, ext
// and str 8 (msgpack.org, spec-old.md). What is written is as short as it can be; what is read may
// be in any of the newer forms as well.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/octets.h"

namespace pharos::gossip {

// Each appends one value to `out`. Texts and octets are the same on the wire.
void PackRaw(std::string_view octets, std::string& out);
// Octets that are absent rather than empty when there are none.
void PackRawOrNil(std::string_view octets, std::string& out);
void PackUint(uint64_t value, std::string& out);
// As unsigned where it is not negative.
void PackInt(int64_t value, std::string& out);
void PackDouble(double value, std::string& out);
void PackBool(bool value, std::string& out);
void PackNil(std::string& out);
// The head of a map of `entries` pairs, or of a list of so many values, which the caller appends.
void PackMap(size_t entries, std::string& out);
void PackList(size_t entries, std::string& out);

// Reads values forward. A value of another kind than is asked for, or one that is cut off, makes
// ok() false for good and reads as zero or empty; so does a map or list that says it has more
// entries than octets are left, so that a loop over them ends. nil reads as zero or empty of
// whatever is asked for. Borrows the octets; allocates nothing but what Text returns.
class MsgPackReader {
 public:
  explicit MsgPackReader(Octets octets, size_t offset = 0)
      : octets_(octets), offset_(offset), failed_(offset > octets.size()) {}

  // Of any integer format, at most `max`; a negative number is a failure.
  uint64_t Uint(uint64_t max);
  int64_t Int();
  double Double();  // Any number, NaN and infinities among them.
  bool Bool();
  // A text or octets in any format, borrowed.
  Octets Raw();
  // The same as a copy; a list of small integers, too, is octets.
  std::string Text();
  size_t Map();
  size_t List();
  // Whether the next value is nil, which then is taken.
  bool TakeNil();
  // One value of any kind with all that is in it, nested kDepthMax deep.
  void Skip() { SkipNested(kDepthMax); }

  size_t offset() const { return offset_; }
  size_t remaining() const { return octets_.size() - offset_; }
  bool ok() const { return !failed_; }
  // Whether it failed for want of octets: with more of them it might not have.
  bool cut_off() const { return cut_off_; }

 private:
  static constexpr int kDepthMax = 16;
  static constexpr uint64_t kEntriesMax = 1 << 20;

  uint8_t Head();
  uint64_t BigEndian(size_t octets);
  Octets Take(size_t count);
  Octets RawOf(uint8_t head);
  // `count`, unless so many entries of at least `octets_each` cannot be there.
  size_t Entries(uint64_t count, size_t octets_each);
  void SkipNested(int depth);
  void Fail(bool cut_off = false);

  Octets octets_;
  size_t offset_;
  bool failed_;
  bool cut_off_ = false;
};

}  // namespace pharos::gossip
