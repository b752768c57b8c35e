// Room for a value that is written as a whole before it is looked at.
//
//   Unset<DatagramHeader> header;
//   if (queue.Read(header.value)) ...
//
// Its members' initialisers do not run: clearing a hundred bytes for each message costs as much as
// many a step of its way.
#pragma once

#include <type_traits>

namespace sluice {

template <typename T>
union Unset {
  static_assert(std::is_trivially_copyable_v<T> && std::is_trivially_destructible_v<T>);

  Unset() {}

  T value;
};

}  // namespace sluice
