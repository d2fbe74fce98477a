// Products of many rows with a matrix, PANEL of its outputs at a time.
//
// The weights of a panel's outputs lie input by input, PANEL side by side; a block of INPUTS of them stays in the first
// cache while all rows go by:
//
//     for each panel, for each block of its inputs:
//         for each tile of rows: TILE × PANEL sums in registers, from the block before and to the next
//
// Each sum goes on with the products in the order of the inputs, whatever the rows around it and the vector's width:
// with fused multiply-add, all instruction sets give the same bits.
#pragma once

#include "simd.h"

namespace {

// As many sums as leave registers for a row of weights and one input.
#if LANES == 16 || defined(__aarch64__)
enum { TILE = 6, VECS = 4 };
#elif LANES == 8
enum { TILE = 6, VECS = 2 };
#else
enum { TILE = 4, VECS = 2 };
#endif

enum {
    PANEL = VECS * LANES,
    INPUTS = 16 * 1024 / 4 / PANEL  // 16 KiB of weights
};

// What a block of inputs is multiplied with, and what the sums begin with.
struct Rows {
    const float* x;
    int64_t stride;  // from row to row
    int count;
    const float* start;
    int64_t step;      // from row to row; 0 where all begin alike
    int64_t next = 1;  // from input to input
};

// Hands each of R rows' sums, start + x · weights, to use(row, sums).
template <int R, class Use>
inline void product_tile(const float* weights, int64_t inputs, const Rows& rows, int row, Use use) {
    const float *x = rows.x + row * rows.stride, *start = rows.start + row * rows.step;
    Vec sum[R][VECS];
    UNROLL for (int r = 0; r < R; r++)
        UNROLL for (int v = 0; v < VECS; v++) sum[r][v] = loadf(start + r * rows.step + v * LANES);
    for (int64_t k = 0; k < inputs; k++, weights += PANEL, x += rows.next) {
        Vec weight[VECS];
        UNROLL for (int v = 0; v < VECS; v++) weight[v] = loadf(weights + v * LANES);
        UNROLL for (int r = 0; r < R; r++) {
            const Vec input = all(x[r * rows.stride]);
            UNROLL for (int v = 0; v < VECS; v++) sum[r][v] += weight[v] * input;
        }
    }
    UNROLL for (int r = 0; r < R; r++) use(row + r, sum[r]);
}

template <class Use>
inline void product_rows(const float* weights, int64_t inputs, const Rows& rows, Use use) {
    int row = 0;
    for (; row + TILE <= rows.count; row += TILE) product_tile<TILE>(weights, inputs, rows, row, use);
    switch (rows.count - row) {
        case 1: return product_tile<1>(weights, inputs, rows, row, use);
        case 2: return product_tile<2>(weights, inputs, rows, row, use);
        case 3: return product_tile<3>(weights, inputs, rows, row, use);
#if LANES > 4 || defined(__aarch64__)
        case 4: return product_tile<4>(weights, inputs, rows, row, use);
        case 5: return product_tile<5>(weights, inputs, rows, row, use);
#endif
    }
}

struct KeepSums {
    float* sums;
    int64_t step;  // from row to row

    inline void operator()(int row, const Vec (&sum)[VECS]) const {
        for (int v = 0; v < VECS; v++) store(sums + row * step + v * LANES, sum[v]);
    }
};

#if LANES == 16
#define EACH_LANE(F) \
    F(0), F(1), F(2), F(3), F(4), F(5), F(6), F(7), F(8), F(9), F(10), F(11), F(12), F(13), F(14), F(15)
#elif LANES == 8
#define EACH_LANE(F) F(0), F(1), F(2), F(3), F(4), F(5), F(6), F(7)
#else
#define EACH_LANE(F) F(0), F(1), F(2), F(3)
#endif
#if defined(__clang__)
#define SHUFFLE(a, b, F) __builtin_shufflevector(a, b, EACH_LANE(F))
#else
#define SHUFFLE(a, b, F) __builtin_shuffle(a, b, IVec{EACH_LANE(F)})
#endif
#define FROM_FIRST(l) (l & H ? LANES + l - H : l)
#define FROM_SECOND(l) (l & H ? LANES + l : l + H)

// One round of the transposition of LANES rows: blocks of H lanes change places across the diagonal of blocks of 2 H.
template <int H>
inline void swap_blocks(Vec (&row)[LANES]) {
    for (int i = 0; i < LANES; i++)
        if (!(i & H)) {
            const Vec first = row[i], second = row[i + H];
            row[i] = SHUFFLE(first, second, FROM_FIRST);
            row[i + H] = SHUFFLE(first, second, FROM_SECOND);
        }
}

// to[k][c] = from[c][k], LANES by LANES.
inline void transpose(const float* from, int64_t stride, float* to) {
    Vec row[LANES];
    for (int c = 0; c < LANES; c++) row[c] = loadf(from + c * stride);
#if LANES == 16
    swap_blocks<8>(row);
#endif
#if LANES >= 8
    swap_blocks<4>(row);
#endif
    swap_blocks<2>(row);
    swap_blocks<1>(row);
    for (int k = 0; k < LANES; k++) store(to + k * PANEL, row[k]);
}

// Writes a matrix (outputs, inputs), PANEL outputs at most, `stride` floats apart, as a panel's weights.
// Outputs beyond the last are zeros. What lies a block of inputs ahead is asked for.
inline void pack_weights(const float* matrix, int64_t stride, int outputs, int64_t inputs, float* weights) {
    const int whole = outputs / LANES * LANES;
    int64_t k = 0;
    for (; k + LANES <= inputs; k += LANES)
        for (int c = 0; c < whole; c += LANES) {
            const float* from = matrix + c * stride + k;
            for (int i = 0; i < LANES; i++) __builtin_prefetch(from + i * stride + INPUTS, 0, 2);
            transpose(from, stride, weights + k * PANEL + c);
        }
    for (int64_t left = 0; left < inputs; left++)
        for (int c = left < k ? whole : 0; c < PANEL; c++)
            weights[left * PANEL + c] = c < outputs ? matrix[c * stride + left] : 0;
}

}  // namespace
