"""Questions of quiz 2: their stubs, hints, solutions and checks."""

# %% 1. Does it wait
# %% Hint 1
# With ready batches nothing waits. What is the rest of the step?
# %% Hint 2
# 80 − 60 = 20 ms of 80 ms.
# %% Stub
waiting = None  # a share, from 0 to 1

# %% Solution
waiting = 0.25


# %% Check
def judge(waiting):
    hints = {
        0.75: "That is the share in which it works.",
        1 / 3: "20 ms of the real step, which has 80 ms and not 60.",
        25: "A share is from 0 to 1.",
        75: "A share is from 0 to 1. And that is the part in which it works.",
        20: "Those are milliseconds. Which share of the real step are they?",
    }
    if isinstance(waiting, str):
        return "Give a number, without a sign for percent."
    if np.isclose(waiting, 0.25):
        return "Right: a quarter of the time. A faster loader would save at most that."
    hint = hint_for(waiting, hints, "Compare 20 ms with the real step.", atol=0.01)
    return f"It is not {waiting}. {hint}"


# %% 2. A cache
# %% Hint 1
# A pixel has three bytes in the image and one in the mask.
# %% Hint 2
# 2,000 × 384 × 384 × 4 bytes. A gigabyte is 10⁹ bytes.
# %% Stub
gigabytes = None

# %% Solution
gigabytes = 2_000 * 384 * 384 * 4 / 1e9


# %% Check
def judge(gigabytes):
    right = 2_000 * 384 * 384 * 4 / 1e9
    hints = {
        right * 0.75: "The masks need room too: one byte for each pixel.",
        right / 4: "An image has three channels, and a mask one.",
        right * 4: "That is in float32. In uint8 a value has one byte.",
        right * 1e9: "Those are bytes: divide by 10**9.",
        right * 1e3: "Those are megabytes.",
        right * 1e9 / 2**30: "A gigabyte is 10**9 bytes here, not 2**30.",
    }
    if np.isclose(gigabytes, right, rtol=0.02):
        return f"Right, {right:.2f} GB. In float32 it would be {4 * right:.1f} GB: four times as much."
    hint = hint_for(gigabytes, hints, "Pictures × height × width × 4 bytes.", rtol=0.02)
    return f"It is not {gigabytes}. {hint}"


# %% 3. A split
# %% Hint 1
# Which pictures look alike, although they are different files?
# %% Hint 2
# Slices of one grain stone share their grains. All of one stone belong in one part.
# %% Solution
def group(name):
    return name.split("_")[0]


# %% Check
def judge(group):
    names = ["stone7_slice01_left", "stone7_slice30_right", "stone12_slice01_left"]
    made = [group(name) for name in names]
    many = [f"stone{number}_slice{number:02d}_left" for number in range(1, 131)]
    if None in made:
        return "Nothing was returned: print only shows a text, return gives it back."
    elif made[0] != made[1]:
        return f"{names[0]} and {names[1]} are of one stone, and you give {made[0]!r} and {made[1]!r}."
    elif made[0] == made[2]:
        return f"{names[0]} and {names[2]} are two stones, and both get {made[0]!r}."
    elif not all(isinstance(one, str) for one in made):
        return f"You return {type(made[0]).__name__}. Return a text."
    elif len({group(name) for name in many}) < len(many):
        return "Stones of many digits, such as stone12 and stone123, must not share a group. Take all before the first _."
    return "Right: a stone stays whole, in training, validation or test."


# %% 4. Void
# %% Hint 1
# Leave out the pixels of value 255 first, in truth and answer alike. Then it is an ordinary IoU.
# %% Hint 2
# `known = truth != 255`, and then `truth[known] == 1` and `found[known]`.
# %% Solution
def known_iou(truth, found):
    known = truth != 255
    one, other = truth[known] == 1, found[known]
    return np.sum(one & other) / np.sum(one | other)


# %% Check
def judge(known_iou):
    made, mirrored = (
        known_iou(truth[:, ::way].copy(), found.copy()) for way in (1, -1)
    )
    known, one = truth != 255, truth == 1
    right = np.sum(one & found & known) / np.sum((one | found) & known)
    hints = {
        np.sum(one & found)
        / np.sum(
            one | found
        ): "Void pixels that were found count as wrong there. Leave them out.",
        np.sum((truth > 0) & found)
        / np.sum((truth > 0) | found): "There void counts as grain. Leave it out.",
        np.mean((one == found)[known]): "That is the accuracy.",
    }
    if made is None:
        return "Nothing was returned: print only shows a number, return gives it back."
    elif np.ndim(made):
        return f"The shape is {np.shape(made)}, expected one number."
    elif np.isclose(made, right) and np.isclose(made, mirrored):
        return (
            "It must be computed from the two arguments: for another mask it is wrong."
        )
    elif np.isclose(made, right):
        return (
            f"Right: {right:.2f}, and nobody is blamed for a pixel that nobody knows."
        )
    hint = hint_for(
        made,
        hints,
        "Truth and answer share what both call grain; divide by what at least one calls grain.",
    )
    return f"It is not {float(made):.3f}. {hint}"


# %% 5. The threshold
# %% Hint 1
# The test pictures are there to judge at the end. What is chosen on them is judged too well.
# %% Hint 2
# The network knows the training pictures, and its probabilities are too good there.
# %% Stub
part = None  # "train", "validation" or "test"

# %% Solution
part = "validation"


# %% Check
def judge(part):
    hints = {
        "train": "The network knows these pictures by heart, so its probabilities are surer there than elsewhere.",
        "test": "Then the test is no test any more: the score would be too good.",
    }
    name = str(part).strip().lower()
    if name == "validation":
        return "Right."
    return f"Not {name}. {hints.get(name, 'Give train, validation or test.')}"


# %% 6. Tiles
# %% Hint 1
# How many tiles lie side by side? The first covers 256 pixels, each further one at most 192 new ones.
# %% Hint 2
# (1000 − 256) / 192 = 3.9, rounded up 4 more: five in a row. And five rows.
# %% Stub
tiles = None

# %% Solution
tiles = 25


# %% Check
def judge(tiles):
    hints = {
        16: "Four in a row cover 256 + 3 × 192 = 832 pixels. A part would be left out.",
        5: "Those are the tiles of a row.",
        36: "Five in a row are enough.",
        15.25: "Tiles are whole: round up in each direction.",
    }
    if np.array_equal(tiles, (5, 5)):
        return "Five rows of five. How many tiles are that? Multiply the two."
    if str(tiles).strip() == "25":
        return "Right: five rows of five."
    return f"It is not {tiles}. {hints.get(tiles, 'Count one row first.')}"
