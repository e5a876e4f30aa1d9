#include "agent/cli/lookup.h"

#include <poll.h>
#include <sys/socket.h>

#include <cerrno>
#include <chrono>
#include <memory>
#include <system_error>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "agent/cli/command.h"
#include "base/go_duration.h"
#include "base/ip_address.h"
#include "base/random.h"
#include "base/socket.h"
#include "base/status_macros.h"
#include "dns/types.h"

// Last, as it redefines bool, true and false.
#include <ldns/ldns.h>

namespace pharos::agent {
namespace {

constexpr uint16_t kUdpOctets = 1232;

constexpr Flag kFlags[] = {
    {"port", "number", "Port of the server; 8600 unless given."},
    {"server", "address", "IP address of the server; 127.0.0.1 unless given."},
    {"short", "", "Print only the data of the answers."},
    {"tcp", "", "Ask by TCP."},
    {"timeout", "duration", "How long to wait for the answer; 5s unless given."},
};

template <auto kFree>
struct Freer {
  template <typename T>
  void operator()(T* value) const {
    kFree(value);
  }
};
using Packet = std::unique_ptr<ldns_pkt, Freer<ldns_pkt_free>>;
using Rdf = std::unique_ptr<ldns_rdf, Freer<ldns_rdf_deep_free>>;
using Text = std::unique_ptr<char, Freer<free>>;

void AppendRecords(const ldns_rr_list* records, std::string& text) {
  for (size_t i = 0; i < ldns_rr_list_rr_count(records); ++i) {
    text += Text(ldns_rr2str(ldns_rr_list_rr(records, i))).get();
  }
}

void AppendSection(std::string_view title, const ldns_rr_list* records, std::string& text) {
  if (ldns_rr_list_rr_count(records) == 0) return;
  absl::StrAppendFormat(&text, "\n;; %s\n", title);
  AppendRecords(records, text);
}

std::string FlagsOf(const ldns_pkt* packet) {
  std::string flags;
  const struct {
    bool set;
    const char* name;
  } kNames[] = {{ldns_pkt_qr(packet), " qr"}, {ldns_pkt_aa(packet), " aa"},
                {ldns_pkt_tc(packet), " tc"}, {ldns_pkt_rd(packet), " rd"},
                {ldns_pkt_ra(packet), " ra"}, {ldns_pkt_ad(packet), " ad"},
                {ldns_pkt_cd(packet), " cd"}};
  for (const auto& flag : kNames) {
    if (flag.set) flags += flag.name;
  }
  return flags;
}

std::string Render(const ldns_pkt* packet) {
  const auto rcode = static_cast<ldns_pkt_rcode>(ldns_pkt_get_rcode(packet) |
                                                 ldns_pkt_edns_extended_rcode(packet) << 4);
  std::string text =
      absl::StrFormat(";; %s, id %d, flags:%s; %d answer, %d authority, %d additional\n",
                      Text(ldns_pkt_rcode2str(rcode)).get(), ldns_pkt_id(packet), FlagsOf(packet),
                      ldns_pkt_ancount(packet), ldns_pkt_nscount(packet),
                      ldns_rr_list_rr_count(ldns_pkt_additional(packet)));
  text += ";; ";
  AppendRecords(ldns_pkt_question(packet), text);
  AppendRecords(ldns_pkt_answer(packet), text);
  AppendSection("authority", ldns_pkt_authority(packet), text);
  AppendSection("additional", ldns_pkt_additional(packet), text);
  return text;
}

std::string RenderShort(const ldns_pkt* packet) {
  std::string text;
  const ldns_rr_list* answers = ldns_pkt_answer(packet);
  for (size_t i = 0; i < ldns_rr_list_rr_count(answers); ++i) {
    const ldns_rr* record = ldns_rr_list_rr(answers, i);
    for (size_t field = 0; field < ldns_rr_rd_count(record); ++field) {
      if (field > 0) text.push_back(' ');
      text += Text(ldns_rdf2str(ldns_rr_rdf(record, field))).get();
    }
    text.push_back('\n');
  }
  return text;
}

// One exchange with the server, on a socket connected to it, within a deadline.
class Exchange {
 public:
  Exchange(const SocketAddress& server, absl::Duration timeout)
      : server_(server), timeout_(timeout), deadline_(absl::Now() + timeout) {}

  absl::StatusOr<std::vector<uint8_t>> OverUdp(const std::vector<uint8_t>& query) {
    RETURN_IF_ERROR(Connect(SOCK_DGRAM));
    RETURN_IF_ERROR(Send(query));
    std::vector<uint8_t> message(dns::kMessageOctetsMax);
    ASSIGN_OR_RETURN(const size_t octets, Receive(message));
    message.resize(octets);
    return message;
  }

