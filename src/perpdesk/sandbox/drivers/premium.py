"""The premium of one market over its index: mostly calm, at times in an episode that makes funding worth trading.

Both venues settle at a baseline rate while the mean premium of the hour stays inside a band, and charge an eighth of what
is beyond it. So the model has two states: calm noise that never leaves the band, and episodes of random length in which
the premium sits outside it by a fat-tailed distance.
"""

from collections.abc import Sequence
from math import exp, log, sqrt
from random import Random

from perpdesk.sandbox.drivers.parameters import CommonEpisodes, PremiumBand, PremiumParameters

RATE_HOURS = 8
"""Both venues' formulas give a rate for 8 hours: premium beyond the band, divided by this, is rate per hour."""


class PremiumProcess:
    """Mean-reverting noise plus a two-state regime. All premiums in basis points of the index; time in funding hours.

    Args:
        impact_bps: Distance of the impact price from the mid. Venues sample the impact bid above the index (or the impact ask
            below it), so in an episode the mid lies that much farther out than the premium that is charged.
    """

    __slots__ = (
        "_band",
        "_decay",
        "_excess_bps",
        "_hours_left",
        "_impact_bps",
        "_is_forced",
        "_level_bps",
        "_noise",
        "_p",
        "_rng",
        "_target_bps",
    )

    def __init__(self, parameters: PremiumParameters, band: PremiumBand, impact_bps: float, rng: Random) -> None:
        self._p = parameters
        self._band = band
        self._impact_bps = impact_bps
        self._rng = rng
        self._noise = rng.gauss(0.0, 1.0)
        self._excess_bps = 0.0
        self._hours_left = 0.0
        self._is_forced = False
        self._target_bps = parameters.calm_mean_bps
        self._decay = (0.0, 0.0, 0.0, 0.0, 0.0)
        if rng.random() < _share_of_time(parameters):
            self._begin(self._random_sign(), self._random_excess_bps(), self._random_hours() * rng.random())
        self._level_bps = self._target_bps

    @property
    def is_episode(self) -> bool:
        """Whether funding is pushed off the baseline now."""
        return self._hours_left > 0

    def force(self, excess_bps: float, hours: float) -> None:
        """Begin an episode at once, without a ramp or noise at first; a negative `excess_bps` makes shorts pay."""
        self._noise = 0.0
        self._is_forced = True
        self._begin(1 if excess_bps > 0 else -1, abs(excess_bps), hours)
        self._level_bps = self._target_bps

    def join(self, sign: int, tail: float, hours: float) -> None:
        """Take part in an episode of all venues; `tail` is how far out it is, in standard deviations of the log excess.

        A forced episode is left alone.
        """
        if self._is_forced:
            return
        drawn = self._p.excess_bps_median * exp(self._p.excess_sigma * tail)
        self._begin(sign, min(drawn, self._band.excess_bps_max), hours)

    def settle_now(self) -> None:
        """Skip the ramp: be where the present episode, or the calm, is heading."""
        self._level_bps = self._target_bps

    def advance(self, hours: float) -> float:
        """Let `hours` (> 0) pass and return the premium of the mid, in bps."""
        if hours != self._decay[0]:
            self._decay = self._decay_over(hours)
        _, ramp, keep, spread, onset = self._decay
        rng = self._rng
        if self._hours_left > 0:
            self._hours_left -= hours
            if self._hours_left <= 0:
                self._end()
        elif rng.random() < onset:
            self._begin(self._random_sign(), self._random_excess_bps(), self._random_hours())
        self._level_bps = self._target_bps + (self._level_bps - self._target_bps) * ramp
        self._noise = self._noise * keep + rng.gauss(0.0, spread)
        return self.premium_bps

    @property
    def premium_bps(self) -> float:
        """The mid's present premium."""
        level, band = self._level_bps, self._band
        if self._hours_left > 0:
            return level + self._noise * band.wobble * self._excess_bps
        if not band.low_bps <= level <= band.high_bps:
            return level  # on its way back from an episode
        return min(max(level + self._noise * self._p.calm_sd_bps, band.low_bps), band.high_bps)

    def _decay_over(self, hours: float) -> tuple[float, float, float, float, float]:
        keep = exp(-hours / self._p.memory_hours)
        onset = 1 - exp(-self._p.onsets_per_hour * hours)
        return hours, exp(-hours / self._band.ramp_hours), keep, sqrt(1 - keep * keep), onset

    def _begin(self, sign: int, excess_bps: float, hours: float) -> None:
        edge_bps = self._band.high_bps if sign > 0 else self._band.low_bps
        self._excess_bps = excess_bps
        self._hours_left = hours
        self._target_bps = edge_bps + sign * (excess_bps + self._impact_bps)

    def _end(self) -> None:
        self._hours_left = 0.0
        self._excess_bps = 0.0
        self._is_forced = False
        self._target_bps = self._p.calm_mean_bps

    def _random_sign(self) -> int:
        return 1 if self._rng.random() < self._p.positive_share else -1

    def _random_excess_bps(self) -> float:
        drawn = self._rng.lognormvariate(log(self._p.excess_bps_median), self._p.excess_sigma)
        return min(drawn, self._band.excess_bps_max)

    def _random_hours(self) -> float:
        return self._rng.lognormvariate(log(self._p.duration_hours_median), self._p.duration_sigma)


class CommonRegime:
    """Episodes that come over all venues of one asset at once."""

    __slots__ = ("_hours_left", "_p", "_processes", "_rng")

    def __init__(self, parameters: CommonEpisodes, processes: Sequence[PremiumProcess], rng: Random) -> None:
        self._p = parameters
        self._processes = processes
        self._rng = rng
        self._hours_left = 0.0
        if rng.random() < _share_of_time(parameters):
            self._begin(rng.random())
            for process in processes:
                process.settle_now()

    def advance(self, hours: float) -> None:
        """Let `hours` pass; call it before the processes advance."""
        if self._hours_left > 0:
            self._hours_left -= hours
        elif self._rng.random() < 1 - exp(-self._p.onsets_per_hour * hours):
            self._begin(1.0)

    def _begin(self, part_left: float) -> None:
        rng = self._rng
        sign = 1 if rng.random() < self._p.positive_share else -1
        tail = rng.gauss(0.0, 1.0)
        self._hours_left = rng.lognormvariate(log(self._p.duration_hours_median), self._p.duration_sigma) * part_left
        for process in self._processes:
            process.join(sign, tail, self._hours_left)


def _share_of_time(row: PremiumParameters | CommonEpisodes) -> float:
    """Part of the time spent in episodes in the long run."""
    mean_hours = row.duration_hours_median * exp(row.duration_sigma**2 / 2)
    return row.onsets_per_hour * mean_hours / (1 + row.onsets_per_hour * mean_hours)
