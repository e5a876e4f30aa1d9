#include "dns/handler.h"

#include <algorithm>

#include "dns/reply_writer.h"

namespace pharos::dns {
namespace {

// Judges the client's cookie and settles what the reply's options say.
void SettleOptions(const AnswerContext& context, Edns& edns) {
  // Of another version than ours nothing but the version was read.
  if (edns.version > 0) return;
  edns.reply.explain_failure = edns.has_options || context.config.standard;
  if (edns.wants_nsid) edns.reply.nsid = AsOctets(context.config.nsid);
  if (edns.wants_keepalive && context.transport == Transport::kTcp) {
    const int64_t ticks = context.idle_timeout / absl::Milliseconds(100);
    edns.reply.has_keepalive = true;
    edns.reply.keepalive_100ms = static_cast<uint16_t>(std::min<int64_t>(ticks, 0xffff));
  }
  if (edns.cookie.empty() || context.cookies == nullptr || !context.cookies->enabled()) return;
  edns.cookie_state =
      context.cookies->Check(edns.cookie, context.client, context.clock->Now(), edns.reply.cookie);
  edns.reply.has_cookie = true;
}

// Over TCP the handshake has shown already what a cookie would (RFC 7873 section 5.2.3).
bool LacksCookie(const Query& query, const AnswerContext& context) {
  if (!query.edns || context.transport == Transport::kTcp) return false;
  const CookieState state = query.edns->cookie_state;
  return (state == CookieState::kClientOnly || state == CookieState::kInvalid) &&
         context.cookies->required();
}

// A reply without records: the question as far as it could be read, and OPT if the query had one.
Handled BareReply(const Query& query, Rcode rcode, uint16_t flags, MutableOctets reply) {
  ReplyWriter writer(query, reply, kPlainUdpOctetsMax, true);
  return {.outcome = Outcome::kReply, .reply_octets = writer.Finish(rcode, flags), .needed = {}};
}

// RFC 7873 section 5.4: no question, only a cookie to be had or to be checked.
Handled CookieReply(const Query& query, MutableOctets reply) {
  switch (query.edns->cookie_state) {
    case CookieState::kNone:
      return BareReply(query, Rcode::kFormErr, 0, reply);
    case CookieState::kInvalid:
      return BareReply(query, Rcode::kBadCookie, 0, reply);
    default:
      return BareReply(query, Rcode::kNoError, 0, reply);
  }
}

}  // namespace

Handled HandleQuery(Octets request, const AnswerContext& context, Query& query,
                    MutableOctets reply) {
  const ParseResult parsed = ParseQuery(request, query);
  if (query.edns) SettleOptions(context, *query.edns);
  switch (parsed) {
    case ParseResult::kDrop:
      return {.outcome = Outcome::kDrop, .reply_octets = 0, .needed = {}};
    case ParseResult::kNotImp:
      return BareReply(query, Rcode::kNotImp, 0, reply);
    case ParseResult::kFormErr:
      return BareReply(query, Rcode::kFormErr, 0, reply);
    case ParseResult::kCookieOnly:
      return CookieReply(query, reply);
    case ParseResult::kQuery:
      break;
  }
  const uint16_t flags = context.config.recursion_available ? kFlagRa : 0;
  // RFC 6891 section 6.1.3: whatever an unknown version may mean, we do not know it.
  if (query.edns && query.edns->version > 0) {
    return BareReply(query, Rcode::kBadVers, flags, reply);
  }
  if (LacksCookie(query, context)) return BareReply(query, Rcode::kBadCookie, flags, reply);
  return Answer(query, context, reply);
}

}  // namespace pharos::dns
