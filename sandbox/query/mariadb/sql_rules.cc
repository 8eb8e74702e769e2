#include "sandbox/query/mariadb/sql_rules.h"

#include <algorithm>
#include <optional>
#include <set>
#include <span>
#include <utility>

#include "sandbox/query/mariadb/tokens.h"

namespace cloister {
namespace {

using Tokens = std::span<const MyToken>;

struct Refused {
  std::string_view text;
  const char* reason;
};

#define ALLOW(text, kind)
#define DEFINE(text, kind)
#define REFUSE(text, reason)
#define REFUSE_FUNCTION(text, reason)
#define REFUSE_ANYWHERE(text, reason)
#define ALLOW_SCHEMA(text)

constexpr SqlRule kRules[] = {
#undef ALLOW
#undef DEFINE
#undef REFUSE
#define ALLOW(text, kind) {text, {.effect = SqlEffect::kind}},
#define DEFINE(text, kind) {text, {.effect = SqlEffect::kind, .commits = true}},
#define REFUSE(text, reason) {text, {.refusal = reason}},
#include "sandbox/query/mariadb/sql_rules.def"
#undef ALLOW
#undef DEFINE
#undef REFUSE
#define ALLOW(text, kind)
#define DEFINE(text, kind)
#define REFUSE(text, reason)
};

constexpr Refused kFunctions[] = {
#undef REFUSE_FUNCTION
#define REFUSE_FUNCTION(text, reason) {text, reason},
#include "sandbox/query/mariadb/sql_rules.def"
#undef REFUSE_FUNCTION
#define REFUSE_FUNCTION(text, reason)
};

constexpr Refused kAnywhere[] = {
#undef REFUSE_ANYWHERE
#define REFUSE_ANYWHERE(text, reason) {text, reason},
#include "sandbox/query/mariadb/sql_rules.def"
#undef REFUSE_ANYWHERE
#define REFUSE_ANYWHERE(text, reason)
};

constexpr std::string_view kSchema[] = {
#undef ALLOW_SCHEMA
#define ALLOW_SCHEMA(text) text,
#include "sandbox/query/mariadb/sql_rules.def"
};

constexpr std::size_t kWordsMax = 4;
// In place of the words of a statement that begins with a comment that the server would run.
constexpr const char* kHidden = "/*!";

// System variables that say what SQL is spoken, and nothing of the server.
constexpr std::string_view kVariables[] = {"VERSION",
                                           "SQL_MODE",
                                           "DEFAULT_STORAGE_ENGINE",
                                           "SQL_AUTO_IS_NULL",
                                           "LOWER_CASE_TABLE_NAMES",
                                           "TX_ISOLATION",
                                           "TRANSACTION_ISOLATION",
                                           "MAX_ALLOWED_PACKET",
                                           "TIME_ZONE",
                                           "AUTOCOMMIT",
                                           "IN_TRANSACTION",
                                           "LAST_INSERT_ID"};

constexpr const char* kEngine = "all tables of an app are InnoDB's, which undoes and keeps";

std::vector<MyToken> All(std::string_view sql) {
  MyTokens tokens(sql);
  std::vector<MyToken> all;
  while (const std::optional<MyToken> token = tokens.Next())
    all.push_back(*token);
  return all;
}

bool IsSignAt(Tokens tokens, std::size_t at, char c) {
  return at < tokens.size() && tokens[at].is_sign(c);
}

bool IsWordAt(Tokens tokens, std::size_t at, std::string_view word) {
  return at < tokens.size() && tokens[at].is_word(word);
}

const char* RefusedFunction(Tokens tokens, std::size_t at) {
  if (!tokens[at].is_name() || !IsSignAt(tokens, at + 1, '('))
    return nullptr;
  const std::string name = tokens[at].word();
  const auto* const found = std::ranges::find(kFunctions, name, &Refused::text);
  return found == std::end(kFunctions) ? nullptr : found->reason;
}

const char* RefusedPhrase(Tokens tokens, std::size_t at) {
  for (const Refused& each : kAnywhere) {
    const std::size_t space = each.text.find(' ');
    if (tokens[at].is_word(each.text.substr(0, space)) &&
        IsWordAt(tokens, at + 1, each.text.substr(space + 1)))
      return each.reason;
  }
  return nullptr;
}

const char* RefusedSchema(Tokens tokens, std::size_t at) {
  if (!tokens[at].is_name() || !IsSignAt(tokens, at + 1, '.'))
    return nullptr;
  const std::string schema = tokens[at].word();
  // Some of its tables everybody may read.
  if (schema == "PERFORMANCE_SCHEMA")
    return "what the server does is its operator's";
  if (schema != "INFORMATION_SCHEMA")
    return nullptr;
  // A table that is made like one of these has their engine, without a word of it.
  if (at > 0 && tokens[at - 1].is_word("LIKE"))
    return kEngine;
  const bool allowed = at + 2 < tokens.size() && tokens[at + 2].is_name() &&
                       std::ranges::find(kSchema, tokens[at + 2].word()) != std::end(kSchema);
  return allowed ? nullptr : "an app sees of information_schema what is about its own tables";
}

// `at` is the first of the signs; a few variables of the system may be read.
const char* RefusedVariable(Tokens tokens, std::size_t at) {
  if (!tokens[at].is_sign('@') || (at > 0 && tokens[at - 1].is_sign('@')))
    return nullptr;
  if (!IsSignAt(tokens, at + 1, '@'))
    return "variables belong to a connection, and connections are shared";
  std::size_t name = at + 2;
  if (IsSignAt(tokens, name + 1, '.'))
    name += 2;
  const bool allowed = name < tokens.size() && tokens[name].is_name() &&
                       std::ranges::find(kVariables, tokens[name].word()) != std::end(kVariables);
  return allowed ? nullptr : "the server's settings are its operator's";
}

// ENGINE [=] NAME of a table, a column's name being ENGINE as well.
const char* RefusedEngine(Tokens tokens, std::size_t at) {
  constexpr std::string_view kOthers[] = {
      "ARCHIVE",    "ARIA",    "BLACKHOLE", "COLUMNSTORE", "CONNECT",    "CSV",     "FEDERATED",
      "FEDERATEDX", "HEAP",    "MEMORY",    "MERGE",       "MRG_MYISAM", "MROONGA", "MYISAM",
      "OQGRAPH",    "ROCKSDB", "S3",        "SEQUENCE",    "SPHINX",     "SPIDER"};
  if (!tokens[at].is_word("ENGINE"))
    return nullptr;
  const bool equals = IsSignAt(tokens, at + 1, '=');
  const std::size_t name = at + (equals ? 2 : 1);
  if (name >= tokens.size() || tokens[name].kind == MyToken::Kind::kSign)
    return nullptr;
  const std::string word = tokens[name].word();
  const bool is_plain = tokens[name].kind == MyToken::Kind::kWord && !equals;
  if (is_plain ? std::ranges::find(kOthers, word) == std::end(kOthers) : word == "INNODB")
    return nullptr;
  return kEngine;
}

// What a trigger sets beside columns and variables of its own would stay on the connection. `at` is
// behind SET.
const char* RefusedSet(Tokens tokens, std::size_t at, const std::set<std::string>& declared) {
  constexpr const char* kStays =
      "a trigger sets columns of NEW, and variables that it declares where it begins";
  int depth = 0;
  bool name = true;
  for (; at < tokens.size(); ++at) {
    const MyToken& token = tokens[at];
    if (name) {
      const bool is_new = token.is_name() && token.word() == "NEW" && IsSignAt(tokens, at + 1, '.');
      const bool is_own = token.is_name() && declared.contains(token.word()) &&
                          (IsSignAt(tokens, at + 1, '=') || IsSignAt(tokens, at + 1, ':'));
      if (!is_new && !is_own)
        return kStays;
      name = false;
    }
    if (token.is_sign('('))
      ++depth;
    else if (token.is_sign(')'))
      --depth;
    else if (token.is_sign(';'))
      return nullptr;
    else if (token.is_sign(',') && depth == 0)
      name = true;
  }
  return nullptr;
}

// Where a trigger's body begins: behind FOR EACH ROW [FOLLOWS x | PRECEDES x].
std::size_t BodyOf(Tokens tokens) {
  std::size_t at = 0;
  while (at < tokens.size() && !(IsWordAt(tokens, at, "FOR") && IsWordAt(tokens, at + 1, "EACH") &&
                                 IsWordAt(tokens, at + 2, "ROW")))
    ++at;
  at += 3;
  return IsWordAt(tokens, at, "FOLLOWS") || IsWordAt(tokens, at, "PRECEDES") ? at + 2 : at;
}

// The variables that are known in all of the body: those that its outermost block begins with. One
// of a block within is known there only, and behind it its name may be a setting's.
std::set<std::string> DeclaredIn(Tokens tokens, std::size_t body) {
  std::set<std::string> declared;
  std::size_t at = IsSignAt(tokens, body + 1, ':') ? body + 2 : body;
  if (!IsWordAt(tokens, at, "BEGIN"))
    return declared;
  ++at;
  while (IsWordAt(tokens, at, "DECLARE")) {
    std::set<std::string> names;
    for (++at; at < tokens.size() && tokens[at].is_name(); ++at) {
      names.insert(tokens[at].word());
      if (!IsSignAt(tokens, at + 1, ','))
        break;
      ++at;
    }
    // Neither is a variable, and nothing but their like follows.
    if (IsWordAt(tokens, at + 1, "CURSOR") || IsWordAt(tokens, at + 1, "HANDLER"))
      break;
    if (!IsWordAt(tokens, at + 1, "CONDITION"))
      declared.merge(names);
    while (at < tokens.size() && !tokens[at].is_sign(';'))
      ++at;
    ++at;
  }
  return declared;
}

bool BeginsStatement(const MyToken& before) {
  constexpr std::string_view kWords[] = {"BEGIN", "THEN", "ELSE", "DO", "LOOP", "REPEAT", "ROW"};
  return before.is_sign(';') || before.is_sign(':') ||
         (before.kind == MyToken::Kind::kWord &&
          std::ranges::find(kWords, before.word()) != std::end(kWords));
}

// All of these are reserved words: what is called so is quoted.
bool ChangesColumns(Tokens tokens, std::size_t at) {
  const bool is_one =
      tokens[at].is_word("UPDATE") || tokens[at].is_word("INSERT") || tokens[at].is_word("REPLACE");
  return is_one && !IsSignAt(tokens, at + 1, '(');
}

const char* RefusedInTrigger(Tokens tokens) {
  const std::size_t body = BodyOf(tokens);
  const std::set<std::string> declared = DeclaredIn(tokens, body);
  // The next SET is of columns.
  bool of_columns = false;
  for (std::size_t at = body; at < tokens.size(); ++at) {
    of_columns = ChangesColumns(tokens, at) ||
                 (of_columns && (at == body || !BeginsStatement(tokens[at - 1])));
    // CHARACTER SET x, and the type SET (...).
    const bool is_type = IsSignAt(tokens, at + 1, '(') || tokens[at - 1].is_word("CHARACTER");
    if (!tokens[at].is_word("SET") || is_type || std::exchange(of_columns, false))
      continue;
    if (const char* const reason = RefusedSet(tokens, at + 1, declared))
      return reason;
  }
  return nullptr;
}

bool IsTrigger(const std::vector<std::string>& words) {
  return !words.empty() && words.front() == "CREATE" &&
         std::ranges::find(words, "TRIGGER") != words.end();
}

bool DefinesTable(const std::vector<std::string>& words) {
  return !words.empty() && (words.front() == "CREATE" || words.front() == "ALTER");
}

const char* RefusedAnywhere(const std::vector<std::string>& words, Tokens tokens) {
  for (std::size_t at = 0; at < tokens.size(); ++at) {
    if (tokens[at].kind == MyToken::Kind::kExecutable)
      return "a comment that the server would run hides what a statement does";
    const char* reason = RefusedFunction(tokens, at);
    if (reason == nullptr)
      reason = RefusedPhrase(tokens, at);
    if (reason == nullptr)
      reason = RefusedSchema(tokens, at);
    if (reason == nullptr)
      reason = RefusedVariable(tokens, at);
    if (reason == nullptr && DefinesTable(words))
      reason = RefusedEngine(tokens, at);
    if (reason != nullptr)
      return reason;
  }
  return nullptr;
}

}  // namespace

std::vector<std::string> MyWords(std::string_view sql) {
  MyTokens tokens(sql);
  std::vector<std::string> words;
  while (const std::optional<MyToken> token = tokens.Next()) {
    if (words.empty() && token->is_sign(';'))
      continue;
    if (words.empty() && token->is_sign('('))
      return {"SELECT"};
    if (words.empty() && token->kind == MyToken::Kind::kExecutable)
      return {kHidden};
    if (token->kind != MyToken::Kind::kWord || words.size() == kWordsMax)
      break;
    words.push_back(token->word());
  }
  return words;
}

SqlRuling MyRulingOf(const std::vector<std::string>& words, std::string_view sql) {
  SqlRuling ruling = RulingByWords(kRules, words);
  const std::vector<MyToken> tokens = All(sql);
  // A rule of words has the better reason, but of what is hidden there are no words.
  if (ruling.refusal != nullptr && words.front() != kHidden)
    return ruling;
  if (const char* const reason = RefusedAnywhere(words, tokens))
    ruling.refusal = reason;
  else if (IsTrigger(words))
    ruling.refusal = RefusedInTrigger(tokens);
  return ruling;
}

bool MyChangesRows(std::string_view sql) {
  constexpr std::string_view kChanging[] = {"INSERT", "UPDATE", "DELETE", "REPLACE"};
  const std::vector<std::string> words = MyWords(sql);
  return !words.empty() && std::ranges::find(kChanging, words.front()) != std::end(kChanging);
}

bool MyIsSeveral(std::string_view sql) {
  MyTokens tokens(sql);
  bool ended = false;
  while (const std::optional<MyToken> token = tokens.Next()) {
    if (ended && !token->is_sign(';'))
      return true;
    ended = ended || token->is_sign(';');
  }
  return false;
}

bool MyBeginsTransaction(const std::vector<std::string>& words, std::string_view sql) {
  if (words.empty())
    return false;
  if (MyChangesRows(sql))
    return true;
  if (words.front() != "SELECT" && words.front() != "WITH")
    return false;
  const std::vector<MyToken> tokens = All(sql);
  for (std::size_t at = 0; at + 1 < tokens.size(); ++at)
    if ((tokens[at].is_word("FOR") && tokens[at + 1].is_word("UPDATE")) ||
        (tokens[at].is_word("LOCK") && tokens[at + 1].is_word("IN")))
      return true;
  return false;
}

}  // namespace cloister
