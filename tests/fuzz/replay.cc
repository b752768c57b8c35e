// Runs a fuzzer without libFuzzer: over every file of the given directories, and over seeded
// mutations of them.
//
//   fuzz_replay_ipv4 --mutations=4000 --seed=1 corpus/ipv4
//
// The seed is printed first, and an input that fails when it fails: write its bytes to a file
// (xxd -r -p) and replay that.
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "base/random.h"
#include "fuzz.h"

namespace {

using Input = std::vector<uint8_t>;

constexpr size_t kInputBytesMax = 4096;

const Input* current = nullptr;

// Called on a fatal signal, hence write(2) alone.
void PrintCurrent() {
  static const char digits[] = "0123456789abcdef";
  static const char label[] = "\nthe input: ";
  ssize_t ignored = write(STDERR_FILENO, label, sizeof(label) - 1);
  for (uint8_t byte : *current) {
    const char hex[2] = {digits[byte >> 4], digits[byte & 15]};
    ignored = write(STDERR_FILENO, hex, 2);
  }
  ignored = write(STDERR_FILENO, "\n", 1);
  static_cast<void>(ignored);
}

void OnSignal(int number) {
  if (current != nullptr) PrintCurrent();
  std::signal(number, SIG_DFL);
  std::raise(number);
}

// The bytes lie in a block of exactly their size, so that a sanitizer sees a read behind the end.
void Run(const Input& input) {
  Input exact(input.begin(), input.end());
  exact.shrink_to_fit();
  current = &exact;
  LLVMFuzzerTestOneInput(exact.data(), exact.size());
  current = nullptr;
}

void MutateOnce(sluice::Random& random, const std::vector<Input>& corpus, Input& input) {
  static constexpr uint8_t kInteresting[] = {0, 1, 2, 7, 8, 0x7f, 0x80, 0xfe, 0xff};
  const auto at = [&](size_t bound) { return static_cast<long>(random.Below(bound)); };
  switch (random.Below(7)) {
    case 0:
      if (!input.empty()) input[random.Below(input.size())] ^= 1 << random.Below(8);
      break;
    case 1:
      if (!input.empty()) {
        input[random.Below(input.size())] = kInteresting[random.Below(sizeof(kInteresting))];
      }
      break;
    case 2:
      if (!input.empty()) input[random.Below(input.size())] = static_cast<uint8_t>(random.Next32());
      break;
    case 3:
      input.resize(random.Below(input.size() + 1));
      break;
    case 4:
      input.insert(input.begin() + at(input.size() + 1), 1 + random.Below(16),
                   static_cast<uint8_t>(random.Next32()));
      break;
    case 5:
      if (!input.empty()) {
        const long from = at(input.size());
        input.erase(input.begin() + from, input.begin() + from + at(input.size() - from + 1));
      }
      break;
    default: {
      const Input& other = corpus[random.Below(corpus.size())];
      const long from = at(other.size() + 1);
      input.resize(random.Below(input.size() + 1));
      input.insert(input.end(), other.begin() + from, other.end());
    }
  }
  if (input.size() > kInputBytesMax) input.resize(kInputBytesMax);
}

void ReadCorpus(const std::filesystem::path& path, std::vector<Input>& corpus) {
  if (std::filesystem::is_directory(path)) {
    std::vector<std::filesystem::path> files;
    for (const auto& entry : std::filesystem::directory_iterator(path)) {
      if (entry.is_regular_file()) files.push_back(entry.path());
    }
    std::sort(files.begin(), files.end());  // the same order everywhere, as the seed demands
    for (const auto& file : files) ReadCorpus(file, corpus);
    return;
  }
  std::ifstream file(path, std::ios::binary);
  if (!file) {
    std::fprintf(stderr, "cannot read %s\n", path.c_str());
    std::exit(2);
  }
  corpus.emplace_back(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>());
}

}  // namespace

int main(int argc, char** argv) {
  unsigned long mutations = 0;
  uint64_t seed = 1;
  std::vector<Input> corpus;
  for (int i = 1; i < argc; ++i) {
    const std::string argument = argv[i];
    if (argument.rfind("--mutations=", 0) == 0) {
      mutations = std::stoul(argument.substr(12));
    } else if (argument.rfind("--seed=", 0) == 0) {
      seed = std::stoull(argument.substr(7));
    } else {
      ReadCorpus(argument, corpus);
    }
  }
  if (corpus.empty()) {
    std::fprintf(stderr, "usage: %s [--mutations=N] [--seed=N] FILE|DIRECTORY...\n", argv[0]);
    return 2;
  }
  for (int number : {SIGABRT, SIGSEGV, SIGBUS, SIGFPE, SIGILL}) std::signal(number, OnSignal);

  std::printf("%zu seeds and %lu mutations (seed %llu)\n", corpus.size(), mutations,
              static_cast<unsigned long long>(seed));
  std::fflush(stdout);
  for (const Input& input : corpus) Run(input);
  sluice::Random random(seed);
  for (unsigned long i = 0; i < mutations; ++i) {
    Input input = corpus[random.Below(corpus.size())];
    for (uint64_t steps = 1 + random.Below(4); steps > 0; --steps) {
      MutateOnce(random, corpus, input);
    }
    Run(input);
  }
  return 0;
}
