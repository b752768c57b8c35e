#include "runtime/configuration.h"

#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <cstdio>
#include <cstring>

#include "runtime/configuration_reader.h"
#include "runtime/configuration_writer.h"

namespace sluice::runtime {
namespace {

constexpr size_t kTextBytesMax = 1 << 20;
constexpr char kEnvironmentPrefix[] = "SLUICE_";

absl::Status Error(const std::string& where, const std::string& what) {
  return absl::InvalidArgumentError("sluice: " + where + ": " + what);
}

std::string Place(const std::string& name, int line, int column) {
  if (line < 0) return name;
  return name + ":" + std::to_string(line + 1) + ":" + std::to_string(column + 1);
}

absl::Status Read(const std::string& text, const std::string& name, Configuration* configuration) {
  if (text.size() > kTextBytesMax) return Error(name, "is larger than 1 MiB");
  try {
    const YAML::Node root = YAML::Load(text);
    if (!root.IsDefined() || root.IsNull()) return absl::OkStatus();
    if (!root.IsMap())
      return Error(Place(name, root.Mark().line, root.Mark().column),
                   "settings must be lines of the form 'key: value'");
    std::vector<PlacedError> errors;
    SettingReader reader(root, &errors);
    Visit(reader, *configuration);
    reader.Finish();
    if (errors.empty()) return absl::OkStatus();
    const PlacedError& first = *std::min_element(
        errors.begin(), errors.end(), [](const PlacedError& a, const PlacedError& b) {
          return a.line != b.line ? a.line < b.line : a.column < b.column;
        });
    return Error(Place(name, first.line, first.column), first.text);
  } catch (const YAML::Exception& exception) {
    return Error(Place(name, exception.mark.line, exception.mark.column), exception.msg);
  }
}

std::vector<std::string> AllPaths() {
  std::vector<std::string> paths;
  SettingLister lister("", &paths);
  Configuration defaults;
  Visit(lister, defaults);
  return paths;
}

// "limits.sockets" is SLUICE_LIMITS_SOCKETS.
std::string EnvironmentName(const std::string& path) {
  std::string name = kEnvironmentPrefix;
  for (char c : path) {
    name += c == '.' ? '_' : static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  }
  return name;
}

const char* FindVariable(const char* const* environment, const std::string& name) {
  for (; environment != nullptr && *environment != nullptr; ++environment) {
    const char* entry = *environment;
    if (std::strncmp(entry, name.c_str(), name.size()) == 0 && entry[name.size()] == '=') {
      return entry + name.size() + 1;
    }
  }
  return nullptr;
}

absl::Status ApplyWholeConfiguration(const char* const* environment, Configuration* configuration) {
  if (const char* path = FindVariable(environment, "SLUICE_CONFIG"); path != nullptr) {
    absl::StatusOr<Configuration> loaded = LoadConfiguration(path);
    if (!loaded.ok()) return loaded.status();
    *configuration = *std::move(loaded);
  }
  const char* text = FindVariable(environment, "SLUICE_CONFIG_INLINE");
  return text == nullptr ? absl::OkStatus() : Read(text, "SLUICE_CONFIG_INLINE", configuration);
}

// A variable whose name is one letter or two away from a setting's was meant to be that.
absl::Status RefuseMisspelt(const char* const* environment, const std::vector<std::string>& names) {
  for (; environment != nullptr && *environment != nullptr; ++environment) {
    const char* entry = *environment;
    if (std::strncmp(entry, kEnvironmentPrefix, sizeof(kEnvironmentPrefix) - 1) != 0) continue;
    const std::string name(entry, std::strcspn(entry, "="));
    if (std::find(names.begin(), names.end(), name) != names.end()) continue;
    for (const std::string& known : names) {
      if (EditDistance(name, known) > 2) continue;
      return Error(name, "no such setting (did you mean '" + known + "'?)");
    }
  }
  return absl::OkStatus();
}

}  // namespace

std::string Configuration::ToYaml() const {
  YAML::Emitter out;
  SettingWriter writer(&out);
  Configuration copy = *this;  // the list of fields is one for readers and writers
  writer.WriteMap(copy);
  return std::string(out.c_str()) + "\n";
}

absl::StatusOr<Configuration> ParseConfiguration(std::string_view yaml, std::string_view name) {
  Configuration configuration;
  absl::Status status = Read(std::string(yaml), std::string(name), &configuration);
  if (!status.ok()) return status;
  return configuration;
}

absl::StatusOr<Configuration> LoadConfiguration(const std::string& path) {
  std::string text;
  std::FILE* file = std::fopen(path.c_str(), "re");
  bool failed = file == nullptr;
  for (size_t count = 1; !failed && count != 0;) {
    char piece[4096];
    count = std::fread(piece, 1, sizeof piece, file);
    text.append(piece, count);
    failed = std::ferror(file) != 0;
  }
  const int error = errno;
  if (file != nullptr) std::fclose(file);
  if (failed) {
    return absl::NotFoundError("sluice: cannot read " + path + ": " + std::strerror(error));
  }
  return ParseConfiguration(text, path);
}

absl::Status ApplySetting(std::string_view path, std::string_view value, std::string_view where,
                          Configuration* configuration) {
  const std::vector<std::string> paths = AllPaths();
  const std::string place(where);
  if (std::find(paths.begin(), paths.end(), path) == paths.end()) {
    return Error(place, "no such setting" + Suggestion(std::string(path), paths));
  }
  YAML::Node node;
  try {
    node = YAML::Load(std::string(value));
  } catch (const YAML::Exception& exception) {
    return Error(place, exception.msg);
  }
  YAML::Node root;
  const size_t dot = path.find('.');
  if (dot == std::string_view::npos) {
    root[std::string(path)] = node;
  } else {
    root[std::string(path.substr(0, dot))][std::string(path.substr(dot + 1))] = node;
  }
  std::vector<PlacedError> errors;
  SettingReader reader(root, &errors);
  Visit(reader, *configuration);
  return errors.empty() ? absl::OkStatus() : Error(place, errors.front().text);
}

std::vector<std::string> EnvironmentNames() {
  std::vector<std::string> names = {"SLUICE_CONFIG", "SLUICE_CONFIG_INLINE"};
  for (const std::string& path : AllPaths()) names.push_back(EnvironmentName(path));
  return names;
}

absl::Status ApplyEnvironment(const char* const* environment, Configuration* configuration) {
  absl::Status status = ApplyWholeConfiguration(environment, configuration);
  if (!status.ok()) return status;
  for (const std::string& path : AllPaths()) {
    const std::string name = EnvironmentName(path);
    const char* value = FindVariable(environment, name);
    if (value == nullptr) continue;
    status = ApplySetting(path, value, name, configuration);
    if (!status.ok()) return status;
  }
  return RefuseMisspelt(environment, EnvironmentNames());
}

}  // namespace sluice::runtime
