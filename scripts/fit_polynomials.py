#!/usr/bin/env python3
"""Derives the polynomial coefficients in shaders/numerics.wgsl and prints them.

Each fit minimises the largest relative error (Lawson's reweighted least squares on
Chebyshev nodes, in 50-digit arithmetic for the function values). Needs numpy and mpmath.
"""
import mpmath as mp
import numpy as np

mp.mp.dps = 50


def fit(name, f, lo, hi, degree, weight=None, nodes=400, rounds=60):
    """Minimax fit of f on [lo, hi] by a polynomial; error measured relative to weight (default f)."""
    t = np.cos(np.pi * (np.arange(nodes) + 0.5) / nodes)
    x = [mp.mpf(lo) + (mp.mpf(hi) - lo) * (mp.mpf(float(v)) + 1) / 2 for v in t]
    y = np.array([float(f(v)) for v in x])
    xs = np.array([float(v) for v in x])
    scale = np.array([float((weight or f)(v)) for v in x])
    basis = np.polynomial.chebyshev.chebvander(t, degree) / scale[:, None]
    lawson = np.ones(nodes)
    for _ in range(rounds):
        w = np.sqrt(lawson)
        c, *_ = np.linalg.lstsq(basis * w[:, None], y / scale * w, rcond=None)
        err = np.abs(basis @ c - y / scale)
        lawson *= err + 1e-30
        lawson /= lawson.sum()
    cheb = np.polynomial.Chebyshev(c, domain=[float(lo), float(hi)])
    mono = cheb.convert(kind=np.polynomial.Polynomial).coef.astype(np.float32)
    approx = np.zeros(nodes)
    for k in mono[::-1]:
        approx = approx * xs + float(k)
    print(f"{name}: degree {degree}, error {err.max():.2e}, with f32 coefficients {np.abs(approx / scale - y / scale).max():.2e}")
    print("   ", ", ".join(np.format_float_scientific(k, unique=True) for k in mono))
    return mono


def mills(t):
    """Phi(-t) * exp(t^2 / 2): the Gaussian tail with its exponential taken out."""
    t = mp.mpf(t)
    return mp.erfc(t / mp.sqrt(2)) / 2 * mp.exp(t * t / 2)


def root(f, guess):
    r = mp.findroot(f, guess)
    hi = mp.mpf(float(np.float32(float(r))))
    print(f"    root {mp.nstr(r, 25)} = {np.float32(float(hi))!r} + {float(r - hi):.9e}")
    return r


def main():
    # e^r = 1 + r + r^2 q(r), |r| <= ln(2) / 2.
    h = mp.log(2) / 2 * mp.mpf("1.01")
    small = lambda r: (mp.expm1(r) - r) / r**2 if abs(r) > 1e-12 else mp.mpf(1) / 2
    fit("exp_q", small, -h, h, 4, weight=lambda r: 1 / mp.mpf(1))
    # expm1 needs the relative error of r + r^2 q(r).
    fit("expm1_q", small, -h, h, 5, weight=lambda r: mp.expm1(r) / r**2 if abs(r) > 1e-9 else mp.mpf(1) / abs(r))
    # log1p(e) = 2 s A(s^2), s = e / (2 + e), 0 <= e <= 1.
    fit("atanh", lambda z: mp.atanh(mp.sqrt(z)) / mp.sqrt(z) if z > 1e-20 else mp.mpf(1), 0, mp.mpf(1) / 9, 4)
    # x - tanh x = x^3 T(x^2), |x| <= 1.
    fit("tanhshrink", lambda z: (mp.sqrt(z) - mp.tanh(mp.sqrt(z))) / mp.sqrt(z) ** 3 if z > 1e-12 else mp.mpf(1) / 3, 0, 1, 7)
    # (expm1(x) - x) = x^2 q(x) on [-1, 0].
    # Phi(-t) e^(t^2 / 2) on 0 <= t <= 15, in v = (t - a) / (t + k); a and k by search for the least f32 error.
    def moebius(a, k):
        return (lambda v: (a + k * v) / (1 - v)), -mp.mpf(a) / k, (mp.mpf(15) - a) / (15 + mp.mpf(k))

    t, lo, hi = moebius(mp.mpf("0.5"), 3)
    fit("mills (1 + t)", lambda v: mills(t(v)) * (1 + t(v)), lo, hi, 10)
    near, lo, hi = moebius(0, mp.mpf("2.5"))
    at = lambda w: near(w + mp.mpf("0.25"))
    value = lambda w: mills(at(w)) * at(w) / (w + mp.mpf("0.25")) if w > -0.2499999 else mp.mpf("1.25")
    fit("t_mills / v in w = v - 1/4", value, lo - mp.mpf("0.25"), hi - mp.mpf("0.25"), 10)
    c = 1 / mp.sqrt(2 * mp.pi)
    t0 = root(lambda t: mills(t) - c * t, 0.75)
    mid, lo, hi = moebius(mp.mpf("2.5"), mp.mpf("2.5"))
    fit("mills_slope", lambda v: (mills(mid(v)) - c * mid(v)) / (t0 - mid(v)), lo, hi, 10)
    print("silu'")
    root(lambda t: 1 + mp.exp(-t) - t, 1.278)
    print("mish'")
    root(lambda x: 4 * (x + 1) + 4 * mp.exp(2 * x) + mp.exp(3 * x) + mp.exp(x) * (4 * x + 6), -1.19)
    print("gelu_tanh'")
    a, b = mp.mpf("0.044715"), mp.sqrt(2 / mp.pi)
    root(lambda t: 1 + mp.exp(-2 * b * (t + a * t**3)) - t * 2 * b * (1 + 3 * a * t * t), 0.75)


if __name__ == "__main__":
    main()
