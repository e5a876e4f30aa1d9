#include "http/errors.h"

#include <string>

namespace pharos::http {
namespace {

int HttpStatus(absl::StatusCode code) {
  switch (code) {
    case absl::StatusCode::kInvalidArgument:
      return 400;
    case absl::StatusCode::kUnauthenticated:
      return 401;
    case absl::StatusCode::kPermissionDenied:
      return 403;
    case absl::StatusCode::kNotFound:
      return 404;
    case absl::StatusCode::kFailedPrecondition:
      return 415;
    case absl::StatusCode::kResourceExhausted:
      return 429;
    default:
      return 500;
  }
}

}  // namespace

Response ErrorResponse(const absl::Status& error) {
  return TextResponse(HttpStatus(error.code()), std::string(error.message()));
}

}  // namespace pharos::http
