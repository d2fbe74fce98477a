"""The Triton kernel of `TritonEngine`: any number of steps of a stack for ROWS sequences, in one program.

All programs do the same for sequences of their own, and never wait for each other. What the threads of one program
hand to each other within a step goes through global memory, in practice a cache, with barriers between:

    layers     read ring, write trail and gates          x_l of all layers; z_l of all layers
    ──────── barrier
    remember   read trail, write ring                    x_l over x_l(t - d_l)
    skip       read gates, write first                   relu([z_0 …] · skip + bias)
    ──────── barrier
    hidden     read first, write second                  relu(first · hidden + bias)
    ──────── barrier
    output     read second                               the parameters; and the draw, in registers

So a barrier lies before each read of what was written and before each write over what was read: in the next step,
which begins without one, the last two of this step. The ring is not written where it is read, among the layers: that
would take a barrier there, which keeps the compiler from fetching a layer's weights while it computes the one before.

Arrays are padded with zeros, widths to powers of two of at least 16 and sequences to a multiple of ROWS; only the
ring and the parameters, which are not, need masks. In all axes of GATE, channels of tanh and of sigmoid take turns,
and those of tanh are doubled: tanh(a) = 2σ(2a) - 1. Sums are float32, and products of float32 are not rounded to TF32.
"""

from __future__ import annotations

import triton
import triton.language as tl
from triton.runtime.errors import OutOfResources

__all__ = ["INTERPRETED", "ROWS", "OutOfResources", "make_steps"]

ROWS = 16
"""Sequences of one program: as many rows as a tensor core multiplies at once."""


