#include "tests/fuzz/message_reply.h"

#include <ldns/ldns.h>

#include <algorithm>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>

#include "base/check.h"
#include "dns/query.h"
#include "dns/types.h"
#include "tests/fuzz/message_model.h"

namespace pharos::fuzz {
namespace {

using dns::RrType;

constexpr size_t kRecordFixedOctets = 10;
constexpr size_t kOptOctetsMax = 160;  // With all options that we write.
constexpr size_t kSoaNumberOctets = 20;

struct FreePacket {
  void operator()(ldns_pkt* packet) const { ldns_pkt_free(packet); }
};

struct ReadRecord {
  Labels owner;
  uint16_t type;
  uint32_t ttl;
  std::string rdata;  // As TypedRdata has it.
};

std::string DataOf(const ldns_rdf* field) {
  return {reinterpret_cast<const char*>(ldns_rdf_data(field)), ldns_rdf_size(field)};
}

std::vector<ReadRecord> Read(const ldns_rr_list* list) {
  std::vector<ReadRecord> records;
  for (size_t i = 0; i < ldns_rr_list_rr_count(list); ++i) {
    const ldns_rr* rr = ldns_rr_list_rr(list, i);
    CHECK(ldns_rr_get_class(rr) == LDNS_RR_CLASS_IN);
    std::string rdata;
    for (size_t field = 0; field < ldns_rr_rd_count(rr); ++field) {
      rdata += DataOf(ldns_rr_rdf(rr, field));
    }
    const auto type = static_cast<uint16_t>(ldns_rr_get_type(rr));
    records.push_back(
        {ToLabels(DataOf(ldns_rr_owner(rr))), type, ldns_rr_ttl(rr), TypedRdata(type, rdata)});
  }
  return records;
}

bool Is(const ReadRecord& record, RrType type) {
  return record.type == static_cast<uint16_t>(type);
}

// The name that the RDATA of a CNAME, NS or PTR is, and that of an SRV.
Labels TargetOf(const ReadRecord& record) {
  const size_t fixed = sizeof(uint16_t) + (Is(record, RrType::kSrv) ? 3 * sizeof(uint16_t) : 0);
  return ToLabels(std::string_view(record.rdata).substr(fixed));
}

// A record in wire form: the walk over a message that looks at its pointers.
class Walk {
 public:
  explicit Walk(Octets message) : message_(message) {}

  // Every name in it is sound: each pointer goes to before the name it ends, to where a label of an
  // earlier name begins; and nothing is left over.
  void All() {
    size_t at = dns::kHeaderOctets;
    if (Count(0) > 0) at = Name(at) + 4;
    for (size_t left = Count(1) + Count(2) + Count(3); left > 0; --left) at = Record(at);
    CHECK(at == message_.size());
  }

 private:
  size_t Count(size_t section) const { return LoadU16(&message_[4 + 2 * section]); }

  size_t Name(size_t at) {
    const size_t start = at;
    std::vector<size_t> places;
    while (true) {
      CHECK(at < message_.size());
      const uint8_t length = message_[at];
      if (length >= 0xc0) {
        const size_t target = LoadU16(&message_[at]) & 0x3fff;
        CHECK(target < start && label_places_.contains(target));
        at += 2;
        break;
      }
      CHECK(length <= dns::kLabelOctetsMax);
      if (length == 0) {
        ++at;
        break;
      }
      places.push_back(at);
      at += length + size_t{1};
    }
    label_places_.insert(places.begin(), places.end());
    return at;
  }

  size_t Record(size_t at) {
    at = Name(at);
    CHECK(at + kRecordFixedOctets <= message_.size());
    const auto type = static_cast<RrType>(LoadU16(&message_[at]));
    const size_t octets = LoadU16(&message_[at + 8]);
    at += kRecordFixedOctets;
    const size_t end = at + octets;
    if (type == RrType::kCname || type == RrType::kNs || type == RrType::kPtr) {
      CHECK(Name(at) == end);
    } else if (type == RrType::kSrv) {
      CHECK(Name(at + 6) == end);
    } else if (type == RrType::kSoa) {
      CHECK(Name(Name(at)) + kSoaNumberOctets == end);
    }
    return end;
  }

