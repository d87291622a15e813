"""Exercises of notebook 06: their stubs, hints, solutions and checks."""

# %% 1. The labels of a folder
# %% Hint 1
# `folder.glob("*.json")` gives the files. `json.loads(path.read_text(encoding="utf-8"))["shapes"]` is a list of dicts,
# and each has a "label".
# %% Hint 2
# `Counter(...)` counts what it is given, so give it one label after the other: two loops in one generator expression,
# `shape["label"] for path in ... for shape in ...`.
# %% Stub
from collections import Counter


def count_labels(folder): ...


# %% Solution
from collections import Counter


def count_labels(folder):
    return Counter(
        shape["label"]
        for path in folder.glob("*.json")
        for shape in json.loads(path.read_text(encoding="utf-8"))["shapes"]
    )


# %% Check
def judge(count_labels):
    import tempfile

    files = {"a": ["coin", "hand", "coin"], "b": [], "c": ["동전"]}
    right = {"coin": 2, "hand": 1, "동전": 1}
    with tempfile.TemporaryDirectory() as folder:
        for name, labels in files.items():
            shapes = [{"label": label, "points": []} for label in labels]
            content = json.dumps({"shapes": shapes}, ensure_ascii=False)
            Path(folder, f"{name}.json").write_text(content, encoding="utf-8")
        Path(folder, "notes.txt").write_text("no annotation", encoding="utf-8")
        mine = count_labels(Path(folder))
    if mine is None:
        return "Nothing was returned: print only shows it, return gives it back."
    elif not isinstance(mine, dict):
        return f"You return a {type(mine).__name__}. Counter(labels) gives the number of each label."
    elif mine == {"coin": 2, "hand": 1} or mine == {"동전": 1}:
        return "Only one of the files was counted. Go on after the first one."
    elif mine == {"coin": 1, "hand": 1, "동전": 1}:
        return (
            "A label that occurs twice in a file counts twice: count shapes, not files."
        )
    elif mine != right:
        return f"Three files with {sum(right.values())} shapes gave {dict(mine)}, expected {right}."
    else:
        return "Right."


# %% 2. Pictures of one scene
# %% Hint 1
# Both cameras write the word, and then a number. What stands after the number does not matter, nor do capitals.
# %% Hint 2
# `name.lower()` makes small letters, and `re.match("film[0-9]+", ...)` finds the beginning. What it returns has the
# text in `[0]`.
# %% Stub
import re


def scene(name): ...


# %% Solution
import re


def scene(name):
    return re.match("film[0-9]+", name.lower())[0]


# %% Check
def judge(scene):
    cases = {
        "film2_0031.jpg": "film2",
        "Film2-0007.png": "film2",
        "film12_0001.jpg": "film12",
    }
    cases |= {"FILM3_12.jpg": "film3", "film1_0012": "film1"}
    mine = {}
    for name in cases:
        try:
            mine[name] = scene(name)
        except TypeError:
            return f"In {name!r} nothing was found, so there is no [0]. Make small letters of the name first."
    wrong = [name for name, right in cases.items() if mine[name] != right]
    if None in mine.values():
        return "Nothing was returned: print only shows it, return gives it back."
    elif mine["film12_0001.jpg"] == "film1":
        return "film12 is another film than film1. A number may have several digits: [0-9]+."
    elif wrong and str(mine[wrong[0]]).lower() == cases[wrong[0]]:
        return f"scene({wrong[0]!r}) is {mine[wrong[0]]!r}. The same film must give the same text: use small letters."
    elif wrong:
        return f"scene({wrong[0]!r}) should be {cases[wrong[0]]!r}, yours is {mine[wrong[0]]!r}."
    else:
        return "Right: five names, four films."


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
    if any(np.ndim(answer) for answer in mine.values()):
        return "You return an array. Count its True values: np.sum."
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


# %% 4. Object and ground exchanged
# %% Hint 1
# `mask[..., 0] == 255` is True for the pixels of the object. `image[that]` holds their colours.
# %% Hint 2
# The mean brightness of some pixels is `image[those].mean()`. For the ground use `~` in front of the same array.
# %% Solution
def suspicious(image, mask):
    object_ = mask[..., 0] == 255
    return image[object_].mean() - image[~object_].mean()


# %% Check
def judge(suspicious):
    import math

    image = np.full((6, 8, 3), 40, np.uint8)
    image[:2] = 250, 200, 210  # in the mean 220
    mask = np.zeros((6, 8, 1), np.uint8)
    mask[:2] = 255
    mine = suspicious(image, mask)
    if mine is None:
        return "Nothing was returned: print only shows a number, return gives it back."
    elif np.ndim(mine):
        return f"The answer has the shape {np.shape(mine)}, expected one number."
    elif math.isclose(mine, 180, abs_tol=0.01):
        return "Right: the object is brighter by 180."
    elif math.isclose(mine, -180, abs_tol=0.01):
        return "The sign is the other way round: object minus ground."
    elif abs(mine) <= 1:
        return "The answer should be in 0-255: do not divide."
    else:
        return f"An object of 220 on a ground of 40 should give 180, yours is {mine:.1f}. Leave each out of the other's mean."
