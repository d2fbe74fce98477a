// Products of a few rows of activations with a matrix that is read once, in the order of its memory.
//
// A matrix of K inputs and N outputs (each padded with zeros to a multiple of 16) lies in panels of up to `panel`
// outputs, one panel after the other, input by input within a panel:
//
//     panel 0: inputs 0..K-1, each `panel` outputs side by side | panel 1: … | …      the last one may be narrower
//
// float32   one input at a time                       w[k][n]
// bfloat16  two inputs at a time, of each output      w[k/2][n][2]
// int8      four inputs at a time, of each output     w[k/4][n][4], with a scale per output
//
// Each output is the sum over k in ascending order, begun with what stands in y, whatever the vector's width and the
// number of rows: with fused multiply-add, all instruction sets and batch sizes give the same bits.
#pragma once

#include "simd.h"

enum Precision { FLOAT32 = 0, BFLOAT16 = 1, INT8 = 2 };

struct Matrix {
    const void* weights;
    const float* scale;       // int8: of each output
    const int32_t* zero;      // int8: of each output, what the sum is where all activations are 0
    int32_t inputs, outputs;  // multiples of 16
    int32_t panel;            // outputs in a panel, a multiple of 16
};

// Activations as the precision takes them. float32: as they are. bfloat16: rounded. int8: unsigned bytes q, standing
// for scale · (q - 128), or for scale · q where none can be below 0.
struct Activations {
    const void* values;
    int64_t stride;      // from row to row, in values
    const float* scale;  // int8: of each row
};

namespace {

template <int ROWS, int VECS>
struct Tile {
    static inline void float32(const float* w, int panel, const float* x, int64_t ldx, int inputs, float* y,
                               int64_t ldy) {
        Vec sum[ROWS][VECS];
        UNROLL for (int r = 0; r < ROWS; r++)
            UNROLL for (int v = 0; v < VECS; v++) sum[r][v] = loadf(y + r * ldy + v * LANES);
        for (int k = 0; k < inputs; k++, w += panel) {
            Vec weight[VECS];
            UNROLL for (int v = 0; v < VECS; v++) weight[v] = loadf(w + v * LANES);
            UNROLL for (int r = 0; r < ROWS; r++) {
                const Vec input = all(x[r * ldx + k]);
                UNROLL for (int v = 0; v < VECS; v++) sum[r][v] += weight[v] * input;
            }
        }
        UNROLL for (int r = 0; r < ROWS; r++)
            UNROLL for (int v = 0; v < VECS; v++) store(y + r * ldy + v * LANES, sum[r][v]);
    }

    static inline void bfloat16(const uint16_t* w, int panel, const uint16_t* x, int64_t ldx, int inputs, float* y,
                                int64_t ldy) {
        Vec sum[ROWS][VECS];
        UNROLL for (int r = 0; r < ROWS; r++)
            UNROLL for (int v = 0; v < VECS; v++) sum[r][v] = loadf(y + r * ldy + v * LANES);
        for (int k = 0; k < inputs; k += 2, w += 2 * panel) {
            UVec weight[VECS];
            UNROLL for (int v = 0; v < VECS; v++) weight[v] = load<UVec>(w + 2 * v * LANES);
            UNROLL for (int r = 0; r < ROWS; r++) {
                uint32_t pair;
                memcpy(&pair, x + r * ldx + k, sizeof pair);
#if defined(__AVX512BF16__)
                const __m512bh input = (__m512bh)_mm512_set1_epi32((int)pair);
                UNROLL for (int v = 0; v < VECS; v++)
                    sum[r][v] = (Vec)_mm512_dpbf16_ps((__m512)sum[r][v], (__m512bh)(__m512i)weight[v], input);
#else
                const UVec both = pair - UVec{};
                const Vec even = as_float(both << 16), odd = as_float(both & 0xffff0000u);
                UNROLL for (int v = 0; v < VECS; v++) {
                    sum[r][v] += as_float(weight[v] << 16) * even;
                    sum[r][v] += as_float(weight[v] & 0xffff0000u) * odd;
                }
#endif
            }
        }
        UNROLL for (int r = 0; r < ROWS; r++)
            UNROLL for (int v = 0; v < VECS; v++) store(y + r * ldy + v * LANES, sum[r][v]);
    }

