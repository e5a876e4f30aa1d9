// Numbers of the DNS protocol (IANA "Domain Name System (DNS) Parameters").
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/socket.h"

namespace pharos::dns {

// Any 16-bit value may occur; only those we name are listed.
enum class RrType : uint16_t {
  kA = 1,
  kNs = 2,
  kCname = 5,
  kSoa = 6,
  kPtr = 12,
  kMx = 15,
  kTxt = 16,
  kAaaa = 28,
  kSrv = 33,
  kOpt = 41,
  kIxfr = 251,
  kAxfr = 252,
  kAny = 255,
};

enum class RrClass : uint16_t { kIn = 1, kChaos = 3, kHesiod = 4, kNone = 254, kAny = 255 };

enum class Opcode : uint8_t { kQuery = 0, kNotify = 4 };

enum class Rcode : uint16_t {
  kNoError = 0,
  kFormErr = 1,
  kServFail = 2,
  kNxDomain = 3,
  kNotImp = 4,
  kRefused = 5,
  // Those above 15 need an OPT record for their upper bits (RFC 6891 section 6.1.3).
  kBadVers = 16,
  kBadCookie = 23,  // RFC 7873 section 8.
};

// Codes of EDNS options (IANA "DNS EDNS0 Option Codes").
enum class EdnsOption : uint16_t {
  kNsid = 3,
  kClientSubnet = 8,
  kCookie = 10,
  kTcpKeepalive = 11,
  kExtendedError = 15,
};

// Bits of the header's second 16-bit word (RFC 1035 section 4.1.1, RFC 4035 section 3).
inline constexpr uint16_t kFlagQr = 0x8000;
inline constexpr uint16_t kFlagAa = 0x0400;
inline constexpr uint16_t kFlagTc = 0x0200;
inline constexpr uint16_t kFlagRd = 0x0100;
inline constexpr uint16_t kFlagRa = 0x0080;
inline constexpr uint16_t kFlagAd = 0x0020;
inline constexpr uint16_t kFlagCd = 0x0010;

inline constexpr size_t kHeaderOctets = 12;
inline constexpr size_t kMessageOctetsMax = 65535;
// The largest payload of an IPv4 UDP datagram.
inline constexpr size_t kUdpPayloadOctetsMax = 65507;
// What a UDP reply may hold when the question has no OPT record (RFC 1035 section 4.2.1).
inline constexpr size_t kPlainUdpOctetsMax = 512;

}  // namespace pharos::dns
