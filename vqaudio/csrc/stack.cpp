// The causal stack, step by step: see vqaudio/generation/packed.py for the formulas and state.py for the ring.
//
// The product of a layer's past input, x(t-d), needs nothing that is not known d steps before: it is taken for up to
// d steps at once, with the weights read once (`look_ahead`). What is left for each step is a chain of small products
// through the layers, and then one large one, of all gates, for the skip paths.
//
//     pre_l(t … t+m) = bias_l + x_l(t-d … t+m-d) · past_l          m <= d steps at a time
//     h_l = pre_l(t) + condition_l + x_l · now_l                   each step
#include "draw.h"
#include "product.h"

extern "C" {

struct Stack {
    int32_t layers, tokens;                  // tokens: 0 where the input is a real value
    int32_t channels, half, skips, outputs;  // R, Z, S and P
    int32_t block;                           // steps to look ahead, times sequences, at most
    int32_t precision;
    const int32_t* dilations;   // (layers,)
    const float* input_weight;  // (tokens, padded R), or (1, padded R) for a real value
    const float* input_bias;    // (padded R,)
    const float* bias;          // (layers, padded G)
    const Matrix* past;         // (layers,)
    const Matrix* now;          // (layers,)
    const Matrix* residual;     // (layers - 1,)
    const Matrix* head;         // skip (of all layers' gates), hidden, output
    const float* head_bias[3];
};

struct Run {
    float* ring;            // (slots, rows, R)
    int64_t rows;           // of the ring
    int64_t first, count;   // the rows that this run advances
    int64_t position, steps;
    void* inputs;             // (rows,) int64 or float: the next inputs, before and after
    const float* condition;   // (rows, held, layers, padded G)
    int64_t held;             // rows of the condition of a sequence
    const float* uniforms;    // (rows, steps, 1 or 2)
    const void* following;    // (rows, steps) elements to follow instead of drawing, or null
    void* drawn;              // (rows, steps), or null
    float* parameters;        // (rows, steps, P), or null
    const Draw* draw;
};

}  // extern "C"

namespace {

// Memory of a run: counted first, then allocated once and handed out in parts that begin at 64 bytes.
struct Arena {
    char* memory = nullptr;
    int64_t used = 0;

    template <class T>
    T* take(int64_t n) {
        T* at = (T*)((uintptr_t)memory + used);
        used += (n * (int64_t)sizeof(T) + 63) / 64 * 64;
        return at;
    }

    bool allocate() {
        if (posix_memalign((void**)&memory, 64, used ? used : 64)) return memory = nullptr, false;
        memset(memory, 0, used);
        used = 0;
        return true;
    }
};

// memcpy without the call, for the few vectors that a row of channels has.
inline void copy(float* to, const float* from, int n) {
    int i = 0;
    for (; i + LANES <= n; i += LANES) store(to + i, loadf(from + i));
    for (; i < n; i++) to[i] = from[i];
}

// A layer's place in the ring, and what is known of its next steps.
struct Layer {
    int dilation, most;       // most: steps to look ahead at a time
    int64_t first_slot, slot; // slot: position mod dilation
    int ready, next;          // steps that `pre` holds; the next one of them
    float* pre;               // (most, B, G)
};

// Memory for activations in the products' precision.
struct Narrow {
    void* values;
    float* scale;  // int8: of each row
};

template <int PRECISION>
struct Worker {
    const Stack& stack;
    const Run& run;
    int R, Z, G, S, P, B;  // padded widths; sequences
    Layer* layers;
    float *x, *h, *gates, *skips, *hidden, *outputs, *gathered;
    Narrow of_x, of_gates, of_ahead;  // activations in the products' precision
    DrawScratch scratch;
    bool undefined = false;  // whether parameters were NaN
    Arena arena;

    Worker(const Stack& stack, const Run& run) : stack(stack), run(run) {
        R = padded(stack.channels), Z = padded(stack.half), G = 2 * Z, S = padded(stack.skips);
        P = padded(stack.outputs), B = (int)run.count;
    }

    ~Worker() { free(arena.memory); }

    bool allocate() {
        lay_out();
        if (!arena.allocate()) return false;
        lay_out();
        return true;
    }

    void lay_out() {
        const int64_t L = stack.layers, most = (int64_t)B * steps_ahead(1 << 30);
        layers = arena.take<Layer>(L);
        for (int l = 0; l < L; l++) {
            float* pre = arena.take<float>((int64_t)steps_ahead(stack.dilations[l]) * B * G);
            if (arena.memory) layers[l].pre = pre;
        }
        x = arena.take<float>((int64_t)B * R), h = arena.take<float>((int64_t)B * G);
        gates = arena.take<float>(B * L * Z), of_gates = take_narrow(B, L * Z);
        skips = arena.take<float>((int64_t)B * S), hidden = arena.take<float>((int64_t)B * S);
        outputs = arena.take<float>((int64_t)B * P), gathered = arena.take<float>(most * R);
        of_x = take_narrow(B, R > S ? R : S), of_ahead = take_narrow(most, R);
        scratch.logits = arena.take<float>(P), scratch.probabilities = arena.take<float>(P);
        scratch.sums = arena.take<double>(P / BLOCK), scratch.ranked = arena.take<Ranked>(P);
    }

