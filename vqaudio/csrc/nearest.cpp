// The nearest code of each of many vectors, without the table of all distances.
//
// argmin_j |v - e_j|² is argmax_j of v·e_j - |e_j|²/2: a panel of codes is a matrix whose sums begin with -|e|²/2.
// Each row keeps the best sum and code that each lane has seen, panel by panel; what is larger than all before it is
// better, so that of equal sums the code of the lowest index stays. A sum that is not a number is never better: a
// vector that holds one gets code 0.
#include <math.h>

#include "panels.h"

namespace {

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
    return most > -INFINITY ? lowest : 0;  // else no sum was a number above -infinity
}

}  // namespace

extern "C" {

// Floats that a codebook (codes, dim) takes in panels.
int64_t EXPORTED(vqaudio_nearest_floats)(int64_t codes, int64_t dim) { return panels_of(codes) * panel_floats(dim); }

// Lays out a codebook, `stride` floats from code to code. A code that pads the last panel never is the best.
void EXPORTED(vqaudio_nearest_pack)(const float* codebook, int64_t stride, int64_t codes, int64_t dim, float* panels) {
    pack_weights(codebook, stride, codes, dim, 0, dim, panels);
    for (int64_t begin = 0; begin < codes; begin += PANEL, panels += panel_floats(dim))
        for (int v = 0; v < VECS; v++) {
            Vec square = Vec{};
            for (int64_t k = 1; k <= dim; k++) {
                const Vec e = loadf(panels + k * PANEL + v * LANES);
                square += e * e;
            }
            store(panels + v * LANES, square * -0.5f);
        }
    const int64_t padding = panels_of(codes) * PANEL - codes;
    for (int64_t c = PANEL - padding; c < PANEL; c++) (panels - panel_floats(dim))[c] = -INFINITY;
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
        for (int64_t first = 0; first < codes; first += PANEL, panel += panel_floats(dim)) {
            multiply_panel(panel, dim, vectors + row * stride, stride, count, sums, KeepBest{best, (int32_t)first});
        }
        for (int r = 0; r < count; r++) out[row + r] = best_of_lanes(best[r]);
    }
}

}  // extern "C"
