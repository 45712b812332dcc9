"""Token buckets."""

from benchmark.serving.limits import Rate


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_burst_and_then_the_rate() -> None:
    clock = Clock()
    rate = Rate(0.5, 3, clock)
    assert [rate.wait("a") for _ in range(5)] == [0, 0, 0, 2, 2]
    assert rate.wait("b") == 0
    clock.now = 2
    assert [rate.wait("a") for _ in range(2)] == [0, 2]
    clock.now = 1000
    assert [rate.wait("a") for _ in range(4)] == [0, 0, 0, 2]


def test_clients_are_forgotten() -> None:
    rate = Rate(1, 1, Clock())
    assert [rate.wait("first"), rate.wait("first")] == [0, 1]
    for number in range(1024):
        rate.wait(str(number))
    assert len(rate.buckets) == 1024
    assert rate.wait("first") == 0
