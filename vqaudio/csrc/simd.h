// Vectors of floats as the compiler's own extension (GCC, Clang), as wide as the instruction set of this object.
//
// Every source that includes this file is compiled once per instruction set, with VQAUDIO_ISA its name. What is
// exported carries that name; all else must have internal linkage (static, or in the unnamed namespace) and must not
// instantiate templates of the standard library: the linker would keep one copy of such a function for all objects,
// and could keep the one that this processor cannot run.
#pragma once

#include <stdint.h>
#include <string.h>

#define VQAUDIO_JOIN_(a, b) a##_##b
#define VQAUDIO_JOIN(a, b) VQAUDIO_JOIN_(a, b)
#define EXPORTED(name) __attribute__((visibility("default"))) VQAUDIO_JOIN(name, VQAUDIO_ISA)

#if defined(__AVX512F__)
#include <immintrin.h>
#define LANES 16
#elif defined(__AVX2__)
#include <immintrin.h>
#define LANES 8
#else
#define LANES 4
#endif

// Sums stay in registers only where the compiler has unrolled all that runs over them, and early.
#define UNROLL _Pragma("GCC unroll 16")

// Widths in memory are padded to whole blocks of 16 for every instruction set, so that all read one layout.
#define BLOCK 16

namespace {

typedef float Vec __attribute__((vector_size(4 * LANES)));
typedef int32_t IVec __attribute__((vector_size(4 * LANES)));
typedef uint32_t UVec __attribute__((vector_size(4 * LANES)));
typedef uint16_t HVec __attribute__((vector_size(2 * LANES)));
typedef uint8_t BVec __attribute__((vector_size(LANES)));

// The same type at any address and over any type of memory. (memcpy would do, but GCC then keeps a copy on the stack.)
template <class V>
struct Anywhere {
    typedef V type __attribute__((aligned(1), may_alias));
};

template <class V, class T>
inline V load(const T* p) {
    return *(const typename Anywhere<V>::type*)p;
}

template <class V, class T>
inline void store(T* p, V v) {
    *(typename Anywhere<V>::type*)p = v;
}

inline Vec loadf(const float* p) { return load<Vec>(p); }
inline Vec all(float x) { return x - Vec{}; }

// Where one is NaN, b. (GCC would compare and blend.)
#if LANES == 16
inline Vec vmin(Vec a, Vec b) { return (Vec)_mm512_min_ps((__m512)a, (__m512)b); }
inline Vec vmax(Vec a, Vec b) { return (Vec)_mm512_max_ps((__m512)a, (__m512)b); }
#elif LANES == 8
inline Vec vmin(Vec a, Vec b) { return (Vec)_mm256_min_ps((__m256)a, (__m256)b); }
inline Vec vmax(Vec a, Vec b) { return (Vec)_mm256_max_ps((__m256)a, (__m256)b); }
#else
inline Vec vmin(Vec a, Vec b) { return a < b ? a : b; }
inline Vec vmax(Vec a, Vec b) { return a > b ? a : b; }
#endif

// x held within [-bound, bound]; NaN stays.
inline Vec within(Vec x, float bound) { return vmax(all(-bound), vmin(all(bound), x)); }

// A cast between vectors keeps the bits.
inline Vec as_float(UVec v) { return (Vec)v; }
inline UVec as_bits(Vec v) { return (UVec)v; }

// The nearest whole number, for |x| < 2^22: adding 1.5 · 2^23 leaves no room for a fraction.
const float NO_FRACTION = 12582912.0f;

inline Vec nearest_whole(Vec x) { return (x + NO_FRACTION) - NO_FRACTION; }

// exp(x) to about 1e-7 of itself, for x within [-87, 88]. With n = round(x / ln 2), exp(x) = 2^n · exp(r),
// r = x - n ln 2 (ln 2 in two parts), and exp(r) by a polynomial of degree 7 for |r| <= ln 2 / 2. The last bits of
// n + 127 + 1.5 · 2^23 are the exponent of 2^n.
inline Vec vexp(Vec x) {
    const Vec shifted = x * 1.44269504f + (NO_FRACTION + 127.0f);
    const Vec n = shifted - (NO_FRACTION + 127.0f);
    Vec r = x - n * 0.693359375f;
    r = r + n * 2.12194440e-4f;
    Vec p = all(1.9875691500e-4f);
    p = p * r + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    const Vec square = r * r;
    p = p * square + r;
    p = p + 1.0f;
    return p * as_float(as_bits(shifted) << 23);
}

// bfloat16, rounded to the nearest, ties to even; the upper halves of the floats.
inline UVec round_bfloat16(Vec x) {
    const UVec bits = as_bits(x);
    return (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16;
}

inline float largest(Vec v) {
#if LANES == 16
    return _mm512_reduce_max_ps((__m512)v);
#else
    float lanes[LANES], most;
    store(lanes, v);
    most = lanes[0];
    for (int i = 1; i < LANES; i++) most = lanes[i] > most ? lanes[i] : most;
    return most;
#endif
}

}  // namespace
