#include "tests/fuzz/message_input.h"

#include <array>
#include <string_view>

#include "tests/fuzz/message_catalog.h"

namespace pharos::fuzz {
namespace {

constexpr std::array<uint16_t, 16> kTypes = {1,  28, 33, 16,  12,  255, 6,  2,
                                             15, 5,  65, 252, 251, 43,  41, 64000};
constexpr std::array<uint16_t, 16> kUdpOctets = {0,   511, 512, 513,  600,  700,  900,  1232,
                                                 300, 550, 800, 1000, 1500, 4096, 9000, 65535};
constexpr std::array<uint32_t, 8> kUdpAnswerLimits = {3, 0, 1, 2, 5, 8, 9, 100};
constexpr std::array<uint32_t, 4> kARecordLimits = {0, 1, 2, 5};

// Labels that mean something, dots between them.
constexpr std::string_view kWords[] = {
    "consul",
    "other.example",
    "alt.consul",
    "service",
    "node",
    "addr",
    "query",
    "connect",
    "ingress",
    "virtual",
    "dc1",
    "dc",
    "dc2",
    "ns",
    "_tcp",
    "_udp",
    "_v1",
    "_web",
    "_t",
    "arpa",
    "in-addr.arpa",
    "ip6.arpa",
    "web",
    "v1",
    "v2",
    "a.b",
    "b",
    "blue",
    "many",
    "six",
    "ports",
    "names",
    "long",
    "longname",
    "dual",
    "half",
    "sick",
    "lone",
    "named",
    "mapped",
    "tonode",
    "toaddr",
    "toweb",
    "totoweb",
    "tonothing",
    "toother",
    "toqueries",
    "self",
    "toself",
    "loop1",
    "loop2",
    "far",
    "broken",
    "gone",
    "huge",
    "mix",
    "bad",
    "badport",
    "odd",
    "lead",
    "_lead",
    "dotted.name",
    "alpha",
    "beta.rack1",
    "rack1",
    "gamma",
    "inner",
    "many-0",
    "many-2",
    "0a090001",
    "fd000000000000000000000000000005",
    "0A000001",
    "0a00",
    "10",
    "0",
    "1",
    "2",
    "3",
    "254",
    "256",
    "f",
    "d",
    "8",
    "www.example",
    "far.example.net",
    "consul.",
    "shared",
    "10.0.0.1",
    "q",
    "hosts",
    "meshed",
    "native",
    "gateway",
    "proxy",
    "mesh",
    "_q",
    "llllllllllllllllllllllllllllllllllllllllllllllllllllllllllllllll"};
constexpr uint8_t kLiteral = 0xc0;  // From here on: a label of so many octets of the input.

// Octets as long as there are any, then zeros.
class Source {
 public:
  explicit Source(Octets octets) : octets_(octets) {}
  uint8_t Next() {
    if (octets_.empty()) return 0;
    const uint8_t next = octets_[0];
    octets_ = octets_.subspan(1);
    return next;
  }
  bool empty() const { return octets_.empty(); }
  Octets rest() const { return octets_; }