    Narrow take_narrow(int64_t rows, int64_t n) {
        return Narrow{arena.take<uint16_t>(rows * n), arena.take<float>(rows)};
    }

    // Steps that a layer of this dilation looks ahead at a time.
    int steps_ahead(int dilation) const {
        const int most = stack.block / B > 1 ? stack.block / B : 1;
        return dilation < most ? dilation : most;
    }

    void begin() {
        int64_t slots = 0;
        for (int l = 0; l < stack.layers; l++) {
            Layer& layer = layers[l];
            layer.dilation = stack.dilations[l], layer.most = steps_ahead(layer.dilation);
            layer.first_slot = slots, layer.slot = run.position % layer.dilation;
            slots += layer.dilation;
        }
        for (int b = 0; b < B; b++) of_gates.scale[b] = 1.0f / 127;
    }

    float* in_ring(const Layer& layer, int64_t slot, int b) const {
        return run.ring + ((layer.first_slot + slot) * run.rows + run.first + b) * stack.channels;
    }

    // The vectors (rows, n) as the products take them. `positive`: none is below 0, so that all of a byte serves.
    Activations activations(const float* values, int n, int rows, bool positive, const Narrow& to) {
        if (PRECISION == FLOAT32) return Activations{values, n, nullptr};
        if (PRECISION == BFLOAT16) {
            to_bfloat16(values, n * rows, (uint16_t*)to.values);
            return Activations{to.values, n, nullptr};
        }
        const int zero = positive ? 0 : 128, steps = positive ? 255 : 127;
        for (int r = 0; r < rows; r++) {
            const float most = largest_magnitude(values + r * n, n);
            to.scale[r] = most / steps;
            to_bytes(values + r * n, n, most > 0 ? steps / most : 0.0f, zero, (uint8_t*)to.values + r * n);
        }
        return Activations{to.values, n, to.scale};
    }

    // The gates of layer l, among those of all layers. They lie within [-1, 1]: in int8 one scale serves all.
    Activations gate_activations(int l) {
        const int64_t all_gates = (int64_t)stack.layers * Z, skipped = (int64_t)l * Z;
        if (PRECISION == FLOAT32) return Activations{gates + skipped, all_gates, nullptr};
        for (int64_t b = 0, at = skipped; b < B; b++, at += all_gates) {
            if (PRECISION == BFLOAT16)
                to_bfloat16(gates + at, Z, (uint16_t*)of_gates.values + at);
            else
                to_bytes(gates + at, Z, 127.0f, 128, (uint8_t*)of_gates.values + at);
        }
        return Activations{(char*)of_gates.values + skipped * (PRECISION == BFLOAT16 ? 2 : 1), all_gates, of_gates.scale};
    }

    // The past taps of the layer's next steps.
    void look_ahead(int l, int64_t steps_left) {
        Layer& layer = layers[l];
        const int steps = steps_left < layer.most ? (int)steps_left : layer.most;
        for (int j = 0; j < steps; j++) {
            const int64_t slot = (layer.slot + j) % layer.dilation;
            for (int b = 0; b < B; b++) {
                const int64_t row = (int64_t)j * B + b;
                copy(gathered + row * R, in_ring(layer, slot, b), stack.channels);
                copy(layer.pre + row * G, stack.bias + (int64_t)l * G, G);
            }
        }
        multiply<PRECISION>(stack.past[l], activations(gathered, R, steps * B, false, of_ahead), steps * B, layer.pre, G);
        layer.ready = steps, layer.next = 0;
    }

    void embed() {
        for (int b = 0; b < B; b++) {
            float* out = x + (int64_t)b * R;
            if (stack.tokens) {
                const int64_t symbol = ((const int64_t*)run.inputs)[run.first + b];
                copy(out, stack.input_weight + symbol * R, R);
            } else {
                const float value = ((const float*)run.inputs)[run.first + b];
                for (int i = 0; i < R; i += LANES)
                    store(out + i, loadf(stack.input_weight + i) * value + loadf(stack.input_bias + i));
            }
        }
    }

    // tanh(a) · sigmoid(b) = (1 - e^(-2a)) / ((1 + e^(-2a)) (1 + e^(-b))); beyond the bounds both are constant.
    static Vec gate(Vec a, Vec b) {
        const Vec ea = vexp(within(a, 15.0f) * -2.0f);
        const Vec eb = vexp(within(b, 40.0f) * -1.0f);
        return (1.0f - ea) / ((1.0f + ea) * (1.0f + eb));
    }

