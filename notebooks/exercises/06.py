"""Exercises of notebook 06: their stubs, hints, solutions and checks."""


# %% 1. Weights by hand
# %% Hint 1
# Weighted, a class counts its pixels times its weight. For this to be the same for all classes, the weight must be
# some number divided by `counts`; the mean says which number.
# %% Hint 2
# All weights together must amount to `counts.sum()`, shared equally among `len(counts)` classes. So each class gets
# `counts.sum() / len(counts)`, divided by its own count.
# %% Solution
def weights_of(counts):
    return counts.sum() / (len(counts) * counts)


# %% Check
def judge(weights_of):
    counts = np.array([80, 15, 5])
    mine = weights_of(counts)
    if mine is None:
        return "Let the function return an array."
    elif np.shape(mine) != counts.shape:
        return f"Your answer has the shape {np.shape(mine)}, expected one weight for each of 3 classes."
    elif not np.allclose(mass := mine * counts, mass[0]):
        hint = (
            "Do not round."
            if np.allclose(mass, mass[0], rtol=0.02)
            else "Divide by counts."
        )
        return f"Weighted, the classes count {np.round(mass, 1).tolist()}, and should count the same. {hint}"
    elif not math.isclose(mass.sum(), counts.sum()):
        hint = (
            "Divide by the number of classes too."
            if math.isclose(mass.sum(), 3 * counts.sum())
            else "Begin with counts.sum()."
        )
        mean = mass.sum() / counts.sum()
        return f"All classes count the same, but the mean weight of a pixel is {mean:.3g}, expected 1. {hint}"
    else:
        return f"Right: every class counts {mass[0]:.1f} of 100 pixels."


# %% 2. An augmentation of your own
# %% Hint 1
# Draw the two steps first, once, and keep them. Then move image and mask by the same two.
# %% Hint 2
# `way = rng.integers(-8, 9, size=2)` draws both (the upper end is left out), and `np.roll(image, way, axis=(0, 1))`
# moves the image. The mask moves in the same way.
# %% Stub
def shift(image, mask, rng):
    return image, mask


# %% Solution
def shift(image, mask, rng):
    way = rng.integers(-8, 9, size=2)
    return np.roll(image, way, axis=(0, 1)), np.roll(mask, way, axis=(0, 1))


# %% Check
def judge(shift):
    def offset(before, after):
        """By how much np.roll moved one array to the other; None if it did not."""
        steps = ((down, right) for down in range(-8, 9) for right in range(-8, 9))
        return next(
            (
                step
                for step in steps
                if np.array_equal(np.roll(before, step, axis=(0, 1)), after)
            ),
            None,
        )

    image = np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8)
    pair = image, image[..., :1] // 100
    moves = [
        [
            offset(*both)
            for both in zip(pair, shift(*pair, np.random.default_rng(n)), strict=True)
        ]
        for n in range(200)
    ]
    again = [
        offset(*both)
        for both in zip(pair, shift(*pair, np.random.default_rng(0)), strict=True)
    ]
    down, right = (len({move[0][axis] for move in moves if move[0]}) for axis in (0, 1))
    if all(move == [(0, 0)] * 2 for move in moves):
        return "The pair stays where it is."
    elif any(None in move for move in moves):
        return "Image or mask is not what np.roll makes by -8 to 8 pixels: values, size or a longer way."
    elif any(one != two for one, two in moves):
        return "Image and mask move apart: draw once, and use the two numbers for both."
    elif again != moves[0]:
        return "The same rng moved it elsewhere: draw from rng, not from np.random."
    elif down < 3 or right < 3:
        return f"Different steps in 200 draws: {down} down, {right} to the right. Draw both."
    elif all(one[0] == one[1] for one, _ in moves):
        return "In 200 draws always as far down as to the right: draw two numbers."
    elif {down, right} != {17}:
        return f"Of the 17 steps from -8 to 8 came {down} down and {right} to the right. Are both ends among yours?"
    else:
        return "Right: image and mask move alike, by what rng says."


# %% 3. A rule for the audit
# %% Hint 1
# You are given the areas of all parts. The ground is the first of them and no object, so leave it out, then count the
# small ones.
# %% Hint 2
# `cv2.connectedComponentsWithStats(mask)[2][1:, cv2.CC_STAT_AREA]` are the areas without the ground. `areas < least`
# is True for the specks, and `np.sum` counts them.
# %% Solution
def specks(mask, least):
    areas = cv2.connectedComponentsWithStats(mask)[2][1:, cv2.CC_STAT_AREA]
    return int(np.sum(areas < least))


# %% Check
def judge(specks):
    coin = cv2.circle(np.zeros((64, 64), np.uint8), (32, 32), 12, 255, -1)
    dotted = coin.copy()
    dotted[2, 2] = dotted[60, 5:8] = dotted[60:62, 50:55] = 255
    cases = {
        "a coin": (coin, 0),
        "a coin, specks of 1 and 3 pixels, and one of just 10": (dotted, 2),
    }
    cases |= {
        "a mask that is all coin but for 4 pixels": (
            np.where(np.arange(4096) < 4, 0, 255).astype(np.uint8),
            0,
        )
    }
    mine = {
        name: specks(mask.reshape(64, 64, 1), 10) for name, (mask, _) in cases.items()
    }
    wrong = [name for name, (_, right) in cases.items() if mine[name] != right]
    hints = {
        2: "Objects only: leave out the ground.",
        1: "A speck has fewer than least pixels, not as many. Count specks, not their pixels.",
        0: "A coin is no speck.",
    }
    if None in mine.values():
        return "Nothing was returned: print only shows a number, return gives it back."
    elif wrong:
        place = list(cases).index(wrong[0])
        return f"specks(mask, 10) of {wrong[0]} should be {cases[wrong[0]][1]}, yours is {mine[wrong[0]]}. {hints[place]}"
    else:
        return "Right for all three masks."
