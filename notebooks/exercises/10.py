"""Exercises of notebook 10: their stubs, hints, solutions and checks."""


# %% 1. The rate that falls
# %% Hint 1
# Divide the first rate by each of the others: 0.6 / 0.6, 0.6 / 0.4, 0.6 / 0.3 … By how much does this number grow in a
# step?
# %% Hint 2
# It grows by `decay`: in step `step` it is `1 + decay * step`.
# %% Solution
def rate(lr, decay, step):
    return lr / (1 + decay * step)


# %% Check
def judge(rate):
    cases = [(0.1, 0.5, 2), (0.1, 0.5, 0), (1e-3, 1e-2, 700)]
    right = [
        float(keras.optimizers.schedules.InverseTimeDecay(lr, 1, decay)(step))
        for lr, decay, step in cases
    ]
    mine = [rate(*case) for case in cases]
    hints = {
        0.1 * 0.5**2: "That falls by a factor in each step.",
        0.1 / 1.5**2: "The power is a product: decay × step.",
    }
    hints |= {
        0.1 / 2.5: "Step 0 has the whole rate.",
        0.1: "It does not fall.",
        0.1 * np.exp(-1): "That is an exponential.",
        0.1 / 1.5: "`step` is missing.",
        0.1 / 1 + 0.5 * 2: "The sum below the line needs brackets.",
        0.1 * (1 - 0.5 * 2): "That falls by the same amount in each step.",
        1e-3 / 2: "It must use `lr`.",
    }
    if None in mine:
        return "Nothing was returned: print only shows a number, return gives it back."
    elif not np.allclose(mine, right, rtol=1e-5):
        place = int(np.argmin(np.isclose(mine, right, rtol=1e-5)))
        hint = hint_for(mine[0], hints, "Divide the rate by 1 + ….")
        return f"rate{cases[place]} should be {right[place]:.4g}, yours is {mine[place]:.4g}. {hint}"
    else:
        return "Right in all three cases."


# %% 2. Dice with keras.ops
# %% Hint 1
# `keras.ops.sum(x)` adds up all numbers of a tensor, whatever its shape. So nothing needs to be flattened.
# %% Hint 2
# `truth * found` works on tensors as on arrays. Put three sums together: of the product, of `truth` and of `found`.
# %% Solution
def dice(truth, found):
    both = keras.ops.sum(truth * found)
    return (2 * both + 1) / (keras.ops.sum(truth) + keras.ops.sum(found) + 1)


# %% Check
def judge(dice):
    rng = np.random.default_rng(0)
    truth = (rng.random((2, 4, 4, 1)) > 0.7).astype(np.float32)
    found = rng.random(truth.shape, dtype=np.float32)
    both, all_true, all_found = (
        float(part.sum()) for part in (truth * found, truth, found)
    )
    right = (2 * both + 1) / (all_true + all_found + 1)
    hints = {
        1 - right: "That is the loss. Dice itself is 1 where both agree.",
        2 * both / (all_true + all_found): "Add the two 1s.",
        (both + 1) / (all_true + all_found + 1): "The sum of the product counts twice.",
        (2 * both + 1) / (all_true + all_found): "The 1 stands below the line too.",
        (2 * both + 1)
        / (
            all_true + all_found - both + 1
        ): "That divides by the union, as an IoU does.",
        (both + 1)
        / (
            all_true + all_found - both + 1
        ): "That is the IoU, which divides by the union.",
    }
    cut = (found > 0.5).astype(np.float32)
    soft = [
        (2 * (t * f).sum() + 1) / (t.sum() + f.sum() + 1)
        for t, f in zip(truth, found, strict=True)
    ]
    hints |= {
        np.mean(soft): "That is a mean over the pictures. Sum over all of them first.",
        (2 * (truth * cut).sum() + 1)
        / (all_true + cut.sum() + 1): "Do not cut the probabilities.",
    }
    made = dice(*map(keras.ops.convert_to_tensor, (truth, found)))
    if made is None:
        return "Nothing was returned: print only shows a number, return gives it back."
    elif np.ndim(made):
        return f"The shape is {tuple(np.shape(made))}, expected one number: sum over all axes."
    try:
        tf.function(dice, autograph=False)(truth, found)
    except (NotImplementedError, TypeError, AttributeError):
        return "It works on numbers, but not inside `fit`, which draws up a plan of the sums first. Use keras.ops alone, no NumPy and no float()."
    if np.isclose(float(made), right, rtol=1e-4):
        return "Right: a sum needs no flattening."
    hint = hint_for(
        float(made),
        hints,
        "(2 × the sum of the product + 1) / (the sum of both + 1).",
        rtol=1e-4,
    )
    return (
        f"For a random pair you return {float(made):.3f}, expected {right:.3f}. {hint}"
    )


