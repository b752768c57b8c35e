#include "socket_text.h"

#include <algorithm>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace sluice::apps {
namespace {

using nlohmann::json;

using Row = std::vector<std::string>;

std::string Word(const json& object, const char* key) {
  auto found = object.find(key);
  if (found == object.end()) return "";
  return found->is_string() ? found->get<std::string>() : found->dump();
}

uint64_t Number(const json& object, const char* group, const char* key) {
  auto found = object.find(group);
  if (found == object.end() || !found->is_object()) return 0;
  return found->value(key, uint64_t{0});
}

std::string EndpointText(const json& socket, const char* key) {
  auto found = socket.find(key);
  if (found == socket.end() || !found->is_object()) return "*:*";
  std::string address = Word(*found, "address");
  uint64_t port = found->value("port", uint64_t{0});
  std::string port_text = port == 0 ? std::string("*") : std::to_string(port);
  bool any = address.empty() || (port == 0 && (address == "0.0.0.0" || address == "::"));
  if (any) return absl::StrCat("*:", port_text);
  if (address.find(':') == std::string::npos) return absl::StrCat(address, ":", port_text);
  return absl::StrCat("[", address, "]:", port_text);
}

bool IsListening(const json& socket) { return Word(socket, "status") == "listening"; }

// Every leaf under `value` as "path:value".
void Flatten(const json& value, const std::string& path, std::vector<std::string>* words) {
  if (value.is_object()) {
    for (const auto& [key, below] : value.items()) {
      Flatten(below, path.empty() ? key : absl::StrCat(path, ".", key), words);
    }
  } else if (value.is_array() && std::none_of(value.begin(), value.end(),
                                              [](const json& v) { return v.is_structured(); })) {
    std::vector<std::string> items;
    for (const json& item : value) {
      items.push_back(item.is_string() ? item.get<std::string>() : item.dump());
    }
    words->push_back(absl::StrCat(path, ":", items.empty() ? "-" : absl::StrJoin(items, ",")));
  } else if (value.is_array()) {
    for (size_t i = 0; i < value.size(); ++i) {
      Flatten(value[i], absl::StrCat(path, "[", i, "]"), words);
    }
  } else {
    words->push_back(
        absl::StrCat(path, ":", value.is_string() ? value.get<std::string>() : value.dump()));
  }
}

// A connected socket that is busy is receiving, sending or both.
std::string StateOf(const json& socket) {
  std::string status = Word(socket, "status");
  json activity = socket.value("activity", json::array());
  if (status != "connected" || activity.empty()) return status;
  return absl::StrJoin(activity.get<std::vector<std::string>>(), "+");
}

// As ss does: of a listening socket the connections that wait and their limit, of others bytes.
Row RowOf(const json& socket) {
  bool listening = IsListening(socket);
  uint64_t received = listening ? Number(socket, "connection_queue", "length")
                                : Number(socket, "receive_queue", "bytes");
  uint64_t unsent = listening ? Number(socket, "connection_queue", "limit")
                              : Number(socket, "send_queue", "bytes");
  return {Word(socket, "protocol"),      StateOf(socket),
          std::to_string(received),      std::to_string(unsent),
          EndpointText(socket, "local"), EndpointText(socket, "remote")};
}

std::string Aligned(const std::vector<Row>& rows, const std::vector<std::string>& below) {
  const size_t columns = rows.front().size();
  std::vector<size_t> width(columns);
  for (const Row& row : rows) {
    for (size_t i = 0; i < columns; ++i) width[i] = std::max(width[i], row[i].size());
  }
  std::string text;
  for (size_t line = 0; line < rows.size(); ++line) {
    for (size_t i = 0; i < columns; ++i) {
      absl::StrAppend(&text, rows[line][i]);
      if (i + 1 < columns) text.append(width[i] - rows[line][i].size() + 2, ' ');
    }
    absl::StrAppend(&text, "\n", below[line]);
  }
  return text;
}

}  // namespace

bool SocketFilter::Shows(const json& socket) const {
  std::string status = Word(socket, "status"), protocol = Word(socket, "protocol");
  bool waits = status == "listening" || status == "unconnected" || status == "bound";
  if (waits ? !listening : !connected) return false;
  if ((tcp || udp) && !(tcp && protocol == "tcp") && !(udp && protocol == "udp")) return false;
  bool is_ipv6 = Word(socket, "family") == "inet6";
  if ((ipv4 || ipv6) && !(is_ipv6 ? ipv6 : ipv4)) return false;
  return true;
}

std::string SocketTable(const json& document, const SocketFilter& filter, bool extended) {
  std::vector<Row> rows = {
      {"Netid", "State", "Recv-Q", "Send-Q", "Local Address:Port", "Peer Address:Port"}};
  std::vector<std::string> below = {""};
  // Who owns it, where there is a choice: a socket that hears on all engines has a line for each.
  const bool several = document.value("engines", json::array()).size() > 1;
  if (several) rows.front().push_back("Engine");
  for (const json& socket : document.value("sockets", json::array())) {
    if (!filter.Shows(socket)) continue;
    rows.push_back(RowOf(socket));
    if (several) rows.back().push_back(Word(socket, "engine"));
    std::vector<std::string> words;
    if (extended) Flatten(socket, "", &words);
    below.push_back(words.empty() ? "" : absl::StrCat("    ", absl::StrJoin(words, " "), "\n"));
  }
  return Aligned(rows, below);
}

std::string Summary(const json& document) {
  std::vector<std::string> words;
  for (const auto& [key, value] : document.items()) {
    if (key != "sockets") Flatten(value, key, &words);
  }
  std::sort(words.begin(), words.end());
  return absl::StrCat(absl::StrJoin(words, "\n"), "\n");
}

}  // namespace sluice::apps
