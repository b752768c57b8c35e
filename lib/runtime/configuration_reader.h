// The visitor that fills settings in from a YAML map. Keys that are absent leave their settings as
// they were. Collects every error with its place; the first of the text is reported. Internal to
// the configuration.
#pragma once

#include <yaml-cpp/yaml.h>

#include <set>
#include <string>
#include <vector>

#include "runtime/configuration_fields.h"
#include "runtime/configuration_values.h"

namespace sluice::runtime {

struct PlacedError {
  int line = 0;  // from 0, as yaml-cpp counts; -1 where the text has none
  int column = 0;
  std::string text;
};

class SettingReader {
 public:
  // `map` must be a map.
  SettingReader(const YAML::Node& map, std::vector<PlacedError>* errors)
      : map_(map), errors_(errors) {}

  void Text(const char* key, std::string& value) { Value(key, value); }
  void Bool(const char* key, bool& value);

  template <typename Integer>
  void Number(const char* key, Integer& value, uint64_t low, uint64_t high) {
    uint64_t number = 0;
    if (ReadNumber(key, low, high, &number)) value = static_cast<Integer>(number);
  }

  template <typename E, size_t N>
  void Enum(const char* key, E& value, const Word<E> (&words)[N]) {
    const YAML::Node node = Find(key);
    if (!node.IsDefined()) return;
    std::vector<std::string> texts;
    for (const Word<E>& word : words) {
      texts.push_back(word.text);
      if (node.IsScalar() && node.Scalar() == word.text) {
        value = word.value;
        return;
      }
    }
    Refuse(node, key, "one of " + Join(texts), texts);
  }

  template <typename T>
  void Value(const char* key, T& value) {
    const YAML::Node node = Find(key);
    if (node.IsDefined()) ReadScalar(node, key, &value);
  }

  template <typename T>
  void Optional(const char* key, std::optional<T>& value) {
    const YAML::Node node = Find(key);
    T parsed;
    if (node.IsDefined() && ReadScalar(node, key, &parsed)) value = parsed;
  }

  // A list of scalars, or a single one.
  template <typename T>
  void List(const char* key, std::vector<T>& values) {
    const YAML::Node node = Find(key);
    if (!node.IsDefined()) return;
    std::vector<T> parsed;
    if (node.IsScalar()) {
      T value;
      if (ReadScalar(node, key, &value)) parsed.push_back(value);
    } else if (node.IsSequence()) {
      for (const YAML::Node& item : node) {
        T value;
        if (ReadScalar(item, key, &value)) parsed.push_back(value);
      }
    } else {
      Refuse(node, key, "a list", {});
    }
    values = std::move(parsed);
  }

  template <typename T>
  void Struct(const char* key, T& value) {
    const YAML::Node node = Find(key);
    if (!node.IsDefined()) return;
    if (!node.IsMap()) return Refuse(node, key, "settings of its own (key: value)", {});
    SettingReader reader(node, errors_);
    Visit(reader, value);
    reader.Finish();
  }

  template <typename T>
  void Structs(const char* key, std::vector<T>& values) {
    const YAML::Node node = Find(key);
    if (!node.IsDefined()) return;
    if (!node.IsSequence()) return Refuse(node, key, "a list (lines that begin with '-')", {});
    std::vector<T> parsed;
    for (const YAML::Node& item : node) {
      if (!item.IsMap()) {
        Refuse(item, key, "a list of settings (- key: value)", {});
        continue;
      }
      T value;
      SettingReader reader(item, errors_);
      Visit(reader, value);
      reader.Finish();
      parsed.push_back(std::move(value));
    }
    values = std::move(parsed);
  }

  void Require(const char* key, bool satisfied, const char* example);
  void RequireGiven(const char* key, const char* example) {
    Require(key, Find(key).IsDefined(), example);
  }

  // After Visit: what the map holds beside the keys that were asked for is an error.
  void Finish();

 private:
  YAML::Node Find(const char* key);
  bool ReadNumber(const char* key, uint64_t low, uint64_t high, uint64_t* number);
  template <typename T>
  bool ReadScalar(const YAML::Node& node, const char* key, T* value) {
    if (node.IsScalar() && ParseValue(node.Scalar(), value)) return true;
    Refuse(node, key, Describe(*value), {});
    return false;
  }
  void Refuse(const YAML::Node& node, const char* key, const std::string& expected,
              const std::vector<std::string>& words);
  void AddError(const YAML::Mark& mark, std::string text);
  static std::string Join(const std::vector<std::string>& texts);

  const YAML::Node map_;
  std::vector<PlacedError>* const errors_;
  std::set<std::string> known_;
};

}  // namespace sluice::runtime