  absl::StatusOr<std::vector<uint8_t>> OverTcp(const std::vector<uint8_t>& query) {
    RETURN_IF_ERROR(Connect(SOCK_STREAM));
    std::vector<uint8_t> framed(2);
    StoreU16(framed.data(), static_cast<uint16_t>(query.size()));
    framed.insert(framed.end(), query.begin(), query.end());
    RETURN_IF_ERROR(Send(framed));
    std::vector<uint8_t> length(2);
    RETURN_IF_ERROR(ReceiveAll(length));
    std::vector<uint8_t> message(LoadU16(length.data()));
    RETURN_IF_ERROR(ReceiveAll(message));
    return message;
  }

 private:
  absl::Status Failure(int error) const {
    if (error == ECONNREFUSED) {
      return absl::UnavailableError(
          absl::StrFormat("%s refuses: is the agent running?", server_.ToString()));
    }
    if (error == EAGAIN) {
      return absl::DeadlineExceededError(absl::StrFormat(
          "no answer from %s within %s", server_.ToString(), FormatGoDuration(timeout_)));
    }
    return absl::UnavailableError(absl::StrFormat("cannot ask %s: %s", server_.ToString(),
                                                  std::generic_category().message(error)));
  }

  absl::Status Connect(int type) {
    socket_ = Socket(socket(server_.ip.is_v4() ? AF_INET : AF_INET6, type | SOCK_CLOEXEC, 0));
    sockaddr_storage storage;
    const socklen_t size = server_.ToSockaddr(storage);
    const timeval patience = absl::ToTimeval(timeout_);  // Bounds connect(2) as well.
    setsockopt(socket_.fd(), SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    if (socket_.fd() < 0 ||
        connect(socket_.fd(), reinterpret_cast<const sockaddr*>(&storage), size) != 0) {
      return Failure(errno == EINPROGRESS ? EAGAIN : errno);
    }
    return absl::OkStatus();
  }

  absl::Status Send(Octets octets) {
    const ssize_t sent = send(socket_.fd(), octets.data(), octets.size(), MSG_NOSIGNAL);
    return sent == static_cast<ssize_t>(octets.size()) ? absl::OkStatus() : Failure(errno);
  }

  absl::StatusOr<size_t> Receive(MutableOctets room) {
    pollfd waiting{.fd = socket_.fd(), .events = POLLIN, .revents = 0};
    const int64_t left_ms =
        std::max<int64_t>(0, absl::ToInt64Milliseconds(deadline_ - absl::Now()));
    if (poll(&waiting, 1, static_cast<int>(left_ms)) != 1) return Failure(EAGAIN);
    const ssize_t got = recv(socket_.fd(), room.data(), room.size(), 0);
    if (got < 0) return Failure(errno);
    return static_cast<size_t>(got);
  }

  absl::Status ReceiveAll(MutableOctets room) {
    while (!room.empty()) {
      ASSIGN_OR_RETURN(const size_t got, Receive(room));
      if (got == 0) {
        return absl::UnavailableError(
            absl::StrFormat("%s closed the connection without an answer", server_.ToString()));
      }
      room = room.subspan(got);
    }
    return absl::OkStatus();
  }

  SocketAddress server_;
  absl::Duration timeout_;
  absl::Time deadline_;
  Socket socket_;
};

// Asks and prints; whether the answer is NOERROR.
absl::StatusOr<bool> Lookup(const ParsedFlags& parsed, std::ostream& out) {
  const std::string server_text = std::string(parsed.Last("server", "127.0.0.1"));
  const std::string port_text = std::string(parsed.Last("port", "8600"));
  const auto ip = IpAddress::Parse(server_text);
  if (!ip) {
    return absl::InvalidArgumentError(
        absl::StrFormat("-server is \"%s\"; expected an IP address", server_text));
  }
  int port = 0;
  if (!absl::SimpleAtoi(port_text, &port) || port < 1 || port > 65535) {
    return absl::InvalidArgumentError(
        absl::StrFormat("-port is \"%s\"; expected a port from 1 to 65535", port_text));
  }
  ASSIGN_OR_RETURN(const absl::Duration timeout, ParseGoDuration(parsed.Last("timeout", "5s")));
  const auto id = static_cast<uint16_t>(SecureRandomU64());
  ASSIGN_OR_RETURN(const std::vector<uint8_t> query,
                   MakeLookupQuery(parsed.arguments[0],
                                   parsed.arguments.size() > 1 ? parsed.arguments[1] : "", id));

  const SocketAddress server{*ip, static_cast<uint16_t>(port)};
  const bool short_form = parsed.Has("short");
  bool tcp = parsed.Has("tcp");
  const absl::Time start = absl::Now();
  Exchange exchange(server, timeout);
  LookupReply reply;
  if (!tcp) {
    ASSIGN_OR_RETURN(const std::vector<uint8_t> message, exchange.OverUdp(query));
    ASSIGN_OR_RETURN(reply, ReadLookupReply(message, id, short_form));
    tcp = reply.truncated;
  }
  if (tcp) {
    ASSIGN_OR_RETURN(const std::vector<uint8_t> message, exchange.OverTcp(query));
    ASSIGN_OR_RETURN(reply, ReadLookupReply(message, id, short_form));
  }
  out << reply.text;
  if (!short_form) {
    out << absl::StrFormat("\n;; %.1f ms from %s over %s\n",
                           absl::ToDoubleMilliseconds(absl::Now() - start), server.ToString(),
                           tcp ? "tcp" : "udp");
  }
  return reply.no_error;
}

}  // namespace

absl::StatusOr<std::vector<uint8_t>> MakeLookupQuery(std::string_view name, std::string_view type,
                                                     uint16_t id) {
  Rdf owner;
  std::string type_text = absl::AsciiStrToUpper(std::string(type.empty() ? "A" : type));
  if (type.empty() && IpAddress::Parse(name)) {
    const std::string text(name);
    const bool v6 = text.find(':') != std::string::npos;
    const Rdf address(
        ldns_rdf_new_frm_str(v6 ? LDNS_RDF_TYPE_AAAA : LDNS_RDF_TYPE_A, text.c_str()));
    owner.reset(ldns_rdf_address_reverse(address.get()));
    type_text = "PTR";
  } else {
    owner.reset(ldns_dname_new_frm_str(std::string(name).c_str()));
  }
  if (!owner) {
    return absl::InvalidArgumentError(absl::StrFormat(
        "\"%s\" is not a domain name; expected one such as web.service.consul", name));
  }
  const ldns_rr_type number = ldns_get_rr_type_by_name(type_text.c_str());
  if (number == 0) {
    return absl::InvalidArgumentError(absl::StrFormat(
        "unknown type \"%s\"; expected a type such as A, AAAA, SRV, TXT or TYPE65", type));
  }
  const Packet packet(ldns_pkt_query_new(owner.release(), number, LDNS_RR_CLASS_IN, LDNS_RD));
  ldns_pkt_set_id(packet.get(), id);
  ldns_pkt_set_edns_udp_size(packet.get(), kUdpOctets);
  uint8_t* wire = nullptr;
  size_t octets = 0;
  if (ldns_pkt2wire(&wire, packet.get(), &octets) != LDNS_STATUS_OK) {
    return absl::InvalidArgumentError(absl::StrFormat("\"%s\" cannot be asked for", name));
  }
  const std::unique_ptr<uint8_t, Freer<free>> freed(wire);
  return std::vector<uint8_t>(wire, wire + octets);
}

absl::StatusOr<LookupReply> ReadLookupReply(Octets message, uint16_t id, bool short_form) {
  ldns_pkt* raw = nullptr;
  const ldns_status status = ldns_wire2pkt(&raw, message.data(), message.size());
  const Packet packet(raw);
  if (status != LDNS_STATUS_OK) {
    return absl::DataLossError(absl::StrFormat("the reply of %d octets cannot be read: %s",
                                               message.size(), ldns_get_errorstr_by_id(status)));
  }
  if (!ldns_pkt_qr(raw) || ldns_pkt_id(raw) != id) {
    return absl::DataLossError("what came is not a reply to the question");
  }
  return LookupReply{.truncated = ldns_pkt_tc(raw),
                     .no_error = ldns_pkt_get_rcode(raw) == LDNS_RCODE_NOERROR &&
                                 ldns_pkt_edns_extended_rcode(raw) == 0,
                     .text = short_form ? RenderShort(raw) : Render(raw)};
}

int RunLookup(Arguments arguments, const Streams& streams) {
  ParsedFlags parsed;
  const auto done = ReadCommandFlags(
      "Usage: pharos lookup [options] NAME [TYPE]\n\n  Asks a DNS server. An IP address as NAME "
      "asks "
      "for its PTR record.",
      kFlags, arguments, streams, parsed);
  if (done) return *done;
  if (parsed.arguments.empty() || parsed.arguments.size() > 2) {
    streams.err << "expected NAME and perhaps TYPE, as in: pharos lookup web.service.consul SRV\n";
    return kExitError;
  }
  const absl::StatusOr<bool> no_error = Lookup(parsed, streams.out);
  if (no_error.ok()) return *no_error ? kExitOk : kExitError;
  streams.err << std::string(no_error.status().message()) << "\n";
  return kExitError;
}

}  // namespace pharos::agent
