"""How publishers number their versions: mostly semver, and all that is not."""

import random
from collections.abc import Callable, Iterator, Sequence

from workers.sample.times import Micros, moment


def numbers(rng: random.Random, times: Sequence[Micros]) -> Iterator[str]:
    """A version for each publishing of a name, all different, in one of the ways that publishers have."""
    return rng.choices(_WAYS, _WEIGHTS)[0](rng, times)


def _semver(rng: random.Random, times: Sequence[Micros]) -> Iterator[str]:
    major, minor, patch = rng.choice(((0, 1, 0), (1, 0, 0), (0, 0, 1), (0, 8, 9), (2, 3, 1)))
    for _ in times:
        yield f"{major}.{minor}.{patch}"
        step = rng.random()
        if step < 0.65:
            patch += 1
        elif step < 0.96:
            minor, patch = minor + 1, 0
        else:
            major, minor, patch = major + 1, 0, 0


def _prefixed(rng: random.Random, times: Sequence[Micros]) -> Iterator[str]:
    return (f"v{version}" for version in _semver(rng, times))


def _prereleases(rng: random.Random, times: Sequence[Micros]) -> Iterator[str]:
    """Betas, each third one released."""
    for index, version in enumerate(_semver(rng, times)):
        yield version if index % 3 == 2 else f"{version}-beta.{index + 1}"


def _builds(rng: random.Random, times: Sequence[Micros]) -> Iterator[str]:
    """One release built again and again: equal precedence throughout."""
    return (f"1.4.0+build.{index}.{rng.getrandbits(28):07x}" for index in range(len(times)))


def _dates(_: random.Random, times: Sequence[Micros]) -> Iterator[str]:
    """Days with leading zeros, which makes them no semver."""
    return (f"{moment(time):%Y.%m.%d}.{index}" for index, time in enumerate(times))


def _four_parts(rng: random.Random, times: Sequence[Micros]) -> Iterator[str]:
    return (f"{version}.{index}" for index, version in enumerate(_semver(rng, times)))


def _python(rng: random.Random, times: Sequence[Micros]) -> Iterator[str]:
    """Release candidates and posts as Python packages write them."""
    return (f"{version}{('rc1', '.post1', '')[index % 3]}" for index, version in enumerate(_semver(rng, times)))


_Way = Callable[[random.Random, Sequence[Micros]], Iterator[str]]
_WAYS: tuple[_Way, ...] = (_semver, _prefixed, _prereleases, _builds, _dates, _four_parts, _python)
_WEIGHTS = (88, 1, 4, 1, 3, 2, 1)
