#include "dns/name.h"

#include <algorithm>

#include "absl/strings/str_format.h"

namespace pharos::dns {
namespace {

// A name has at most 127 labels, so one that follows more pointers is made to cost us time.
constexpr int kPointersMax = 127;

bool IsDigit(char c) { return c >= '0' && c <= '9'; }

}  // namespace

std::optional<Name> Name::FromText(std::string_view text) {
  Name name;
  if (text == "." || text.empty()) return text.empty() ? std::nullopt : std::optional(name);
  size_t label_at = 0;  // Where the length octet of the current label is.
  size_t end = 1;       // Where its next octet goes.
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '.') {
      if (end == label_at + 1) return std::nullopt;
      name.octets_[label_at] = static_cast<uint8_t>(end - label_at - 1);
      label_at = end++;
      if (end > kNameOctetsMax) return std::nullopt;
      continue;
    }
    uint8_t octet = static_cast<uint8_t>(text[i]);
    if (text[i] == '\\') {
      if (++i == text.size()) return std::nullopt;
      octet = static_cast<uint8_t>(text[i]);
      if (IsDigit(text[i])) {
        if (text.size() - i < 3 || !IsDigit(text[i + 1]) || !IsDigit(text[i + 2])) {
          return std::nullopt;
        }
        const int value = (text[i] - '0') * 100 + (text[i + 1] - '0') * 10 + (text[i + 2] - '0');
        if (value > 255) return std::nullopt;
        octet = static_cast<uint8_t>(value);
        i += 2;
      }
    }
    // One octet stays free for the root label.
    if (end - label_at - 1 == kLabelOctetsMax || end >= kNameOctetsMax - 1) return std::nullopt;
    name.octets_[end++] = octet;
  }
  if (end > label_at + 1) {
    name.octets_[label_at] = static_cast<uint8_t>(end - label_at - 1);
    label_at = end;
  }
  name.octets_[label_at] = 0;
  name.size_ = static_cast<uint8_t>(label_at + 1);
  return name;
}

std::optional<Name> Name::FromWire(Octets wire) {
  Name name;
  const std::optional<size_t> end = ReadName(wire, 0, name);
  if (!end || *end != wire.size()) return std::nullopt;
  return name;
}

size_t Name::CountLabels() const {
  size_t count = 0;
  for (size_t at = 0; octets_[at] != 0; at += octets_[at] + size_t{1}) ++count;
  return count;
}

std::string Name::ToText() const {
  if (is_root()) return ".";
  std::string text;
  for (size_t at = 0; octets_[at] != 0; at += octets_[at] + size_t{1}) {
    for (const uint8_t octet : Octets(octets_).subspan(at + 1, octets_[at])) {
      const char c = static_cast<char>(octet);
      if (octet <= 0x20 || octet >= 0x7f) {
        absl::StrAppendFormat(&text, "\\%03d", octet);
      } else {
        if (std::string_view(".\\\"();@$").find(c) != std::string_view::npos) text.push_back('\\');
        text.push_back(c);
      }
    }
    text.push_back('.');
  }
  return text;
}

Name Name::Lower() const {
  Name lower;
  lower.size_ = size_;
  // A length octet is at most 63, below 'A', so it is never taken for a letter.
  for (size_t i = 0; i < size_; ++i) lower.octets_[i] = LowerOctet(octets_[i]);
  return lower;
}

bool Name::IsAtOrBelow(const Name& ancestor) const {
  if (ancestor.size_ > size_) return false;
  const size_t start = size_ - ancestor.size_;
  for (size_t i = 0; i < ancestor.size_; ++i) {
    if (LowerOctet(octets_[start + i]) != LowerOctet(ancestor.octets_[i])) return false;
  }
  // The octets agree; they must also begin at a label.
  size_t at = 0;
  while (at < start) at += octets_[at] + size_t{1};
  return at == start;
}

Name Name::Parent() const {
  Name parent;
  if (is_root()) return parent;
  const size_t skip = octets_[0] + size_t{1};
  parent.size_ = static_cast<uint8_t>(size_ - skip);
  std::copy(octets_.begin() + static_cast<ptrdiff_t>(skip), octets_.begin() + size_,
            parent.octets_.begin());
  return parent;
}

bool operator==(const Name& a, const Name& b) {
  return a.size_ == b.size_ &&
         std::equal(a.octets_.begin(), a.octets_.begin() + a.size_, b.octets_.begin(),
                    [](uint8_t x, uint8_t y) { return LowerOctet(x) == LowerOctet(y); });
}

std::optional<size_t> ReadName(Octets message, size_t offset, Name& name) {
  size_t size = 0;
  size_t at = offset;
  size_t pointer_limit = offset;  // A pointer must go before where its name began.
  std::optional<size_t> past_end;
  int pointers = 0;
  while (true) {
    if (at >= message.size()) return std::nullopt;
    const uint8_t length = message[at];
    if (length == 0) {
      if (size + 1 > kNameOctetsMax) return std::nullopt;
      name.octets_[size++] = 0;
      name.size_ = static_cast<uint8_t>(size);
      return past_end ? past_end : at + 1;
    }
    if ((length & 0xc0) == 0xc0) {
      if (at + 1 >= message.size()) return std::nullopt;
      const size_t target = static_cast<size_t>(length & 0x3f) << 8 | message[at + 1];
      if (target >= pointer_limit || ++pointers > kPointersMax) return std::nullopt;
      if (!past_end) past_end = at + 2;
      pointer_limit = target;
      at = target;
      continue;
    }
    if ((length & 0xc0) != 0) return std::nullopt;
    if (at + 1 + length > message.size() || size + 1 + length + 1 > kNameOctetsMax) {
      return std::nullopt;
    }
    std::copy_n(message.begin() + static_cast<ptrdiff_t>(at), length + 1,
                name.octets_.begin() + static_cast<ptrdiff_t>(size));
    size += length + size_t{1};
    at += length + size_t{1};
  }
}

}  // namespace pharos::dns
