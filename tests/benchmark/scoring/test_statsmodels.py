"""Against statsmodels, where it is installed."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmark.scoring.metrics import wilson
from benchmark.scoring.significance import holm, mcnemar

contingency = pytest.importorskip("statsmodels.stats.contingency_tables")
multitest = pytest.importorskip("statsmodels.stats.multitest")
proportion = pytest.importorskip("statsmodels.stats.proportion")


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=80))
def test_mcnemar(pairs: list[tuple[bool, bool]]) -> None:
    a, b = np.array(pairs).T
    table = [[int((a & b).sum()), int((a & ~b).sum())], [int((~a & b).sum()), int((~a & ~b).sum())]]
    if table[0][1] + table[1][0]:
        assert mcnemar(a, b) == pytest.approx(contingency.mcnemar(table, exact=True).pvalue)


@pytest.mark.parametrize("count", [1, 4, 30])  # few: statsmodels collects garbage in each call
def test_holm(count: int) -> None:
    values = np.random.default_rng(count).random(count) ** 4
    assert holm(values) == pytest.approx(multitest.multipletests(values, method="holm")[1])


@given(st.integers(1, 5000), st.floats(0, 1), st.floats(0.5, 0.999))
def test_wilson(total: int, share: float, confidence: float) -> None:
    correct = round(share * total)
    expected = proportion.proportion_confint(correct, total, alpha=1 - confidence, method="wilson")
    assert wilson(correct, total, confidence) == pytest.approx(expected, abs=1e-12)
