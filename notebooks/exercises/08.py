"""Exercises of notebook 08: their stubs, hints, solutions and checks."""


# %% 1. Count the objects
# %% Hint 1
# Give each picture the number 0 when you meet it for the first time. Then add 1 for each object that is large enough.
# %% Hint 2
# `counts.setdefault(row["picture"], 0)` makes the 0. `int(row["area_px"])` makes a number of the text.
# %% Solution
def count_objects(rows, least):
    counts = {}
    for row in rows:
        counts.setdefault(row["picture"], 0)
        counts[row["picture"]] += int(row["area_px"]) >= least
    return counts


# %% Check
def judge(count_objects):
    table = [
        ("b.jpg", 40),
        ("a.jpg", 1000),
        ("b.jpg", 200),
        ("a.jpg", 350),
        ("c.jpg", 9),
    ]
    rows = [{"picture": name, "area_px": str(area)} for name, area in table]
    right = {"b.jpg": 1, "a.jpg": 2, "c.jpg": 0}
    mine = count_objects(rows, 200)
    if mine is None:
        return "Nothing was returned: print only shows it, return gives it back."
    elif not isinstance(mine, dict):
        return f"You return a {type(mine).__name__}, expected a dict."
    elif dict(mine) == {"a.jpg": 2, "b.jpg": 1}:
        return "c.jpg is missing. All its objects are smaller, so its number is 0."
    elif dict(mine) == {"a.jpg": 2, "b.jpg": 0, "c.jpg": 0}:
        return "An object of exactly `least` pixels counts too: >=."
    elif dict(mine) == {"a.jpg": 2, "b.jpg": 2, "c.jpg": 1}:
        return "All objects were counted. Leave out those of fewer than `least` pixels."
    elif dict(mine) != right:
        return f"You return {dict(mine)}, expected {right}."
    else:
        return "Right."


# %% 2. The size of a pixel
# %% Hint 1
# All values of a row are texts. The width of a box in pixels is `int(row["right"]) - int(row["left"])`.
# %% Hint 2
# An object that is 60 pixels wide and 24 mm wide has pixels of 24 / 60 mm. `np.median` takes a list of widths.
# %% Solution
def pixel_size(rows, diameter):
    widths = [int(row["right"]) - int(row["left"]) for row in rows]
    return diameter / np.median(widths)


# %% Check
def judge(pixel_size):
    boxes = (10, 70), (100, 158), (90, 152), (0, 256)
    rows = [{"left": str(left), "right": str(right)} for left, right in boxes]
    mine, right = pixel_size(rows, 24), 24 / 61
    if mine is None:
        return "Nothing was returned: print only shows a number, return gives it back."
    elif np.isclose(mine, right):
        return f"Right: {right:.2f} mm."
    elif np.isclose(mine, 1 / right):
        return "That is the number of pixels in a millimetre. Asked for are millimetres in a pixel."
    elif np.isclose(mine, 24 / 109):
        return "That is the mean of the widths. One object fills the whole picture; the median leaves it aside."
    else:
        return f"Boxes 60, 58, 62 and 256 pixels wide, and 24 mm, should give {right:.3f}; yours is {mine:.3f}."


# %% 3. The best threshold
# %% Hint 1
# For each threshold, `found = probabilities >= threshold`. The IoU is the pixels that both have, divided by those that
# at least one has.
# %% Hint 2
# `np.arange(0.05, 1, 0.05)` are the thresholds. `max(thresholds, key=iou_at)` takes the one for which a function
# `iou_at` is largest.
# %% Solution
def best_threshold(truth, probabilities):
    def iou_at(threshold):
        found = probabilities >= threshold
        return np.sum(truth & found) / np.sum(truth | found)

    return max(np.arange(0.05, 1, 0.05), key=iou_at)


# %% Check
def judge(best_threshold):
    truth = np.arange(1000).reshape(1, 20, 50, 1) >= 600
    chances = np.linspace(0, 0.5, 1000).reshape(truth.shape)  # 0.3 divides them
    shy, bold = chances, 0.4 + chances  # 0.3 and 0.7 are best
    mine = [best_threshold(truth, some) for some in (shy, bold)]
    several = truth & (
        np.arange(1000).reshape(truth.shape) % 3 == 0
    )  # the right pixels and the IoU do not agree
    if None in mine:
        return "Nothing was returned: print only shows a number, return gives it back."
    elif np.allclose(mine, [0.3, 0.7], atol=1e-6) and not np.isclose(
        best_threshold(several, chances), 0.3, atol=1e-6
    ):
        return "You count the right pixels. Compare by the IoU: the pixels of both, divided by those of at least one."
    elif np.allclose(mine, 1):
        return "That is the IoU. Return the threshold that gave it."
    elif np.allclose(mine, [0.3, 0.7], atol=1e-6):
        return "Right."
    elif np.allclose(mine, 0.5):
        return "0.5 for both. The first model never says more than 0.5, and the second rarely less."
    elif np.allclose(mine, [0.05, 0.05]):
        return "The lowest one finds most of the object, and much that is none. Divide by those that at least one has."
    elif all(0 < value <= 1 for value in mine):
        return f"Your answers are {mine[0]:.2f} and {mine[1]:.2f}, expected 0.30 and 0.70. A pixel is found from the threshold on, and the largest IoU wins."
    else:
        return f"Your answer is {mine[0]}. Return the threshold, between 0.05 and 0.95."


# %% 4. Where tiles lie
# %% Hint 1
# How many tiles are needed? The first covers `tile` pixels, each further one at most `tile - overlap` new ones. Then
# spread their starts evenly from 0 to `side - tile`.
# %% Hint 2
# `math.ceil((side - tile) / (tile - overlap))` steps lead to the last start. `np.linspace(0, side - tile, steps + 1)`
# spreads them, and `.round().astype(int).tolist()` makes whole numbers of them.
# %% Solution
def starts(side, tile, overlap):
    if side <= tile:
        return [0]
    steps = -(-(side - tile) // (tile - overlap))
    return [step * (side - tile) // steps for step in range(steps + 1)]


# %% Check
def judge(starts):
    cases = [
        (300, 128, 32),
        (128, 128, 32),
        (100, 128, 32),
        (224, 128, 32),
        (225, 128, 32),
        (1000, 256, 0),
    ]
    for side, tile, overlap in cases:
        mine, name = starts(side, tile, overlap), f"starts({side}, {tile}, {overlap})"
        if mine is None:
            return (
                "Nothing was returned: print only shows a list, return gives it back."
            )
        mine = [*mine]
        if side <= tile:
            if mine != [0]:
                return f"{name} is {mine}. One tile holds all of it: [0]."
            continue
        fewest = 1 - -(side - tile) // (tile - overlap)
        steps = np.diff(mine)
        if not mine or mine[0] != 0:
            return f"{name} is {mine}. The first tile begins at 0."
        elif mine[-1] != side - tile:
            return f"{name} is {mine}. The last tile should end at {side}, so it begins at {side - tile}."
        elif (steps > tile - overlap).any():
            return f"{name} is {mine}. Two neighbours share only {tile - steps.max()} pixels."
        elif len(mine) > fewest:
            return f"{name} has {len(mine)} tiles, and {fewest} are enough."
        elif steps.max() - steps.min() > 1:
            return f"{name} is {mine}. Spread the tiles evenly, to a pixel."
        elif any(one != int(one) for one in mine):
            return f"{name} is {mine}. Starts are whole numbers."
    return "Right in all six cases."
