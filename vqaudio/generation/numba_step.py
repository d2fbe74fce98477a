"""The steps of a stack and its draws as one function that numba compiles; `numba_engine.py` calls it.

The weights lie in the order of their use in one array, so that a step reads memory from beginning to end: for one
sequence it takes about as long as reading them from the cache takes. Eight rows of a matrix are multiplied for all
sequences before the next eight are read.

What is computed for a sequence is the same operations in the same order whatever the other sequences are. The
compiler may contract a·b + c, and nothing else: infinities and NaN remain what they are.

numba keeps what it has compiled until this file changes, so that all functions that `advance` calls have to be in it.
"""

from __future__ import annotations

import functools
from typing import NamedTuple

import numba
import numpy as np

from vqaudio.errors import ModelError

# In Python's error model a division looks for a zero first, and its loop is not vectorised.
compiled = functools.partial(numba.njit, fastmath={"contract"}, error_model="numpy", nogil=True)

FOLLOW, CLASSES, LOGISTICS = 0, 1, 2
"""What comes after a step: a given element, a drawn class, or a drawn level of a mixture of logistics."""


class Weights(NamedTuple):
    """Those of a `PackedStack`; its letters stand for the same widths here."""

    dilations: np.ndarray
    """(L,), int64."""
    symbols: bool
    """Whether inputs are symbols; else they are real values."""
    input_weight: np.ndarray
    input_bias: np.ndarray
    matrices: np.ndarray
    """All matrices, row by row: past, now and residual of each layer; skip, hidden, output."""
    layer_biases: np.ndarray
    """(L·G,)."""
    skip_bias: np.ndarray
    hidden_bias: np.ndarray
    output_bias: np.ndarray


class Rule(NamedTuple):
    """How elements are drawn. Fields are of one type always, since numba compiles for types."""

    kind: int
    choices: int = 0
    """Classes, or components of a mixture."""
    temperature: float = 1.0
    top_k: int = 0
    """0: no restriction."""
    top_p: float = 1.0
    level_step: float = 0.0
    lowest_log_scale: float = 0.0
    highest_log_scale: float = 0.0


class Workspace(NamedTuple):
    """What a step of B sequences writes over."""

    held: np.ndarray
    """(B, L·G): the condition's row that is held now, with the layers' biases."""
    x: np.ndarray
    """(B, R)."""
    activations: np.ndarray
    """(B, G)."""
    gates: np.ndarray
    """(B, L·Z)."""
    skip: np.ndarray
    """(B, S)."""
    hidden: np.ndarray
    """(B, S)."""
    outputs: np.ndarray
    """(B, P)."""
    probabilities: np.ndarray
    """(choices,)."""


LOG2_E = np.float32(1.44269504)
LN2_HIGH, LN2_LOW = np.float32(0.693359375), np.float32(-2.12194440e-4)
"""Their sum is ln 2; the first has so few digits that its product with a whole number up to 128 is exact."""
ROUNDING = np.float32(1.5 * 2**23)
"""Added to a small float32 it leaves the nearest whole number in the lowest bits."""
ROUNDING_BITS, EXPONENT_BIAS, EXPONENT_PLACE = ROUNDING.view(np.int32), np.int32(127), np.int32(23)
EXP_RANGE = np.float32(87)
"""exp(±87) are normal numbers in float32."""
TANH_RANGE = np.float32(15)
"""Beyond it tanh is ±1 in float32."""
C2, C3, C4, C5, C6, C7 = (
    np.float32(c) for c in (0.5, 1.6666665459e-1, 4.1665795894e-2, 8.3334519073e-3, 1.3981999507e-3, 1.9875691500e-4)
)
ZERO, ONE, TWO = np.float32(0), np.float32(1), np.float32(2)


@compiled
def _exp(x):
    """Return exp(x) of a float32 within ±87, elsewhere that of the nearer end; no branches, so that loops vectorise.

    exp(x) = 2^n · exp(r) with a whole n and |r| <= ln(2)/2. The polynomial for exp(r), right to 1e-7 of its value, is
    that of expf in Moshier's Cephes Mathematical Library (1989).
    """
    x = -EXP_RANGE if x < -EXP_RANGE else x  # NaN stays
    x = EXP_RANGE if x > EXP_RANGE else x
    shifted = np.float32(x * LOG2_E + ROUNDING)
    n = shifted - ROUNDING
    r = (x - n * LN2_HIGH) - n * LN2_LOW
    p = (((((C7 * r + C6) * r + C5) * r + C4) * r + C3) * r + C2) * (r * r) + r + ONE
    exponent = np.int32(shifted.view(np.int32) - ROUNDING_BITS + EXPONENT_BIAS)
    return p * np.int32(exponent << EXPONENT_PLACE).view(np.float32)


