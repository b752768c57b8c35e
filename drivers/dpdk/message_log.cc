#include "dpdk/message_log.h"

#include <rte_log.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <mutex>
#include <sstream>

namespace sluice::dpdk {
namespace {

constexpr size_t kKeptBytesMax = 4096;

std::mutex g_mutex;
std::string g_text;
std::atomic<bool> g_forward{false};

ssize_t Append(void*, const char* bytes, size_t size) {
  // A panic ends the process: nobody could ask for the text afterwards.
  const bool is_fatal = static_cast<uint32_t>(rte_log_cur_msg_loglevel()) <= RTE_LOG_CRIT;
  if (is_fatal || g_forward.load(std::memory_order_relaxed)) {
    [[maybe_unused]] ssize_t written = ::write(STDERR_FILENO, bytes, size);
  }
  std::lock_guard<std::mutex> lock(g_mutex);
  g_text.append(bytes, size);
  if (g_text.size() > kKeptBytesMax) g_text.erase(0, g_text.size() - kKeptBytesMax);
  return static_cast<ssize_t>(size);
}

// "eth_dev_tap_create(): dtap9: none" becomes "dtap9: none", and "EAL: none" becomes "none".
std::string WithoutFunctionName(const std::string& line) {
  const size_t colon = line.find(": ");
  if (colon == std::string::npos) return line;
  const std::string head = line.substr(0, colon);
  const bool is_function = head.ends_with("()") || head == "EAL" || head == "PMD";
  return is_function ? WithoutFunctionName(line.substr(colon + 2)) : line;
}

}  // namespace

FILE* MessageLog::stream() {
  static FILE* stream = [] {
    cookie_io_functions_t functions{};
    functions.write = Append;
    FILE* created = fopencookie(nullptr, "w", functions);
    if (created != nullptr) setvbuf(created, nullptr, _IOLBF, 1024);
    return created;
  }();
  return stream;
}

void MessageLog::set_forward(bool to_stderr) {
  g_forward.store(to_stderr, std::memory_order_relaxed);
}

std::string MessageLog::Text() {
  if (stream() != nullptr) fflush(stream());
  std::lock_guard<std::mutex> lock(g_mutex);
  return g_text;
}

std::string MessageLog::Cause() {
  std::istringstream lines(Text());
  for (std::string line; std::getline(lines, line);) {
    line.erase(0, std::min(line.find_first_not_of(" \t"), line.size()));
    while (!line.empty() && (line.back() == '.' || line.back() == '\r')) line.pop_back();
    // Memif says this of every start without shared configuration files.
    if (line.empty() || line.find("mp action callback") != std::string::npos) continue;
    return WithoutFunctionName(line);
  }
  return "";
}

void MessageLog::Clear() {
  if (stream() != nullptr) fflush(stream());
  std::lock_guard<std::mutex> lock(g_mutex);
  g_text.clear();
}

}  // namespace sluice::dpdk
