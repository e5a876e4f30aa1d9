// Which handler answers which path and method.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/cidr.h"
#include "http/exchange.h"

namespace pharos::http {

// What every route is subject to; from `http_config`.
struct RouterOptions {
  std::vector<std::string> block_endpoints;  // Path prefixes that are answered 403.
  std::vector<Cidr> allow_writes_from;       // Who may use other methods than GET; empty: everyone.
  bool allow_unprintable = false;            // Else a path with control characters is answered 400.
};

class Router {
 public:
  // `argument` is what follows the route's path, percent-decoded once; empty for a route without.
  using Handler =
      std::function<void(const std::shared_ptr<Exchange>&, const std::string& argument)>;

  explicit Router(RouterOptions options) : options_(std::move(options)) {}

  // A path that ends in `/` takes all that begin with it; the longest fitting one counts.
  void Add(Method method, std::string path, Handler handler);

  // Whether its client may do what it asks; else it is answered.
  bool Admits(const std::shared_ptr<Exchange>& exchange) const;

  // Answers 404 for a path nobody has, 405 for a method it does not have, OPTIONS itself, and hands
  // everything else to its handler.
  void Route(const std::shared_ptr<Exchange>& exchange) const;

 private:
  using Methods = std::map<Method, Handler>;

  // The route of a path, and where its argument begins; null when there is none.
  const Methods* Find(std::string_view path, size_t& argument_at) const;

  bool IsBlocked(const Request& request) const;
  bool MayWrite(const Request& request) const;

  RouterOptions options_;
  std::map<std::string, Methods, std::less<>> routes_;
};

}  // namespace pharos::http
