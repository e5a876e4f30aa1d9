#include "http/filter/parse.h"

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "http/filter/match_check.h"
#include "http/filter/scanner.h"

namespace pharos::http {
namespace {

class Parser {
 public:
  Parser(std::string_view text, const FilterSchema& schema) : scanner_(text), schema_(schema) {}

  absl::StatusOr<FilterNode> ParseWhole() {
    ASSIGN_OR_RETURN(FilterNode root, ParseOr());
    if (!scanner_.AtEnd()) return scanner_.Expected("\"and\", \"or\" or EOF");
    return root;
  }

 private:
  absl::StatusOr<FilterNode> ParseOr() {
    return ParseList(FilterNode::Kind::kAny, "or", &Parser::ParseAnd);
  }

  absl::StatusOr<FilterNode> ParseAnd() {
    return ParseList(FilterNode::Kind::kAll, "and", &Parser::ParseNot);
  }

  // Operands with `word` between them; a single one stands for itself.
  absl::StatusOr<FilterNode> ParseList(FilterNode::Kind kind, std::string_view word,
                                       absl::StatusOr<FilterNode> (Parser::*parse_operand)()) {
    ASSIGN_OR_RETURN(FilterNode first, (this->*parse_operand)());
    if (!scanner_.TakeWord(word)) return first;
    FilterNode list;
    list.kind = kind;
    list.children.push_back(std::move(first));
    do {
      ASSIGN_OR_RETURN(list.children.emplace_back(), (this->*parse_operand)());
    } while (scanner_.TakeWord(word));
    return list;
  }

  absl::StatusOr<FilterNode> ParseNot() {
    bool negated = false;
    while (scanner_.TakeWord("not")) negated = !negated;
    ASSIGN_OR_RETURN(FilterNode node, scanner_.TakeSymbol("(") ? ParseGroup() : ParseMatch());
    node.negated = node.negated != negated;
    return node;
  }

  // Behind its parenthesis.
  absl::StatusOr<FilterNode> ParseGroup() {
    if (++depth_ > kFilterDepthMax) {
      return scanner_.ErrorHere(
          absl::StrFormat("more than %d parentheses in one another", kFilterDepthMax));
    }
    ASSIGN_OR_RETURN(FilterNode node, ParseOr());
    if (!scanner_.TakeSymbol(")")) return scanner_.ErrorHere("Unmatched parentheses");
    --depth_;
    return node;
  }

  absl::StatusOr<FilterNode> ParseMatch() {
    ASSIGN_OR_RETURN(WrittenMatch written, ReadMatch());
    RETURN_IF_ERROR(CountMatch(written));
    FilterNode node;
    node.kind = FilterNode::Kind::kMatch;
    ASSIGN_OR_RETURN(node.match, CheckMatch(schema_, std::move(written)));
    return node;
  }

  absl::Status CountMatch(const WrittenMatch& written) {
    if (++matches_ > kFilterMatchesMax) {
      return absl::InvalidArgumentError(
          absl::StrFormat("Number of match expressions exceeds the limit (%d)", kFilterMatchesMax));
    }
    if (written.op == FilterOperator::kMatches && ++regexes_ > kFilterRegexesMax) {
      return absl::InvalidArgumentError(absl::StrFormat(
          "Number of regular expressions exceeds the limit (%d)", kFilterRegexesMax));
    }
    return absl::OkStatus();
  }

  // A bare word is a selector, or the value of an `in` that follows it.
  absl::StatusOr<WrittenMatch> ReadMatch() {
    if (!scanner_.AtIdentifier()) {
      ASSIGN_OR_RETURN(std::string value, scanner_.ReadValue());
      const bool negated = scanner_.TakeWord("not");
      if (!scanner_.TakeWord("in")) {
        return scanner_.Expected(negated ? "\"in\"" : "\"in\" or \"not in\"");
      }
      return ReadIn(negated, std::move(value));
    }
    ASSIGN_OR_RETURN(std::vector<std::string> word, scanner_.ReadSelector());
    return ReadOperator(std::move(word));
  }

  absl::StatusOr<WrittenMatch> ReadOperator(std::vector<std::string> word) {
    using enum FilterOperator;
    if (scanner_.TakeSymbol("==")) return ReadOperand(std::move(word), kEqual, false);
    if (scanner_.TakeSymbol("!=")) return ReadOperand(std::move(word), kEqual, true);
    if (scanner_.TakeWord("is")) return ReadEmpty(std::move(word));
    const bool negated = scanner_.TakeWord("not");
    if (scanner_.TakeWord("contains")) return ReadOperand(std::move(word), kIn, negated);
    if (scanner_.TakeWord("matches")) return ReadOperand(std::move(word), kMatches, negated);
    if (scanner_.TakeWord("in")) return ReadIn(negated, absl::StrJoin(word, "."));
    return scanner_.Expected(
        negated ? "\"contains\", \"in\" or \"matches\""
                : "\"==\", \"!=\", \"is\", \"contains\", \"in\", \"matches\" or \"not\"");
  }

  absl::StatusOr<WrittenMatch> ReadEmpty(std::vector<std::string> selector) {
    const bool negated = scanner_.TakeWord("not");
    if (!scanner_.TakeWord("empty")) {
      return scanner_.Expected(negated ? "\"empty\"" : "\"empty\" or \"not empty\"");
    }
    return WrittenMatch{std::move(selector), FilterOperator::kIsEmpty, negated, ""};
  }

  absl::StatusOr<WrittenMatch> ReadOperand(std::vector<std::string> selector, FilterOperator op,
                                           bool negated) {
    ASSIGN_OR_RETURN(std::string value, scanner_.ReadValue());
    return WrittenMatch{std::move(selector), op, negated, std::move(value)};
  }

  absl::StatusOr<WrittenMatch> ReadIn(bool negated, std::string value) {
    ASSIGN_OR_RETURN(std::vector<std::string> selector, scanner_.ReadSelector());
    return WrittenMatch{std::move(selector), FilterOperator::kIn, negated, std::move(value)};
  }

  FilterScanner scanner_;
  const FilterSchema& schema_;
  size_t depth_ = 0;  // Of open parentheses.
  size_t matches_ = 0;
  size_t regexes_ = 0;
};

}  // namespace

absl::StatusOr<FilterNode> ParseFilterNode(std::string_view text, const FilterSchema& schema) {
  if (text.empty()) return FilterNode{};
  if (text.size() > kFilterOctetsMax) {
    return absl::InvalidArgumentError(absl::StrFormat(
        "the expression has %d octets; expected at most %d", text.size(), kFilterOctetsMax));
  }
  return Parser(text, schema).ParseWhole();
}

}  // namespace pharos::http
