"""How long to wait before trying again: doubling, with a ceiling and chance, so that clients do not come back in step."""

import random


class Backoff:
    """Waiting times of one series of attempts.

    The n-th wait is `first_ms` doubled n-1 times, at most `ceiling_ms`, less a random part of up to `jitter` of it.
    """

    def __init__(self, rng: random.Random, first_ms: int, ceiling_ms: int, jitter: float) -> None:
        """`jitter`: 0 (none) to 1 (anything down to no wait). ValueError when a number makes no sense."""
        if not 0 < first_ms <= ceiling_ms:
            raise ValueError(
                f"the first wait must be positive and within the ceiling, was {first_ms} of {ceiling_ms} ms"
            )
        if not 0 <= jitter <= 1:
            raise ValueError(f"jitter is a fraction from 0 to 1, was {jitter}")
        self._rng = rng
        self._first_ms = first_ms
        self._ceiling_ms = ceiling_ms
        self._jitter = jitter
        self._wait_ms = first_ms

    def next_ms(self) -> int:
        """The wait before the next attempt, in milliseconds; each call makes the following one longer."""
        wait_ms = self._wait_ms
        self._wait_ms = min(wait_ms * 2, self._ceiling_ms)
        return wait_ms - int(wait_ms * self._jitter * self._rng.random())

    def reset(self) -> None:
        """An attempt succeeded: begin at the first wait again."""
        self._wait_ms = self._first_ms
