"""nodal's reproducible random weights, bit for bit, in NumPy: the twin of `src/weights/random.rs`, which states the rule.

Integers modulo 2**64, + - * / and sqrt in float64, one rounding to float32 at the end.
"""
import numpy as np

GAMMA = np.uint64(0x9E3779B97F4A7C15)
SIGMA = np.sqrt(4 * (2.0**32 - 1) / 12)
FIRST = "Conv2d_1a_3x3.conv.weight"


def mix(z):
    """SplitMix64's finaliser."""
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def bits(seed, name, count):
    """The first `count` random 64-bit integers of the stream called `name`."""
    hash = 0xCBF29CE484222325
    for byte in name.encode():
        hash = (hash ^ byte) * 0x100000001B3 % 2**64
    with np.errstate(over="ignore"):
        key = mix(np.uint64(seed) + GAMMA * np.uint64(hash | 1))
        return mix(key + GAMMA * np.arange(1, count + 1, dtype=np.uint64))


def lanes(b):
    """Sum of the four 16-bit lanes of each integer."""
    return sum(((b >> np.uint64(shift)) & np.uint64(0xFFFF)).astype(np.int64) for shift in (0, 16, 32, 48))


def normal(b):
    """Sums of four 16-bit uniforms, mean 0, variance 1."""
    return (lanes(b) - 131070) / SIGMA


def uniform(b):
    return (b >> np.uint64(40)).astype(np.float64) / 2**24


def random_weights(seed, shapes):
    """A float32 array for each name of `shapes`; `num_batches_tracked` is left out."""
    weights = {}
    for name, shape in shapes.items():
        if name.endswith("num_batches_tracked"):
            continue
        b = bits(seed, name, int(np.prod(shape)))
        fan_in = float(np.prod(shape[1:]))
        if name == FIRST:
            sums = lanes(b).reshape(shape[0], -1)
            centred = (sums.shape[1] * sums - sums.sum(axis=1, keepdims=True)) / (fan_in * SIGMA)
            values = 4.0 * (np.sqrt(2.0 / fan_in) * centred)
        elif len(shape) == 4:
            values = np.sqrt(2.0 / fan_in) * normal(b)
        elif len(shape) == 2:
            values = np.sqrt(1.0 / fan_in) * (normal(b) + 0.125)
        elif name.endswith(("bn.weight", "running_var")):
            values = 0.75 + 0.5 * uniform(b)
        else:
            values = 0.1 * normal(b)
        weights[name] = values.astype(np.float32).reshape(shape)
    return weights
