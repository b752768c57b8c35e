#include "api/interfaces.h"

#include <net/if.h>
#include <net/if_arp.h>
#include <netinet/in.h>
#include <sys/ioctl.h>

#include <algorithm>
#include <cstring>
#include <vector>

#include "api/address.h"
#include "api/ask.h"
#include "api/errors.h"

namespace sluice::api {
namespace {

using table::InterfaceRecord;

constexpr size_t kMostRecords = 1024;
constexpr int kTransmitQueueLength = 1000;

// Every address of every interface.
std::vector<InterfaceRecord> AllRecords(const OpenSocket& socket) {
  std::vector<InterfaceRecord> records;
  while (records.size() < kMostRecords) {
    Answer answer;
    table::Result result = Ask(socket.entry->engine.load(),
                               {.operation = table::Operation::kInterfaces,
                                .argument = static_cast<uint32_t>(records.size())},
                               &answer);
    const size_t count = answer.length / sizeof(InterfaceRecord);
    if (result != table::Result::kOk || count == 0) break;
    for (size_t i = 0; i < count; ++i) {
      InterfaceRecord record;
      std::memcpy(static_cast<void*>(&record), answer.payload + i * sizeof(record), sizeof(record));
      record.name[sizeof(record.name) - 1] = '\0';
      records.push_back(record);
    }
    if (records.back().remaining == 0) break;
  }
  return records;
}

wire::IpAddress Netmask(const InterfaceRecord& record) {
  const int length = std::min<int>(record.prefix_length, 32);
  return wire::IpAddress::V4(length == 0 ? 0 : ~uint32_t{0} << (32 - length));
}

wire::IpAddress BroadcastAddress(const InterfaceRecord& record) {
  return wire::IpAddress::V4(record.address.v4() | ~Netmask(record).v4());
}

void PutAddress(const wire::IpAddress& address, sockaddr& to) {
  socklen_t length = sizeof(to);
  StoreAddress({address, 0, 0}, AF_INET, &to, &length);
}

int StoreConfiguration(const std::vector<InterfaceRecord>& records, void* argument) {
  ifconf& conf = *static_cast<ifconf*>(argument);
  const size_t room = conf.ifc_buf == nullptr ? SIZE_MAX : static_cast<size_t>(conf.ifc_len);
  size_t used = 0;
  for (const InterfaceRecord& record : records) {
    if (!record.address.is_v4() || room - used < sizeof(ifreq)) continue;
    ifreq entry{};
    std::memcpy(entry.ifr_name, record.name, sizeof(entry.ifr_name));
    PutAddress(record.address, entry.ifr_addr);
    if (conf.ifc_buf != nullptr) std::memcpy(conf.ifc_buf + used, &entry, sizeof(entry));
    used += sizeof(entry);
  }
  conf.ifc_len = static_cast<int>(used);
  return 0;
}

const InterfaceRecord* FindByName(const std::vector<InterfaceRecord>& records,
                                  std::string_view name, bool v4) {
  for (const InterfaceRecord& record : records) {
    if (name == record.name && (!v4 || record.address.is_v4())) return &record;
  }
  return nullptr;
}

int StoreAddressField(const InterfaceRecord& record, unsigned long request, ifreq& entry) {
  switch (request) {
    case SIOCGIFADDR:
    case SIOCGIFDSTADDR:
      PutAddress(record.address, entry.ifr_addr);
      return 0;
    case SIOCGIFNETMASK:
      PutAddress(Netmask(record), entry.ifr_netmask);
      return 0;
    default:
      PutAddress(BroadcastAddress(record), entry.ifr_broadaddr);
      return 0;
  }
}

int StoreField(const InterfaceRecord& record, unsigned long request, ifreq& entry) {
  switch (request) {
    case SIOCGIFFLAGS:
      entry.ifr_flags = static_cast<short>(record.flags);
      return 0;
    case SIOCGIFMTU:
      entry.ifr_mtu = record.mtu;
      return 0;
    case SIOCGIFINDEX:
      entry.ifr_ifindex = record.index;
      return 0;
    case SIOCGIFMETRIC:
      entry.ifr_metric = 0;
      return 0;
    case SIOCGIFTXQLEN:
      entry.ifr_qlen = kTransmitQueueLength;
      return 0;
    case SIOCGIFHWADDR:
      std::memset(&entry.ifr_hwaddr, 0, sizeof(entry.ifr_hwaddr));
      entry.ifr_hwaddr.sa_family =
          (record.flags & IFF_LOOPBACK) != 0 ? ARPHRD_LOOPBACK : ARPHRD_ETHER;
      std::memcpy(entry.ifr_hwaddr.sa_data, record.mac.bytes.data(), 6);
      return 0;
    default:
      return Fail(ENOTTY);
  }
}

}  // namespace

int InterfaceIoctl(const OpenSocket& socket, unsigned long request, void* argument) {
  const bool wants_address = request == SIOCGIFADDR || request == SIOCGIFDSTADDR ||
                             request == SIOCGIFNETMASK || request == SIOCGIFBRDADDR;
  const bool wants_field = request == SIOCGIFFLAGS || request == SIOCGIFMTU ||
                           request == SIOCGIFINDEX || request == SIOCGIFMETRIC ||
                           request == SIOCGIFTXQLEN || request == SIOCGIFHWADDR;
  if (!wants_address && !wants_field && request != SIOCGIFCONF && request != SIOCGIFNAME) {
    return Fail(ENOTTY);
  }
  if (argument == nullptr) return Fail(EFAULT);
  const std::vector<InterfaceRecord> records = AllRecords(socket);
  if (request == SIOCGIFCONF) return StoreConfiguration(records, argument);
  ifreq& entry = *static_cast<ifreq*>(argument);
  if (request == SIOCGIFNAME) {
    for (const InterfaceRecord& record : records) {
      if (record.index != entry.ifr_ifindex) continue;
      std::memcpy(entry.ifr_name, record.name, sizeof(entry.ifr_name));
      return 0;
    }
    return Fail(ENODEV);
  }
  char name[sizeof(entry.ifr_name) + 1] = {};
  std::memcpy(name, entry.ifr_name, sizeof(entry.ifr_name));
  if (FindByName(records, name, false) == nullptr) return Fail(ENODEV);
  const InterfaceRecord* record = FindByName(records, name, wants_address);
  if (record == nullptr) return Fail(EADDRNOTAVAIL);
  return wants_address ? StoreAddressField(*record, request, entry)
                       : StoreField(*record, request, entry);
}

uint16_t InterfaceIndex(const OpenSocket& socket, std::string_view name) {
  const std::vector<InterfaceRecord> records = AllRecords(socket);
  const InterfaceRecord* record = FindByName(records, name, false);
  return record == nullptr ? uint16_t{0} : record->index;
}

bool InterfaceName(const OpenSocket& socket, uint16_t index, char (&name)[16]) {
  for (const InterfaceRecord& record : AllRecords(socket)) {
    if (record.index != index) continue;
    std::memcpy(name, record.name, sizeof(name));
    return true;
  }
  return false;
}

uint16_t InterfaceWithAddress(const OpenSocket& socket, const wire::IpAddress& address) {
  for (const InterfaceRecord& record : AllRecords(socket)) {
    if (record.address == address) return record.index;
  }
  return 0;
}

}  // namespace sluice::api