  Octets message_;
  std::set<size_t> label_places_;
};

class Reply {
 public:
  Reply(Octets request, Octets reply, Transport transport, const dns::AnswerConfig& config,
        const std::vector<dns::ExternalAnswer>& external)
      : request_(request),
        octets_(reply),
        transport_(transport),
        config_(config),
        external_(external),
        parsed_(dns::ParseQuery(request, query_)) {}

  void Check() {
    CheckHeader();
    Walk(octets_).All();
    ldns_pkt* packet = nullptr;
    CHECK(ldns_wire2pkt(&packet, octets_.data(), octets_.size()) == LDNS_STATUS_OK);
    packet_.reset(packet);
    CHECK(octets_.size() <= SizeMax());
    answer_ = Read(ldns_pkt_answer(packet));
    authority_ = Read(ldns_pkt_authority(packet));
    additional_ = Read(ldns_pkt_additional(packet));
    const bool has_question = ldns_rr_list_rr_count(ldns_pkt_question(packet)) > 0;
    if (has_question) CheckQuestion();
    CheckEdns();
    if (!has_question || parsed_ != dns::ParseResult::kQuery) return CheckBare();
    for (const auto* section : {&answer_, &authority_, &additional_}) CheckSets(*section);
    CheckChain();
    for (const auto* section : {&answer_, &authority_, &additional_}) CheckContent(*section);
    CheckWhole();
  }

 private:
  uint16_t Flags() const { return LoadU16(&octets_[2]); }
  bool Has(uint16_t flag) const { return (Flags() & flag) != 0; }
  ldns_pkt_rcode Rcode() const { return ldns_pkt_get_rcode(packet_.get()); }

  void CheckHeader() const {
    CHECK(octets_.size() >= dns::kHeaderOctets && request_.size() >= dns::kHeaderOctets);
    CHECK(LoadU16(octets_.data()) == LoadU16(request_.data()));
    const uint16_t asked = LoadU16(&request_[2]);
    CHECK((asked & dns::kFlagQr) == 0 && Has(dns::kFlagQr));
    CHECK((Flags() & 0x7800) == (asked & 0x7800));
    CHECK(Has(dns::kFlagRd) == ((asked & dns::kFlagRd) != 0));
    CHECK((Flags() & 0x0040) == 0 && !Has(dns::kFlagAd));  // Z, and AD: nothing is signed.
  }

  // What is no query, or asks for no more than a cookie (RFC 7873 section 5.4), gets no records.
  void CheckBare() const {
    CHECK(parsed_ != dns::ParseResult::kQuery && parsed_ != dns::ParseResult::kDrop);
    CHECK(answer_.empty() && authority_.empty() && additional_.empty());
    const bool only_cookie = parsed_ == dns::ParseResult::kCookieOnly;
    CHECK(only_cookie || Rcode() == LDNS_RCODE_FORMERR || Rcode() == LDNS_RCODE_NOTIMPL);
  }

  void CheckQuestion() {
    const ldns_rr_list* questions = ldns_pkt_question(packet_.get());
    CHECK(ldns_rr_list_rr_count(questions) == 1);
    const ldns_rr* question = ldns_rr_list_rr(questions, 0);
    const size_t octets = DataOf(ldns_rr_owner(question)).size() + 4;
    CHECK(request_.size() >= dns::kHeaderOctets + octets);
    CHECK(std::ranges::equal(request_.subspan(dns::kHeaderOctets, octets),
                             octets_.subspan(dns::kHeaderOctets, octets)));
    name_ = ToLabels(DataOf(ldns_rr_owner(question)));
    qname_octets_ = octets - 4;
    type_ = static_cast<uint16_t>(ldns_rr_get_type(question));
  }

  // The octets a reply may have, from the request's OPT as ParseQuery reads it: the request is
  // hostile, and what ldns makes of it says nothing.
  size_t SizeMax() const {
    if (transport_ == Transport::kTcp) return dns::kMessageOctetsMax;
    if (parsed_ != dns::ParseResult::kQuery || !query_.edns) return dns::kPlainUdpOctetsMax;
    return std::clamp<size_t>(query_.edns->udp_octets, dns::kPlainUdpOctetsMax, 65467);
  }