@compiled
def _product(matrices, at, inputs, row, column, width, outputs):
    """Add to outputs (B, N) the product of `inputs` and the matrix (width, N) that begins at `matrices[at]`.

    Taken of `inputs` are B rows from `row` on and `width` columns from `column` on. Returns where the matrix ends.
    """
    B, N = outputs.shape
    eights = width - width % 8
    for k in range(0, eights, 8):
        m = matrices[at + k * N : at + (k + 8) * N]
        m0, m1, m2, m3 = m[:N], m[N : 2 * N], m[2 * N : 3 * N], m[3 * N : 4 * N]
        m4, m5, m6, m7 = m[4 * N : 5 * N], m[5 * N : 6 * N], m[6 * N : 7 * N], m[7 * N : 8 * N]
        for i in range(B):
            a, y = inputs[row + i, column + k : column + k + 8], outputs[i]
            a0, a1, a2, a3, a4, a5, a6, a7 = a[0], a[1], a[2], a[3], a[4], a[5], a[6], a[7]
            for n in range(N):
                first = (a0 * m0[n] + a1 * m1[n]) + (a2 * m2[n] + a3 * m3[n])
                y[n] += first + ((a4 * m4[n] + a5 * m5[n]) + (a6 * m6[n] + a7 * m7[n]))
    for k in range(eights, width):
        m0 = matrices[at + k * N : at + (k + 1) * N]
        for i in range(B):
            a0, y = inputs[row + i, column + k], outputs[i]
            for n in range(N):
                y[n] += a0 * m0[n]
    return at + width * N


@compiled
def _gate(activations, gates, column):
    """Write tanh(a)·σ(b) of `activations` (B, G) into the columns of `gates` from `column` on.

    With e = exp(-2a) and f = exp(-b) it is (1 - e) / ((1 + e)(1 + f)): one division.
    """
    Z = activations.shape[1] // 2
    for i in range(len(activations)):
        a, b, z = activations[i, :Z], activations[i, Z:], gates[i, column : column + Z]
        for n in range(Z):
            e = _exp(-TWO * (-TANH_RANGE if a[n] < -TANH_RANGE else a[n]))
            f = _exp(-b[n])
            z[n] = (ONE - e) / ((ONE + e) * (ONE + f))


@compiled
def _relu(values):
    for i in range(len(values)):
        v = values[i]
        for n in range(len(v)):
            v[n] = ZERO if v[n] < ZERO else v[n]


@compiled
def _hold(weights, work, condition, n, first):
    """Hold row n of condition (B, N, L·G)."""
    for i in range(len(work.held)):
        held, c = work.held[i], condition[first + i, n]
        for k in range(len(held)):
            held[k] = weights.layer_biases[k] + c[k]


@compiled
def _embed(weights, work, inputs, first):
    for i in range(len(work.x)):
        x = work.x[i]
        if weights.symbols:
            x[:] = weights.input_weight[int(inputs[first + i])]
        else:
            x[:] = np.float32(inputs[first + i]) * weights.input_weight[0] + weights.input_bias


@compiled
def _layers(weights, work, ring, position, first):
    """Take `work.x` through all layers, leaving their gates in `work.gates`; return where the layers' matrices end."""
    B, R = work.x.shape
    G = work.activations.shape[1]
    Z, L = G // 2, len(weights.dilations)
    at, slot = 0, 0
    for layer in range(L):
        dilation = weights.dilations[layer]
        past = ring[slot + position % dilation]
        slot += dilation
        for i in range(B):
            work.activations[i, :] = work.held[i, layer * G : (layer + 1) * G]
        at = _product(weights.matrices, at, past, first, 0, R, work.activations)
        at = _product(weights.matrices, at, work.x, 0, 0, R, work.activations)
        _gate(work.activations, work.gates, layer * Z)
        past[first : first + B] = work.x
        if layer + 1 < L:  # the last layer's residual output would lead nowhere
            at = _product(weights.matrices, at, work.gates, 0, layer * Z, Z, work.x)
    return at


@compiled
def _head(weights, work, at):
    """Write the parameters of `work.gates` into `work.outputs`."""
    work.skip[:] = weights.skip_bias
    at = _product(weights.matrices, at, work.gates, 0, 0, work.gates.shape[1], work.skip)
    _relu(work.skip)
    work.hidden[:] = weights.hidden_bias
    at = _product(weights.matrices, at, work.skip, 0, 0, work.skip.shape[1], work.hidden)
    _relu(work.hidden)
    work.outputs[:] = weights.output_bias
    _product(weights.matrices, at, work.hidden, 0, 0, work.hidden.shape[1], work.outputs)


@compiled
def _softmax(logits, p):
    """Write the probabilities of logits (K,) into p (K,)."""
    peak = logits[0]
    for k in range(len(logits)):
        peak = logits[k] if logits[k] > peak else peak
    for k in range(len(logits)):
        below = logits[k] - peak
        p[k] = ZERO if below < -EXP_RANGE else _exp(below)
    total = 0.0
    for k in range(len(logits)):
        total += p[k]
    for k in range(len(logits)):
        p[k] /= np.float32(total)


