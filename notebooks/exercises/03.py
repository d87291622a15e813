"""Exercises of notebook 03: their stubs, hints, solutions and checks."""


# %% Together
# %% Stub
def flip_and_turn(image, mask, rng):
    turns, mirror = int(rng.integers(4)), int(rng.integers(2))
    ...  # turn both by `turns` quarters
    ...  # if mirror is 1: mirror both from left to right
    return image, mask


# %% Hint 1
# `np.rot90(array, turns)` turns the first two axes of an array. A slice `array[:, ::-1]` reads the columns backwards,
# which is the mirror image.
# %% Hint 2
# `image, mask = np.rot90(image, turns), np.rot90(mask, turns)` does both at once. Then, under `if mirror:`, the same
# with `image[:, ::-1]` and `mask[:, ::-1]`.
# %% Solution
def flip_and_turn(image, mask, rng):
    turns, mirror = int(rng.integers(4)), int(rng.integers(2))
    image, mask = np.rot90(image, turns), np.rot90(mask, turns)
    return (image[:, ::-1], mask[:, ::-1]) if mirror else (image, mask)


# %% Check
def judge(flip_and_turn):
    image = np.arange(1, 17, dtype=np.float32).reshape(4, 4, 1)
    allowed = {
        np.rot90(part, turns).tobytes()
        for part in (image, image[:, ::-1])
        for turns in range(4)
    }
    seen = set()
    for seed in range(60):
        made = flip_and_turn(image.copy(), 10 * image, np.random.default_rng(seed))
        if not isinstance(made, tuple) or len(made) != 2:
            return "Return two arrays, image and mask."
        one, two = (np.ascontiguousarray(part) for part in made)
        if one.shape != image.shape:
            return f"The image has the shape {one.shape} afterwards, and had {image.shape}."
        if not np.array_equal(two, 10 * one):
            return "Image and mask move apart. Do the same to both, with the same two numbers."
        if one.tobytes() not in allowed:
            return (
                "The image is not the old one, turned by quarters and perhaps mirrored."
            )
        seen.add(one.tobytes())
    if len(seen) < 8:
        return f"In 60 draws came {len(seen)} different views, and there are 8: 4 turns, each mirrored or not."
    return "Right. 8 different views, and image and mask move together."


# %% One step up
# %% Stub
def up(x, copy, filters):
    x = layers.Conv2DTranspose(filters, 2, strides=2)(x)  # doubles height and width
    ...  # put x and copy on top of each other
    return ...  # and send them through a block


# %% Hint 1
# `layers.Concatenate()` takes a list of arrays and puts them behind each other along the last axis, the channels.
# %% Hint 2
# The first line is `x = layers.Concatenate()([copy, x])`. The block takes this and the number of filters, and what it
# makes is returned.
# %% Solution
def up(x, copy, filters):
    x = layers.Conv2DTranspose(filters, 2, strides=2)(x)  # doubles height and width
    x = layers.Concatenate()([copy, x])
    return block(x, filters)


# %% Check
def judge(up):
    low, copy = keras.Input((8, 8, 12)), keras.Input((16, 16, 5))
    made = up(low, copy, 6)
    if not isinstance(made, keras.KerasTensor):
        return f"A {type(made).__name__} came back. Return what the block makes."
    if made.shape[1:] != (16, 16, 6):
        return f"From 8×8 and 16×16 with 6 filters should come 16×16×6, yours is {made.shape[1:]}."
    step = keras.Model([low, copy], made)
    kinds = [type(operation).__name__ for operation in step.operations]
    if "Concatenate" not in kinds:
        joined = (
            " They are added, which needs no Concatenate, but as many channels."
            if "Add" in kinds
            else ""
        )
        return f"The copy is not joined to x by Concatenate.{joined}"
    if kinds.count("Conv2D") != 2:
        return f"There are {kinds.count('Conv2D')} convolutions, and a block has 2: send the result through block once."
    joined = step.operations[kinds.index("Concatenate")]
    if joined.output.shape[-1] != 11:
        return f"Concatenate makes {joined.output.shape[-1]} channels, and 5 + 6 are 11: the copy, and x after doubling."
    return "Right. 8×8 and 16×16 have become 16×16, with what both know."


