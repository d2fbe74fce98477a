// The nearest code of each of many vectors, without the table of all distances.
//
// argmin_j |v - e_j|² is argmax_j of v·e_j - |e_j|²/2: a codebook is a matrix whose sums begin with -|e|²/2.
//
//     panel 0: starts (PANEL,) | dimension 0: PANEL codes | 1: … | panel 1: starts | …         the last one padded
//
// Each row keeps the best sum and code that each lane has seen, panel by panel; what is larger than all before it is
// better, so that of equal sums the code of the lowest index stays. A sum that is not a number is never better: a
// vector that holds one gets code 0.
#include <math.h>

#include "panels.h"

namespace {

enum { ROWS = 96 };  // that go through the codebook together, and stay in the second cache with what is best for them

inline int64_t panel_floats(int64_t dim) { return (dim + 1) * PANEL; }

struct Best {
    Vec sum;
    IVec code;  // of the first lane
};

struct KeepBest {
    Best* best;  // of each row
    int32_t first;

    inline void operator()(int row, const Vec (&sums)[VECS]) const {
        Vec most = best[row].sum;
        IVec code = best[row].code;
        for (int v = 0; v < VECS; v++) {
            code = sums[v] > most ? (first + v * LANES) - IVec{} : code;
            most = sums[v] > most ? sums[v] : most;
        }
        best[row] = {most, code};
    }
};

// Without branches, which would go wrong several times a row.
inline int64_t best_of_lanes(const Best& best) {
    IVec lane;
    for (int i = 0; i < LANES; i++) lane[i] = i;
    const float most = largest(best.sum);
    const IVec code = best.sum == all(most) ? best.code + lane : INT32_MAX - IVec{};
    int32_t codes[LANES], lowest = INT32_MAX;
    store(codes, code);
    for (int i = 0; i < LANES; i++) lowest = codes[i] < lowest ? codes[i] : lowest;
    return lowest;  // 0 where no sum was a number above -infinity
}

// Hands use(row, sums) the sums of starts + x[row] · panel, for up to ROWS rows of `inputs` floats, `stride` floats
// apart. `sums` (ROWS, PANEL) holds them between blocks of inputs.
template <class Use>
inline void multiply_panel(const float* panel, int64_t inputs, const float* x, int64_t stride, int rows, float* sums,
                           Use use) {
    Rows block = {x, stride, rows, panel, 0};
    const float* weights = panel + PANEL;
    for (; inputs > INPUTS; inputs -= INPUTS, weights += INPUTS * PANEL) {
        product_rows(weights, INPUTS, block, KeepSums{sums, PANEL});
        block.x += INPUTS;
        block.start = sums;
        block.step = PANEL;
    }
    product_rows(weights, inputs, block, use);
}

}  // namespace

extern "C" {

// Floats that a codebook (codes, dim) takes in panels.
int64_t EXPORTED(vqaudio_nearest_floats)(int64_t codes, int64_t dim) {
    return (codes + PANEL - 1) / PANEL * panel_floats(dim);
}

// Lays out a codebook, `stride` floats from code to code. A code that pads the last panel never is the best.
void EXPORTED(vqaudio_nearest_pack)(const float* codebook, int64_t stride, int64_t codes, int64_t dim, float* panels) {
    for (int64_t begin = 0; begin < codes; begin += PANEL, panels += panel_floats(dim)) {
        const int count = codes - begin < PANEL ? (int)(codes - begin) : PANEL;
        pack_weights(codebook + begin * stride, stride, count, dim, panels + PANEL);
        for (int v = 0; v < VECS; v++) {
            Vec square = Vec{};
            for (int64_t k = 1; k <= dim; k++) {
                const Vec e = loadf(panels + k * PANEL + v * LANES);
                square += e * e;
            }
            store(panels + v * LANES, square * -0.5f);
        }
        for (int c = count; c < PANEL; c++) panels[c] = -INFINITY;
    }
}

// out[r] = the index of the nearest of `codes` codes to the r-th vector (dim,), `stride` floats from one to the next.
void EXPORTED(vqaudio_nearest)(const float* vectors, int64_t stride, int64_t rows, int64_t dim, const float* panels,
                               int64_t codes, int64_t* out) {
    float sums[ROWS * PANEL];
    Best best[ROWS];
    for (int64_t row = 0; row < rows; row += ROWS) {
        const int count = rows - row < ROWS ? (int)(rows - row) : ROWS;
        for (int r = 0; r < count; r++) best[r] = {all(-INFINITY), IVec{}};
        const float* panel = panels;
        for (int64_t first = 0; first < codes; first += PANEL, panel += panel_floats(dim))
            multiply_panel(panel, dim, vectors + row * stride, stride, count, sums, KeepBest{best, (int32_t)first});
        for (int r = 0; r < count; r++) out[row + r] = best_of_lanes(best[r]);
    }
}

}  // extern "C"
