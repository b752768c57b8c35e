// The Internet checksum (RFC 1071), in pieces.
//
// A partial sum is an unfinished ones' complement sum of 16-bit words, kept in 64 bits so that
// thousands of them may be added with plain `+`. It is in no byte order that callers need to know;
// Checksum() finishes it to the number that stands in the header, in host order like every other
// header field (Store16 writes it).
//
//   uint64_t sum = PseudoHeaderSum(source, destination, 17, datagram.size()) + Sum(datagram);
//   if (!ChecksumValid(sum)) drop;                     // checksum field included
//   Store16(header + 6, Checksum(sum));                // checksum field taken as zero
//
// Pieces that start at an odd offset of the whole are turned with AtOffset before they are added:
//   sum += AtOffset(a.size(), Sum(b));                 // b follows a
//
// The processor's best variant is chosen once, when the program starts. All functions are pure.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "wire/address.h"
#include "wire/bytes.h"

namespace sluice::wire {

namespace internal {

// Keeps a sum's value modulo 2^16 - 1 and makes it less than 2^33.
constexpr uint64_t Narrow(uint64_t sum) { return (sum & 0xffffffff) + (sum >> 32); }

using SumFunction = uint64_t (*)(const uint8_t* bytes, size_t n);
using CopyAndSumFunction = uint64_t (*)(uint8_t* to, const uint8_t* from, size_t n);
extern SumFunction sum_long;
extern CopyAndSumFunction copy_and_sum;

// Adds words with end-around carry: 2^64 is 1 modulo 2^16 - 1.
constexpr uint64_t AddWord(uint64_t sum, uint64_t word) {
  sum += word;
  return sum + (sum < word ? 1 : 0);
}
inline uint64_t AddWords(uint64_t sum, uint64_t a, uint64_t b, uint64_t c, uint64_t d) {
#if defined(__x86_64__)
  // One instruction a word; compilers find three.
  asm("addq %1, %0\n\tadcq %2, %0\n\tadcq %3, %0\n\tadcq %4, %0\n\tadcq $0, %0"
      : "+&r"(sum)
      : "rm"(a), "rm"(b), "rm"(c), "rm"(d)
      : "cc");
  return sum;
#else
  return AddWord(AddWord(AddWord(AddWord(sum, a), b), c), d);
#endif
}

// Copies on the way if `kCopy`.
template <bool kCopy>
inline uint64_t AddShort([[maybe_unused]] uint8_t* to, const uint8_t* from, size_t n) {
  const auto next = [&]<typename Word>(Word word) {
    std::memcpy(&word, from, sizeof(word));
    if constexpr (kCopy) {
      std::memcpy(to, &word, sizeof(word));
      to += sizeof(word);
    }
    from += sizeof(word);
    return word;
  };
  uint64_t sum = 0;
  for (; n >= 32; n -= 32) {
    const uint64_t a = next(uint64_t{});
    const uint64_t b = next(uint64_t{});
    const uint64_t c = next(uint64_t{});
    const uint64_t d = next(uint64_t{});
    sum = AddWords(sum, a, b, c, d);
  }
  for (; n >= 8; n -= 8) sum = AddWord(sum, next(uint64_t{}));
  sum = Narrow(sum);
  if ((n & 4) != 0) sum += next(uint32_t{});
  if ((n & 2) != 0) sum += next(uint16_t{});
  // The missing byte of the last word counts as zero (RFC 1071 section 4.1).
  if ((n & 1) != 0) sum += next(uint8_t{});
  return sum;
}
inline uint64_t SumShort(const uint8_t* bytes, size_t n) {
  return AddShort<false>(nullptr, bytes, n);
}

// Up to here the choice of a variant would cost more than it saves.
inline constexpr size_t kShortBytesMax = 128;

}  // namespace internal

// Sum of the bytes as if they started at an even offset.
inline uint64_t Sum(ConstBytes bytes) {
  return bytes.size() <= internal::kShortBytesMax ? internal::SumShort(bytes.data(), bytes.size())
                                                  : internal::sum_long(bytes.data(), bytes.size());
}

// Copies n bytes and returns their sum, in one pass. The areas must not overlap.
inline uint64_t CopyAndSum(void* to, const void* from, size_t n) {
  auto* target = static_cast<uint8_t*>(to);
  const auto* source = static_cast<const uint8_t*>(from);
  return n <= internal::kShortBytesMax ? internal::AddShort<true>(target, source, n)
                                       : internal::copy_and_sum(target, source, n);
}

// Sum of a piece, given as from an even offset, that stands at `offset` (RFC 1071 section 2(B)).
constexpr uint64_t AtOffset(size_t offset, uint64_t sum) {
  sum = internal::Narrow(internal::Narrow(sum));
  return offset % 2 == 0 ? sum : sum << 8;
}

// The 16-bit value of a sum, in the byte order of memory.
constexpr uint16_t Fold(uint64_t sum) {
  // A number plus itself with its halves exchanged has in its upper half the sum of both, the carry
  // added in.
  sum += std::rotl(sum, 32);
  auto half = static_cast<uint32_t>(sum >> 32);
  half += std::rotl(half, 16);
  return static_cast<uint16_t>(half >> 16);
}

// What stands in a checksum field, in host order, where the field counted as zero in `sum`.
constexpr uint16_t Checksum(uint64_t sum) {
  return __builtin_bswap16(static_cast<uint16_t>(~Fold(sum)));
}

// True of a sum that includes a correct checksum field.
constexpr bool ChecksumValid(uint64_t sum) { return Fold(sum) == 0xffff; }

// RFC 9293 section 3.1 and RFC 8200 section 8.1, by the family of the addresses (which is one).
// `bytes` counts the transport header and its payload.
inline uint64_t PseudoHeaderSum(const IpAddress& source, const IpAddress& destination,
                                uint8_t protocol, uint32_t bytes) {
  const uint64_t rest = uint64_t{__builtin_bswap32(bytes)} + (uint64_t{protocol} << 24);
  if (source.is_v4()) {
    uint32_t a, b;
    std::memcpy(&a, source.v4_bytes(), sizeof(a));
    std::memcpy(&b, destination.v4_bytes(), sizeof(b));
    return rest + a + b;
  }
  return rest + internal::SumShort(source.bytes().data(), 16) +
         internal::SumShort(destination.bytes().data(), 16);
}

// The checksum of a header in which one word changes (RFC 1624 section 3, equation 3). All in host
// order. Exact unless all that is summed has become zero: then it is 0 and should be 0xffff.
constexpr uint16_t UpdateChecksum(uint16_t checksum, uint16_t before, uint16_t after) {
  uint32_t sum =
      static_cast<uint16_t>(~checksum) + uint32_t{static_cast<uint16_t>(~before)} + after;
  sum = (sum & 0xffff) + (sum >> 16);
  sum = (sum & 0xffff) + (sum >> 16);
  return static_cast<uint16_t>(~sum);
}
constexpr uint16_t UpdateChecksum32(uint16_t checksum, uint32_t before, uint32_t after) {
  checksum = UpdateChecksum(checksum, static_cast<uint16_t>(before >> 16),
                            static_cast<uint16_t>(after >> 16));
  return UpdateChecksum(checksum, static_cast<uint16_t>(before), static_cast<uint16_t>(after));
}

// Every variant that was compiled in, the portable one first: for tests and benchmarks.
struct ChecksumVariant {
  const char* name;
  bool supported;  // by this processor
  internal::SumFunction sum;
  internal::CopyAndSumFunction copy_and_sum;
};
std::span<const ChecksumVariant> ChecksumVariants();

}  // namespace sluice::wire
