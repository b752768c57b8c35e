#include "table/status.h"

#include <catch2/catch.hpp>
#include <set>
#include <utility>

namespace sluice::table {
namespace {

using enum Status;

// The legal changes once more, written down independently as pairs.
const std::set<std::pair<Status, Status>> kLegal = {
    {kTerminated, kUnconnected},   {kTerminated, kConnected},    {kUnconnected, kBound},
    {kUnconnected, kConnecting},   {kUnconnected, kConnected},   {kUnconnected, kListening},
    {kUnconnected, kTerminated},   {kBound, kUnconnected},       {kBound, kConnecting},
    {kBound, kConnected},          {kBound, kListening},         {kBound, kTerminated},
    {kConnecting, kConnected},     {kConnecting, kDisconnected}, {kConnecting, kTerminated},
    {kListening, kBound},          {kListening, kUnconnected},   {kListening, kTerminated},
    {kConnected, kConnected},      {kConnected, kShutdown},      {kConnected, kDisconnected},
    {kConnected, kBound},          {kConnected, kUnconnected},   {kConnected, kTerminated},
    {kShutdown, kDisconnected},    {kShutdown, kBound},          {kShutdown, kUnconnected},
    {kShutdown, kTerminated},      {kDisconnected, kConnecting}, {kDisconnected, kBound},
    {kDisconnected, kUnconnected}, {kDisconnected, kTerminated},
};

TEST_CASE("every pair of statuses is legal or not, as the list says") {
  for (int from = 0; from < kStatusCount; ++from) {
    for (int to = 0; to < kStatusCount; ++to) {
      auto pair = std::make_pair(static_cast<Status>(from), static_cast<Status>(to));
      INFO(ToString(pair.first) << " -> " << ToString(pair.second));
      CHECK(CanChange(pair.first, pair.second) == (kLegal.count(pair) == 1));
    }
  }
}

TEST_CASE("every status can be terminated, and each has its own name") {
  std::set<std::string_view> names;
  for (int status = 0; status < kStatusCount; ++status) {
    names.insert(ToString(static_cast<Status>(status)));
    if (status != 0) CHECK(CanChange(static_cast<Status>(status), kTerminated));
  }
  CHECK(names.size() == kStatusCount);
}

}  // namespace
}  // namespace sluice::table
