// The socket table of one process as text, in the columns of ss(8).
//
// Example:
//   SocketFilter filter{.listening = true};
//   std::cout << SocketTable(document, filter, /*extended=*/false);
#pragma once

#include <nlohmann/json.hpp>
#include <string>

namespace sluice::apps {

// What to show. No protocol or no family chosen means all of them.
struct SocketFilter {
  bool listening = false;  // listening and unconnected sockets ...
  bool connected = true;   // ... and the others
  bool tcp = false, udp = false;
  bool ipv4 = false, ipv6 = false;

  bool Shows(const nlohmann::json& socket) const;
};

// One line for each socket shown, under a line of titles. `extended` adds every field of the entry.
std::string SocketTable(const nlohmann::json& document, const SocketFilter& filter, bool extended);

// Everything in the document but the sockets: interfaces, limits, counters.
std::string Summary(const nlohmann::json& document);

}  // namespace sluice::apps
