#include "wire/checksum.h"

#include <immintrin.h>

#include <array>

namespace sluice::wire {
namespace {

// All variants add 32-bit words into 64-bit lanes: 2^32 of them could be added before a lane
// overflowed, so no carry is ever lost and none has to be looked at. 2^16 is 1 modulo 2^16 - 1, so
// words of any even width add up to the same checksum.

template <bool kCopy>
uint64_t SumPortable([[maybe_unused]] uint8_t* to, const uint8_t* from, size_t n) {
  uint64_t even = 0, odd = 0;
  constexpr uint64_t kLow = 0xffffffff;
  for (; n >= 16; n -= 16, from += 16) {
    uint64_t words[2];
    std::memcpy(words, from, 16);
    if constexpr (kCopy) {
      std::memcpy(to, words, 16);
      to += 16;
    }
    even += (words[0] & kLow) + (words[1] & kLow);
    odd += (words[0] >> 32) + (words[1] >> 32);
  }
  if constexpr (kCopy) {
    if (n > 0) std::memcpy(to, from, n);
  }
  return internal::Narrow(even + odd + internal::SumShort(from, n));
}

uint64_t PortableSum(const uint8_t* bytes, size_t n) {
  return SumPortable<false>(nullptr, bytes, n);
}
uint64_t PortableCopyAndSum(uint8_t* to, const uint8_t* from, size_t n) {
  return SumPortable<true>(to, from, n);
}

#define SLUICE_AVX2 __attribute__((target("avx2")))

SLUICE_AVX2 inline __m256i AddWords256(__m256i sum, __m256i words) {
  const __m256i low = _mm256_and_si256(words, _mm256_set1_epi64x(0xffffffff));
  return _mm256_add_epi64(sum, _mm256_add_epi64(low, _mm256_srli_epi64(words, 32)));
}

template <bool kCopy>
SLUICE_AVX2 inline uint64_t SumAvx2([[maybe_unused]] uint8_t* to, const uint8_t* from, size_t n) {
  __m256i a = _mm256_setzero_si256(), b = a;
  for (; n >= 64; n -= 64, from += 64) {
    const __m256i first = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from));
    const __m256i second = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from + 32));
    if constexpr (kCopy) {
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), first);
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(to + 32), second);
      to += 64;
    }
    a = AddWords256(a, first);
    b = AddWords256(b, second);
  }
  alignas(32) uint64_t lanes[4];
  _mm256_store_si256(reinterpret_cast<__m256i*>(lanes), _mm256_add_epi64(a, b));
  const uint64_t sum = internal::Narrow(lanes[0]) + internal::Narrow(lanes[1]) +
                       internal::Narrow(lanes[2]) + internal::Narrow(lanes[3]);
  return internal::Narrow(sum + SumPortable<kCopy>(to, from, n));
}

SLUICE_AVX2 uint64_t Avx2Sum(const uint8_t* bytes, size_t n) {
  return SumAvx2<false>(nullptr, bytes, n);
}
SLUICE_AVX2 uint64_t Avx2CopyAndSum(uint8_t* to, const uint8_t* from, size_t n) {
  return SumAvx2<true>(to, from, n);
}

#define SLUICE_AVX512 __attribute__((target("avx512f,avx512bw,avx512vl")))

// Shifted as a plain vector: GCC 12 warns inside its own _mm512_srli_epi64.
using Lanes512 = uint64_t __attribute__((vector_size(64)));

SLUICE_AVX512 inline __m512i AddWords512(__m512i sum, __m512i words) {
  const auto lanes = reinterpret_cast<Lanes512>(words);
  const Lanes512 added = (lanes & 0xffffffff) + (lanes >> 32);
  return _mm512_add_epi64(sum, reinterpret_cast<__m512i>(added));
}

template <bool kCopy>
SLUICE_AVX512 inline uint64_t SumAvx512([[maybe_unused]] uint8_t* to, const uint8_t* from,
                                        size_t n) {
  __m512i a = _mm512_setzero_si512(), b = a;
  for (; n >= 128; n -= 128, from += 128) {
    const __m512i first = _mm512_loadu_si512(from);
    const __m512i second = _mm512_loadu_si512(from + 64);
    if constexpr (kCopy) {
      _mm512_storeu_si512(to, first);
      _mm512_storeu_si512(to + 64, second);
      to += 128;
    }
    a = AddWords512(a, first);
    b = AddWords512(b, second);
  }
  // What is left in one or two steps: bytes behind the end are read as zero and not written.
  while (n > 0) {
    const size_t step = n < 64 ? n : 64;
    const __mmask64 mask = ~uint64_t{0} >> (64 - step);
    const __m512i words = _mm512_maskz_loadu_epi8(mask, from);
    if constexpr (kCopy) {
      _mm512_mask_storeu_epi8(to, mask, words);
      to += step;
    }
    a = AddWords512(a, words);
    from += step;
    n -= step;
  }
  alignas(64) uint64_t lanes[8];
  _mm512_store_si512(lanes, _mm512_add_epi64(a, b));
  uint64_t sum = 0;
  for (uint64_t lane : lanes) sum += internal::Narrow(lane);
  return internal::Narrow(sum);
}

SLUICE_AVX512 uint64_t Avx512Sum(const uint8_t* bytes, size_t n) {
  return SumAvx512<false>(nullptr, bytes, n);
}
SLUICE_AVX512 uint64_t Avx512CopyAndSum(uint8_t* to, const uint8_t* from, size_t n) {
  return SumAvx512<true>(to, from, n);
}

std::array<ChecksumVariant, 3> MakeVariants() {
  __builtin_cpu_init();
  const bool avx2 = __builtin_cpu_supports("avx2");
  const bool avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                      __builtin_cpu_supports("avx512vl");
  return {{{"portable", true, PortableSum, PortableCopyAndSum},
           {"avx2", avx2, Avx2Sum, Avx2CopyAndSum},
           {"avx512", avx512, Avx512Sum, Avx512CopyAndSum}}};
}

bool ChooseBest() {
  for (const ChecksumVariant& variant : ChecksumVariants()) {
    if (!variant.supported) continue;
    internal::sum_long = variant.sum;
    internal::copy_and_sum = variant.copy_and_sum;
  }
  return true;
}

}  // namespace

std::span<const ChecksumVariant> ChecksumVariants() {
  static const std::array<ChecksumVariant, 3> variants = MakeVariants();
  return variants;
}

namespace internal {
// Right from the first instruction of the program, and fastest once static objects are made.
constinit SumFunction sum_long = PortableSum;
constinit CopyAndSumFunction copy_and_sum = PortableCopyAndSum;
}  // namespace internal

namespace {
[[maybe_unused]] const bool best_chosen = ChooseBest();
}

}  // namespace sluice::wire
