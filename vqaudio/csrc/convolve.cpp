// Valid convolutions over frames, as products: the frames that an output sees lie side by side in memory, so that its
// taps are the inputs of one matrix whose rows overlap.
//
//     x      frame 0 │ frame 1 │ frame 2 │ …         `frame` floats each
//     row 0  └── width frames ─┘
//     row 1            └── width frames ─┘
//
// The weights are laid out for the product block by block, in the first cache, as they are needed: a copy of them all
// would cost more to write and to read again.
#include "panels.h"

enum { MANY = 768 };  // rows that share a block of weights

namespace {

struct Weights {
    const float* taps;  // (width, outputs, frame)
    int64_t outputs, frame;
};

// Lays out the inputs `begin` to `begin` + `count` of an output's taps, for up to PANEL outputs from `first` on.
inline void pack_block(const Weights& w, int64_t first, int outputs, int64_t begin, int64_t count, float* block) {
    while (count > 0) {
        const int64_t tap = begin / w.frame, at = begin % w.frame;
        const int64_t part = count < w.frame - at ? count : w.frame - at;
        pack_weights(w.taps + (tap * w.outputs + first) * w.frame + at, w.frame, outputs, part, block);
        begin += part;
        count -= part;
        block += part * PANEL;
    }
}

// erf(x) to 4e-7: x · P(x²) / Q(x²), fitted to |x| <= 4 (within 5.5e-8), beyond which erf is 1 to 2e-8.
inline Vec verf(Vec x) {
    x = within(x, 4.0f);
    const Vec t = x * x;
    Vec p = all(1.92166361e-8f);
    p = p * t + -1.99028875e-6f;
    p = p * t + 1.55536775e-4f;
    p = p * t + 4.29312345e-3f;
    p = p * t + 5.24337834e-2f;
    p = p * t + 2.13946824e-1f;
    p = p * t + 1.12837868f;
    Vec q = all(1.0980487e-3f);
    q = q * t + 1.55512727e-2f;
    q = q * t + 1.20800523e-1f;
    q = q * t + 5.22933095e-1f;
    q = q * t + 1.0f;
    return within(x * p / q, 1.0f);
}

// x · (the share of a normal distribution below x)
inline Vec vgelu(Vec x) { return x * 0.5f * (verf(x * 0.707106781f) + 1.0f); }

// The GELU of a panel's sums. A pass of its own: within the product, it would take the sums' registers.
inline void apply_gelu(float* y, int64_t step, int count) {
    for (int row = 0; row < count; row++)
        for (int c = 0; c < PANEL; c += LANES) store(y + row * step + c, vgelu(loadf(y + row * step + c)));
}

}  // namespace

extern "C" {

// y[r][first … first + count) = bias + the convolution of x, whose rows begin `frame` floats apart and have
// width · frame inputs; of that the GELU, where `gelu` is not 0. y has `step` floats from row to row, in which whole
// panels of outputs have room.
void EXPORTED(vqaudio_convolve)(const float* x, int64_t rows, const float* taps, const float* bias, int64_t width,
                                int64_t outputs, int64_t frame, int64_t first, int64_t count, float* y, int64_t step,
                                int64_t gelu) {
    const Weights weights = {taps, outputs, frame};
    const int64_t inputs = width * frame;
    float starts[PANEL], block[INPUTS * PANEL];
    for (int64_t row = 0; row < rows; row += MANY)
        for (int64_t begin = 0; begin < inputs; begin += INPUTS)
            for (int64_t output = first; output < first + count; output += PANEL) {
                const int64_t part = inputs - begin < INPUTS ? inputs - begin : INPUTS;
                const int wide = first + count - output < PANEL ? (int)(first + count - output) : PANEL;
                float* sums = y + row * step + output;
                Rows many = {x + row * frame + begin, frame, rows - row < MANY ? (int)(rows - row) : MANY, sums, step};
                if (begin == 0) {
                    for (int c = 0; c < PANEL; c++) starts[c] = c < wide ? bias[output + c] : 0;
                    many.start = starts;
                    many.step = 0;
                }
                pack_block(weights, output, wide, begin, part, block);
                product_rows(block, part, many, KeepSums{sums, step});
                if (gelu && begin + part == inputs) apply_gelu(sums, step, many.count);
            }
}

// y = the GELU of x, `count` floats.
void EXPORTED(vqaudio_gelu)(const float* x, int64_t count, float* y) {
    int64_t i = 0;
    for (; i + LANES <= count; i += LANES) store(y + i, vgelu(loadf(x + i)));
    if (i == count) return;
    float rest[LANES] = {};
    memcpy(rest, x + i, (count - i) * sizeof(float));
    store(rest, vgelu(loadf(rest)));
    memcpy(y + i, rest, (count - i) * sizeof(float));
}

}  // extern "C"
