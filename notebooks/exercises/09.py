"""Exercises of notebook 09: their stubs, hints, solutions and checks."""


# %% 1. Whose picture?
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


# %% Check
def judge(who_reads):
    rng = np.random.default_rng(3)
    problems = [
        (rng.permutation(13).tolist(), int(rng.integers(13)), *((4, 3), (6, 4))[n % 2])
        for n in range(30)
    ]
    at_place = [
        (order.index(number), size, world) for order, number, size, world in problems
    ]
    right = [(place // size, place % size % world) for place, size, world in at_place]
    mine = [who_reads(*problem) for problem in problems]
    if all(isinstance(answer, list) for answer in mine):
        mine = [tuple(answer) for answer in mine]
    wrong = next((n for n, answer in enumerate(mine) if answer != right[n]), None)
    if None in mine:
        return "Let the function return (step, rank)."
    elif wrong is None:
        return "Right, for 30 samples: nobody had to ask the other workers."
    elif mine == [
        (number // size, number % size % world) for _, number, size, world in problems
    ]:
        return "That is the place in the list of ids. Look for the number's place in `order` first."
    elif mine == [(place // size, place % world) for place, size, world in at_place]:
        return "The step is right. Deal anew in each batch: count from the batch's first sample."
    elif mine == [
        (order[number] // size, order[number] % size % world)
        for order, number, size, world in problems
    ]:
        return "order[number] is the sample at that place. You need the place of that sample: order.index(number)."
    elif mine == [(rank, step) for step, rank in right]:
        return "The two are exchanged: (step, rank)."
    else:
        return f"who_reads{problems[wrong]} should be {right[wrong]}, yours is {mine[wrong]}."


# %% 2. One IoU
# %% Hint 1
# A mean of fractions is not the fraction of the whole. Sum over the workers first, `both` and `either` each for
# itself, and divide once.
# %% Hint 2
# `zip(*counts)` turns the pairs into two columns, and `sum` adds up each. Return `both / either if either else 1.0`.
# %% Solution
def iou_of(counts):
    both, either = (sum(column) for column in zip(*counts))
    return both / either if either else 1.0


# %% Check
def judge(iou_of):
    cases = {
        ((90, 100), (0, 20)): 0.75,
        ((3, 4),): 0.75,
        ((5, 10), (0, 0), (1, 2)): 0.5,
        ((0, 0), (0, 0)): 1.0,
    }
    try:
        mine = {case: iou_of(list(case)) for case in cases}
    except ZeroDivisionError:
        mine = dict.fromkeys(cases, "a division by zero")
    wrong = [case for case in cases if mine[case] != cases[case]]
    if None in mine.values():
        return "Nothing was returned: print only shows a number, return gives it back."
    elif "a division by zero" in mine.values():
        return "Something divides by zero. Sum over the workers first. If nobody has a pixel of the class, the sum is 0: return 1.0."
    elif not wrong:
        return "Right: sums first, then one fraction."
    else:
        mean = np.mean([both / either for both, either in wrong[0] if either] or [1])
        hint = (
            "That is the mean of the workers' IoUs: sum both and either first."
            if mine[wrong[0]] == mean
            else ""
        )
        return f"iou_of({list(wrong[0])}) should be {cases[wrong[0]]}, yours is {mine[wrong[0]]}. {hint}"


# %% 3. What the network carries
# %% Hint 1
# One storage serves all machines, so everything is multiplied: machines, pairs, bytes. Two conversions remain, bytes to
# bits and bits to gigabits.
# %% Hint 2
# The product of all three is in bytes a second; times 8 it is in bits, and divided by `1e9` in gigabits.
# %% Solution
def gigabits(machines, pairs_per_second, bytes_per_pair):
    return machines * pairs_per_second * bytes_per_pair * 8 / 1e9


# %% Check
def judge(gigabits):
    mine = gigabits(64, 1_000, 100_000)
    mistakes = {
        6.4: "Those are gigabytes: a byte has 8 bits.",
        0.8: "That is one machine's share, or divided by 8: multiply by machines and by 8.",
        51: "Do not round.",
    }
    mistakes[round(51.2e9 / 2**30, 6)] = (
        "A gigabit of a network is 10**9 bits, not 2**30."
    )
    if mine is None:
        return "Nothing was returned: print only shows a number, return gives it back."
    elif abs(mine - 51.2) < 1e-9 and abs(gigabits(3, 700, 50_000) - 0.84) > 1e-9:
        return f"For 64 machines it is right. For 3 machines with 700 pairs of 50,000 bytes it should be 0.84, yours is {gigabits(3, 700, 50_000):g}. Use all three arguments, and do not round."
    elif abs(mine - 51.2) < 1e-9:
        return f"Right: {mine:.1f} gigabits a second, more than a network card of 40 gigabits."
    else:
        return f"It should be 51.2, yours is {mine:g}. " + mistakes.get(
            round(mine, 6), "Multiply all, then divide by 10**9."
        )
