// getsockopt and setsockopt, split by level. Every function returns 0 or an errno.
#pragma once

#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstring>

#include "api/descriptors.h"
#include "table/command.h"
#include "table/options.h"

namespace sluice::api {

// What a program hands in.
struct OptionInput {
  const void* value;
  socklen_t length;

  template <typename T>
  int Get(T& into) const {
    if (value == nullptr) return EFAULT;
    if (length < sizeof(into)) return EINVAL;
    std::memcpy(&into, value, sizeof(into));
    return 0;
  }
  // An int, or a single byte where the IP levels take one.
  int GetIntOrByte(int& into) const {
    if (value == nullptr) return EFAULT;
    if (length >= sizeof(int)) return Get(into);
    if (length == 0) return EINVAL;
    into = *static_cast<const uint8_t*>(value);
    return 0;
  }
};

// Where a program wants the answer.
struct OptionOutput {
  void* value;
  socklen_t* length;

  // As much as there is room for; tells how much that was.
  int Put(const void* bytes, size_t count) const {
    const size_t stored = std::min<size_t>(count, *length);
    if (stored != 0) std::memcpy(value, bytes, stored);
    *length = static_cast<socklen_t>(stored);
    return 0;
  }
  template <typename T>
  int Put(const T& answer) const {
    return Put(&answer, sizeof(answer));
  }
  // Short buffers get a byte where the IP levels give one.
  int PutIntOrByte(int answer) const {
    if (*length < sizeof(int) && *length > 0 && answer >= 0 && answer <= 255) {
      return Put(static_cast<uint8_t>(answer));
    }
    return Put(answer);
  }
};

// An option that is on or off, by its flag.
struct FlagOption {
  int name;
  table::Flag flag;
  bool engine_acts;  // it must be told
};
template <size_t kCount>
const FlagOption* FindFlag(const FlagOption (&options)[kCount], int name) {
  for (const FlagOption& option : options) {
    if (option.name == name) return &option;
  }
  return nullptr;
}
int SetFlagOption(const OpenSocket& socket, const FlagOption& option, bool on);

// Tells the engine that an option has changed on which it acts.
void TellOptions(const OpenSocket& socket);

int SetSocketOption(const OpenSocket& socket, int name, OptionInput input);
int GetSocketOption(const OpenSocket& socket, int name, OptionOutput output);
int SetTcpOption(const OpenSocket& socket, int name, OptionInput input);
int GetTcpOption(const OpenSocket& socket, int name, OptionOutput output);
int SetUdpOption(const OpenSocket& socket, int name, OptionInput input);
int GetUdpOption(const OpenSocket& socket, int name, OptionOutput output);
int SetIpOption(const OpenSocket& socket, int name, OptionInput input);
int GetIpOption(const OpenSocket& socket, int name, OptionOutput output);
int SetIpv6Option(const OpenSocket& socket, int name, OptionInput input);
int GetIpv6Option(const OpenSocket& socket, int name, OptionOutput output);
// Joining and leaving groups, and filtering sources. ENOPROTOOPT: it is none of these.
int SetIpMembership(const OpenSocket& socket, int name, OptionInput input);
int SetIpv6Membership(const OpenSocket& socket, int name, OptionInput input);
// IP_MTU and IPV6_MTU.
int GetPathMtu(const OpenSocket& socket, OptionOutput output);

}  // namespace sluice::api
