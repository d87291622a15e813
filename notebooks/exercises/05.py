"""Exercises of notebook 05: their stubs, hints, solutions and checks."""


# %% 1. How much waiting?
# %% Hint 1
# The waiting is `real_ms - ready_ms`. To make a share of it, divide by the whole it is a part of: the real step.
# %% Hint 2
# `1 - ready_ms / real_ms` is that share. It is negative where the real step was the shorter one, and `max` of 0 and
# the share mends that.
# %% Solution
def waiting(ready_ms, real_ms):
    return max(0, 1 - ready_ms / real_ms)


# %% Check
def judge(waiting):
    cases = {(40, 400): 0.9, (40, 50): 0.2, (40, 40): 0.0, (42, 40): 0.0}
    mine = {case: waiting(*case) for case in cases}
    if None in mine.values():
        return "Nothing was returned: print only shows a number, return gives it back."
    elif all(
        math.isclose(mine[case], right, abs_tol=1e-9) for case, right in cases.items()
    ):
        return "Right in all four cases."
    else:
        case = next(
            case
            for case, right in cases.items()
            if not math.isclose(mine[case], right, abs_tol=1e-9)
        )
        hints = {
            0.1: "That is the share of the model's own work.",
            360: "These are milliseconds: divide by the step.",
        }
        hints |= {
            9: "Divide by the whole step, not by the model's part.",
            90: "A share, no percent.",
        }
        hints |= {-0.05: "Less than no waiting does not exist."}
        hint = hints.get(round(mine[case], 6), "")
        return f"waiting{case} should be {cases[case]}, yours is {mine[case]:.2f}. {hint}".strip()


# %% 2. How small may it be decoded?
# %% Hint 1
# There are only four candidates, so try each of them. A candidate n fits if height *and* width of the photograph are
# at least n times the wanted ones; this comparison knows no remainder.
# %% Hint 2
# `all(old >= n * new for old, new in zip(photo, wanted))` says whether n fits. Take `max` of the n in (1, 2, 4, 8) for
# which `n == 1` or this holds.
# %% Solution
def shrink(photo, wanted):
    return max(
        n
        for n in (1, 2, 4, 8)
        if n == 1 or all(old >= n * new for old, new in zip(photo, wanted))
    )


# %% Check
def judge(shrink):
    cases = dict.fromkeys([((600, 4096), (256, 256)), ((4096, 600), (256, 256))], 2)
    cases |= {
        ((3072, 4096), (256, 256)): 8,
        ((3072, 4096), (512, 512)): 4,
        ((90, 90), (256, 256)): 1,
    }
    cases |= {((512, 512), (256, 256)): 2}
    wrong = [
        case
        for case, factor in (cases | {((9999, 9999), (256, 256)): 8}).items()
        if shrink(*case) != factor
    ]
    if shrink((3072, 4096), (256, 256)) is None:
        return "Let the function return 1, 2, 4 or 8."
    elif not wrong:
        return "Right in all seven cases."
    elif 600 in wrong[0][0]:
        return f"shrink{wrong[0]} should be 2, yours is {shrink(*wrong[0])}: both sides must still hold what is wanted."
    else:
        return (
            f"shrink{wrong[0]} is {shrink(*wrong[0])} in yours. Only 1, 2, 4 and 8 exist: any remainder, or none, "
            "will do, and if none fits, it is 1."
        )