# %% Intersection over union
# %% Hint 1
# Between boolean arrays `&` is true where both are, and `|` where at least one is. `np.sum` counts what is true.
# %% Hint 2
# Keep `either = np.sum(truth | found)`; the answer is `np.sum(truth & found) / either`, or 1 where `either` is 0.
# %% Solution
def iou(truth, found):
    either = np.sum(truth | found)
    return np.sum(truth & found) / either if either else 1


# %% Check
def judge(iou):
    truth = np.array([[1, 1, 1], [0, 0, 0]], bool)
    found = np.array([[0, 0, 1], [0, 0, 1]], bool)
    empty, score = np.zeros((2, 2), bool), iou(truth, found)
    of = "Of [[1, 1, 1], [0, 0, 0]] and [[0, 0, 1], [0, 0, 1]] "
    if score is None:
        return "Nothing was returned: print only shows a number, return gives it back."
    elif abs(score - 2 / 5) < 1e-9:
        return (
            of
            + "you return 0.40, which is Dice: 2 × both / (sum of the two). IoU divides by the union."
        )
    elif abs(score - 1 / 2) < 1e-9:
        return (
            of
            + "you return 0.50, the share of right pixels, or of found pixels that are right. Divide by the union."
        )
    elif abs(score - 1 / 4) > 1e-4:  # room for a small number against division by zero
        return (
            of
            + f"you return {score:.2f}. One pixel is in both, and four are in either."
        )
    else:
        both_empty = abs(iou(empty, empty) - 1) < 1e-4
        apart = [(truth, ~truth), (truth, truth & False), (truth & False, truth)]
        if any(abs(iou(*pair)) > 1e-4 for pair in apart):
            return "The score is right; but where only one of the two is empty, or they share nothing, it is 0."
        return (
            "Right."
            if both_empty
            else "The score is right; now return 1 for two empty masks, not 0 or nan."
        )


# %% Picture by picture
# %% Stub
def picture_ious(model, batches):
    found = []
    for index in range(len(batches)):
        images, masks = batches[index]
        ...  # append the IoU of coin of each picture
    return found


# %% Hint 1
# `model.predict_on_batch(images)` gives the probabilities of all pictures of a batch, with the shape of the masks. From
# 0.5 on a pixel is coin.
# %% Hint 2
# Loop over `zip(masks, model.predict_on_batch(images))`: each pair is one picture. `iou(mask > 0.5, probability >= 0.5)`
# is its score, and `found.append(...)` keeps it.
# %% Solution
def picture_ious(model, batches):
    found = []
    for index in range(len(batches)):
        images, masks = batches[index]
        for mask, probability in zip(masks, model.predict_on_batch(images)):
            found.append(iou(mask > 0.5, probability >= 0.5))
    return found


# %% Remark
# The mean of these scores is not the IoU of the whole set: in the mean each picture counts the same, and in the set each
# pixel. A picture with one small coin that was missed lowers the mean a lot, and the score of the set a little.


# %% Check
def judge(picture_ious):
    class Fake:
        def predict_on_batch(self, images):
            return images[..., :1]

    rng = np.random.default_rng(0)
    batches = [
        (rng.random((n, 8, 8, 3)), (rng.random((n, 8, 8, 1)) > 0.7).astype(float))
        for n in (3, 2)
    ]
    right = []
    for images, masks in batches:
        for image, mask in zip(images, masks):
            true, coin = mask[..., 0] > 0.5, image[..., 0] >= 0.5
            right.append(np.sum(true & coin) / np.sum(true | coin))
    made = picture_ious(Fake(), batches)
    if made is None:
        return "Nothing was returned: return the list."
    elif len(made) == 2:
        return "There are 5 pictures in 2 batches, and you return 2 numbers: one for each picture, not for each batch."
    elif len(made) != 5:
        return f"There are 5 pictures, and you return {len(made)} numbers."
    elif np.allclose(made, right):
        return "Right: five pictures, five scores. Try it with model and test: is the worst one the picture above?"
    return f"The first picture has an IoU of {right[0]:.3f}, yours is {made[0]:.3f}. Is a pixel coin from 0.5 on?"
