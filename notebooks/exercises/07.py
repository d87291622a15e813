"""Exercises of notebook 07: their stubs, hints, solutions and checks."""


# %% 1. From colours to class indices
# %% Hint 1
# Begin with an array of a value that is no class, such as 255. For each colour of the table, find the pixels that have
# it, and write its index there.
# %% Hint 2
# `np.all(rgb == colour, axis=-1)` is True for the pixels of a colour. What is still 255 at the end had no colour of the
# table: `rgb[indices == 255][0]` is such a colour.
# %% Solution
def to_indices(rgb, table):
    indices = np.full(rgb.shape[:2], 255, np.uint8)
    for colour, index in table.items():
        indices[np.all(rgb == colour, axis=-1)] = index
    if (indices == 255).any():
        colour = tuple(rgb[indices == 255][0].tolist())
        raise ValueError(f"{colour} is not in the table")
    return indices[..., None]


# %% Check
def judge(to_indices):
    table = {(0, 0, 0): 0, (86, 180, 233): 1, (230, 159, 0): 2, (0, 0, 233): 3}
    right = np.arange(24, dtype=np.uint8).reshape(4, 6) % 4
    rgb = np.array(list(table), np.uint8)[right]
    mine = to_indices(rgb.copy(), table)
    if mine is None:
        return "Nothing was returned."
    elif np.shape(mine) == (4, 6):
        return "The shape is (4, 6). A mask has a last axis of 1: indices[..., None]."
    elif np.shape(mine) != (4, 6, 1):
        return f"The shape is {np.shape(mine)}, expected (4, 6, 1)."
    elif np.asarray(mine).dtype != np.uint8:
        return f"The dtype is {np.asarray(mine).dtype}, expected uint8."
    elif (mine[..., 0] == 3).sum() != 6:
        return "Two colours of the table differ in red and green alone. Compare all three channels: np.all(..., axis=-1)."
    elif not np.array_equal(mine[..., 0], right):
        return "Some pixels got another index than that of their colour in the table."
    import re

    rgb[2, 3] = 86, 180, 230
    try:
        to_indices(rgb, table)
    except ValueError as error:
        numbers = re.findall("[0-9]+", str(error))
        if {"86", "180", "230"} <= set(numbers):
            return "Right."
        return f"A strange colour raises, and the message does not name it: {str(error)!r}."
    except Exception as error:
        return f"A colour that is not in the table raises a {type(error).__name__}, expected a ValueError that names it."
    return "The colour (86, 180, 230) is not in the table, and it became a class in silence. Raise a ValueError."


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


# %% 3. Weights by hand
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
    import math

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


# %% 4. From a confusion matrix to IoU
# %% Hint 1
# The diagonal holds the pixels that are right. A row in sum is the class in the masks, and a column in sum what the
# network calls so.
# %% Hint 2
# At least one of the two: row plus column, minus the diagonal, which stands in both. `matrix.sum(axis=1)` are the rows.
# %% Solution
def ious_of(matrix):
    both = np.diag(matrix)
    return both / (matrix.sum(axis=0) + matrix.sum(axis=1) - both)


# %% Check
def judge(ious_of):
    matrix = np.array([[90, 6, 4], [0, 30, 10], [5, 0, 15]])
    both = np.diag(matrix)
    right = both / (matrix.sum(axis=0) + matrix.sum(axis=1) - both)
    mine = ious_of(matrix.copy())
    if mine is None:
        return "Nothing was returned: print only shows it, return gives it back."
    elif np.shape(mine) != (3,):
        return (
            f"The shape is {np.shape(mine)}, expected one number for each of 3 classes."
        )
    elif np.allclose(mine, right):
        return "Right."
    elif np.allclose(mine, both / matrix.sum(axis=1)):
        return "That is the recall: divided by the pixels of the class in the masks alone. Add those that are called so."
    elif np.allclose(mine, both / matrix.sum(axis=0)):
        return "That is the precision: divided by what is called so alone. Add the pixels of the class in the masks."
    elif np.allclose(mine, both / (matrix.sum(axis=0) + matrix.sum(axis=1))):
        return "The right pixels stand in row and column, and count twice: subtract them once."
    elif np.allclose(mine, 2 * both / (matrix.sum(axis=0) + matrix.sum(axis=1))):
        return "That is Dice. IoU divides the right pixels by those of at least one of the two."
    else:
        return f"You return {np.round(mine, 3).tolist()}, expected {np.round(right, 3).tolist()}."
