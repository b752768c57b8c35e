// The visitors that write settings as YAML and that list their paths. Internal to the
// configuration.
#pragma once

#include <yaml-cpp/yaml.h>

#include <string>
#include <vector>

#include "runtime/configuration_fields.h"
#include "runtime/configuration_values.h"

namespace sluice::runtime {

class SettingWriter {
 public:
  explicit SettingWriter(YAML::Emitter* out) : out_(out) {}

  void Text(const char* key, const std::string& value) {
    if (!value.empty()) Value(key, value);
  }
  void Bool(const char* key, bool value) { *out_ << YAML::Key << key << YAML::Value << value; }
  template <typename Integer>
  void Number(const char* key, Integer value, uint64_t, uint64_t) {
    *out_ << YAML::Key << key << YAML::Value << static_cast<uint64_t>(value);
  }
  template <typename E, size_t N>
  void Enum(const char* key, E value, const Word<E> (&words)[N]) {
    for (const Word<E>& word : words) {
      if (word.value == value) *out_ << YAML::Key << key << YAML::Value << word.text;
    }
  }
  template <typename T>
  void Value(const char* key, const T& value) {
    *out_ << YAML::Key << key << YAML::Value << FormatValue(value);
  }
  template <typename T>
  void Optional(const char* key, const std::optional<T>& value) {
    if (value.has_value()) Value(key, *value);
  }
  template <typename T>
  void List(const char* key, const std::vector<T>& values) {
    *out_ << YAML::Key << key << YAML::Value << YAML::BeginSeq;
    for (const T& value : values) *out_ << FormatValue(value);
    *out_ << YAML::EndSeq;
  }
  template <typename T>
  void Struct(const char* key, T& value) {
    *out_ << YAML::Key << key << YAML::Value;
    WriteMap(value);
  }
  template <typename T>
  void Structs(const char* key, std::vector<T>& values) {
    *out_ << YAML::Key << key << YAML::Value << YAML::BeginSeq;
    for (T& value : values) WriteMap(value);
    *out_ << YAML::EndSeq;
  }
  void Require(const char*, bool, const char*) {}
  void RequireGiven(const char*, const char*) {}

  template <typename T>
  void WriteMap(T& value) {
    *out_ << YAML::BeginMap;
    Visit(*this, value);
    *out_ << YAML::EndMap;
  }

 private:
  YAML::Emitter* const out_;
};

// Lists the path of every setting that has a value of its own: "limits.sockets".
class SettingLister {
 public:
  SettingLister(std::string prefix, std::vector<std::string>* paths)
      : prefix_(std::move(prefix)), paths_(paths) {}

  template <typename... T>
  void Text(const char* key, T&&...) {
    Add(key);
  }
  template <typename... T>
  void Bool(const char* key, T&&...) {
    Add(key);
  }
  template <typename... T>
  void Number(const char* key, T&&...) {
    Add(key);
  }
  template <typename E, size_t N>
  void Enum(const char* key, E&, const Word<E> (&)[N]) {
    Add(key);
  }
  template <typename... T>
  void Value(const char* key, T&&...) {
    Add(key);
  }
  template <typename... T>
  void Optional(const char* key, T&&...) {
    Add(key);
  }
  template <typename... T>
  void List(const char* key, T&&...) {
    Add(key);
  }
  template <typename... T>
  void Structs(const char* key, T&&...) {
    Add(key);
  }
  template <typename T>
  void Struct(const char* key, T& value) {
    SettingLister inner(prefix_ + key + ".", paths_);
    Visit(inner, value);
  }
  void Require(const char*, bool, const char*) {}
  void RequireGiven(const char*, const char*) {}

 private:
  void Add(const char* key) { paths_->push_back(prefix_ + key); }

  const std::string prefix_;
  std::vector<std::string>* const paths_;
};

}  // namespace sluice::runtime
