// The gated layers of the causal stack in training: see vqaudio/models/gated.py for the formulas and the layout.
//
// A layer is taken CHUNK rows after the other: its products, its gates and what goes on to the next layer are computed
// while the rows are in the caches. Rows are positions of all sequences of a batch, time first; every share of them can
// be computed by a thread of its own, layer by layer.
#include <stdlib.h>

#include "panels.h"

extern "C" {

struct GatedLayer {
    int64_t channels, half;  // R and Z, whole panels; G = 2 Z
    int64_t rows, batch;     // T · B, and B: rows of one position
    int64_t hold;            // positions that a row of the condition is held for
    int64_t past;            // rows between a position and its past tap: dilation · B
    // Laid out in panels: past and now (R inputs, G outputs), residual (Z, R), or null in the last layer; and, for the
    // way back, their transposes.
    const float *past_weights, *now_weights, *residual_weights;
    const float *past_back, *now_back, *residual_back;
    const float* condition;  // (N · B, G), `condition_step` floats from row to row
    int64_t condition_step;
    const float* inputs;  // (rows, R), after `past` rows of zeros at least
    float* activations;   // (rows, G), tanh and sigmoid; on the way back their gradients before the nonlinearity
    float* gates;         // (rows, Z), `gates_step` floats from row to row
    int64_t gates_step;
    float* next;           // (rows, R), the next layer's inputs, or null in the last layer
    const float* d_gates;  // as `gates`
    float* d_next;         // (rows, R), gradient of the next layer's inputs
};

// Gradients that a share of the rows adds up.
struct GatedGradients {
    float *past, *now, *residual;  // (R, G), (R, G), (Z, R)
    float* condition;              // (rows of the condition from that of the share's first row on, B, G)
};

}  // extern "C"

namespace {

enum { CHUNK = 96 };  // a multiple of all tiles' heights

// y = start + x · weights, for whole panels of outputs.
inline void multiply(const float* weights, int64_t inputs, int64_t outputs, const Rows& rows, float* y, int64_t step) {
    for (int64_t panel = 0; panel < outputs; panel += PANEL) {
        Rows part = rows;
        part.start += panel;
        product_rows(weights + panel * inputs, inputs, part, KeepSums{y + panel, step});
    }
}

// The rows of a chunk side by side in panels, as weights are: panel by panel, row by row.
inline float* in_panels(float* panels, int64_t row, int64_t channel) {
    return panels + channel / PANEL * (CHUNK * PANEL) + row * PANEL + channel % PANEL;
}

// gradient (inputs, outputs) += xᵀ · d_y, over the rows of a chunk, of which d_y lies in panels.
inline void accumulate(const float* x, int64_t stride, int64_t inputs, const float* d_y, int64_t outputs, int count,
                       float* gradient) {
    for (int64_t panel = 0; panel < outputs; panel += PANEL) {
        float* sums = gradient + panel;
        const Rows rows = {x, 1, (int)inputs, sums, outputs, stride};
        product_rows(d_y + panel * CHUNK, count, rows, KeepSums{sums, outputs});
    }
}

inline int chunk_of(int64_t row, int64_t end) { return end - row < CHUNK ? (int)(end - row) : CHUNK; }

// Row of the condition that a row hears.
inline int64_t heard(const GatedLayer& layer, int64_t row) {
    return row / layer.batch / layer.hold * layer.batch + row % layer.batch;
}

inline Vec vtanh(Vec x) {
    const Vec e = vexp(within(x, 15.0f) * -2.0f);
    return (1.0f - e) / (1.0f + e);
}

inline Vec vsigmoid(Vec x) { return 1.0f / (1.0f + vexp(within(x, 40.0f) * -1.0f)); }

void forward_chunk(const GatedLayer& layer, int64_t row, int count) {
    const int64_t R = layer.channels, Z = layer.half, G = 2 * Z;
    const float* x = layer.inputs + row * R;
    float *h = layer.activations + row * G, *z = layer.gates + row * layer.gates_step;
    for (int r = 0; r < count; r++)
        memcpy(h + r * G, layer.condition + heard(layer, row + r) * layer.condition_step, G * sizeof(float));
    multiply(layer.past_weights, R, G, Rows{x - layer.past * R, R, count, h, G}, h, G);
    multiply(layer.now_weights, R, G, Rows{x, R, count, h, G}, h, G);
    for (int r = 0; r < count; r++)
        for (int64_t c = 0; c < Z; c += LANES) {
            float *a = h + r * G + c, *s = a + Z;
            const Vec tanh = vtanh(loadf(a)), sigmoid = vsigmoid(loadf(s));
            store(a, tanh);
            store(s, sigmoid);
            store(z + r * layer.gates_step + c, tanh * sigmoid);
        }
    if (layer.next)
        multiply(layer.residual_weights, Z, R, Rows{z, layer.gates_step, count, x, R}, layer.next + row * R, R);
}

// Memory of a way back: gradients of a chunk's gates; of its activations, or of the next layer's inputs, in panels.
struct Scratch {
    float *d_z, *panels;

