"""Bounds for risk control, by SciPy."""
import math

from scipy.optimize import brentq
from scipy.stats import beta, binom


def clopper_pearson():
    cases = [(0, 10, 0.95), (1, 10, 0.975), (3, 50, 0.95), (12, 1000, 0.95), (40, 10000, 0.99), (499, 500, 0.9), (0, 1, 0.95)]
    return [
        {"count": k, "trials": n, "confidence": c, "upper": float(beta.ppf(c, k + 1, n - k))} for k, n, c in cases
    ]


def binomial():
    cases = [(3, 10, 0.2), (100, 1000, 0.12), (100, 1000, 0.05), (0, 5000, 0.001), (9000, 10000, 0.9), (2, 20000, 0.01)]
    return [{"count": k, "trials": n, "rate": p, "probability": float(binom.cdf(k, n, p))} for k, n, p in cases]


def relative_entropy(a, b):
    part = lambda x, y: x * math.log(x / y) if x > 0 else 0.0
    return part(a, b) + part(1 - a, 1 - b)


def p_value(mean, samples, level):
    hoeffding = math.exp(-samples * relative_entropy(min(mean, level), level))
    bentkus = math.e * binom.cdf(math.ceil(samples * mean - 1e-9), samples, level)
    return float(min(hoeffding, bentkus, 1.0))


def hoeffding_bentkus():
    values = [(0.02, 1000, 0.03), (0.0, 200, 0.02), (0.305, 100, 0.4), (0.05, 1000, 0.05), (0.013, 5000, 0.02)]
    uppers = [(0.02, 1000, 0.95), (0.0, 200, 0.95), (0.013, 5000, 0.9), (0.305, 100, 0.95)]
    upper = lambda mean, n, c: brentq(lambda level: p_value(mean, n, level) - (1 - c), mean + 1e-12, 1 - 1e-9, xtol=1e-14)
    return {
        "p_values": [{"mean": m, "samples": n, "level": a, "p_value": p_value(m, n, a)} for m, n, a in values],
        "uppers": [{"mean": m, "samples": n, "confidence": c, "upper": float(upper(m, n, c))} for m, n, c in uppers],
    }


def all_bounds():
    return {"binomial": binomial(), "clopper_pearson": clopper_pearson(), "hoeffding_bentkus": hoeffding_bentkus()}
