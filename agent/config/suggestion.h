// The known word that a mistyped one was meant to be.
#pragma once

#include <span>
#include <string_view>

namespace pharos::agent {

// The candidate nearest to `word`: at most two letters (one in words of up to four) added, left
// out, changed, or swapped with their neighbour. Empty if none is that near.
std::string_view NearestWord(std::string_view word, std::span<const std::string_view> candidates);

}  // namespace pharos::agent