# %% 3. One Sequence
# %% Hint 1
# `utils.find_pairs(imgs_dir, masks_dir)` finds the pairs of a folder, and `pair.stem` is the name of one. Give the list
# of stems to `utils.DataGenerator`, with both folders, `batch_size` and `size`.
# %% Hint 2
# Only three arguments depend on the training: `shuffle=train`, `seed=seed`, and `augment=`, which is None or
# `utils.KerasAugment(keras.layers.RandomRotation(20 / 360), keras.layers.RandomFlip("horizontal"))`.
# %% Stub
def pair_batches(folder, batch_size=4, size=128, train=False, seed=0): ...


# %% Solution
def pair_batches(folder, batch_size=4, size=128, train=False, seed=0):
    images, masks = f"{folder}/imgs", f"{folder}/masks"
    ids = [pair.stem for pair in utils.find_pairs(images, masks)]
    turn = keras.layers.RandomRotation(20 / 360)
    flip = keras.layers.RandomFlip("horizontal")
    augment = utils.KerasAugment(turn, flip) if train else None
    settings = {"shuffle": train, "seed": seed, "augment": augment}
    return utils.DataGenerator(ids, images, masks, batch_size, size, **settings)


# %% Check
def how_turned(plain, turned):
    """About how many degrees each picture is turned, and whether it is mirrored: as the most similar one is."""
    import cv2

    side = plain.shape[1]
    middle = (side - 1) / 2
    inside = np.hypot(*(np.indices((side, side)) - middle)) < 0.45 * side
    candidates = []
    for image in plain:
        sides = {"as it is": image, "mirrored": image[:, ::-1]}
        for name, version in (sides | {"upside down": image[::-1]}).items():
            for angle in range(-80, 81, 10):
                move = cv2.getRotationMatrix2D((middle, middle), angle, 1)
                version = np.ascontiguousarray(version)
                warped = cv2.warpAffine(version, move, (side, side))[inside]
                candidates.append((warped, abs(angle), name))
    nearest = [
        min(candidates, key=lambda one: np.abs(one[0] - image[inside]).mean())
        for image in turned
    ]
    return [angle for _, angle, _ in nearest], {name for *_, name in nearest}