  void CheckEdns() const {
    CHECK(ldns_pkt_edns(packet_.get()) == query_.edns.has_value());
    if (!query_.edns) return;
    CHECK(ldns_pkt_edns_version(packet_.get()) == 0);
    CHECK(ldns_pkt_edns_do(packet_.get()) == query_.edns->dnssec_ok);
  }

  // No record twice, one TTL a set (RFC 2181 section 5), and no CNAME beside anything (10.1).
  static void CheckSets(const std::vector<ReadRecord>& section) {
    std::set<std::pair<Labels, std::string>> seen;
    std::map<std::pair<Labels, uint16_t>, uint32_t> ttls;
    std::map<Labels, std::set<uint16_t>> types;
    std::map<Labels, int> cnames;
    for (const ReadRecord& record : section) {
      CHECK(seen.emplace(record.owner, record.rdata).second);
      const auto ttl = ttls.emplace(std::pair(record.owner, record.type), record.ttl).first;
      CHECK(ttl->second == record.ttl);
      types[record.owner].insert(record.type);
      if (Is(record, RrType::kCname)) CHECK(++cnames[record.owner] == 1);
    }
    for (const auto& [owner, count] : cnames) CHECK(types[owner].size() == 1);
  }

  // The answer is the name asked, then what its CNAMEs lead to, each before what it leads to.
  void CheckChain() {
    end_ = name_;
    for (const ReadRecord& record : answer_) {
      CHECK(record.owner == end_);
      // Who asks for the CNAME itself is not led on (RFC 1034 section 3.6.2).
      const bool leads_on = type_ != static_cast<uint16_t>(RrType::kCname);
      if (Is(record, RrType::kCname) && leads_on) end_ = TargetOf(record);
    }
  }

  // Every record is what the model has under its owner, or what somebody outside said.
  void CheckContent(const std::vector<ReadRecord>& section) {
    for (const ReadRecord& record : section) {
      if (Is(record, RrType::kSoa)) {
        // By the standard, behind a chain that ends with nothing it is that of where it ends.
        if (!config_.standard || answer_.empty()) CheckSoaOwner(record);
        continue;
      }
      const bool ours = ZoneLabels(record.owner, config_) >= 0 || Is(record, RrType::kPtr);
      CHECK(ours ? ModelHas(record) : WasSaid(record));
    }
  }

  void CheckSoaOwner(const ReadRecord& soa) const {
    CHECK(soa.owner.size() <= name_.size());
    CHECK(std::equal(soa.owner.begin(), soa.owner.end(),
                     name_.end() - static_cast<ptrdiff_t>(soa.owner.size())));
  }

  bool ModelHas(const ReadRecord& record) {
    // A CNAME depends on the type asked: it is shown where there is nothing better.
    std::vector<uint16_t> types = {record.type};
    if (Is(record, RrType::kCname)) {
      types = {type_, static_cast<uint16_t>(RrType::kA), static_cast<uint16_t>(RrType::kAaaa)};
    }
    return std::ranges::any_of(types, [&](uint16_t type) {
      const Expected& expected = Model(record.owner, type);
      return !expected.modelled || expected.records.contains(record.rdata) ||
             expected.cnames.contains(record.rdata);
    });
  }

  // Asks the model once for each name and type.
  const Expected& Model(const Labels& name, uint16_t type) {
    const auto [at, is_new] = model_.try_emplace({name, type});
    if (is_new) at->second = Ask(name, type, config_);
    return at->second;
  }

  bool WasSaid(const ReadRecord& record) {
    if (said_.empty()) {
      for (const dns::ExternalAnswer& external : external_) {
        for (const dns::Record& each : external.answer.answer) {
          said_.emplace(ToLabels(AsText(each.owner.wire())),
                        TypedRdata(static_cast<uint16_t>(each.type), AsText(each.rdata)));
        }
      }
    }
    return said_.contains({record.owner, record.rdata});
  }