    // Sums of products of four unsigned and four signed bytes, exact in 32 bits; then brought to scale.
    static inline void int8(const int8_t* w, int panel, const uint8_t* x, int64_t ldx, int inputs, const float* x_scale,
                            const float* scale, const int32_t* zero, float* y, int64_t ldy) {
        IVec sum[ROWS][VECS];
        UNROLL for (int r = 0; r < ROWS; r++)
            UNROLL for (int v = 0; v < VECS; v++) sum[r][v] = IVec{} - load<IVec>(zero + v * LANES);
        for (int k = 0; k < inputs; k += 4, w += 4 * panel) {
            IVec weight[VECS];
            UNROLL for (int v = 0; v < VECS; v++) weight[v] = load<IVec>(w + 4 * v * LANES);
            UNROLL for (int r = 0; r < ROWS; r++) {
                int32_t four;
                memcpy(&four, x + r * ldx + k, sizeof four);
                const IVec input = four - IVec{};
                UNROLL for (int v = 0; v < VECS; v++) sum[r][v] = dot4(sum[r][v], input, weight[v]);
            }
        }
        UNROLL for (int r = 0; r < ROWS; r++)
            UNROLL for (int v = 0; v < VECS; v++) {
                const Vec product = __builtin_convertvector(sum[r][v], Vec) * (loadf(scale + v * LANES) * x_scale[r]);
                store(y + r * ldy + v * LANES, loadf(y + r * ldy + v * LANES) + product);
            }
    }

