// Names: whatever is read must be a sound name, and come back the same by every other way.
#include <cstdint>
#include <string>

#include "base/check.h"
#include "dns/name.h"

using pharos::AsText;
using pharos::Octets;
using pharos::dns::Name;

namespace {

void CheckSound(const Name& name) {
  CHECK(name.size() >= 1 && name.size() <= pharos::dns::kNameOctetsMax);
  CHECK(name.wire().back() == 0);
  const auto from_wire = Name::FromWire(name.wire());
  CHECK(from_wire && AsText(from_wire->wire()) == AsText(name.wire()));
  const auto from_text = Name::FromText(name.ToText());
  CHECK(from_text && AsText(from_text->wire()) == AsText(name.wire()));
  CHECK(name.Lower() == name);
  size_t labels = name.CountLabels();
  for (Name up = name; !up.is_root(); up = up.Parent()) {
    CHECK(name.IsAtOrBelow(up));
    --labels;
  }
  CHECK(labels == 0);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const Octets input(data, size);
  if (const auto name = Name::FromText(AsText(input))) CheckSound(*name);
  if (const auto name = Name::FromWire(input)) CheckSound(*name);
  for (size_t offset = 0; offset <= size && offset < 64; ++offset) {
    Name name;
    const auto past = ReadName(input, offset, name);
    if (!past) continue;
    CHECK(*past > offset && *past <= size);
    CheckSound(name);
  }
  return 0;
}