def judge(pair_batches):
    def whole(sequence):
        return np.concatenate([sequence[index][0] for index in range(len(sequence))])

    folder, stopped = FEW / "valid", set()
    for given in (folder, str(folder)):
        try:
            pair_batches(given, size=64)
        except TypeError:
            stopped.add("text" if isinstance(given, str) else "Path")
    if len(stopped) == 1:
        return f'`folder` can be a text or a Path, and yours takes no {stopped.pop()}. Write f"{{folder}}/imgs".'
    valid = pair_batches(folder, size=64)
    if valid is None:
        return "Nothing was returned. Return the DataGenerator."
    elif not isinstance(valid, keras.utils.PyDataset):
        return f"You return {type(valid).__name__}. Return a Sequence, such as a DataGenerator."
    stems = sorted(path.stem for path in folder.glob("imgs/*"))
    plain = utils.DataGenerator(
        stems, folder / "imgs", folder / "masks", 6, 64, shuffle=False
    )[0]
    made = whole(valid)
    if len(made) != 6:
        return f"The validation gives {len(made)} of 6 pictures."
    elif made.shape != plain[0].shape:
        return f"The images are {made.shape[1:]}, expected (64, 64, 3): hand `size` on."
    elif len(valid[0][0]) != 4 or len(pair_batches(folder, 2, 64)) != 3:
        return "The batches have another size. Hand `batch_size` on."
    valid.on_epoch_end()
    later = whole(valid)
    known = {image.tobytes() for image in plain[0]}
    mirrored = known | {image[:, ::-1].tobytes() for image in plain[0]}
    if not all(image.tobytes() in known for image in made):
        return "The validation pictures are turned or mirrored. Without `train` give no `augment`."
    elif not (np.array_equal(made, plain[0]) and np.array_equal(later, plain[0])):
        if getattr(valid, "shuffle", True):
            return "The validation pictures are shuffled. Give `shuffle=train`."
        return "The validation pictures do not come in the order of their names. Take the stems of `find_pairs`."
    first, again, other = (
        whole(pair_batches(folder, size=64, train=True, seed=seed))
        for seed in (1, 1, 2)
    )
    if first.shape != made.shape:
        return f"The training gives {len(first)} of 6 pictures."
    elif all(image.tobytes() in known for image in first):
        return "The training pictures are neither turned nor mirrored. Give `augment` if `train` is true."
    elif all(image.tobytes() in mirrored for image in np.concatenate([first, other])):
        return "The training pictures are mirrored, but not turned."
    elif not np.array_equal(first, again):
        return "The same seed gives two different batches. Leave the drawing to the DataGenerator."
    elif np.array_equal(first, other):
        return "Two seeds give the same batches. Hand `seed` on."
    orders = [pair_batches(folder, size=64, train=True, seed=seed) for seed in range(4)]
    for order in orders:
        order.augment = None
    if all(np.array_equal(whole(order), plain[0]) for order in orders):
        return "The training pictures come in the order of the folder. Give `shuffle=train`."
    images, masks = pair_batches(PORT / "same", 8, train=True)[0]
    turned = np.sum((images[..., :1] > 0.5) & (masks > 0.5)) / np.sum(
        (images[..., :1] > 0.5) | (masks > 0.5)
    )
    angles, sides = how_turned(plain[0], np.concatenate([first, other]))
    if not np.isin(masks, (0, 1)).all():
        return "The masks hold values between 0 and 1. A mask is turned by its nearest pixel."
    elif turned < 0.9:
        return "Images and masks are turned differently. Change both in one place."
    elif "upside down" in sides:
        return 'Some pictures stand upside down. Mirror them left to right only: RandomFlip("horizontal").'
    elif "mirrored" not in sides:
        return "The training pictures are turned, but not mirrored."
    elif max(angles) > 30:
        return f"A picture is turned by about {max(angles)} degrees. At most 20: the number of RandomRotation is a part of a whole turn, 20 / 360."
    else:
        return "Right: sharp masks, equal turns, a seed of its own, and a validation that stays as it is."


# %% 4. IoU of the whole set
# %% Hint 1
# A fraction of sums is not a mean of fractions: add up `both` and `either` over the batches first.
# %% Hint 2
# `sum(both) / sum(either)` is the score; where `sum(either)` is 0, return 0 in its place.
# %% Solution
def whole_iou(both, either):
    return sum(both) / sum(either) if sum(either) else 0


# %% Check
def judge(whole_iou):
    score, empty = whole_iou([60, 0], [100, 20]), None
    if score is not None:
        with contextlib.suppress(ZeroDivisionError):
            empty = whole_iou([0, 0], [0, 0])
    hints = {
        2 * 60 / (60 + 120): "That is Dice.",
        50: "A fraction, not percent.",
        61 / 121: "Add no 1.",
        2: "The other way round: both divided by either.",
        60 / 180: "`either` already holds the pixels of `both`.",
    }
    if score is None:
        return "Nothing was returned: print only shows a number, return gives it back."
    elif np.ndim(score):
        return "Return one number, for all batches together."
    elif np.isclose(score, 0.3):
        return "You return 0.30, the mean over batches: 20 pixels weigh as much as 100."
    elif np.isclose(score, 0.6):
        return "You return 0.60: a batch was left out, one of 20 pixels in either mask and none in both."
    elif not np.isclose(score, 0.5):
        hint = hint_for(score, hints, "Sum first, divide once.")
        return f"You return {score:.3g}, expected 0.5. {hint}"
    else:
        return (
            "Right."
            if empty == 0
            else "The score is right; now return 0 where both sums are 0."
        )
