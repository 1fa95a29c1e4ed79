"""The sums of SIGReg on a processor, compiled: each element's waves stay in registers from knot to knot.

Apart from `sigreg.py`, as importing numba takes half a second, which is of no use where there is a GPU. Legend: S
slices, N rows, K knots without the one at 0. All arrays are of one dtype, float32 or float64.
"""

import numpy as np
from numba import njit

KNOTS = 16
"""K, so often the recurrence is written out below."""
ROWS = 1024
"""Rows that are summed up before they are added to the others: float32 loses digits in long sums."""

# A product and a sum may be rounded as one, and sums be of several parts, which is what processors are fast at.
_compiled = njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract", "reassoc"})


@_compiled
def sums(cosine: np.ndarray, sine: np.ndarray, total: np.ndarray) -> None:
    """Into total (2, S, K) the sums over rows of cos(k u) and of sin(k u), k = 1 .. K, from those of u (S, N)."""
    slices, rows = cosine.shape
    total[:] = 0
    for i in range(slices):
        for top in range(0, rows, ROWS):
            double = cosine[i, top : top + ROWS]
            _add(double, double, 1, total[0, i])
            _add(sine[i, top : top + ROWS], double, 0, total[1, i])


@_compiled
def _add(wave: np.ndarray, cosine: np.ndarray, before: int, total: np.ndarray) -> None:
    """To total (K,) the sums of a wave of k u (R,), `before` at k = 0. Written out, as an array would be in memory."""
    w0, zero = wave.dtype.type(before), wave.dtype.type(0)
    t1 = t2 = t3 = t4 = t5 = t6 = t7 = t8 = t9 = t10 = t11 = t12 = t13 = t14 = t15 = t16 = zero
    for row in range(len(wave)):
        w1, twice = wave[row], cosine[row] + cosine[row]
        w2 = twice * w1 - w0
        w3 = twice * w2 - w1
        w4 = twice * w3 - w2
        w5 = twice * w4 - w3
        w6 = twice * w5 - w4
        w7 = twice * w6 - w5
        w8 = twice * w7 - w6
        w9 = twice * w8 - w7
        w10 = twice * w9 - w8
        w11 = twice * w10 - w9
        w12 = twice * w11 - w10
        w13 = twice * w12 - w11
        w14 = twice * w13 - w12
        w15 = twice * w14 - w13
        w16 = twice * w15 - w14
        t1, t2, t3, t4, t5, t6, t7, t8 = t1 + w1, t2 + w2, t3 + w3, t4 + w4, t5 + w5, t6 + w6, t7 + w7, t8 + w8
        t9, t10, t11, t12, t13 = t9 + w9, t10 + w10, t11 + w11, t12 + w12, t13 + w13
        t14, t15, t16 = t14 + w14, t15 + w15, t16 + w16
    for k, found in enumerate((t1, t2, t3, t4, t5, t6, t7, t8, t9, t10, t11, t12, t13, t14, t15, t16)):
        total[k] += found


@_compiled
def slopes(cosine: np.ndarray, sine: np.ndarray, along: np.ndarray, total: np.ndarray) -> None:
    """Into total (S, N) the sum over k of along[0, s, k] cos(k u) + along[1, s, k] sin(k u), along (2, S, K)."""
    slices, rows = cosine.shape
    one, zero = cosine.dtype.type(1), cosine.dtype.type(0)
    for i in range(slices):
        cosines, sines, factors, found = cosine[i], sine[i], along[:, i], total[i]
        for row in range(rows):
            c, s = cosines[row], sines[row]
            twice, c_old, s_old, slope = c + c, one, zero, zero
            for k in range(KNOTS):
                slope += factors[0, k] * c + factors[1, k] * s
                c, c_old = twice * c - c_old, c
                s, s_old = twice * s - s_old, s
            found[row] = slope
