/* What one core can do at most: multiply-adds a second in three precisions, and bytes read a second.
 *
 * Compiled by limits.py for the machine at hand. A vector is as wide as the instruction set allows; CHAINS results
 * are computed independently, more than latency times units, so that no multiply-add waits for another. All factors
 * are 1, so that the sum of the results is the number of multiply-adds. That the compiler leaves nothing out is seen
 * to by a factor that it does not know, and by sums that each begin with another reading of `nothing`, which for all
 * it knows is different every time: chains that were seen to be equal would be computed once.
 */
#include <stddef.h>
#include <stdint.h>

#if defined(__x86_64__) || defined(__i386__)
#include <immintrin.h>
#endif

#if defined(__AVX512F__)
#define WIDTH 64
#elif defined(__AVX__)
#define WIDTH 32
#else
#define WIDTH 16
#endif

#if defined(__x86_64__) && !defined(__AVX512F__)
#define CHAINS 12 /* of 16 registers */
#else
#define CHAINS 24 /* of 32 */
#endif

typedef float floats __attribute__((vector_size(WIDTH)));
typedef int32_t ints __attribute__((vector_size(WIDTH)));
typedef uint64_t words __attribute__((vector_size(WIDTH)));

static volatile float nothing = 0;

#define EACH_CHAIN _Pragma("GCC unroll 32") for (int k = 0; k < CHAINS; k++)

/* Multiply-adds done in float32: `one` is 1. Exact below 2^24 iterations. */
double multiply_adds_float32(long iterations, float one)
{
    floats sum[CHAINS], factor = {0};
    factor += one;
    EACH_CHAIN sum[k] = (floats){0} + nothing;
    for (long i = 0; i < iterations; i++)
        EACH_CHAIN sum[k] = sum[k] * factor + factor; /* the sum is a factor, too: no product can be taken before */
    double total = 0;
    for (int k = 0; k < CHAINS; k++)
        for (size_t lane = 0; lane < WIDTH / sizeof(float); lane++)
            total += sum[k][lane];
    return total;
}

/* The same with factors in bfloat16 and sums in float32; 0 where the processor cannot. Exact below 2^23 iterations. */
double multiply_adds_bfloat16(long iterations, float one)
{
#if defined(__AVX512BF16__)
    __m512 sum[CHAINS];
    __m512bh factor = _mm512_cvtne2ps_pbh(_mm512_set1_ps(one), _mm512_set1_ps(one));
    EACH_CHAIN sum[k] = _mm512_set1_ps(nothing);
    for (long i = 0; i < iterations; i++)
        EACH_CHAIN sum[k] = _mm512_dpbf16_ps(sum[k], factor, factor);
    double total = 0;
    for (int k = 0; k < CHAINS; k++)
        total += _mm512_reduce_add_ps(sum[k]);
    return total;
#else
    (void)iterations, (void)one;
    return 0;
#endif
}

/* The same with factors of 8 bits and sums of 32; 0 where the processor cannot. Exact below 2^25 iterations. */
double multiply_adds_int8(long iterations, float one)
{
#if defined(__AVX512VNNI__)
#define DOT_INT8(sum, factor) (ints) _mm512_dpbusd_epi32((__m512i)sum, factor, factor)
    __m512i factor = _mm512_set1_epi8((char)one);
#elif defined(__AVXVNNI__)
#define DOT_INT8(sum, factor) (ints) _mm256_dpbusd_avx_epi32((__m256i)sum, factor, factor)
    __m256i factor = _mm256_set1_epi8((char)one);
#endif
#if defined(DOT_INT8)
    ints sum[CHAINS];
    EACH_CHAIN sum[k] = (ints){0} + (int32_t)nothing;
    for (long i = 0; i < iterations; i++)
        EACH_CHAIN sum[k] = DOT_INT8(sum[k], factor);
    double total = 0;
    for (int k = 0; k < CHAINS; k++)
        for (size_t lane = 0; lane < WIDTH / sizeof(int32_t); lane++)
            total += sum[k][lane];
    return total;
#else
    (void)iterations, (void)one;
    return 0;
#endif
}

/* Read `count` words of 8 bytes again and again; return the exclusive or of all that was read.
 * `data` is aligned to a vector, `count` a multiple of 8 vectors. */
uint64_t read_again(const uint64_t *data, size_t count, long times)
{
    words seen[8] = {{0}};
    const words *vectors = (const words *)data;
    size_t n = count * sizeof *data / sizeof *vectors;
    for (long i = 0; i < times; i++) {
        for (size_t v = 0; v < n; v += 8)
            _Pragma("GCC unroll 8") for (int k = 0; k < 8; k++) seen[k] ^= vectors[v + k];
        __asm__ volatile("" : : "r"(vectors) : "memory"); /* it may have changed: read it again */
    }
    uint64_t all = 0;
    for (int k = 0; k < 8; k++)
        for (size_t lane = 0; lane < sizeof *vectors / sizeof *data; lane++)
            all ^= seen[k][lane];
    return all;
}
