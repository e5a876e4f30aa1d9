// Extended DNS errors (RFC 8914): why an answer is as it is, for whoever looks into it. They change
// nothing for those who do not.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace pharos::dns {

// INFO-CODEs (IANA "Extended DNS Error Codes"); only those we say are listed.
enum class InfoCode : uint16_t {
  kOther = 0,  // The text says it.
  kStaleAnswer = 3,
  kCachedError = 13,
  kNotReady = 14,
  kBlocked = 15,
  kCensored = 16,
  kFiltered = 17,
  kProhibited = 18,
  kStaleNxDomain = 19,
  kNotAuthoritative = 20,
  kNotSupported = 21,
  kNoReachableAuthority = 22,
  kNetworkError = 23,
};

struct ExtendedError {
  InfoCode code = InfoCode::kOther;
  // For people; a literal, as it is borrowed. Left out where the reply has no room for it.
  std::string_view text = {};
};

}  // namespace pharos::dns