@compiled
def _leave_out(logits, p, top_k, top_p):
    """Set those of logits (K,) that the options leave out to -infinity, as `filter_logits` does; p (K,) is work space.

    Its float32 arithmetic too is repeated: shares that are equal to `top_p` but for rounding are left out alike.
    """
    order = np.argsort(-logits, kind="mergesort")  # which is stable
    if 0 < top_k < len(logits):
        least = logits[order[top_k - 1]]
        for k in range(len(logits)):
            logits[k] = -np.inf if logits[k] < least else logits[k]
    if top_p < 1:
        _softmax(logits, p)
        through = np.float64(p[order[0]])  # share of the classes up to this one
        for k in order[1:]:
            through += p[k]
            logits[k] = -np.inf if np.float32(through) - p[k] >= np.float32(top_p) else logits[k]


@compiled
def _draw_class(logits, p, uniform, rule):
    """Return the class that a uniform draws from logits (K,), see `sample_categorical`; p (K,) is work space."""
    if rule.temperature != 1:
        for k in range(len(logits)):
            logits[k] /= np.float32(rule.temperature)
    if rule.top_k > 0 or rule.top_p < 1:
        _leave_out(logits, p, rule.top_k, rule.top_p)
    _softmax(logits, p)
    total = 0.0
    for k in range(len(p)):
        total += p[k]
    threshold, cumulative = uniform * total, 0.0
    for k in range(len(p)):
        cumulative += p[k]
        if cumulative > threshold:
            return k
    # Some class exceeds a uniform below 1, but where the sum is not a number.
    raise ModelError("drawing: the stack's outputs are not finite numbers; look for NaN in weights and condition")


@compiled
def _draw_level(parameters, p, uniforms, rule):
    """Return the level that two uniforms draw; see `MixtureOfLogistics.sample`. In float64, as there."""
    M = rule.choices
    component = _draw_class(parameters[:M], p, uniforms[0], rule)
    mean, log_scale = np.float64(parameters[M + component]), parameters[2 * M + component]
    lowest, highest = np.float32(rule.lowest_log_scale), np.float32(rule.highest_log_scale)
    log_scale = lowest if log_scale < lowest else (highest if log_scale > highest else log_scale)
    place = min(max(np.float64(uniforms[1]), 2.0**-24), 1 - 2.0**-24)
    value = mean + rule.temperature * np.exp(np.float64(log_scale)) * np.log(place / (1 - place))
    value = -1.0 if value < -1 else (1.0 if value > 1 else value)
    level = np.rint((value + 1) / rule.level_step) * rule.level_step - 1
    return np.float64(np.float32(1.0 if level > 1 else level))


@compiled
def _draw(parameters, p, uniforms, rule):
    """Return the element that uniforms (U,) draw from parameters (P,), which are written over."""
    if rule.kind == CLASSES:
        return np.float64(_draw_class(parameters, p, uniforms[0], rule))
    return _draw_level(parameters, p, uniforms, rule)


@compiled
def _workspace(weights, rule, R, B):
    held = np.empty((B, len(weights.layer_biases)), np.float32)
    L, S = len(weights.dilations), len(weights.skip_bias)
    G = held.shape[1] // L
    return Workspace(
        held,
        np.empty((B, R), np.float32),
        np.empty((B, G), np.float32),
        np.empty((B, L * (G // 2)), np.float32),
        np.empty((B, S), np.float32),
        np.empty((B, S), np.float32),
        np.empty((B, len(weights.output_bias)), np.float32),
        np.empty(rule.choices, np.float32),
    )


def advance(weights, rule, ring, inputs, position, first, last, condition, uniforms, elements, parameters):
    """Make T steps of the sequences `first` to `last`; to be compiled.

    `ring` and `inputs` are those of a `SamplerState` at `position`, condition (B, N, L·G) and uniforms (B, T, U) as
    in `Engine.generate`. Elements (B, T) are written, or, where `rule` says FOLLOW, read; parameters (B, T, P) are
    written then alone. Inputs and elements are float64, which holds symbols and float32 values alike.
    """
    T, N = elements.shape[1], condition.shape[1]
    work = _workspace(weights, rule, ring.shape[2], last - first)
    for t in range(T):
        if t % (T // N) == 0:
            _hold(weights, work, condition, t // (T // N), first)
        _embed(weights, work, inputs, first)
        at = _layers(weights, work, ring, position + t, first)
        _head(weights, work, at)
        for i in range(first, last):
            outputs = work.outputs[i - first]
            if rule.kind == FOLLOW:
                parameters[i, t] = outputs
            else:
                elements[i, t] = _draw(outputs, work.probabilities, uniforms[i, t], rule)
            inputs[i] = elements[i, t]
