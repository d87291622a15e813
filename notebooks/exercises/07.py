"""Exercises of notebook 07; `python tools/notebooks.py weave` puts hints, stubs and solutions into it."""


# %% 1. One IoU
# %% Hint 1
# A mean of fractions is not the fraction of the whole. Sum over the workers first, `both` and `either` each for
# itself, and divide once.
# %% Hint 2
# `zip(*counts)` turns the pairs into two columns, and `sum` adds up each. Return `both / either if either else 1.0`.
# %% Solution
def iou_of(counts):
    both, either = (sum(column) for column in zip(*counts))
    return both / either if either else 1.0


# %% 2. Whose picture?
# %% Hint 1
# What counts is where the sample stands in the order, not its number. Its place says in which batch it is, and its
# place *within* that batch says who reads it.
# %% Hint 2
# `divmod(order.index(number), batch_size)` gives the step and the place within the batch. The samples of a batch are
# dealt in turn, so the rank is that place modulo `world`.
# %% Solution
def who_reads(order, number, batch_size, world):
    step, place = divmod(order.index(number), batch_size)
    return step, place % world


# %% 3. What the network carries
# %% Hint 1
# One storage serves all machines, so everything is multiplied: machines, pairs, bytes. Two conversions remain, bytes to
# bits and bits to gigabits.
# %% Hint 2
# The product of all three is in bytes a second; times 8 it is in bits, and divided by `1e9` in gigabits.
# %% Solution
def gigabits(machines, pairs_per_second, bytes_per_pair):
    return machines * pairs_per_second * bytes_per_pair * 8 / 1e9
