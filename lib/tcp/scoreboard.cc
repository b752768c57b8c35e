#include "tcp/scoreboard.h"

#include <algorithm>

namespace sluice::tcp {

uint32_t Scoreboard::Mark(Sequence begin, Sequence end, bool* full) {
  *full = false;
  // The ranges [first, last) touch the new one and become one with it.
  uint32_t first = 0;
  while (first < count && ranges[first].end < begin) ++first;
  uint32_t last = first;
  uint32_t merged = 0;
  while (last < count && ranges[last].begin <= end) {
    merged += static_cast<uint32_t>(ranges[last].end - ranges[last].begin);
    begin = Min(begin, ranges[last].begin);
    end = Max(end, ranges[last].end);
    ++last;
  }
  if (first == last) {
    if (count == kRangesMax) {
      *full = true;
      return 0;
    }
    std::copy_backward(ranges + first, ranges + count, ranges + count + 1);
    ++count;
  } else if (last - first > 1) {
    std::copy(ranges + last, ranges + count, ranges + first + 1);
    count -= last - first - 1;
  }
  ranges[first] = {begin, end};
  const uint32_t news = static_cast<uint32_t>(end - begin) - merged;
  bytes += news;
  return news;
}

void Scoreboard::Forget(Sequence una) {
  uint32_t gone = 0;
  while (gone < count && ranges[gone].end <= una) {
    bytes -= static_cast<uint32_t>(ranges[gone].end - ranges[gone].begin);
    ++gone;
  }
  if (gone != 0) {
    std::copy(ranges + gone, ranges + count, ranges);
    count -= gone;
  }
  if (count != 0 && ranges[0].begin < una) {
    bytes -= static_cast<uint32_t>(una - ranges[0].begin);
    ranges[0].begin = una;
  }
}

}  // namespace sluice::tcp