    void run_layer(int l, int64_t held, int64_t steps_left) {
        const Activations input = activations(x, R, B, false, of_x);
        enter(l, held, steps_left);
        multiply<PRECISION>(stack.now[l], input, B, h, G);
        apply_gate(l);
        const Activations z = gate_activations(l);
        if (l + 1 < stack.layers) multiply<PRECISION>(stack.residual[l], z, B, x, R);
    }

    // What is known of the layer's step before its input is: h = pre + condition. The input goes into the ring.
    void enter(int l, int64_t held, int64_t steps_left) {
        Layer& layer = layers[l];
        if (layer.next == layer.ready) look_ahead(l, steps_left);
        for (int b = 0; b < B; b++) {
            const float* pre = layer.pre + ((int64_t)layer.next * B + b) * G;
            const float* condition = run.condition + (((run.first + b) * run.held + held) * stack.layers + l) * G;
            for (int i = 0; i < G; i += LANES) store(h + (int64_t)b * G + i, loadf(pre + i) + loadf(condition + i));
            copy(in_ring(layer, layer.slot, b), x + (int64_t)b * R, stack.channels);
        }
        layer.next++;
        layer.slot = layer.slot + 1 == layer.dilation ? 0 : layer.slot + 1;
    }

    void apply_gate(int l) {
        for (int b = 0; b < B; b++) {
            const float* in = h + (int64_t)b * G;
            float* out = gates + ((int64_t)b * stack.layers + l) * Z;
            for (int i = 0; i < Z; i += LANES) store(out + i, gate(loadf(in + i), loadf(in + Z + i)));
        }
    }

    void head() {
        const void* z = PRECISION == FLOAT32 ? gates : of_gates.values;
        product_of_head(0, Activations{z, (int64_t)stack.layers * Z, of_gates.scale}, skips, S);
        rectify(skips);
        product_of_head(1, activations(skips, S, B, true, of_x), hidden, S);
        rectify(hidden);
        product_of_head(2, activations(hidden, S, B, true, of_x), outputs, P);
    }

    void product_of_head(int which, const Activations& a, float* y, int n) {
        for (int b = 0; b < B; b++) copy(y + (int64_t)b * n, stack.head_bias[which], n);
        multiply<PRECISION>(stack.head[which], a, B, y, n);
    }

    void rectify(float* values) {
        for (int64_t i = 0; i < (int64_t)B * S; i += LANES) store(values + i, vmax(Vec{}, loadf(values + i)));
    }

    // Gives out the parameters of step t, and sets the inputs of the next one.
    void finish(int64_t t) {
        for (int b = 0; b < B; b++) {
            const int64_t row = run.first + b, at = row * run.steps + t;
            const float* y = outputs + (int64_t)b * P;
            for (int i = 0; i < stack.outputs; i++) undefined |= y[i] != y[i];
            if (run.parameters) memcpy(run.parameters + at * stack.outputs, y, stack.outputs * sizeof(float));
            if (stack.tokens) {
                const int64_t symbol = run.following ? ((const int64_t*)run.following)[at] : drawn_class(y, at);
                ((int64_t*)run.inputs)[row] = symbol;
                if (run.drawn) ((int64_t*)run.drawn)[at] = symbol;
            } else {
                const float value = run.following ? ((const float*)run.following)[at]
                                                  : draw_level(*run.draw, scratch, y, run.uniforms + 2 * at);
                ((float*)run.inputs)[row] = value;
                if (run.drawn) ((float*)run.drawn)[at] = value;
            }
        }
    }

    int64_t drawn_class(const float* y, int64_t at) {
        memcpy(scratch.logits, y, stack.outputs * sizeof(float));
        return draw_class(*run.draw, scratch, run.uniforms[at]);
    }

    void advance() {
        begin();
        const int64_t hold = run.steps / run.held;
        for (int64_t t = 0; t < run.steps; t++) {
            embed();
            for (int l = 0; l < stack.layers; l++) run_layer(l, t / hold, run.steps - t);
            head();
            finish(t);
        }
    }
};

template <int PRECISION>
int advance(const Stack& stack, const Run& run) {
    Worker<PRECISION> worker(stack, run);
    if (!worker.allocate()) return 1;
    worker.advance();
    return worker.undefined && run.draw ? 2 : 0;
}

}  // namespace

// Advances rows first … first + count - 1 by `steps` steps. Returns 0; or 1 where there was not enough memory, and 2
// where something was drawn from parameters that are NaN.
extern "C" int EXPORTED(vqaudio_advance)(const Stack* stack, const Run* run) {
    if (stack->precision == FLOAT32) return advance<FLOAT32>(*stack, *run);
    if (stack->precision == BFLOAT16) return advance<BFLOAT16>(*stack, *run);
    return advance<INT8>(*stack, *run);
}