@triton.jit(do_not_specialize=["rows", "steps", "hold", "phase"])
def make_steps(
    elements, uniforms, parameters, condition, ring, trail, gates, first, second,
    input_weight, input_bias, past, now, residual, skip, skip_bias, hidden, hidden_bias, output, output_bias,
    rows, steps, hold, phase, temperature, log_scale_least, log_scale_most, levels,
    SYMBOLS: tl.constexpr, DRAW: tl.constexpr, MIXTURES: tl.constexpr, UNIFORMS: tl.constexpr,
    LAYERS: tl.constexpr, PERIOD: tl.constexpr, CHANNELS: tl.constexpr, OUTPUTS: tl.constexpr,
    RESIDUAL: tl.constexpr, GATE: tl.constexpr, SKIP: tl.constexpr, OUT: tl.constexpr,
    CHUNK: tl.constexpr, GATES_CHUNK: tl.constexpr, SKIP_CHUNK: tl.constexpr, ROWS: tl.constexpr,
):  # fmt: skip
    """Make `steps` steps of `rows` sequences, from a position that leaves `phase` when divided by all dilations.

    elements     (steps + 1, rows)            inputs: the first row is given, to follow all are
    uniforms     (steps, rows, UNIFORMS)      read to draw
    parameters   (steps, rows, OUTPUTS)       written to follow
    condition    (N, LAYERS, rows, GATE)      with the layers' bias; each of N held for `hold` steps
    ring         (slots, rows, CHANNELS)      of layers with dilations 1, 2, 4, … anew every PERIOD layers
    trail, gates, first, second               (programs, …): what is handed over within a step, as above

    DRAW: "follow" takes the elements that are given; "class" draws as `Categorical` does; "level" as
    `MixtureOfLogistics` does, one of 2 · `levels` + 1 from MIXTURES components. Products read CHUNK rows of weights
    at a time in the layers, GATES_CHUNK of `skip`, and SKIP_CHUNK after it.
    """
    group = tl.program_id(0)
    row = group * ROWS + tl.arange(0, ROWS)
    trail += group * (LAYERS * ROWS * RESIDUAL)
    gates += group * (ROWS * LAYERS * (GATE // 2))
    first += group * (ROWS * SKIP)
    second += group * (ROWS * SKIP)
    element = tl.load(elements + row)
    for t in range(steps):
        if DRAW == "follow":
            element = tl.load(elements + row)
        x = _embed(element, input_weight, input_bias, SYMBOLS, RESIDUAL)
        _layers(
            x, condition, ring, trail, gates, past, now, residual, phase + t, rows, group,
            LAYERS, PERIOD, CHANNELS, RESIDUAL, GATE, CHUNK, ROWS,
        )  # fmt: skip
        tl.debug_barrier()
        _remember(trail, ring, phase + t, rows, group, LAYERS, PERIOD, CHANNELS, RESIDUAL, ROWS)
        s = _product(gates, skip, skip_bias, LAYERS * (GATE // 2), SKIP, GATES_CHUNK, ROWS)
        _put_relu(first, s, SKIP, ROWS)
        tl.debug_barrier()
        s = _product(first, hidden, hidden_bias, SKIP, SKIP, SKIP_CHUNK, ROWS)
        _put_relu(second, s, SKIP, ROWS)
        tl.debug_barrier()
        p = _product(second, output, output_bias, SKIP, OUT, SKIP_CHUNK, ROWS)
        elements += rows
        if DRAW == "follow":
            column = tl.arange(0, OUT)[None, :]
            tl.store(parameters + row[:, None] * OUTPUTS + column, p, mask=column < OUTPUTS)
            parameters += rows * OUTPUTS
        else:
            uniform = uniforms + row * UNIFORMS
            if DRAW == "class":
                element = _draw_class(p / temperature, tl.load(uniform), OUTPUTS, OUT).to(tl.int64)
            else:
                element = _draw_level(
                    p, tl.load(uniform), tl.load(uniform + 1), temperature, log_scale_least, log_scale_most, levels,
                    MIXTURES, OUT,
                )  # fmt: skip
            tl.store(elements + row, element)
            uniforms += rows * UNIFORMS
        if (t + 1) % hold == 0:
            condition += LAYERS * rows * GATE


@triton.jit
def _embed(element, weight, bias, SYMBOLS: tl.constexpr, RESIDUAL: tl.constexpr):
    """Return the first layer's input (ROWS, RESIDUAL) for symbols or values (ROWS,)."""
    channel = tl.arange(0, RESIDUAL)
    if SYMBOLS:
        return tl.load(weight + element[:, None] * RESIDUAL + channel[None, :])
    return element[:, None] * tl.load(weight + channel)[None, :] + tl.load(bias + channel)[None, :]


@triton.jit
def _layers(
    x, condition, ring, trail, gates, past, now, residual, time, rows, group,
    LAYERS: tl.constexpr, PERIOD: tl.constexpr, CHANNELS: tl.constexpr, RESIDUAL: tl.constexpr, GATE: tl.constexpr,
    CHUNK: tl.constexpr, ROWS: tl.constexpr,
):  # fmt: skip
    """Write the input x_l of each layer to `trail` (LAYERS, ROWS, RESIDUAL), z_l to `gates` (ROWS, LAYERS · GATE/2).

    Where the weights of a layer are read in parts, x_l and z_l are read back in parts too, after barriers.
    """
    HALF: tl.constexpr = GATE // 2
    WHOLE: tl.constexpr = CHUNK == RESIDUAL
    local, channel = tl.arange(0, ROWS)[:, None], tl.arange(0, RESIDUAL)[None, :]
    gate, half = tl.arange(0, GATE)[None, :], tl.arange(0, HALF)[None, :]
    for layer in range(LAYERS):
        here, z_here = trail + layer * (ROWS * RESIDUAL), gates + layer * HALF
        tl.store(here + local * RESIDUAL + channel, x)
        h = tl.load(condition + (group * ROWS + local) * GATE + gate)
        before = ring + (_slot(layer, time, PERIOD) * rows + group * ROWS) * CHANNELS
        h = _add_product(h, before, CHANNELS, CHANNELS, past, RESIDUAL, GATE, CHUNK, ROWS)
        if WHOLE:
            h = _add_whole(h, x, now, RESIDUAL, GATE)
        else:
            tl.debug_barrier()
            h = _add_product(h, here, RESIDUAL, RESIDUAL, now, RESIDUAL, GATE, CHUNK, ROWS)
        tanh, sigmoid = tl.split(tl.reshape(tl.sigmoid(h), (ROWS, HALF, 2)))
        z = (2 * tanh - 1) * sigmoid
        tl.store(z_here + local * (LAYERS * HALF) + half, z.to(gates.dtype.element_ty))
        # The last layer's weights are zeros: the stack has none there.
        if WHOLE:
            x = _add_whole(x, z, residual, HALF, RESIDUAL)
        else:
            tl.debug_barrier()
            x = _add_product(x, z_here, LAYERS * HALF, HALF, residual, HALF, RESIDUAL, CHUNK, ROWS)
        condition += rows * GATE
        past += RESIDUAL * GATE
        now += RESIDUAL * GATE
        residual += HALF * RESIDUAL


@triton.jit
def _remember(
    trail, ring, time, rows, group,
    LAYERS: tl.constexpr, PERIOD: tl.constexpr, CHANNELS: tl.constexpr, RESIDUAL: tl.constexpr, ROWS: tl.constexpr,
):  # fmt: skip
    """Copy each layer's input from `trail` into its slot of the ring, several layers at a time."""
    AT_ONCE: tl.constexpr = 4
    cell = tl.arange(0, ROWS * RESIDUAL)[None, :]
    local, channel = cell // RESIDUAL, cell % RESIDUAL
    for done in range(0, LAYERS, AT_ONCE):
        layer = done + tl.arange(0, AT_ONCE)[:, None]
        x = tl.load(trail + layer * (ROWS * RESIDUAL) + cell, mask=layer < LAYERS)
        place = ring + (_slot(layer, time, PERIOD) * rows + group * ROWS + local) * CHANNELS + channel
        tl.store(place, x, mask=(layer < LAYERS) & (channel < CHANNELS))


@triton.jit
def _slot(layer, time, PERIOD: tl.constexpr):
    """Return the slot of a layer's input at `time`, in 64 bits. Reading it from a table would delay what is there."""
    dilation = 1 << (layer % PERIOD)
    first = (layer // PERIOD) * ((1 << PERIOD) - 1) + dilation - 1  # the sum of the dilations of earlier layers
    return tl.cast(first + time % dilation, tl.int64)


@triton.jit
def _product(source, weight, bias, IN: tl.constexpr, OUT: tl.constexpr, CHUNK: tl.constexpr, ROWS: tl.constexpr):
    """Return source (ROWS, IN) · weight (IN, OUT) + bias (OUT,)."""
    total = tl.zeros((ROWS, OUT), tl.float32) + tl.load(bias + tl.arange(0, OUT))[None, :]
    return _add_product(total, source, IN, IN, weight, IN, OUT, CHUNK, ROWS)


@triton.jit
def _add_product(
    total, source, STRIDE: tl.constexpr, COLUMNS: tl.constexpr, weight,
    IN: tl.constexpr, OUT: tl.constexpr, CHUNK: tl.constexpr, ROWS: tl.constexpr,
):  # fmt: skip
    """Return total (ROWS, OUT) + source · weight (IN, OUT), reading CHUNK rows of the weight at a time.

    `source` has rows of COLUMNS <= IN columns, STRIDE apart.
    """
    part = tl.arange(0, CHUNK)
    for done in range(0, IN, CHUNK):
        place = source + tl.arange(0, ROWS)[:, None] * STRIDE + done + part[None, :]
        values = tl.load(place, mask=(done + part)[None, :] < COLUMNS, other=0.0) if COLUMNS < IN else tl.load(place)
        total = _add_whole(total, values, weight + done * OUT, CHUNK, OUT)
    return total


@triton.jit
def _add_whole(total, values, weight, IN: tl.constexpr, OUT: tl.constexpr):
    """Return total (ROWS, OUT) + values (ROWS, IN) · weight (IN, OUT)."""
    w = tl.load(weight + tl.arange(0, IN)[:, None] * OUT + tl.arange(0, OUT)[None, :])
    return tl.dot(values.to(w.dtype), w, total, input_precision="ieee")


@triton.jit
def _put_relu(target, values, WIDTH: tl.constexpr, ROWS: tl.constexpr):
    """Write relu(values) (ROWS, WIDTH) to `target`, rounded as that is kept."""
    place = target + tl.arange(0, ROWS)[:, None] * WIDTH + tl.arange(0, WIDTH)[None, :]
    tl.store(place, tl.maximum(values, 0.0).to(target.dtype.element_ty))


@triton.jit
def _draw_class(logits, uniform, CLASSES: tl.constexpr, OUT: tl.constexpr):
    """Return the class drawn from each row of logits (ROWS, OUT), of which the first CLASSES count: int32 (ROWS,).

    As `sample_categorical` does it. Sums of neighbours are rounded in different ways: classes of probability 0 are
    passed over, and the whole is the greatest sum up to a possible class, so that one of them exceeds the threshold.
    """
    column = tl.arange(0, OUT)[None, :]
    logits = tl.where(column < CLASSES, logits, float("-inf"))
    p = tl.exp(logits - tl.max(logits, axis=1)[:, None])
    p = p / tl.sum(p, axis=1)[:, None]
    cumulative = tl.where(p > 0, tl.cumsum(p, axis=1), 0.0)
    threshold = uniform * tl.max(cumulative, axis=1)
    return tl.min(tl.where(cumulative > threshold[:, None], column, OUT), axis=1)


@triton.jit
def _draw_level(
    p, choice, place, temperature, log_scale_least, log_scale_most, levels, MIXTURES: tl.constexpr, OUT: tl.constexpr
):
    """Return the level drawn from each row of parameters (ROWS, OUT), as `MixtureOfLogistics.sample` does it."""
    column = tl.arange(0, OUT)[None, :]
    component = _draw_class(p / temperature, choice, MIXTURES, OUT)[:, None]
    mean = tl.sum(tl.where(column == MIXTURES + component, p, 0.0), axis=1)
    log_scale = tl.sum(tl.where(column == 2 * MIXTURES + component, p, 0.0), axis=1)
    log_scale = tl.minimum(tl.maximum(log_scale, log_scale_least), log_scale_most)
    uniform = tl.minimum(tl.maximum(place.to(tl.float64), 2.0**-24), 1 - 2.0**-24)
    away = tl.log(uniform / (1 - uniform)) * tl.exp(log_scale.to(tl.float64)) * temperature
    value = tl.minimum(tl.maximum(mean.to(tl.float64) + away, -1.0), 1.0)
    return (tl.floor((value + 1) * levels + 0.5) / levels - 1).to(tl.float32)


INTERPRETED = not isinstance(make_steps, triton.JITFunction)
"""Whether Triton's interpreter runs the kernel, on the CPU: TRITON_INTERPRET=1 in the environment does it."""
