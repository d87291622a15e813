"""Exercises of notebook 05; `python tools/notebooks.py weave` puts hints, stubs and solutions into it."""


# %% 1. How much waiting?
# %% Hint 1
# The waiting is `real_ms - ready_ms`. To make a share of it, divide by the whole it is a part of: the real step.
# %% Hint 2
# `1 - ready_ms / real_ms` is that share. It is negative where the real step was the shorter one, and `max` of 0 and
# the share mends that.
# %% Solution
def waiting(ready_ms, real_ms):
    return max(0, 1 - ready_ms / real_ms)


# %% 2. How small may it be decoded?
# %% Hint 1
# There are only four candidates, so try each of them. A candidate n fits if height *and* width of the photograph are
# at least n times the wanted ones; this comparison knows no remainder.
# %% Hint 2
# `all(old >= n * new for old, new in zip(photo, wanted))` says whether n fits. Take `max` of the n in (1, 2, 4, 8) for
# which `n == 1` or this holds.
# %% Solution
def shrink(photo, wanted):
    return max(n for n in (1, 2, 4, 8) if n == 1 or all(old >= n * new for old, new in zip(photo, wanted)))
