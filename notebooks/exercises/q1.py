"""Questions of quiz 1: their stubs, hints, solutions and checks."""

# %% 1. Pairs by place
# %% Hint 1
# Write both lists one under the other, each sorted as Python sorts texts: "grain_10" comes before "grain_2".
# %% Hint 2
# `zip` ends with the shorter list: there are three pairs. Compare the stems in each.
# %% Stub
wrong_pairs = None  # a number

# %% Solution
wrong_pairs = 2


# %% Check
def judge(wrong_pairs):
    hints = {
        0: "The lists do not have the same stems, so places do not match.",
        1: "You have found one of them.",
        3: "The first pair is right: both lists begin with grain_1.",
        4: "There are only three pairs: zip ends with the shorter list.",
    }
    if str(wrong_pairs).strip() == "2":
        return "Right: grain_10 gets the mask of grain_2, and grain_2 that of grain_3. The image grain_3 is lost. Nothing is said."
    return f"It is not {wrong_pairs}. {hints.get(wrong_pairs, 'Sort both lists on paper, and compare the stems.')}"


# %% 2. Targets
# %% Hint 1
# Whatever the value of a grain, it is more than 0.
# %% Hint 2
# A comparison gives True and False, `astype(np.float32)` makes 1 and 0 of them, and `[..., None]` adds an axis.
# %% Solution
def to_target(mask):
    return (mask > 0).astype(np.float32)[..., None]


# %% Check
def judge(to_target):
    for name, mask in {"0 and 255": grains, "0 and 1": grains // 255}.items():
        made = to_target(mask.copy())
        wanted = (grains > 0)[..., None]
        if made is None:
            return (
                "Nothing was returned: print only shows a number, return gives it back."
            )
        elif np.shape(made) != wanted.shape:
            return f"The shape is {np.shape(made)}, expected {wanted.shape}: a mask has an axis for its one channel."
        elif not np.array_equal(made, wanted):
            return f"For a mask of {name} you return {np.unique(made)[:4].tolist()}, expected 0 for ground and 1 for grain."
        elif made.dtype != np.float32:
            return f"The values are right, but of type {made.dtype}, expected float32."
    return "Right, for both kinds of masks."


# %% 3. Batches
# %% Hint 1
# How many full batches are there, and what is left?
# %% Hint 2
# 37 = 4 × 8 + 5. The five that are left are a batch too.
# %% Stub
steps, last = None, None  # how many batches, and how many pictures the last one has
batches = steps, last

# %% Solution
batches = 5, 5


# %% Check
def judge(batches):
    hints = {
        (4, 8): "Five pictures would never be seen: the number is rounded up.",
        (4, 5): "Count the last, smaller batch too.",
        (5, 8): "The last batch has what is left.",
        (4.625, 5): "A number of batches is a whole one: round it up.",
    }
    if tuple(batches) == (5, 5):
        return "Right: rounded up, and the last batch has the five that are left."
    return f"It is not {tuple(batches)}. {hints.get(tuple(batches), '37 pictures, 8 in a batch, and none is left out.')}"


# %% 4. Smaller
# %% Hint 1
# Which of the two may get values that were not there before?
# %% Hint 2
# A pixel of a smaller photograph is the average of several. The average of ground and grain is neither of the two.
# %% Stub
smaller = {"image": None, "mask": None}  # "nearest" or "average"

# %% Solution
smaller = {"image": "average", "mask": "nearest"}


# %% Check
def judge(smaller):
    if not isinstance(smaller, dict) or set(smaller) != {"image", "mask"}:
        return "Give a dictionary with the keys image and mask."
    elif not set(smaller.values()) <= {"nearest", "average"}:
        return 'Give each "nearest" or "average".'
    elif smaller["mask"] == "average":
        half = utils.resize_image(np.repeat(grains[..., None], 3, axis=2), (48, 48))
        return f"Averaged, this mask has {len(np.unique(half))} values in place of 2. A mask takes the nearest pixel."
    elif smaller["image"] == "nearest":
        return "An image that takes only some of its pixels gets steps and false patterns. Average it."
    return "Right."


# %% 5. All ground
# %% Hint 1
# The accuracy is the share of right pixels. Which pixels are right if all are called ground?
# %% Hint 2
# Not one pixel is called grain, so truth and answer share none.
# %% Stub
accuracy, iou = None, None
all_ground = accuracy, iou

# %% Solution
all_ground = np.mean(grains == 0), 0.0


# %% Check
def judge(all_ground):
    if len(all_ground) != 2 or None in all_ground:
        return "Give two numbers, the accuracy and the IoU of grain."
    accuracy, iou = map(float, all_ground)
    share = float(np.mean(grains == 0))
    if max(accuracy, iou) > 1:
        return "Give shares, from 0 to 1, and not percent."
    elif accuracy == 0 and np.isclose(iou, share, atol=0.005):
        return "The two are exchanged: first the accuracy."
    elif np.isclose(accuracy, 1 - share, atol=0.005):
        return "That is the share of grain, which are the wrong pixels."
    elif not np.isclose(accuracy, share, atol=0.005):
        return f"The accuracy is not {accuracy:.3f}. Count the pixels that are ground in the mask."
    elif np.isclose(iou, share, atol=0.005):
        return "The accuracy is right. But that is the IoU of ground; asked is that of grain."
    elif iou != 0:
        return f"The accuracy is right, and the IoU of grain is not {iou:.3f}: no pixel was called grain."
    return f"Right: {accuracy:.0%} of the pixels are right, and not one grain is found. So judge by the IoU."


# %% 6. Who calls
# %% Hint 1
# In notebook 02 you wrote the method, and never called it yourself in an epoch.
# %% Hint 2
# Its name says when. And a new order must be there before the next epoch begins.
# %% Stub
who = None  # a letter

# %% Solution
who = "b"


# %% Check
def judge(who):
    hints = {
        "a": "Who iterates by hand must call it by hand. But in a training somebody does it for you.",
        "c": "That would be once for each batch, and the order would change within an epoch.",
        "d": "It is called: without that each epoch would have the same order.",
    }
    letter = str(who).strip(" .)(").lower()
    if letter == "b":
        return "Right: Keras calls it, after each epoch."
    return f"It is not {letter}. {hints.get(letter, 'Give one of the letters a, b, c, d.')}"
