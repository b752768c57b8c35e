// The network interfaces, as the engines know them: SIOCGIF*, and indices of names.
#pragma once

#include <cstdint>
#include <string_view>

#include "api/descriptors.h"
#include "table/command.h"

namespace sluice::api {

// SIOCGIFCONF, ADDR, DSTADDR, NETMASK, BRDADDR, FLAGS, MTU, HWADDR, INDEX, NAME, METRIC, TXQLEN.
// ENOTTY for anything else.
int InterfaceIoctl(const OpenSocket& socket, unsigned long request, void* argument);

// The index of a name, or 0.
uint16_t InterfaceIndex(const OpenSocket& socket, std::string_view name);
// The name of an index; false if there is none.
bool InterfaceName(const OpenSocket& socket, uint16_t index, char (&name)[16]);
// The index of the interface that has this address, or 0.
uint16_t InterfaceWithAddress(const OpenSocket& socket, const wire::IpAddress& address);

}  // namespace sluice::api
