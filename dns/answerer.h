// One answer in the making: what Answer() shares between its parts. Lives on the stack for one
// query.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "dns/answer.h"
#include "dns/answer_limits.h"
#include "dns/name_question.h"
#include "dns/reply_writer.h"
#include "dns/reverse_name.h"

namespace pharos::dns {

// Two names and five numbers (RFC 1035 section 3.3.13).
inline constexpr size_t kSoaRdataOctetsMax = 2 * kNameOctetsMax + 20;

// The kind of address that questions of a type see, and its octets (empty unless it is one).
registry::AddressKind KindFor(const registry::DnsAddresses& addresses, RrType type);
Octets AddressFor(const registry::DnsAddresses& addresses, RrType type);
// The instances that have addresses for a type; null for types that instances have no records of.
const registry::Selection* SelectionFor(const registry::RecordSet& records, RrType type);

// Which instances an answer is made of. Borrows from the snapshot or from the Answerer.
struct Candidates {
  registry::InstanceList instances;
  const registry::RecordSet* records;  // Of them.
  registry::Include include;
  uint32_t ttl_s;
  const registry::Node* nearest = nullptr;  // Its instances go first.
};

inline Rcode NoErrorIf(bool exists) { return exists ? Rcode::kNoError : Rcode::kNxDomain; }

class Answerer {
 public:
  Answerer(const Query& query, const AnswerContext& context, MutableOctets reply);

  Handled Answer();

 private:
  // answer.cc: which form is asked, and what is the same for all of them.
  Handled AnswerZone();
  Handled AnswerReverse();
  Handled Positive();
  Handled Negative(Rcode rcode);
  // Without records; `why` is for people who look into it.
  Handled Refuse(Rcode rcode, const ExtendedError& why);
  Handled FinishWith(Rcode rcode);
  bool KnowsDatacenter() const;
  Handled NeedsPart();
  // Names of another datacenter, by what is known of that.
  Handled AnswerOtherDatacenter();
  // The nearest of all, this one first, that has healthy instances.
  Handled AnswerAnyDatacenter();
  // Answers the query from a datacenter's part of the catalog.
  Handled AnswerFrom(const std::string& datacenter,
                     const registry::RemoteCatalogs::Datacenter& known,
                     const registry::Snapshot* query_snapshot);
  bool IsOtherDatacenter(std::string_view name) const;
  // Where the snapshot is one of parts: what becomes of the question when its part is not there.
  std::optional<Handled> LookForPart();
  // Whether the part is missing in the snapshot, so that nothing can be said before it is there.
  bool Lacks(const std::string& part);
  // Whether the part was asked for, and cannot be had.
  bool IsUnavailable(const std::string& datacenter, const std::string& part) const;
  // The part that the question is answered from; empty: none.
  std::string PartOf(const NameQuestion& question) const;

  // explain.cc: each says one step. Called only where explains().
  bool explains() const { return context_.explanation != nullptr; }
  void Tell(std::string_view topic, std::string text) const;
  void ExplainForm() const;
  void ExplainQuery(const registry::ResolvedQuery& resolved) const;
  void ExplainCandidates(const Candidates& candidates) const;
  void ExplainOrder(const Candidates& candidates) const;
  void ExplainCut(size_t shown, size_t available, size_t count_limit) const;
  void ExplainTarget(const Name& target) const;
  void ExplainReply(Rcode rcode, bool truncated) const;

  // zone_answer.cc: the zone's own records, nodes, spelled addresses and reverse names.
  Handled AnswerApex();
  Handled AnswerNameServer();
  Handled AnswerNode();
  Handled AnswerSpelledAddress();
  // Adds the address that the digits spell if it is of the type; false if they spell none.
  bool AddSpelledAddress(std::string_view digits, const NameParts& owner, RrType type,
                         Section section, uint32_t ttl_s);
  static bool IsSpelledAddress(std::string_view digits);
  NameParts ZoneOwner() const;
  Octets SoaRdata(const Zone& zone, MutableOctets buffer) const;
  void AddSoa(Section section);
  void AddReverseSoa(const ReverseName& reverse);
  void AddReverseTarget(const registry::AddressHolders& holders);
  void AddNameServers(Section section);
  void AddNodeMeta(Section section, const registry::Node& node, const NameParts& owner,
                   uint32_t ttl_s);

  // candidates.cc: which instances a name stands for, and in which order they are shown.
  // Without candidates, what the answer is instead: NXDOMAIN, or NODATA where names are below.
  struct Found {
    std::optional<Candidates> candidates;
    Rcode otherwise = Rcode::kNxDomain;
  };
  // For the forms that name instances: kService, kConnect, kIngress and kPreparedQuery.
  Found FindCandidates(const NameQuestion& name);
  Found FindService(const NameQuestion& name);
  Found FindIngress(const NameQuestion& name);
  Found FindPreparedQuery(const NameQuestion& name);
  absl::StatusOr<registry::ResolvedQuery> ResolveQueryName(std::string_view name) const;
  // All of them, by the records made here.
  Candidates Choose(std::vector<const registry::Instance*> instances, uint32_t ttl_s);
  const registry::Node* FindNearest(const std::string& near) const;
  Octets ClientSubnet() const;  // Data of the option; empty when the query has none.
  IpAddress ClientAddress() const;
  // `count` positions of the selection (a member of candidates.records), as they are to be shown.
  std::span<const uint32_t> Pick(const Candidates& candidates, const registry::Selection& selection,
                                 size_t count);
  uint8_t RankOf(const Candidates& candidates, const registry::Instance& instance) const;
  // The same, nearest first.
  std::span<const uint32_t> PickNear(const Candidates& candidates,
                                     const registry::Selection& selection, size_t count);

