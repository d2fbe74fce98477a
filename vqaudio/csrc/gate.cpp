// The gate of training in bfloat16, forward and backward, each in one pass over memory: torch's own operations take
// five and six. Values are rounded where torch rounds them; in the backward pass once, at the end.
#include "simd.h"

namespace {

inline Vec widened(HVec x) { return as_float(__builtin_convertvector(x, UVec) << 16); }

inline Vec load_bfloat16(const uint16_t* p) { return widened(load<HVec>(p)); }

inline HVec to_bfloat16(Vec x) {
#if defined(__AVX512BF16__)
    return (HVec)_mm512_cvtneps_pbh((__m512)x);
#else
    return __builtin_convertvector(round_bfloat16(x), HVec);
#endif
}

inline void store_bfloat16(uint16_t* p, Vec x) { store(p, to_bfloat16(x)); }

// The last `left` of a row's numbers, fewer than a vector: from and to a vector's worth of memory.
struct Rest {
    uint16_t memory[LANES] = {};

    const uint16_t* take(const uint16_t* p, int left) {
        for (int i = 0; i < left; i++) memory[i] = p[i];
        return memory;
    }

    void give(uint16_t* p, int left) const {
        for (int i = 0; i < left; i++) p[i] = memory[i];
    }
};

// tanh(a) = (1 - p) / (1 + p) and sigmoid(b) = 1 / (1 + q), p = e^(-2a), q = e^(-b), by one division. Beyond the bounds
// tanh is constant, and sigmoid below 10^-24. Near 0, where 1 - p would lose its digits, tanh by its series.
inline void gate_forward(const uint16_t* h_a, const uint16_t* c_a, const uint16_t* h_b, const uint16_t* c_b,
                         uint16_t* t, uint16_t* s, uint16_t* z) {
    const Vec a = load_bfloat16(h_a) + load_bfloat16(c_a), b = load_bfloat16(h_b) + load_bfloat16(c_b);
    const Vec p = vexp(within(a, 15.0f) * -2.0f), q = vexp(within(b, 56.0f) * -1.0f);
    const Vec share = 1.0f / ((1.0f + p) * (1.0f + q));
    const Vec series = a - a * a * a * 0.333333333f;
    const HVec tanh_a = to_bfloat16((a < all(0.02f)) & (a > all(-0.02f)) ? series : (1.0f - p) * (1.0f + q) * share);
    const HVec sigmoid_b = to_bfloat16((1.0f + p) * share);
    store(t, tanh_a);
    store(s, sigmoid_b);
    store_bfloat16(z, widened(tanh_a) * widened(sigmoid_b));
}

inline void gate_backward(const uint16_t* dz, const uint16_t* t, const uint16_t* s, uint16_t* da, uint16_t* db) {
    const Vec d = load_bfloat16(dz), tanh_a = load_bfloat16(t), sigmoid_b = load_bfloat16(s);
    store_bfloat16(da, d * sigmoid_b * (1.0f - tanh_a * tanh_a));
    store_bfloat16(db, d * tanh_a * sigmoid_b * (1.0f - sigmoid_b));
}

}  // namespace

extern "C" {

// The rows first … first + rows - 1 of h (…, 2 · half), to which those of a condition are added, row r / held of it:
// tanh of the first half of each row, and sigmoid of the second, in place; their product to z. Rows of the condition
// begin `step` numbers apart, those of z `stride`. Sequences lie side by side: `batch` of them make a time step.
void EXPORTED(vqaudio_gate_forward)(uint16_t* h, int64_t first, int64_t rows, int64_t half, const uint16_t* condition,
                                    int64_t step, int64_t batch, int64_t held, uint16_t* z, int64_t stride) {
    h += first * 2 * half, z += first * stride;
    for (int64_t r = first; r < first + rows; r++, h += 2 * half, z += stride) {
        const uint16_t* c = condition + (r / batch / held * batch + r % batch) * step;
        int64_t i = 0;
        for (; i + LANES <= half; i += LANES)
            gate_forward(h + i, c + i, h + half + i, c + half + i, h + i, h + half + i, z + i);
        if (const int left = (int)(half - i)) {
            Rest a, b, c_a, c_b, out;
            gate_forward(a.take(h + i, left), c_a.take(c + i, left), b.take(h + half + i, left),
                         c_b.take(c + half + i, left), a.memory, b.memory, out.memory);
            a.give(h + i, left), b.give(h + half + i, left), out.give(z + i, left);
        }
    }
}

// d_h (rows, 2 · half) from d_z, whose rows begin `stride` numbers apart, and what the forward pass left of h.
void EXPORTED(vqaudio_gate_backward)(const uint16_t* d_z, int64_t stride, const uint16_t* h, int64_t rows, int64_t half,
                                     uint16_t* d_h) {
    for (int64_t r = 0; r < rows; r++, h += 2 * half, d_h += 2 * half, d_z += stride) {
        int64_t i = 0;
        for (; i + LANES <= half; i += LANES) gate_backward(d_z + i, h + i, h + half + i, d_h + i, d_h + half + i);
        if (const int left = (int)(half - i)) {
            Rest d, t, s, a, b;
            gate_backward(d.take(d_z + i, left), t.take(h + i, left), s.take(h + half + i, left), a.memory, b.memory);
            a.give(d_h + i, left), b.give(d_h + half + i, left);
        }
    }
}

}  // extern "C"
