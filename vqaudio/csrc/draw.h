// Drawing one element from the parameters of its distribution with uniform numbers from the caller: what
// vqaudio/models/sampling.py and distributions.py define, for one row.
#pragma once

#include <math.h>
#include <stdlib.h>

#include "simd.h"

enum Kind { CATEGORICAL = 0, LOGISTICS = 1 };

struct Draw {
    int32_t kind;
    int32_t classes;     // of a categorical; components of a mixture
    int32_t top_k;       // 0: no restriction
    float temperature;
    double top_p;        // 1: no restriction
    double step;         // logistics: between two levels
    float log_scale_least, log_scale_most;
};

// Scratch of one draw over so many classes: floats padded to whole blocks, and places for sorting.
struct Ranked {
    float logit;
    int32_t index;
};

struct DrawScratch {
    float* logits;         // (padded classes,)
    float* probabilities;  // (padded classes,), not yet divided by their sum
    double* sums;          // (padded classes / BLOCK,) of the probabilities
    Ranked* ranked;        // (classes,)
};

namespace {

inline int padded(int n) { return (n + BLOCK - 1) / BLOCK * BLOCK; }

// Most probable first; equally probable ones in order of class.
int by_rank(const void* a, const void* b) {
    const Ranked *x = (const Ranked*)a, *y = (const Ranked*)b;
    if (x->logit != y->logit) return x->logit > y->logit ? -1 : 1;
    return x->index < y->index ? -1 : 1;
}

// Sets to -inf the logits that top_k and top_p leave out (`filter_logits`).
void leave_out(const Draw& draw, DrawScratch& s) {
    const int classes = draw.classes;
    Ranked* ranked = s.ranked;
    for (int i = 0; i < classes; i++) ranked[i] = Ranked{s.logits[i], i};
    qsort(ranked, classes, sizeof *ranked, by_rank);
    int kept = classes;
    if (draw.top_k > 0 && draw.top_k < classes) {
        const float least = ranked[draw.top_k - 1].logit;
        for (kept = draw.top_k; kept < classes && ranked[kept].logit == least; kept++) {}  // ties with the last stay
    }
    if (draw.top_p < 1) {
        double total = 0, before = 0;
        for (int i = 0; i < kept; i++) total += exp((double)ranked[i].logit - ranked[0].logit);
        for (int i = 0; i < kept; i++) {
            if (i > 0 && before / total >= draw.top_p) kept = i;
            else before += exp((double)ranked[i].logit - ranked[0].logit);
        }
    }
    for (int i = kept; i < classes; i++) s.logits[ranked[i].index] = -INFINITY;
}

// The first class whose cumulative probability exceeds the uniform (`sample_categorical`). `logits` is changed.
int draw_class(const Draw& draw, DrawScratch& s, float uniform) {
    const int classes = draw.classes, width = padded(classes);
    float *logits = s.logits, *p = s.probabilities;
    for (int i = classes; i < width; i++) logits[i] = -INFINITY;
    if (draw.temperature != 1.0f)
        for (int i = 0; i < width; i += LANES) store(logits + i, loadf(logits + i) / draw.temperature);
    if (draw.top_k > 0 || draw.top_p < 1) leave_out(draw, s);
    Vec most = loadf(logits);
    for (int i = LANES; i < width; i += LANES) most = vmax(most, loadf(logits + i));
    const float peak = largest(most);
    for (int i = 0; i < width; i += LANES) {
        const Vec logit = loadf(logits + i);
        store(p + i, logit == all(-INFINITY) ? Vec{} : vexp(vmax(logit - peak, all(-87.0f))));
    }
    // Sums of blocks first: two short chains of additions in place of one as long as there are classes.
    double total = 0, before = 0;
    for (int i = 0; i < width; i += BLOCK) {
        double sum = 0;
        for (int j = 0; j < BLOCK; j++) sum += p[i + j];
        s.sums[i / BLOCK] = sum;
        total += sum;
    }
    const double threshold = uniform * total;
    int block = 0;
    while (block < width / BLOCK - 1 && before + s.sums[block] <= threshold) before += s.sums[block++];
    int last = 0;  // the last class that can be drawn, should rounding leave the sum at or below the threshold
    for (int i = block * BLOCK; i < (block + 1) * BLOCK; i++) {
        before += p[i];
        if (p[i] > 0) last = i;
        if (before > threshold) return i;
    }
    return last;
}

// A level of the mixture of logistics (`MixtureOfLogistics.sample`), as a float in [-1, 1].
float draw_level(const Draw& draw, DrawScratch& s, const float* parameters, const float* uniforms) {
    const int mixtures = draw.classes;
    memcpy(s.logits, parameters, mixtures * sizeof(float));
    const int component = draw_class(draw, s, uniforms[0]);
    const double mean = parameters[mixtures + component];
    float log_scale = parameters[2 * mixtures + component];
    log_scale = log_scale < draw.log_scale_least ? draw.log_scale_least : log_scale;
    log_scale = log_scale > draw.log_scale_most ? draw.log_scale_most : log_scale;
    const double least = 1.0 / (1 << 24);
    double u = uniforms[1];
    u = u < least ? least : u > 1 - least ? 1 - least : u;
    const double value = mean + (double)draw.temperature * exp((double)log_scale) * log(u / (1 - u));
    const double held = value < -1 ? -1 : value > 1 ? 1 : value;
    const double level = rint((held + 1) / draw.step) * draw.step - 1;
    return (float)(level < -1 ? -1 : level > 1 ? 1 : level);
}

}  // namespace
