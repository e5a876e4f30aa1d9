#include "dns/handler.h"

#include "dns/reply_writer.h"

namespace pharos::dns {
namespace {

// A reply without question or records, as it must be when those could not be read.
Handled ErrorReply(const Query& query, Rcode rcode, MutableOctets reply) {
  Query bare;
  bare.id = query.id;
  bare.opcode = query.opcode;
  bare.recursion_desired = query.recursion_desired;
  ReplyWriter writer(bare, reply, kPlainUdpOctetsMax, true);
  return {.outcome = Outcome::kReply, .reply_octets = writer.Finish(rcode, 0), .needed = {}};
}

}  // namespace

Handled HandleQuery(Octets request, const AnswerContext& context, Query& query,
                    MutableOctets reply) {
  switch (ParseQuery(request, query)) {
    case ParseResult::kDrop:
      return {.outcome = Outcome::kDrop, .reply_octets = 0, .needed = {}};
    case ParseResult::kNotImp:
      return ErrorReply(query, Rcode::kNotImp, reply);
    case ParseResult::kFormErr:
      return ErrorReply(query, Rcode::kFormErr, reply);
    case ParseResult::kQuery:
      break;
  }
  return Answer(query, context, reply);
}

}  // namespace pharos::dns
