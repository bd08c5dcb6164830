"""What is told once a minute: by key, and with no more memory than the keys of a minute."""

from concurrent.futures import ThreadPoolExecutor

from reference_server import seldom


class _Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_each_key_is_due_once_a_minute() -> None:
    clock = _Clock()
    telling = seldom.Seldom(clock)
    assert telling.due("a") and telling.due("b") and telling.due()
    clock.now = seldom.SECONDS - 0.001
    assert not telling.due("a") and not telling.due() and telling.due("c")
    clock.now = seldom.SECONDS
    assert telling.due("a") and not telling.due("c")


def test_only_the_keys_of_a_minute_are_remembered() -> None:
    clock = _Clock()
    telling = seldom.Seldom(clock)
    for number in range(1000):
        clock.now = number
        assert telling.due(number)
    assert len(telling._said) == seldom.SECONDS


def test_of_many_threads_one_is_told() -> None:
    telling = seldom.Seldom()
    with ThreadPoolExecutor(16) as pool:
        assert sum(pool.map(lambda _: telling.due("away"), range(2000))) == 1
