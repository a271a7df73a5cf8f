"""Writes reference.json, what SciPy, scikit-learn and statsmodels make of small data, ties and large counts among them.

    pip install -r requirements.txt && python3 reference.py

DeLong's variances are counted pair by pair here, as the paper of 1988 defines them: an implementation of its own, in O(n²).
"""
import itertools
import json
import math
import pathlib

import numpy as np
import sklearn.metrics as sk
from scipy import stats
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.inter_rater import cohens_kappa
from statsmodels.stats.proportion import proportion_confint


def proportions():
    pairs = [(0, 1), (1, 1), (0, 5), (5, 5), (3, 10), (174, 319), (230, 325), (1, 100_000), (50_000, 100_000), (99_000, 100_000)]
    interval = lambda k, n, alpha, method: list(map(float, proportion_confint(k, n, alpha, method)))
    return [{"hits": k, "total": n, "level": 1 - alpha, "exact": interval(k, n, alpha, "beta"),
             "wilson": interval(k, n, alpha, "wilson")} for k, n in pairs for alpha in (0.05, 0.1)]


def delong(labels, *scores):
    """AUCs and their covariance matrix, pair by pair."""
    labels = np.array(labels, bool)
    over = lambda s: np.array([[(x > y) + 0.5 * (x == y) for y in s[~labels]] for x in s[labels]])
    psi = [over(np.array(s)) for s in scores]
    rows, columns = np.array([p.mean(1) for p in psi]), np.array([p.mean(0) for p in psi])
    return [p.mean() for p in psi], np.atleast_2d(np.cov(rows)) / labels.sum() + np.atleast_2d(np.cov(columns)) / (~labels).sum()


def ece(scores, labels, bins=10):
    which = np.minimum((scores * bins).astype(int), bins - 1)
    return sum((which == b).mean() * abs(scores[which == b].mean() - labels[which == b].mean()) for b in set(which))


def test(areas, variance):
    z = (areas[0] - areas[1]) / math.sqrt(variance)
    return {"z": z, "p": 2 * stats.norm.sf(abs(z))}


def scored():
    random, cases, last = np.random.default_rng(7), [], None
    for n, digits in [(7, 1), (12, 1), (40, 1), (40, 6), (257, 2)]:
        labels = np.r_[np.arange(n) % 2 == 0][random.permutation(n)] if n < 100 else random.random(n) < 0.3
        first = np.clip(random.normal(0.4 + 0.2 * labels, 0.25), 0, 1).round(digits)
        second = np.clip(0.5 * first + random.normal(0.25 + 0.1 * labels, 0.2), 0, 1).round(digits)
        fpr, tpr, thresholds = sk.roc_curve(labels, first, drop_intermediate=False)
        precision, recall, _ = sk.precision_recall_curve(labels, first)
        areas, covariance = delong(labels, first, second)
        difference = covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1]
        half = stats.norm.ppf(0.975) * math.sqrt(covariance[0, 0])
        assert abs(sk.roc_auc_score(labels, first) - areas[0]) < 1e-12
        case = {
            "labels": labels.tolist(), "first": first.tolist(), "second": second.tolist(), "auc": areas,
            "variance": [covariance[0, 0], covariance[1, 1]], "interval": [max(areas[0] - half, 0), min(areas[0] + half, 1)],
            "paired": test(areas, difference), "fpr": fpr.tolist(), "tpr": tpr.tolist(), "thresholds": thresholds[1:].tolist(),
            "youden": float(thresholds[np.argmax((tpr - fpr).round(12))]),
            "precision": precision[::-1][1:].tolist(), "recall": recall[::-1][1:].tolist(),
            "average_precision": sk.average_precision_score(labels, first),
            "brier": sk.brier_score_loss(labels, first), "ece": ece(first, labels),
        }
        if last:
            case["unpaired"] = test([areas[0], last[0]], covariance[0, 0] + last[1])
        calls, usual = first >= 0.5, {}
        for name, value in [("f1", sk.f1_score(labels, calls, zero_division=0)), ("mcc", sk.matthews_corrcoef(labels, calls)),
                            ("balanced_accuracy", sk.balanced_accuracy_score(labels, calls)),
                            ("accuracy", sk.accuracy_score(labels, calls)), ("sensitivity", sk.recall_score(labels, calls)),
                            ("specificity", sk.recall_score(~labels, ~calls)),
                            ("ppv", sk.precision_score(labels, calls, zero_division=0)),
                            ("npv", sk.precision_score(~labels, ~calls, zero_division=0))]:
            usual[name] = float(value)
        case["metrics"] = usual
        cases.append(case)
        last = areas[0], covariance[0, 0]
    return cases


