// Where EAL and its drivers write: the newest few kilobytes are kept, and forwarded if wished.
// Any thread may call anything here.
#pragma once

#include <cstdio>
#include <string>

namespace sluice::dpdk {

class MessageLog {
 public:
  // The stdio stream to give to rte_openlog_stream; lives as long as the process.
  static FILE* stream();
  static void set_forward(bool to_stderr);

  static std::string Text();
  // The first line that names a cause: drivers report inner failures before outer ones. Without the
  // function name that stands in front of it; "" if there is none.
  static std::string Cause();
  static void Clear();
};

}  // namespace sluice::dpdk
