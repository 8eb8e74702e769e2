#pragma once

// The little of XML that answers of S3 have: elements without attributes that matter, and text.

#include <string>
#include <string_view>
#include <vector>

namespace cloister {

// What stands between <name> and the next </name>, for each in its order; at most `most` of them.
// Elements are not looked for within themselves. Anything else gives nothing.
std::vector<std::string_view> XmlElements(std::string_view xml, std::string_view name,
                                          std::size_t most);
// The text of the first one, decoded; empty: there is none.
std::string XmlText(std::string_view xml, std::string_view name);
std::string XmlDecode(std::string_view text);
std::string XmlEncode(std::string_view text);

}  // namespace cloister