    explicit Scratch(const GatedLayer& layer) {
        const int64_t widest = layer.channels > 2 * layer.half ? layer.channels : 2 * layer.half;
        void* memory;
        d_z = posix_memalign(&memory, 64, CHUNK * (layer.half + widest) * sizeof(float)) ? nullptr : (float*)memory;
        panels = d_z + CHUNK * layer.half;
    }

    ~Scratch() { free(d_z); }
};

void backward_chunk(const GatedLayer& layer, int64_t row, int count, const GatedGradients& to, int64_t first,
                    const Scratch& scratch) {
    const int64_t R = layer.channels, Z = layer.half, G = 2 * Z;
    const float *x = layer.inputs + row * R, *z = layer.gates + row * layer.gates_step;
    const float* d_gates = layer.d_gates + row * layer.gates_step;
    float* d_z = scratch.d_z;
    if (layer.next) {
        const float* d_next = layer.d_next + row * R;
        multiply(layer.residual_back, R, Z, Rows{d_next, R, count, d_gates, layer.gates_step}, d_z, Z);
        for (int r = 0; r < count; r++)
            for (int64_t c = 0; c < R; c += LANES) store(in_panels(scratch.panels, r, c), loadf(d_next + r * R + c));
        accumulate(z, layer.gates_step, Z, scratch.panels, R, count, to.residual);
    } else {
        for (int r = 0; r < count; r++) memcpy(d_z + r * Z, d_gates + r * layer.gates_step, Z * sizeof(float));
    }
    for (int r = 0; r < count; r++) {
        float* h = layer.activations + (row + r) * G;
        float* condition = to.condition + (heard(layer, row + r) - first) * G;
        for (int64_t c = 0; c < Z; c += LANES) {
            const Vec tanh = loadf(h + c), sigmoid = loadf(h + Z + c), d = loadf(d_z + r * Z + c) * sigmoid;
            const Vec d_tanh = d * (1.0f - tanh * tanh), d_sigmoid = d * tanh * (1.0f - sigmoid);
            store(h + c, d_tanh);
            store(h + Z + c, d_sigmoid);
            store(in_panels(scratch.panels, r, c), d_tanh);
            store(in_panels(scratch.panels, r, Z + c), d_sigmoid);
            store(condition + c, loadf(condition + c) + d_tanh);
            store(condition + Z + c, loadf(condition + Z + c) + d_sigmoid);
        }
    }
    accumulate(x - layer.past * R, R, R, scratch.panels, G, count, to.past);
    accumulate(x, R, R, scratch.panels, G, count, to.now);
}

}  // namespace

extern "C" {

// Outputs of a panel: R and Z are to be multiples of them.
int64_t EXPORTED(vqaudio_gated_panel)() { return PANEL; }

// The layer's gates and the next layer's inputs, of rows `first` … `first` + `count` - 1. The inputs of all rows up to
// there must be there.
void EXPORTED(vqaudio_gated_forward)(const GatedLayer* layer, int64_t first, int64_t count) {
    for (int64_t row = first; row < first + count; row += CHUNK)
        forward_chunk(*layer, row, chunk_of(row, first + count));
}

// The gradients of what goes into the layer's gates, in the place of its activations, and what these rows add to those
// of the weights and of the condition. Returns 0, or 1 where there was not enough memory.
int EXPORTED(vqaudio_gated_backward)(const GatedLayer* layer, int64_t first, int64_t count, const GatedGradients* to) {
    const Scratch scratch(*layer);
    if (!scratch.d_z) return 1;
    const int64_t first_heard = first / layer->batch / layer->hold * layer->batch;
    for (int64_t row = first; row < first + count; row += CHUNK)
        backward_chunk(*layer, row, chunk_of(row, first + count), *to, first_heard, scratch);
    return 0;
}

// The gradient of the layer's inputs, in the place of that of the next layer's: an input goes on to the next layer as
// it is, into this layer's gate, and into it once more `past` rows later. `vqaudio_gated_backward` must have been
// through all rows.
void EXPORTED(vqaudio_gated_inputs)(const GatedLayer* layer, int64_t first, int64_t count) {
    const int64_t R = layer->channels, G = 2 * layer->half;
    for (int64_t row = first; row < first + count; row += CHUNK) {
        float* d_x = layer->d_next + row * R;
        const float* d_h = layer->activations + row * G;
        const int rows = chunk_of(row, first + count), later = chunk_of(row + layer->past, layer->rows);
        multiply(layer->now_back, G, R, Rows{d_h, G, rows, d_x, R}, d_x, R);
        if (later > 0)
            multiply(layer->past_back, G, R, Rows{d_h + layer->past * G, G, later < rows ? later : rows, d_x, R}, d_x, R);
    }
}

}  // extern "C"