    static inline IVec dot4(IVec sum, IVec input, IVec weight) {
#if defined(__AVX512VNNI__)
        return (IVec)_mm512_dpbusd_epi32((__m512i)sum, (__m512i)input, (__m512i)weight);
#elif defined(__AVX2__) && !defined(__AVX512F__)
        // maddubs would saturate; bytes widened to 16 bits do not. Even and odd bytes of each lane, then pairs.
        const __m256i low = _mm256_set1_epi16(0xff), w = (__m256i)weight, x = (__m256i)input;
        const __m256i even = _mm256_madd_epi16(_mm256_and_si256(x, low), _mm256_srai_epi16(_mm256_slli_epi16(w, 8), 8));
        const __m256i odd = _mm256_madd_epi16(_mm256_srli_epi16(x, 8), _mm256_srai_epi16(w, 8));
        return sum + (IVec)even + (IVec)odd;
#else
        for (int byte = 0; byte < 4; byte++)
            sum += ((input >> (8 * byte)) & 0xff) * ((weight << (24 - 8 * byte)) >> 24);
        return sum;
#endif
    }
};

template <int PRECISION, int ROWS, int VECS>
inline void multiply_tile(const Matrix& m, const char* w, int panel, int first, const Activations& a, int row,
                          float* y, int64_t ldy) {
    typedef Tile<ROWS, VECS> T;
    float* out = y + row * ldy + first;
    const int64_t skipped = row * a.stride;
    if (PRECISION == FLOAT32)
        return T::float32((const float*)w, panel, (const float*)a.values + skipped, a.stride, m.inputs, out, ldy);
    if (PRECISION == BFLOAT16)
        return T::bfloat16((const uint16_t*)w, panel, (const uint16_t*)a.values + skipped, a.stride, m.inputs, out, ldy);
    T::int8((const int8_t*)w, panel, (const uint8_t*)a.values + skipped, a.stride, m.inputs, a.scale + row,
            m.scale + first, m.zero + first, out, ldy);
}

// Tiles of several rows keep to as many sums as there are registers for.
#if LANES == 16
enum { WIDE = 8, TALL_ROWS = 6, TALL_VECS = 4 };
#elif LANES == 8
enum { WIDE = 8, TALL_ROWS = 4, TALL_VECS = 2 };
#else
enum { WIDE = 8, TALL_ROWS = 4, TALL_VECS = 2 };
#endif

template <int PRECISION, int VECS>
inline void multiply_rows(const Matrix& m, const char* w, int panel, int first, const Activations& a, int row,
                          int rows, float* y, int64_t ldy) {
    switch (rows) {
        case 1: return multiply_tile<PRECISION, 1, VECS>(m, w, panel, first, a, row, y, ldy);
        case 2: return multiply_tile<PRECISION, 2, VECS>(m, w, panel, first, a, row, y, ldy);
        case 3: return multiply_tile<PRECISION, 3, VECS>(m, w, panel, first, a, row, y, ldy);
        case 4: return multiply_tile<PRECISION, 4, VECS>(m, w, panel, first, a, row, y, ldy);
#if LANES == 16
        case 5: return multiply_tile<PRECISION, 5, VECS>(m, w, panel, first, a, row, y, ldy);
        case 6: return multiply_tile<PRECISION, 6, VECS>(m, w, panel, first, a, row, y, ldy);
#endif
    }
}

template <int PRECISION>
inline void multiply_one(const Matrix& m, const char* w, int panel, int first, int vecs, const Activations& a,
                         float* y) {
    switch (vecs) {
        case 1: return multiply_tile<PRECISION, 1, 1>(m, w, panel, first, a, 0, y, 0);
        case 2: return multiply_tile<PRECISION, 1, 2>(m, w, panel, first, a, 0, y, 0);
        case 3: return multiply_tile<PRECISION, 1, 3>(m, w, panel, first, a, 0, y, 0);
        case 4: return multiply_tile<PRECISION, 1, 4>(m, w, panel, first, a, 0, y, 0);
        case 5: return multiply_tile<PRECISION, 1, 5>(m, w, panel, first, a, 0, y, 0);
        case 6: return multiply_tile<PRECISION, 1, 6>(m, w, panel, first, a, 0, y, 0);
        case 7: return multiply_tile<PRECISION, 1, 7>(m, w, panel, first, a, 0, y, 0);
        case 8: return multiply_tile<PRECISION, 1, 8>(m, w, panel, first, a, 0, y, 0);
    }
}

template <int PRECISION>
inline void multiply_many(const Matrix& m, const char* w, int panel, int first, int vecs, const Activations& a,
                          int rows, float* y, int64_t ldy) {
    const int tiles = (rows + TALL_ROWS - 1) / TALL_ROWS;
    for (int tile = 0, row = 0; tile < tiles; tile++) {
        const int height = (rows - row) / (tiles - tile);  // even shares: 16 rows as 5, 5, 6 and not 6, 6, 4
        switch (vecs) {
            case 1: multiply_rows<PRECISION, 1>(m, w, panel, first, a, row, height, y, ldy); break;
            case 2: multiply_rows<PRECISION, 2>(m, w, panel, first, a, row, height, y, ldy); break;
#if LANES == 16
            case 3: multiply_rows<PRECISION, 3>(m, w, panel, first, a, row, height, y, ldy); break;
            case 4: multiply_rows<PRECISION, 4>(m, w, panel, first, a, row, height, y, ldy); break;
#endif
        }
        row += height;
    }
}

// y[r] += activations[r] · matrix, for each of `rows` rows; y (rows, outputs) with `ldy` floats from row to row.
template <int PRECISION>
inline void multiply(const Matrix& m, const Activations& a, int rows, float* y, int64_t ldy) {
    const int bytes = PRECISION == FLOAT32 ? 4 : PRECISION == BFLOAT16 ? 2 : 1;
    const int most = (rows == 1 ? WIDE : TALL_VECS) * LANES;
    const char* w = (const char*)m.weights;
    for (int begin = 0; begin < m.outputs; begin += m.panel) {
        const int width = m.outputs - begin < m.panel ? m.outputs - begin : m.panel;
        for (int at = 0; at < width; at += most) {
            const int vecs = (width - at < most ? width - at : most) / LANES;
            const char* part = w + 4 * at;  // of each output four bytes lie side by side
            if (rows == 1)
                multiply_one<PRECISION>(m, part, width, begin + at, vecs, a, y);
            else
                multiply_many<PRECISION>(m, part, width, begin + at, vecs, a, rows, y, ldy);
        }
        w += (int64_t)width * m.inputs * bytes;
    }
}

// ------------------------------------------------------------------------------------ activations of a precision

inline void to_bfloat16(const float* x, int n, uint16_t* out) {
    for (int i = 0; i < n; i += LANES) {
#if defined(__AVX512BF16__)
        store(out + i, (HVec)_mm512_cvtneps_pbh((__m512)loadf(x + i)));
#else
        store(out + i, __builtin_convertvector(round_bfloat16(loadf(x + i)), HVec));
#endif
    }
}

// out = round(x · factor) + zero, which the caller keeps within a byte.
inline void to_bytes(const float* x, int n, float factor, int zero, uint8_t* out) {
    for (int i = 0; i < n; i += LANES) {
        const IVec whole = __builtin_convertvector(nearest_whole(loadf(x + i) * factor), IVec) + zero;
        store(out + i, __builtin_convertvector(whole, BVec));
    }
}

inline float largest_magnitude(const float* x, int n) {
    Vec most = Vec{};
    for (int i = 0; i < n; i += LANES) most = vmax(most, vmax(loadf(x + i), -loadf(x + i)));
    return largest(most);
}

}  // namespace
