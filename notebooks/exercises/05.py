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
        hints |= {-0.05: "A share cannot be negative."}
        hint = hints.get(round(mine[case], 6), "")
        return f"waiting{case} should be {cases[case]}, yours is {mine[case]:.2f}. {hint}".strip()


# %% 2. A row of one byte for each value
# %% Hint 1
# `read_pair(self.pairs[number])` gives image and mask. Resize them with `resize_image` and `resize_mask`, and turn the
# mask into 0 and 1 with `encode_mask`.
# %% Hint 2
# `image_out = ...` would only give a name to another array. `image_out[...] = resize_image(image, self.size)` writes
# into the array that exists.
# %% Stub
class OneByte(FastSequence):
    def write(self, number, image_out, mask_out): ...


# %% Solution
class OneByte(FastSequence):
    def write(self, number, image_out, mask_out):
        image, mask = read_pair(self.pairs[number])
        image_out[...] = resize_image(image, self.size)
        mask_out[...] = encode_mask(resize_mask(mask, self.size))


# %% Check
def judge(OneByte):
    sequence, expected = OneByte(**data), resize(read_pair(pairs[5]))
    outs = [np.full(part.shape, 7, np.uint8) for part in expected]
    sequence.write(5, *outs)
    names = [("image_out", outs[0]), ("mask_out", outs[1])]
    untouched = [name for name, out in names if np.all(out == 7)]
    if untouched:
        return f"Nothing was written into {untouched[0]}. {untouched[0]}[...] = writes into an array that exists."
    elif outs[0].max() <= 1:
        return f"The image holds numbers up to {outs[0].max()}. Do not divide by 255: the model will do it."
    elif not np.array_equal(outs[0], expected[0]):
        return "The image is not that of pair `number`, resized with resize_image."
    elif outs[1].max() > 1:
        return f"The mask holds {outs[1].max()}. encode_mask turns 255 into 1."
    elif not np.array_equal(outs[1], expected[1]):
        return "The mask is not that of pair `number`, resized with resize_mask and then encoded."
    elif not same_as_yours(sequence):
        return "Pair 5 is right, and another one differs from that of your class."
    else:
        return "Right: the same pixels in a quarter of the bytes."


# %% 3. A cache
# %% Hint 1
# Ask `if number not in self.cache:`. Only then call `super().write(number, image_out, mask_out)`, and keep what it wrote.
# %% Hint 2
# Keep `image_out.copy(), mask_out.copy()`: the arrays themselves will be used again for other batches. If the number is in
# the cache already, write
# `image_out[...], mask_out[...] = self.cache[number]`.
# %% Stub
class Cached(Ahead):
    def __init__(self, **data):
        super().__init__(**data)
        self.cache = {}

    def write(self, number, image_out, mask_out): ...


# %% Solution
class Cached(Ahead):
    def __init__(self, **data):
        super().__init__(**data)
        self.cache = {}

    def write(self, number, image_out, mask_out):
        if number in self.cache:
            image_out[...], mask_out[...] = self.cache[number]
        else:
            super().write(number, image_out, mask_out)
            self.cache[number] = image_out.copy(), mask_out.copy()


# %% Check
def judge(Cached):
    sequence, expected = Cached(**data), resize(read_pair(pairs[5]))
    first, later = (
        [np.full(part.shape, 7, np.uint8) for part in expected] for _ in range(2)
    )
    sequence.write(5, *first)
    if not all(map(np.array_equal, first, expected)):
        return "The first time, the rows are not those of OneByte. Let super().write(...) write them."
    elif list(sequence.cache) != [5]:
        return f"After pair 5 was written, the cache holds the numbers {list(sequence.cache)}. It should hold [5]."
    for part in first:
        part[...] = 9  # as augmentation would, or the next batch in the same memory
    sequence.pairs = [None] * len(sequence.pairs)
    try:
        sequence.write(5, *later)
    except Exception:
        return (
            "The second time, it reads the files again. Take the pair from self.cache."
        )
    names = "image_out", "mask_out"
    if empty := [name for name, part in zip(names, later) if np.all(part == 7)]:
        return f"The second time, nothing was written into {empty[0]}. {empty[0]}[...] = writes into an array that exists."
    elif wrong := [
        name for name, part in zip(("image", "mask"), later) if np.all(part == 9)
    ]:
        return f"The {wrong[0]} in the cache changed with the batch. Keep copies of both: image_out.copy(), mask_out.copy()."
    elif not all(map(np.array_equal, later, expected)):
        return "The second time, the rows are not those of the first time."
    else:
        return "Right: each pair is decoded once."


# %% 4. How small may it be decoded?
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
    case = wrong[0]
    right = (cases | {((9999, 9999), (256, 256)): 8})[case]
    return (
        f"shrink{case} should be {right}, yours is {shrink(*case)}. Take the largest n of 1, 2, 4 and 8 for which height "
        "and width are both at least n times the wanted ones; if none fits, 1."
    )