def drawn(seed, clusters, resamples):
    """How often each case is drawn, resample by resample: SplitMix64 and a multiplication, as the Rust side has them."""
    state, mask, names = seed, 2**64 - 1, list(dict.fromkeys(clusters))
    for _ in range(resamples):
        times = dict.fromkeys(names, 0)
        for _ in names:
            state = (state + 0x9E3779B97F4A7C15) & mask
            x = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & mask
            x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & mask
            times[names[((x ^ (x >> 31)) * len(names)) >> 64]] += 1
        yield [times[c] for c in clusters]


def bootstrap():
    random, seed, resamples = np.random.default_rng(5), 42, 300
    clusters = [3 * (k // 3) for k in range(30)]
    labels = np.arange(30) % 4 == 0
    scores = np.clip(random.normal(0.4 + 0.2 * labels, 0.25), 0, 1).round(1)
    sensitivity, area = [], []
    for times in drawn(seed, clusters, resamples):
        y, s = np.repeat(labels, times), np.repeat(scores, times)
        if y.any() and not y.all():
            sensitivity.append(sk.recall_score(y, s >= 0.5))
            area.append(sk.roc_auc_score(y, s))
    ends = lambda values: np.quantile(values, [0.025, 0.975]).tolist()
    return {"labels": labels.tolist(), "first": scores.tolist(), "clusters": clusters, "seed": seed, "resamples": resamples,
            "sensitivity": ends(sensitivity), "auc": ends(area)}


def mcnemars():
    pairs = [(0, 1), (3, 3), (1, 9), (10, 25), (60, 41), (700, 650), (9_000, 12_000), (400, 3)]
    out = []
    for b, c in pairs:
        table = [[10, b], [c, 20]]
        plain, corrected = mcnemar(table, exact=False, correction=False), mcnemar(table, exact=False, correction=True)
        out.append({"b": b, "c": c, "exact": float(mcnemar(table).pvalue), "chi_square": [plain.statistic, plain.pvalue],
                    "corrected": [corrected.statistic, corrected.pvalue] if b != c else [0.0, 1.0]})
    return out


def kappas():
    tables = [[[20, 5], [10, 15]], [[9, 1], [0, 3]], [[44, 5, 1], [7, 20, 3], [9, 5, 6]], [[5, 0, 1, 0], [2, 8, 1, 0], [0, 3, 6, 2], [0, 0, 1, 9]]]
    out = []
    for table in tables:
        for name, weights in [("none", None), ("linear", "linear"), ("quadratic", "quadratic")]:
            k = cohens_kappa(np.array(table), wt=weights)
            out.append({"table": table, "weighting": name, "value": k.kappa, "se": k.std_kappa, "interval": [max(k.kappa_low, -1), min(k.kappa_upp, 1)]})
    return out


def t_tests():
    out = []
    for a, b in [([1.0, 2.0, 4.0], [3.0, 9.0]), ([56.1, 60.2, 49.3, 71.0, 66.6], [61.0, 61.0, 70.5, 58.2]), ([0.1, 0.2, 0.1], [0.2, 0.3, 0.1, 0.4])]:
        case = {"first": a, "second": b}
        for name, equal in [("pooled", True), ("welch", False)]:
            t = stats.ttest_ind(a, b, equal_var=equal)
            case[name] = {"t": t.statistic, "p": t.pvalue, "freedom": float(t.df), "interval": list(t.confidence_interval())}
        out.append(case)
    paired = []
    for a, b in [([1.0, 2.0, 4.0], [3.0, 9.0, 3.5]), ([0.91, 0.88, 0.93, 0.88, 0.9], [0.9, 0.88, 0.91, 0.85, 0.9]),
                 ([56.1, 60.2, 49.3, 71.0], [61.0, 61.0, 70.5, 58.2]), ([1.0, 1.5], [0.0, 0.75])]:
        t = stats.ttest_rel(a, b)
        paired.append({"first": a, "second": b, "t": t.statistic, "p": t.pvalue, "freedom": float(t.df), "interval": list(t.confidence_interval())})
    moments = []
    for m in [(100_000, 1.0, 2.0, 90_000, 1.01, 2.1), (3, 1.0, 0.1, 3, 9.0, 0.3), (50, 0.0, 1.0, 60, 3.0, 1.2), (2, 0.0, 1.0, 2, 0.1, 1.0)]:
        (n1, a, s, n2, b, r), ps = m, []
        for equal in (True, False):
            ps.append(stats.ttest_ind_from_stats(a, s, n1, b, r, n2, equal_var=equal).pvalue)
        moments.append({"moments": m, "p": ps, "half": stats.t.ppf(0.975, n1 + n2 - 2)})
    pooled, welch = (stats.ttest_ind_from_stats(56.4, 11.3, 83, 60.4, 9.24, 46, equal_var=e) for e in (True, False))
    return out, paired, {"pooled": pooled.pvalue, "welch": welch.pvalue, "more": moments}


def fisher(table):
    """All tables with these margins, weighed in whole numbers."""
    rows, columns = [sum(r) for r in table], [sum(c) for c in zip(*table)]
    weight = lambda t: math.prod(map(math.factorial, rows + columns)) / (math.factorial(sum(rows)) * math.prod(math.factorial(x) for r in t for x in r))
    def tables(columns, rows):
        if len(rows) == 1:
            yield [columns]
            return
        for row in itertools.product(*(range(c + 1) for c in columns)):
            if sum(row) == rows[0]:
                for rest in tables([c - x for c, x in zip(columns, row)], rows[1:]):
                    yield [list(row)] + rest
    observed = weight(table)
    return sum(w for w in map(weight, tables(columns, rows)) if w <= observed * (1 + 1e-7))


def tables():
    out = []
    for table in [[[3, 1], [1, 3]], [[56, 27], [27, 19]], [[1, 9], [11, 3]], [[2000, 1900], [300, 401]], [[300, 20], [30, 400]],
                  [[20, 1], [61, 44], [2, 1]], [[3, 0, 2], [1, 4, 2], [0, 1, 5]], [[8, 2, 5], [1, 6, 4]]]:
        plain = stats.chi2_contingency(table, correction=False)
        case = {"table": table, "chi_square": [plain.statistic, plain.pvalue], "freedom": plain.dof, "least": float(plain.expected_freq.min())}
        if len(table) == len(table[0]) == 2:
            yates = stats.chi2_contingency(table, correction=True)
            case["yates"] = [yates.statistic, yates.pvalue]
            case["fisher"] = stats.fisher_exact(table)[1]
        else:
            case["fisher"] = fisher(table)
        out.append(case)
    return out


def multi_class():
    random = np.random.default_rng(11)
    labels, scores = np.arange(60) % 3, random.random((60, 3)).round(1) + 1e-9
    scores[np.arange(60), labels] += 0.3
    calls = scores.argmax(1)
    probabilities = scores / scores.sum(1, keepdims=True)
    return {"labels": labels.tolist(), "calls": calls.tolist(), "scores": probabilities.tolist(),
            "accuracy": sk.accuracy_score(labels, calls), "f1": sk.f1_score(labels, calls, average="macro"),
            "sensitivity": sk.recall_score(labels, calls, average="macro"), "ppv": sk.precision_score(labels, calls, average="macro"),
            "auc": sk.roc_auc_score(labels, probabilities, multi_class="ovr")}


t, paired, published = t_tests()
reference = {"proportions": proportions(), "scored": scored(), "mcnemar": mcnemars(), "kappa": kappas(), "t": t, "t_paired": paired, "t_published": published,
             "tables": tables(), "multi_class": multi_class(), "bootstrap": bootstrap()}
path = pathlib.Path(__file__).with_name("reference.json")
path.write_text(json.dumps(reference, default=float, allow_nan=False, separators=(",", ":")).replace('],"', '],\n"') + "\n")