  // service_answer.cc: the addresses of services.
  Handled AnswerInstances();
  // Where the query's service has instances in another datacenter, the answer from there; nullopt
  // when none has, or none is to be asked.
  std::optional<Handled> FailOver();
  // The datacenters to be asked for it, the first first.
  using QueryFailover = catalog::v1::PreparedQuery::Failover;
  std::vector<std::string> FailOverOrder(const QueryFailover& failover) const;
  Handled AnswerServiceAddresses(const Candidates& candidates);
  Handled AnswerServiceName(const Candidates& candidates);
  bool IsAsked(Octets name_wire) const;

  // srv_answer.cc: SRV records and what goes with them.
  struct SrvRecord {
    const registry::Instance* instance;
    registry::SrvTarget target;
    uint16_t target_offset;  // Where the target stands in the message; 0: no pointer reaches it.
    bool repeats_target;     // An earlier record has the same target, so the same glue.
  };
  Handled AnswerServiceSrv(const Candidates& candidates);
  SrvRecord MakeSrvRecord(const registry::Instance& instance) const;
  Octets SrvAddress(const SrvRecord& record) const;
  // The target's name; an address is spelled into `spelled`.
  NameParts SrvTargetName(const SrvRecord& record, MutableOctets spelled) const;
  void MarkRepeatedTargets(std::span<SrvRecord> records) const;
  // How many of the records fit in the reply: in Consul's profile with the addresses of their
  // targets.
  size_t CountFittingSrv(std::span<const SrvRecord> records) const;
  // The same by the uncompressed count; at least one.
  size_t CountFittingSrvUncompressed(std::span<const SrvRecord> records) const;
  void AddSrvRecords(std::span<SrvRecord> records, uint32_t ttl_s);
  void AddSrvGlue(std::span<const SrvRecord> records, uint32_t ttl_s);
  void AddSrvMeta(std::span<const SrvRecord> records, uint32_t ttl_s);

  // chain.cc: host names as addresses.
  // Adds the CNAME of the QNAME to `target`, and what that leads to. `ttl_s` is for all records of
  // a service's answer; without it each record keeps its own.
  void AddChain(Octets target_wire, uint32_t cname_ttl_s, std::optional<uint32_t> ttl_s);
  // Adds what `target` resolves to: addresses, or further CNAMEs and theirs.
  void Follow(Name target, uint16_t target_offset, RrType type, Section section,
              std::optional<uint32_t> ttl_s);
  // One step inside our zones: add the addresses of `target`, or give the name it stands for.
  std::optional<Octets> FollowNode(const NameQuestion& target, const NameParts& owner, RrType type,
                                   Section section, uint32_t ttl_s);
  std::optional<Octets> FollowInstances(const Candidates& candidates, const NameParts& owner,
                                        RrType type, Section section, uint32_t ttl_s);
  std::optional<Name> FollowOutside(const Name& target, RrType type, Section section,
                                    std::optional<uint32_t> ttl_s);
  // Whether the catalog that this answer is made from does not say what the name stands for.
  bool IsElsewhere(const NameQuestion& target);
  void FollowElsewhere(const Name& target, RrType type, Section section,
                       std::optional<uint32_t> ttl_s);
  bool AddFollowed(std::span<const Record* const> records, RrType type, Section section,
                   std::optional<uint32_t> ttl_s);
  // Has the recursors asked, unless they are already, or about too many names.
  void Need(const UpstreamQuestion& question);
  bool IsOurs(const Name& name) const;
  // By the standard, a chain's RCODE is that of the name it ends at, and where it ends with
  // nothing, there is the SOA record (RFC 6604 section 3, RFC 2308 section 2).
  void EndChain(const NameQuestion& target, Rcode rcode);
  void EndChainWith(const UpstreamAnswer& answer);
  Rcode RcodeAtEnd(const NameQuestion& name, const std::optional<Candidates>& candidates) const;
  NameParts TargetParts(Octets wire) const;

  const Query& query_;
  const AnswerContext& context_;
  const AnswerConfig& config_;
  const registry::Snapshot& snapshot_;
  ReplyLimits limits_;
  const MutableOctets reply_;
  ReplyWriter writer_;
  NameQuestion question_;
  bool cut_ = false;          // Instances were left out; what is shown is a fair choice of them.
  bool cut_partial_ = false;  // Records were left out that nobody may believe absent: TC is a must.
  // Where `node.<dc>.<zone>` and `addr.<dc>.<zone>` stand in the message; 0: nowhere yet.
  uint16_t node_suffix_offset_ = 0;
  uint16_t addr_suffix_offset_ = 0;
  std::vector<UpstreamQuestion> needed_;
  std::unique_ptr<NeededPart> needed_part_;
  size_t followed_ = 0;  // Names that were answered elsewhere.
  registry::Freshness part_freshness_ = registry::Freshness::kFresh;  // Of what was looked for.
  Rcode chain_end_ = Rcode::kNoError;  // Of the name that a chain of CNAMEs ends at.
  // What candidates were chosen from, where the snapshot has nothing ready.
  struct Chosen {
    std::vector<const registry::Instance*> instances;
    registry::RecordSet records;
  };
  std::vector<std::unique_ptr<const Chosen>> chosen_;
};

}  // namespace pharos::dns