  // Answers say all there is, as far as limits let them, and say so when they do not.
  void CheckWhole() {
    if (!Has(dns::kFlagAa)) {
      CHECK(answer_.empty());
      return;
    }
    if (answer_.empty()) CheckNegative();
    // What is whole, and what exists, is modelled as Consul has it.
    if (config_.standard) return;
    const Expected& expected = Model(name_, type_);
    if (!expected.modelled || type_ == static_cast<uint16_t>(RrType::kSoa)) return;
    CHECK(expected.exists == (Rcode() == LDNS_RCODE_NOERROR));
    const size_t shown =
        static_cast<size_t>(std::ranges::count_if(answer_, [this](const ReadRecord& record) {
          return record.owner == name_ && !Is(record, RrType::kCname);
        }));
    if (expected.records.empty()) {
      CHECK(shown == 0 && (answer_.empty() || !expected.cnames.empty()));
      return;
    }
    if (!answer_.empty() && Is(answer_[0], RrType::kCname)) return;
    CheckShown(shown, expected);
  }

  void CheckNegative() const {
    if (Has(dns::kFlagTc)) return;
    CHECK(Rcode() == LDNS_RCODE_NOERROR || Rcode() == LDNS_RCODE_NXDOMAIN);
    const auto is_soa = [](const ReadRecord& each) { return Is(each, RrType::kSoa); };
    // Without servers there is nothing to say of the zone's servers but that.
    CHECK(std::ranges::count_if(authority_, is_soa) == 1);
  }

  void CheckShown(size_t shown, const Expected& expected) const {
    CHECK(shown <= expected.whole);
    const size_t wanted = CountWanted(expected.whole);
    const bool cut = shown < expected.whole;
    if (shown < wanted) CHECK(IsFull(expected));
    if (config_.enable_truncate && cut && !IsNs()) CHECK(Has(dns::kFlagTc));
    if (Has(dns::kFlagTc)) CHECK(cut);
  }

  bool IsNs() const { return type_ == static_cast<uint16_t>(RrType::kNs); }

  // How many of the records the limits on their number let through.
  size_t CountWanted(size_t whole) const {
    if (IsNs()) return std::min<size_t>(whole, 3);
    const bool service =
        std::ranges::find(name_, "service") != name_.end() ||
        (name_[0].starts_with('_') && type_ == static_cast<uint16_t>(RrType::kSrv));
    const bool ns = name_[0] == "ns";
    if (!service && !ns) return whole;
    if (type_ != static_cast<uint16_t>(RrType::kSrv) && config_.a_record_limit > 0) {
      whole = std::min<size_t>(whole, config_.a_record_limit);
    }
    if (transport_ == Transport::kUdp && SizeMax() == dns::kPlainUdpOctetsMax &&
        config_.udp_answer_limit > 0) {
      whole = std::min<size_t>({whole, config_.udp_answer_limit, 8});
    }
    return whole;
  }

  // Whether one more record, with what belongs to it, would not have fit, counted generously: a
  // plain message counts names as if they were not compressed, and leaves seven octets free.
  bool IsFull(const Expected& expected) const {
    size_t largest = 0;
    for (const std::string& each : expected.records) largest = std::max(largest, each.size());
    const size_t record = qname_octets_ + kRecordFixedOctets + largest;
    const bool srv = type_ == static_cast<uint16_t>(RrType::kSrv);
    const size_t glue = srv ? largest + kRecordFixedOctets + 16 : 0;
    const bool plain = transport_ == Transport::kUdp && SizeMax() == dns::kPlainUdpOctetsMax;
    if (plain) {
      const size_t count = answer_.size() + 1;
      return dns::kHeaderOctets + qname_octets_ + 4 + kOptOctetsMax + count * (record + glue) + 7 >
             dns::kPlainUdpOctetsMax;
    }
    return octets_.size() + record + glue + kOptOctetsMax > SizeMax();
  }

  Octets request_, octets_;
  Transport transport_;
  const dns::AnswerConfig& config_;
  const std::vector<dns::ExternalAnswer>& external_;
  dns::Query query_;
  const dns::ParseResult parsed_;
  std::unique_ptr<ldns_pkt, FreePacket> packet_;
  std::vector<ReadRecord> answer_, authority_, additional_;
  std::map<std::pair<Labels, uint16_t>, Expected> model_;
  std::set<std::pair<Labels, std::string>> said_;  // What somebody outside said.
  Labels name_, end_;
  size_t qname_octets_ = 0;
  uint16_t type_ = 0;
};

}  // namespace

void CheckReply(Octets request, Octets reply, Transport transport, const dns::AnswerConfig& config,
                const std::vector<dns::ExternalAnswer>& external) {
  Reply(request, reply, transport, config, external).Check();
}

}  // namespace pharos::fuzz