 private:
  Octets octets_;
};

void AddZone(dns::AnswerConfig& config, std::string_view name) {
  config.zones.push_back(*dns::Zone::Make(name, kDatacenter));
}

dns::AnswerConfig ReadConfig(uint8_t flags, uint8_t limits, uint8_t more) {
  dns::AnswerConfig config;
  AddZone(config, "consul.");
  if ((limits & 0x40) != 0)
    AddZone(config, (limits & 0x80) != 0 ? "alt.consul." : "other.example.");
  config.datacenter = kDatacenter;
  config.standard = (flags & 0x40) != 0;
  config.enable_truncate = (flags & 0x02) != 0 || config.standard;
  config.compression = (flags & 0x04) == 0;
  config.only_passing = (flags & 0x08) != 0;
  config.recursion_available = (flags & 0x10) != 0;
  config.node_meta_txt = (flags & 0x20) == 0;
  if ((flags & 0x40) != 0) {
    config.locality = dns::LocalityPreference::kPrefer;
    config.region = "r1";
  }
  if ((flags & 0x80) != 0) config.panic_percent = 60;
  config.node_name = "alpha";
  config.udp_answer_limit = kUdpAnswerLimits[limits & 0x07];
  config.a_record_limit = kARecordLimits[(limits >> 3) & 0x03];
  config.node_ttl_s = more & 0x01;
  if ((more & 0x02) != 0) config.service_ttls = dns::ServiceTtls({{"*", 7}, {"web", 0}});
  if ((more & 0x04) != 0) config.soa.minimum_s = 30;
  if ((more & 0x08) != 0) {
    config.nsid = "agent-1 of a name that takes some room";
    config.cookies.required = (limits & 0x20) != 0;
  }
  return config;
}

void AppendU16(std::vector<uint8_t>& out, uint16_t value) {
  out.push_back(static_cast<uint8_t>(value >> 8));
  out.push_back(static_cast<uint8_t>(value));
}

// As many labels as a name has room for.
void AppendName(Source& source, std::vector<uint8_t>& out) {
  const uint8_t upper = source.Next();
  const size_t start = out.size();
  const auto append_label = [&](std::string_view label) {
    if (label.empty() || label.size() > dns::kLabelOctetsMax) return;
    if (out.size() - start + label.size() + 2 > dns::kNameOctetsMax) return;
    out.push_back(static_cast<uint8_t>(label.size()));
    for (const char c : label) {
      const bool raise = c >= 'a' && c <= 'z' && (upper >> (out.size() % 8) & 1) != 0;
      out.push_back(static_cast<uint8_t>(raise ? c - 32 : c));
    }
  };
  while (!source.empty()) {
    const uint8_t word = source.Next();
    if (word >= kLiteral) {
      std::string literal;
      for (int left = word - kLiteral; left > 0; --left) {
        literal += static_cast<char>(source.Next());
      }
      append_label(literal);
      continue;
    }
    std::string_view rest = kWords[word % std::size(kWords)];
    for (size_t dot; (dot = rest.find('.')) != std::string_view::npos;
         rest.remove_prefix(dot + 1)) {
      append_label(rest.substr(0, dot));
    }
    append_label(rest);
  }
  out.push_back(0);
}

void AppendOption(std::vector<uint8_t>& out, uint16_t code, Octets data) {
  AppendU16(out, code);
  AppendU16(out, static_cast<uint16_t>(data.size()));
  out.insert(out.end(), data.begin(), data.end());
}

// `options` is a set of those that the server knows, and one that it does not.
void AppendOpt(uint8_t edns, uint8_t options, std::vector<uint8_t>& out) {
  static constexpr std::array<uint8_t, 7> kSubnet = {0, 1, 24, 0, 192, 0, 2};
  static constexpr std::array<uint8_t, 24> kCookie = {1, 2, 3, 4, 5, 6, 7, 8, 1};
  out.push_back(0);
  AppendU16(out, 41);
  AppendU16(out, kUdpOctets[edns & 0x0f]);
  const uint8_t version = (edns & 0xe0) == 0xe0 ? 1 : 0;
  AppendU16(out, version);
  AppendU16(out, (edns & 0x20) != 0 ? 0x8000 : 0);
  const size_t length_at = out.size();
  AppendU16(out, 0);
  if ((options & 0x01) != 0) AppendOption(out, 3, {});       // NSID
  if ((options & 0x02) != 0) AppendOption(out, 8, kSubnet);  // RFC 7871
  if ((options & 0x04) != 0) AppendOption(out, 10, Octets(kCookie).first(8));
  if ((options & 0x08) != 0) AppendOption(out, 10, kCookie);                   // Not ours.
  if ((options & 0x10) != 0) AppendOption(out, 11, {});                        // RFC 7828
  if ((options & 0x20) != 0) AppendOption(out, 12, std::array<uint8_t, 9>{});  // Padding
  if ((options & 0x40) != 0) AppendOption(out, 65001, kSubnet);
  StoreU16(&out[length_at], static_cast<uint16_t>(out.size() - length_at - 2));
}

std::vector<uint8_t> MakeRequest(Source source) {
  const uint8_t type = source.Next();
  const uint8_t flags = source.Next();
  const uint8_t edns = source.Next();
  const uint8_t options = source.Next();
  std::vector<uint8_t> request;
  AppendU16(request, 0x1234);
  AppendU16(request, static_cast<uint16_t>((flags & 0x01) << 8 | (flags & 0x10)));
  AppendU16(request, 1);
  AppendU16(request, 0);
  AppendU16(request, 0);
  AppendU16(request, (edns & 0x10) != 0 ? 1 : 0);
  AppendName(source, request);
  AppendU16(request, kTypes[type % kTypes.size()]);
  AppendU16(request, (flags & 0xe0) == 0xe0 ? 3 : 1);
  if ((edns & 0x10) != 0) AppendOpt(edns, options, request);
  return request;
}

}  // namespace

Input ReadInput(Octets octets) {
  Source source(octets);
  Input input;
  const uint8_t flags = source.Next();
  const uint8_t limits = source.Next();
  const uint8_t more = source.Next();
  input.config = ReadConfig(flags, limits, more);
  input.world = more >> 4;
  input.seed = source.Next();
  if ((flags & 0x01) != 0) {
    input.request = MakeRequest(source);
  } else {
    input.request.assign(source.rest().begin(), source.rest().end());
  }
  return input;
}

}  // namespace pharos::fuzz
