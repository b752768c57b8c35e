// Bringing a whole record into the processor's cache, to be written.
#pragma once

#include <cstddef>

namespace sluice {

template <typename Record>
void PrefetchAll(const Record& record) {
  constexpr size_t kLine = 64;
  const auto* bytes = reinterpret_cast<const char*>(&record);
  for (size_t i = 0; i < sizeof(record); i += kLine) __builtin_prefetch(bytes + i, 1);
}

}  // namespace sluice
