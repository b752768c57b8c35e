#include "runtime/configuration_reader.h"

namespace sluice::runtime {

YAML::Node SettingReader::Find(const char* key) {
  known_.insert(key);
  for (const auto& entry : map_) {
    if (!entry.first.IsScalar() || entry.first.Scalar() != key) continue;
    // "key:" with nothing behind it says as much as no key at all.
    if (entry.second.IsNull()) break;
    return entry.second;
  }
  return YAML::Node(YAML::NodeType::Undefined);
}

void SettingReader::Bool(const char* key, bool& value) {
  const YAML::Node node = Find(key);
  if (!node.IsDefined()) return;
  if (!node.IsScalar() || !ParseValue(node.Scalar(), &value)) {
    Refuse(node, key, "true or false", {});
  }
}

bool SettingReader::ReadNumber(const char* key, uint64_t low, uint64_t high, uint64_t* number) {
  const YAML::Node node = Find(key);
  if (!node.IsDefined()) return false;
  if (node.IsScalar() && ParseValue(node.Scalar(), number) && *number >= low && *number <= high) {
    return true;
  }
  Refuse(node, key, "a number from " + std::to_string(low) + " to " + std::to_string(high), {});
  return false;
}

void SettingReader::Require(const char* key, bool satisfied, const char* example) {
  if (satisfied) return;
  AddError(map_.Mark(), std::string("'") + key + "' is missing; give " + example);
}

void SettingReader::Finish() {
  const std::vector<std::string> words(known_.begin(), known_.end());
  std::set<std::string> seen;
  for (const auto& entry : map_) {
    if (!entry.first.IsScalar()) {
      AddError(entry.first.Mark(), "a key must be a word");
      continue;
    }
    const std::string& key = entry.first.Scalar();
    if (!known_.contains(key)) {
      AddError(entry.first.Mark(), "unknown key '" + key + "'" + Suggestion(key, words));
    } else if (!seen.insert(key).second) {
      AddError(entry.first.Mark(), "key '" + key + "' is given twice");
    }
  }
}

void SettingReader::Refuse(const YAML::Node& node, const char* key, const std::string& expected,
                           const std::vector<std::string>& words) {
  constexpr size_t kQuotedBytesMax = 80;
  if (!node.IsScalar()) return AddError(node.Mark(), std::string(key) + " must be " + expected);
  const std::string quoted = node.Scalar().substr(0, kQuotedBytesMax);
  AddError(node.Mark(), std::string(key) + " must be " + expected + ", not '" + quoted + "'" +
                            Suggestion(quoted, words));
}

void SettingReader::AddError(const YAML::Mark& mark, std::string text) {
  for (char& c : text) {
    if (static_cast<unsigned char>(c) < ' ') c = ' ';  // an error is one line
  }
  errors_->push_back({mark.line, mark.column, std::move(text)});
}

std::string SettingReader::Join(const std::vector<std::string>& texts) {
  std::string joined;
  for (const std::string& text : texts) joined += (joined.empty() ? "" : ", ") + text;
  return joined;
}

}  // namespace sluice::runtime
