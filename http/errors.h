// Errors as responses: the code of a Status says which HTTP status, its message is the body.
#pragma once

#include "absl/status/status.h"
#include "http/message.h"

namespace pharos::http {

// InvalidArgument is 400, Unauthenticated 401, PermissionDenied 403, NotFound 404,
// FailedPrecondition 415, ResourceExhausted 429; all others are 500.
Response ErrorResponse(const absl::Status& error);

}  // namespace pharos::http
