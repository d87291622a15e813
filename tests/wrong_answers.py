"""Wrong answers to the exercises, as learners give them, and words of the reply: notebook, exercise, answer, words.

An answer that begins with a word in capitals is a part of one: `written` says of which.
"""

PAIRED = "def pair_by_stem(images, masks):\n    of = {mask.stem: mask for mask in masks}\n    return "
FOUND = "[(image, of[image.stem]) for image in images if image.stem in of]"
STEP = "def __getitem__(self, index):\n        images, masks, b = [], [], self.batch_size\n        for n in "
READ = (
    ":\n            image, mask = read_pair(self.pairs[n])\n            images.append(resize_image(image, self.size))\n"
)
READ += "            masks.append(encode_mask(resize_mask(mask, self.size)))\n        return "
SLICE, STACKED = "self.order[index * b : (index + 1) * b]", "np.stack(images).astype(np.float32) / 255, np.stack(masks)"
KEEP = "super().__init__(**kwargs)\n        self.pairs = find_pairs(imgs_dir, masks_dir, ids)\n        "
KEEP += "self.batch_size, self.size = batch_size, (img_size, img_size)\n        self.shuffle, self.seed = shuffle, seed"
WHOLE = KEEP + "\n        self.epoch = -1\n        self.on_epoch_end()"
MIX = "def on_epoch_end(self):\n        self.epoch += 1\n        self.order = np.arange(len(self.pairs))\n        "
BY_KEY = "np.random.default_rng([self.seed, self.epoch])"
NO_SUCH = "if not 0 <= index < len(self):\n            raise IndexError('no such batch')\n        "
LEN = "def __len__(self):\n        return math.ceil(len(self.pairs) / self.batch_size)"


def start(body):
    """A class of the first step, with this body of its `__init__`."""
    head = "(self, ids, imgs_dir, masks_dir, batch_size=10, img_size=128, shuffle=True, seed=0, **kwargs)"
    return f"class Start(keras.utils.PyDataset):\n    def __init__{head}:\n        {body}"


def coins(*methods):
    return "\n\n    ".join([start(WHOLE).replace("class Start", "class CoinSequence"), *methods])


WHOLE_STEP = (STEP + SLICE + READ + STACKED).replace("images, masks, b =", NO_SUCH + "images, masks, b =")
SHUFFLE = MIX + f"if self.shuffle:\n            {BY_KEY}.shuffle(self.order)"

WRONG = [
    (0, 0, PAIRED + FOUND, "Return two lists"),
    (0, 0, PAIRED + "list(zip(images, masks)), ['0002']", "pairs are wrong, such as ('0001.jpg', '0096.png')"),
    (0, 0, PAIRED + FOUND + "[:90], ['0002']", "as many pairs to find; yours are 90"),
    (0, 0, PAIRED + FOUND + ", []", "should be in without. There is []"),
    (0, 0, "def pair_by_stem(images, masks): return 1 / 0", "with ZeroDivisionError"),
    (0, 1, "def to_floats(image): return image / 255", "float64. Convert to float32 first"),
    (0, 1, "def to_floats(image): return image.astype(np.float32)", "divide by 255, whatever"),
    (0, 1, "def to_floats(image): return image // 255", "are uint8"),
    (0, 1, "def to_floats(image): print(image / 255)", "Nothing was returned"),
    (0, 1, "def to_floats(image): return (image / np.float32(255)).mean(-1)", "The shape is (1, 1) afterwards"),
    (0, 2, "def coin_share(mask): return mask.sum() / mask.size", "at most 1"),
    (0, 2, "def coin_share(mask): return float(mask.mean() / 256)", "Compare first: mask == 255"),
    (0, 2, "def coin_share(mask): return np.mean(mask == 0)", "share of the ground"),
    (0, 2, "def coin_share(mask): return mask == 255", "expected one number"),
    (0, 2, "def coin_share(mask): return np.sum(mask == 255) / np.sum(mask == 0)", "coin pixels by ground pixels"),
    (0, 2, "def coin_share(mask): return 100 * np.mean(mask == 255)", "each counts 1, not 255 nor 100"),
    (0, 2, "def coin_share(mask): return np.sum(mask == 255)", "at most 1"),
    (
        0,
        0,
        PAIRED + "[(image, image) for image in images if image.stem in of], ['0002']",
        "such as ('0001.jpg', '0001.jpg')",
    ),
    (0, 1, "def to_floats(image): return (image / image.max()).astype(np.float32)", "whatever the picture holds"),
    (0, 2, "def coin_share(mask): return np.mean(mask == mask.max())", "Of a mask without coin you return 1.00"),
    (0, 3, "def stranger(masks): return [len(np.unique(mask)) != 2 for mask in masks].index(True)", "and yours is 0"),
    (0, 3, "def stranger(masks): return 1", "The stranger is mask 3, and yours is 1"),
    (0, 3, "def stranger(masks): print(1)", "Nothing was returned"),
    (0, 3, "def stranger(masks): return max(len(np.unique(mask)) for mask in masks)", "how many values the stranger"),
    (0, 3, "def stranger(masks): return [len(np.unique(mask)) for mask in masks]", "one is asked for"),
    (
        1,
        0,
        start("self.pairs = find_pairs(imgs_dir, masks_dir, ids)"),
        "has workers=1. Call super().__init__(**kwargs)",
    ),
    (1, 0, start("super().__init__()"), "has workers=1. Call super().__init__(**kwargs)"),
    (1, 0, start("super().__init__(**kwargs)"), "self.batch_size is missing"),
    (1, 0, start(KEEP.replace("(img_size, img_size)", "img_size")), "self.size should be (64, 64)"),
    (1, 0, start(KEEP.replace("= shuffle,", "= True,")), "self.shuffle should be False"),
    (1, 0, start(KEEP.replace("self.pairs", "pairs")), "self.pairs is missing"),
    (1, 0, start(KEEP.replace(", ids)", ")")), "holds 96: did find_pairs get the ids"),
    (1, 0, start(KEEP.replace("find_pairs(imgs_dir, masks_dir, ids)", "ids")), "'nobody', was taken without a word"),
    (1, 1, "LEN return len(self.pairs) // self.batch_size", "round up"),
    (1, 1, "LEN return len(self.pairs)", "Count batches, not pairs"),
    (
        1,
        1,
        "LEN return len(self.pairs) // self.batch_size + 1",
        "nothing left over",
    ),
    (
        1,
        1,
        "LEN return len(self.pairs) / self.batch_size",
        "must be a whole number",
    ),
    (
        1,
        1,
        "LEN math.ceil(len(self.pairs) / self.batch_size)",
        "Nothing was returned",
    ),
    (1, 2, f"READ {STEP}{SLICE}{READ}[np.stack(images), np.stack(masks)]", "A list came back"),
    (1, 2, f"READ {STEP}{SLICE}{READ}images, masks", "np.stack makes one array"),
    (1, 2, f"READ {STEP}{SLICE}{READ}np.stack(images) / 255, np.stack(masks)", "are float64"),
    (
        1,
        2,
        f"READ {STEP}{SLICE}{READ}np.stack(images).astype(np.float32), np.stack(masks)",
        "up to 255",
    ),
    (
        1,
        2,
        f"READ {STEP}self.order[index : index + b]{READ}{STACKED}",
        "take the numbers from self.order",
    ),
    (
        1,
        2,
        f"READ {STEP}self.order[index * b :]{READ}{STACKED}",
        "where the slice begins and ends",
    ),
    (
        1,
        2,
        f"READ {STEP}range(index * b, min(7, (index + 1) * b)){READ}{STACKED}",
        "from self.order",
    ),
    (
        1,
        2,
        f"READ {STEP}{SLICE}{READ}{STACKED[:-17]}, 1 - np.stack(masks)",
        "The masks differ",
    ),
    (
        1,
        3,
        "GUARD index > len(self)",
        "There is no batch 3, and yours stops with ValueError",
    ),
    (
        1,
        3,
        "GUARD index >= len(self)",
        "There is no batch -1",
    ),
    (
        1,
        3,
        "GUARD not 0 < index < len(self)",
        "Batch 0 of 0, 1, 2 exists",
    ),
    (
        1,
        3,
        "BARE not 0 <= index < len(self)",
        "The error has no words",
    ),
    (
        1,
        4,
        "MIX np.random.shuffle(self.order)",
        "With shuffle=False the order",
    ),
    (
        1,
        4,
        "MIX if self.shuffle:\n            np.random.shuffle(self.order)",
        "the whole program shares",
    ),
    (
        1,
        4,
        f"MIX if self.shuffle:\n            self.order = {BY_KEY}.shuffle(self.order)",
        "self.order is None",
    ),
    (
        1,
        4,
        "MIX if self.shuffle:\n            np.random.default_rng(self.seed).shuffle(self.order)",
        "put the epoch into the key",
    ),
    (
        1,
        4,
        "MIX if self.shuffle:\n            np.random.default_rng(self.epoch).shuffle(self.order)",
        "put the seed into the key",
    ),
    (
        1,
        4,
        "MIX if self.shuffle:\n            np.random.default_rng(self.seed + self.epoch).shuffle(self.order)",
        "do not add the two",
    ),
    (
        1,
        4,
        f"MIX {BY_KEY}.shuffle(self.order)\n        self.order[0] = self.order[1]",
        "each of the 64 samples once",
    ),
    (
        1,
        5,
        coins(LEN, WHOLE_STEP, SHUFFLE).replace("\n        self.on_epoch_end()", "", 1),
        "A new object has no self.order",
    ),
    (
        1,
        5,
        coins(LEN.replace("math.ceil", "int"), WHOLE_STEP, SHUFFLE),
        "5 ids in batches of 2 are 3 batches, and yours are 2: round up",
    ),
    (
        1,
        5,
        coins(LEN, WHOLE_STEP.replace(NO_SUCH, ""), SHUFFLE),
        "There is no batch 4, and yours stops with ValueError: raise an IndexError",
    ),
    (1, 5, coins(LEN, WHOLE_STEP.replace(".astype(np.float32)", ""), SHUFFLE), "of 31 promises are kept"),
    (1, 5, coins(LEN, WHOLE_STEP, SHUFFLE).replace(", ids)", ")"), "did find_pairs get the ids"),
    (1, 5, coins(LEN, WHOLE_STEP, SHUFFLE.replace("if self.shuffle:", "if True:")), "With shuffle=False the order"),
    (
        1,
        5,
        coins(LEN, WHOLE_STEP, SHUFFLE).replace("(img_size, img_size)", "(128, 128)"),
        "have the shape (2, 128, 128, 3)",
    ),
    (1, 5, coins(LEN, WHOLE_STEP, SHUFFLE.replace("self.seed, ", "0, ")), "Two seeds give the same order"),
    (1, 6, "GREY images.mean(axis=-1), masks", "keepdims"),
    (1, 6, "GREY None", "A NoneType came back"),
    (1, 6, "GREY images.mean(axis=-1, keepdims=True)", "A ndarray came back"),
    (1, 6, "GREY masks, images.mean(axis=-1, keepdims=True)", "images come first"),
    (1, 6, "GREY images.astype(float).mean(axis=-1, keepdims=True), masks", "float64"),
    (1, 6, "GREY images[..., :1], masks", "not the mean"),
    (1, 6, "GREY images.mean(axis=-1, keepdims=True), 1 - masks", "masks changed"),
    (2, 0, "FLIP np.rot90(image, turns), mask", "Image and mask move apart"),
    (2, 0, "FLIP np.rot90(image, turns), np.rot90(mask, turns)", "came 4 different views"),
    (2, 0, "FLIP (image[::-1], mask[::-1]) if mirror else (image, mask)", "came 2 different views"),
    (2, 0, "FLIP image[1:], mask[1:]", "The image has the shape (3, 4, 1)"),
    (2, 0, "FLIP image + 1, 10 * image + 10", "is not the old one, turned"),
    (2, 0, "FLIP image", "Return two arrays"),
    (2, 1, "UP None", "A NoneType came back"),
    (2, 1, "UP layers.Concatenate()([copy, x])", "should come 16×16×6, yours is (16, 16, 11)"),
    (2, 1, "UP block(x, filters)", "is not joined to x by Concatenate"),
    (2, 1, "UP block(block(layers.Concatenate()([copy, x]), filters), filters)", "There are 4 convolutions"),
    (2, 1, "UP block(layers.Concatenate()([copy, copy]), filters)", "makes 10 channels, and 5 + 6 are 11"),
    (2, 2, "def iou(truth, found): return 2 * (truth & found).sum() / (truth.sum() + found.sum())", "Dice"),
    (2, 2, "def iou(truth, found): return (truth == found).mean()", "share of right pixels"),
    (2, 2, "def iou(truth, found): return (truth & found).sum()", "One pixel is in both, and four"),
    (2, 2, "def iou(truth, found): return (truth & found).sum() / max(1, (truth | found).sum())", "two empty masks"),
    (
        2,
        2,
        "def iou(truth, found): return (truth & found).sum() / (truth | found).sum() if truth.any() else 1",
        "it is 0",
    ),
    (2, 3, "IOUS iou(masks > 0.5, model.predict_on_batch(images) >= 0.5)", "2 numbers: one for each picture"),
    (2, 3, "IOUS *[iou(m > 0.5, p > 0.8) for m, p in zip(masks, model.predict_on_batch(images))]", "from 0.5 on"),
    (2, 3, "IOUS *[0 for row in masks for _ in row]", "There are 5 pictures, and you return 40"),
    (2, 3, "def picture_ious(model, batches): print(model)", "Nothing was returned"),
    (3, 0, "def calls(batches, epochs): return [0, 1, *epochs * ['begin', *range(batches), 'end']]", "epochs + 1"),
    (3, 0, "def calls(batches, epochs): return ['end', *epochs * ['begin', *range(batches), 'end']]", "beforehand"),
    (3, 0, "def calls(batches, epochs): return [0, 1, 'end', *epochs * [*range(batches), 'end']]", "one in each epoch"),
    (
        3,
        0,
        "def calls(batches, epochs): return [0, 1, 'end', *epochs * ['begin', *range(batches), 'end']]",
        "as far as",
    ),
    (3, 0, "def calls(batches, epochs): return [0, 'end', 1, *epochs * ['begin', *range(batches), 'end']]", "order"),
    (3, 0, "def calls(batches, epochs): return [[0, 1], 'end', 'begin', [0, 1, 2], 'end']", "single numbers"),
    (3, 0, "def calls(batches, epochs): return '0 1 end begin 0 1 2 end'", "single numbers"),
    (3, 0, "def calls(batches, epochs): return [0, 1, 'end', 'begin', 0, 1, 'end']", "every batch once"),
    (3, 1, "def reached(batches, steps, queue): return steps + queue", "at its door"),
    (3, 1, "def reached(batches, steps, queue): return batches", "should be 21, yours is 40"),
    (3, 1, "def reached(batches, steps, queue): return steps", "Count what lies ready"),
    (3, 1, "def reached(batches, steps, queue): return steps + queue + 1", "There are no more batches"),
    (3, 2, "WINDOW super().on_epoch_end(); self.begun = False", "self.first does not move"),
    (3, 2, "WINDOW self.first = (self.first + self.batches) % 40", "both begin with that of super()"),
    (3, 2, "WINDOW super().on_epoch_end(); self.first = (self.first + 10) % 40", "begins at batch 10"),
    (3, 2, "WINDOW super().on_epoch_end(); self.first += self.begun * 10", "the remainder, % 40"),
    (
        3,
        2,
        "WINDOW super().on_epoch_end(); self.first = (self.first + self.begun * 10) % 39",
        "Epoch 5 begins at batch 1",
    ),
    (3, 2, "WINDOW super().on_epoch_end(); self.first = (self.first + self.begun * 10) % 40", "twice in an epoch"),
    (3, 3, "FILLED np.random.default_rng().normal(size=(2, 8, 8, 1))", "not the same twice"),
    (
        3,
        3,
        "FILLED np.random.default_rng([self.seed, self.epoch, index]).normal(size=(8, 8, 1))",
        "expected (2, 8, 8, 1)",
    ),
    (3, 3, "FILLED np.random.default_rng([self.seed, self.epoch]).normal(size=(2, 8, 8, 1))", "lacks the index"),
    (3, 3, "FILLED np.random.default_rng([self.seed, index]).normal(size=(2, 8, 8, 1))", "lacks the epoch"),
    (3, 3, "FILLED np.random.default_rng([self.epoch, index]).normal(size=(2, 8, 8, 1))", "lacks the seed"),
    (3, 3, "FILLED np.random.default_rng(self.seed + self.epoch + index).normal(size=(2, 8, 8, 1))", "do not add"),
    (3, 3, "FILLED np.random.default_rng([self.seed + self.epoch, index]).normal(size=(2, 8, 8, 1))", "do not add"),
    (
        3,
        3,
        "FILLED np.full((2, 8, 8, 1), 100 * self.seed + 10 * self.epoch + index)",
        "All values of a batch are equal",
    ),
    (3, 3, "FILLED np.random.seed([self.seed, self.epoch, index]) or np.random.normal(size=(2, 8, 8, 1))", "all share"),
    (4, 0, "def waiting(ready_ms, real_ms): return ready_ms / real_ms", "share of the model's own work"),
    (4, 0, "def waiting(ready_ms, real_ms): return real_ms - ready_ms", "milliseconds"),
    (4, 0, "def waiting(ready_ms, real_ms): return real_ms / ready_ms - 1", "whole step"),
    (4, 0, "def waiting(ready_ms, real_ms): return 1 - ready_ms / real_ms", "A share cannot be negative"),
    (4, 0, "def waiting(ready_ms, real_ms): return 100 * (1 - ready_ms / real_ms)", "no percent"),
    (4, 1, "BYTE image_out, mask_out = resize((image, mask))", "written into image_out"),
    (4, 1, "BYTE image_out[...] = resize_image(image, self.size)", "written into mask_out"),
    (4, 1, "BYTE image_out[...] = resize_image(image, self.size) / 255; mask_out[...] = 0", "Do not divide by 255"),
    (4, 1, "BYTE image_out[...] = image[:256, :256]; mask_out[...] = 0", "resized with resize_image"),
    (
        4,
        1,
        "BYTE image_out[...] = resize_image(image, self.size); mask_out[...] = resize_mask(mask, self.size)",
        "holds 255",
    ),
    (4, 1, "BYTE image_out[...] = resize_image(image, self.size); mask_out[...] = 0", "and then encoded"),
    (4, 2, "CACHE image_out[...] = 0", "not those of OneByte"),
    (4, 2, "CACHE super().write(number, image_out, mask_out)", "holds the numbers []"),
    (4, 2, "STORED image_out, mask_out", "The image in the cache changed"),
    (4, 2, "STORED image_out.copy(), mask_out", "The mask in the cache changed"),
    (4, 2, "AGAIN super().write(number, image_out, mask_out)", "reads the files again"),
    (4, 2, "AGAIN image_out, mask_out = self.cache[number]", "nothing was written into image_out"),
    (4, 2, "AGAIN image_out[...] = self.cache[number][0]", "nothing was written into mask_out"),
    (
        4,
        3,
        "def shrink(photo, wanted): return max(n for n in (1, 2, 4, 8) if n == 1 or photo[0] >= n * wanted[0])",
        "Take the largest n",
    ),
    (
        4,
        3,
        "def shrink(photo, wanted): return max(n for n in (1, 2, 4, 8) if n == 1 or photo[1] >= n * wanted[1])",
        "Take the largest n",
    ),
    (
        4,
        3,
        "def shrink(photo, wanted): return max(n for n in (1, 2, 4, 8) if n == 1 or"
        " all(a > n * b for a, b in zip(photo, wanted)))",
        "Take the largest n",
    ),
    (4, 3, "def shrink(photo, wanted): return min(a // b for a, b in zip(photo, wanted))", "Take the largest n"),
    (
        4,
        3,
        "def shrink(photo, wanted): return max([n for n in (1, 2, 4, 8) if"
        " all(a >= n * b for a, b in zip(photo, wanted))], default=0)",
        "Take the largest n",
    ),
    (
        4,
        3,
        "def shrink(photo, wanted): return max(n for n in (1, 2, 4, 8) if n == 1 or"
        " all(a >= n * b and a % n == 0 for a, b in zip(photo, wanted)))",
        "Take the largest n",
    ),
    (6, 2, "def weights_of(counts): return counts / counts.sum()", "Divide by counts"),
    (6, 2, "def weights_of(counts): return np.round(counts.sum() / (len(counts) * counts), 2)", "Do not round"),
    (6, 2, "def weights_of(counts): return counts.sum() / counts", "number of classes too"),
    (6, 2, "def weights_of(counts): return 1 / counts", "Begin with counts.sum()"),
    (6, 2, "def weights_of(counts): return counts.sum() / (3 * counts.mean())", "shape ()"),
    (6, 1, "SHIFT np.roll(image, draw(), (0, 1)), np.roll(mask, draw(), (0, 1))", "move apart"),
    (6, 1, "SHIFT np.roll(image, draw(), (0, 1)), mask", "move apart"),
    (6, 1, "SHIFT np.roll(image, way := np.random.randint(-8, 9, 2), (0, 1)), np.roll(mask, way, (0, 1))", "from rng"),
    (6, 1, "SHIFT np.roll(image, way := 4 * draw(), (0, 1)), np.roll(mask, way, (0, 1))", "not what np.roll"),
    (6, 1, "SHIFT image[2:], mask[2:]", "not what np.roll"),
    (6, 1, "SHIFT np.roll(image, way := draw()[0], (0, 1)), np.roll(mask, way, (0, 1))", "draw two numbers"),
    (6, 1, "SHIFT np.roll(image, way := rng.integers(-8, 8, 2), (0, 1)), np.roll(mask, way, (0, 1))", "both ends"),
    (6, 1, "SHIFT np.roll(image, way := draw()[0], 0), np.roll(mask, way, 0)", "1 to the right. Draw both"),
    (6, 1, "SHIFT np.roll(image, way := draw()[0], 1), np.roll(mask, way, 1)", "1 down"),
    (5, 2, "SPECKS int(np.sum(areas[1:] <= least))", "not as many"),
    (5, 2, "SPECKS len(areas) - 1", "A coin is no speck"),
    (5, 2, "SPECKS int(np.sum(areas < least))", "leave out the ground"),
    (5, 2, "SPECKS int(areas[1:][areas[1:] < least].sum())", "should be 2, yours is 4"),
    (8, 1, "def iou_of(counts): return sum(b / e for b, e in counts if e) / len(counts)", "mean of the workers' IoUs"),
    (8, 1, "def iou_of(counts): return sum(b / e for b, e in counts) / len(counts)", "divides by zero"),
    (8, 1, "def iou_of(counts): return sum(b for b, _ in counts) / max(1, sum(e for _, e in counts))", "should be 1.0"),
    (8, 1, "def iou_of(counts): return 2 * counts[0][0] / (1 + sum(e for _, e in counts))", "should be 0.75, yours"),
    (8, 0, "WHO number // batch_size, number % batch_size % world", "place in the list of ids"),
    (8, 0, "WHO place // batch_size, place % world", "Deal anew in each batch"),
    (8, 0, "WHO order[number] // batch_size, order[number] % batch_size % world", "You need the place of that sample"),
    (8, 2, "def gigabits(machines, rate, size): return 51.2", "Use all three arguments"),
    (8, 2, "def gigabits(machines, rate, size): return machines * rate * size * 8 // 10**9", "Do not round"),
    (8, 0, "WHO place % batch_size % world, place // batch_size", "exchanged"),
    (8, 0, "WHO place // 4, place % 4 % 3", "should be ("),
    (8, 0, "WHO place // batch_size, place % batch_size // world", "should be ("),
    (8, 2, "def gigabits(machines, rate, size): return machines * rate * size / 1e9", "gigabytes"),
    (8, 2, "def gigabits(machines, rate, size): return rate * size * 8 / 1e9", "one machine's share"),
    (8, 2, "def gigabits(machines, rate, size): return machines * rate * size * 8 / 2**30", "not 2**30"),
    (8, 2, "def gigabits(machines, rate, size): return machines * rate * size * 8", "divide by 10**9"),
    (-1, 0, "def rate(lr, decay, step): return lr * (1 - decay) ** step", "by a factor in each step"),
    (-1, 0, "def rate(lr, decay, step): return lr / (1 + decay) ** step", "decay × step"),
    (-1, 0, "def rate(lr, decay, step): return lr / (1 + decay * (step + 1))", "Step 0 has the whole rate"),
    (-1, 0, "def rate(lr, decay, step): return lr * np.exp(-decay * step)", "an exponential"),
    (-1, 0, "def rate(lr, decay, step): return lr", "does not fall"),
    (-1, 0, "def rate(lr, decay, step): return lr - decay * step", "Divide the rate"),
    (-1, 0, "def rate(lr, decay, step): return lr / (1 + decay)", "`step` is missing"),
    (-1, 0, "def rate(lr, decay, step): return lr / 1 + decay * step", "needs brackets"),
    (-1, 0, "def rate(lr, decay, step): return lr * (1 - decay * step)", "the same amount"),
    (-1, 0, "def rate(lr, decay, step): return 1e-3 / (1 + decay * step)", "use `lr`"),
    (-1, 1, "DICE both", "expected 0."),
    (-1, 1, "DICE float((2 * both + 1) / (t + f + 1))", "no float()"),
    (-1, 1, "DICE (both + 1) / (t + f - both + 1)", "That is the IoU"),
    (
        -1,
        1,
        "DICE keras.ops.mean((2 * each(truth * found) + 1) / (each(truth + found) + 1))",
        "a mean over the pictures",
    ),
    (-1, 1, "DICE (2 * keras.ops.sum(truth * cut) + 1) / (t + keras.ops.sum(cut) + 1)", "Do not cut"),
    (-1, 1, "DICE 1 - (2 * both + 1) / (t + f + 1)", "That is the loss"),
    (-1, 1, "DICE 2 * both / (t + f)", "Add the two 1s"),
    (-1, 1, "DICE (both + 1) / (t + f + 1)", "counts twice"),
    (-1, 1, "DICE (2 * both + 1) / (t + f)", "below the line too"),
    (-1, 1, "DICE (2 * both + 1) / (t + f - both + 1)", "as an IoU does"),
    (-1, 1, "DICE print(both)", "Nothing was returned"),
    (-1, 1, "DICE (2 * truth * found + 1) / (truth + found + 1)", "sum over all axes"),
    (-1, 1, "def dice(truth, found): return 2 * np.sum(np.array(truth) * found) + 1", "no NumPy"),
    (-1, 1, "def dice(truth, found): return keras.ops.flatten(truth)", "has no attribute 'flatten'"),
    (-1, 2, "BATCHES None", "Nothing was returned"),
    (-1, 2, "BATCHES iter(made())", "Return a Sequence"),
    (-1, 2, "BATCHES made(ids=ids[:4])", "4 of 6 pictures"),
    (-1, 2, "BATCHES made(img_size=128)", "hand `size` on"),
    (-1, 2, "BATCHES made(batch_size=4)", "Hand `batch_size` on"),
    (-1, 2, "BATCHES made(augment=change)", "are turned or mirrored"),
    (-1, 2, "BATCHES made(shuffle=True)", "The validation pictures are shuffled"),
    (-1, 2, "BATCHES made(augment=None)", "neither turned nor mirrored"),
    (-1, 2, "BATCHES made(augment=mirror if train else None)", "mirrored, but not turned"),
    (-1, 2, "BATCHES made(seed=0)", "Two seeds give the same batches"),
    (-1, 2, "BATCHES made(seed=np.random.default_rng().integers(10**9))", "two different batches"),
    (-1, 2, "BATCHES made(shuffle=False)", "in the order of the folder"),
    (-1, 2, "BATCHES made(ids=ids[::-1])", "in the order of their names"),
    (-1, 2, "BATCHES made(imgs_dir=folder + '/imgs')", "yours takes no Path"),
    (-1, 2, "BATCHES made(imgs_dir=folder / 'imgs')", "yours takes no text"),
    (-1, 2, "BATCHES turned(rotate(20 / 360))", "turned, but not mirrored"),
    (-1, 2, "BATCHES turned(rotate(0.2), flip)", "degrees. At most 20"),
    (-1, 2, "BATCHES turned(rotate(20 / 360), keras.layers.RandomFlip())", "upside down"),
    (-1, 2, "BATCHES turned(rotate(20 / 360), keras.layers.RandomFlip('vertical'))", "upside down"),
    (-1, 2, "BATCHES turned([rotate(20 / 360), flip])", "one by one"),
    (-1, 2, "BATCHES made(augment=keras.Sequential([flip]))", "KerasAugment"),
    (-1, 2, "BATCHES made(ids=utils.find_pairs(images, masks))", "Give its stem"),
    (-1, 3, "def whole_iou(both, either): return 100 * sum(both) / sum(either)", "not percent"),
    (-1, 3, "def whole_iou(both, either): return (sum(both) + 1) / (sum(either) + 1)", "Add no 1"),
    (-1, 3, "def whole_iou(both, either): return sum(either) / sum(both)", "other way round"),
    (-1, 3, "def whole_iou(both, either): return sum(both) / (sum(both) + sum(either))", "already holds"),
    (-1, 3, "def whole_iou(both, either): return np.array(both) / np.array(either)", "Return one number"),
    (-1, 2, "BATCHES made(augment=apart if train else None)", "are turned differently"),
    (-1, 2, "BATCHES utils.DataGenerator(ids, folder, masks)", "stopped in"),
    (-1, 3, "def whole_iou(both, either): return np.mean([b / e for b, e in zip(both, either)])", "mean over batches"),
    (-1, 3, "def whole_iou(both, either): return np.mean([b / e for b, e in zip(both, either) if b])", "left out"),
    (-1, 3, "def whole_iou(both, either): return sum(both) / len(both)", "Sum first"),
    (-1, 3, "def whole_iou(both, either): return 2 * sum(both) / (sum(both) + sum(either))", "That is Dice"),
    (-1, 3, "def whole_iou(both, either): return sum(both) / sum(either)", "now return 0"),
    (5, 0, "LABELS 'coin', 'hand', 'coin', '동전'", "You return a tuple"),
    (5, 0, "LABELS Counter(shapes(next(files)))", "Only one of the files"),
    (5, 0, "LABELS Counter(label for path in files for label in {*shapes(path)})", "count shapes, not files"),
    (5, 0, "LABELS Counter(path.stem for path in files)", "gave {'a': 1"),
    (5, 0, "LABELS print(Counter())", "Nothing was returned"),
    (5, 1, "def scene(name): return re.match('film[0-9]', name.lower())[0]", "several digits"),
    (5, 1, "def scene(name): return re.match('(?i)film[0-9]+', name)[0]", "use small letters"),
    (5, 1, "def scene(name): return name.split('_')[0].lower()", "scene('Film2-0007.png') should be 'film2'"),
    (5, 1, "def scene(name): return re.match('film[0-9]+', name)[0]", "nothing was found"),
    (5, 1, "def scene(name): print(name)", "Nothing was returned"),
    (5, 3, "BRIGHT ground.mean() - those.mean()", "other way round"),
    (5, 3, "BRIGHT those.mean(axis=0) - ground.mean(axis=0)", "expected one number"),
    (5, 3, "BRIGHT (those.mean() - ground.mean()) / 255", "do not divide"),
    (5, 3, "BRIGHT those.mean() - image.mean()", "Leave each out of the other"),
    (5, 3, "BRIGHT print(those.mean())", "Nothing was returned"),
    (6, 0, "INDICES indices", "A mask has a last axis of 1"),
    (6, 0, "INDICES indices.astype(int)[..., None]", "The dtype is int64, expected uint8"),
    (6, 0, "INDICES rgb", "expected (4, 6, 1)"),
    (6, 0, "INDICES indices[..., None]", "became a class in silence"),
    (6, 0, "STRANGE strange('what is this?')", "the message does not name it"),
    (6, 0, "STRANGE table[tuple(rgb[2, 3])]", "raises a KeyError"),
    (6, 0, "INDICES (rgb[..., :1] > 0).astype(np.uint8)", "Compare all three channels"),
    (6, 0, "INDICES np.where(indices < 2, 1 - indices, indices)[..., None]", "another index"),
    (6, 0, "INDICES print(indices)", "Nothing was returned"),
    (7, 0, "COUNTED counts", "All objects were counted"),
    (7, 0, "COUNTED large", "c.jpg is missing"),
    (7, 0, "COUNTED {name: above.get(name, 0) for name in counts}", "exactly `least`"),
    (7, 0, "COUNTED sorted(large.items())", "You return a list"),
    (7, 0, "COUNTED {name: 7 for name in counts}", "expected {'b.jpg': 1"),
    (7, 0, "COUNTED print(counts)", "Nothing was returned"),
    (7, 1, "WIDTHS diameter / np.mean(widths)", "the median leaves it aside"),
    (7, 1, "WIDTHS np.median(widths) / diameter", "pixels in a millimetre"),
    (7, 1, "WIDTHS diameter / max(widths)", "should give 0.393"),
    (7, 1, "WIDTHS print(widths)", "Nothing was returned"),
    (7, 2, "LEVEL 0.5", "0.5 for both"),
    (
        7,
        2,
        "LEVEL max(levels, key=lambda level: np.sum(truth & (probabilities >= level)))",
        "The lowest one finds most",
    ),
    (
        7,
        2,
        "LEVEL max(levels, key=lambda level: np.mean(truth == (probabilities >= level)))",
        "You count the right pixels",
    ),
    (7, 2, "LEVEL max(map(iou_at, levels))", "That is the IoU. Return the threshold"),
    (7, 2, "LEVEL min(levels, key=iou_at)", "expected 0.30 and 0.70"),
    (7, 2, "LEVEL iou_at(0.3) + 3", "between 0.05 and 0.95"),
    (7, 2, "LEVEL print(levels)", "Nothing was returned"),
    (7, 3, "def starts(side, tile, overlap): return [*range(0, side - tile + 1, tile - overlap)]", "should end at 300"),
    (7, 3, "def starts(side, tile, overlap): return [0, side - tile]", "share only"),
    (7, 3, "def starts(side, tile, overlap): return [*range(max(1, side - tile + 1))]", "tiles, and 3 are enough"),
    (7, 3, "def starts(side, tile, overlap): return [side - tile]", "begins at 0"),
    (
        7,
        3,
        "def starts(side, tile, overlap): return [*range(0, max(1, side - tile), tile - overlap)]"
        " + [side - tile] * (side > tile)",
        "Spread the tiles evenly",
    ),
    (7, 3, "def starts(side, tile, overlap): print(0)", "Nothing was returned"),
    (6, 3, "def ious_of(matrix): return np.diag(matrix) / matrix.sum(axis=1)", "That is the recall"),
    (6, 3, "def ious_of(matrix): return np.diag(matrix) / matrix.sum(axis=0)", "That is the precision"),
    (6, 3, "def ious_of(matrix): return np.diag(matrix) / (matrix.sum(axis=0) + matrix.sum(axis=1))", "count twice"),
    (6, 3, "def ious_of(matrix): return 2 * np.diag(matrix) / (matrix.sum(0) + matrix.sum(1))", "That is Dice"),
    (6, 3, "def ious_of(matrix): return np.trace(matrix) / matrix.sum()", "one number for each of 3"),
    (6, 3, "def ious_of(matrix): return np.diag(matrix) / matrix.sum()", "You return [0.562"),
    (6, 3, "def ious_of(matrix): print(matrix)", "Nothing was returned"),
]


GUARDED = "class Guarded(Readable):\n    def __getitem__(self, index):\n        if HERE:\n            raise "
GUARDED += "ERROR\n        return super().__getitem__(index)"
CACHED = """
class Cached(Ahead):
    def __init__(self, **data):
        super().__init__(**data)
        self.cache = {}

    def write(self, number, image_out, mask_out):
        """
FIRST = "super().write(number, image_out, mask_out); self.cache[number] = "
AGAIN = "image_out[...], mask_out[...] = self.cache[number]"
INDICES = """
def to_indices(rgb, table):
    indices, known = np.zeros((2, *rgb.shape[:2]), np.uint8)
    for colour, index in table.items():
        here = np.all(rgb == colour, axis=-1)
        indices[here], known[here] = index, 1
    """
PARTS = {  # by the first word of an answer the whole of it; HERE stands the rest
    "LEN": "class Counted(Start):\n    def __len__(self): HERE",
    "READ": "class Readable(Counted):\n    HERE",
    "GUARD": GUARDED.replace("ERROR", "IndexError('no such batch')"),
    "BARE": GUARDED.replace("ERROR", "IndexError"),
    "MIX": f"class Shuffled(Guarded):\n    epoch = -1\n    {MIX}HERE",
    "GREY": """
class GreySequence(CoinSequence):
    def __getitem__(self, index):
        images, masks = super().__getitem__(index)
        return HERE""",
    "FLIP": """
def flip_and_turn(image, mask, rng):
    turns, mirror = int(rng.integers(4)), rng.integers(2)
    return HERE""",
    "UP": """
def up(x, copy, filters):
    x = layers.Conv2DTranspose(filters, 2, strides=2)(x)
    return HERE""",
    "IOUS": """
def picture_ious(model, batches):
    found = []
    for images, masks in batches:
        found += [HERE]
    return found""",
    "WINDOW": """
class Window(Diary):
    begun = False

    def on_epoch_begin(self):
        super().on_epoch_begin()
        self.begun = True

    def on_epoch_end(self):
        HERE""",
    "FILLED": """
class Noise(keras.utils.Sequence):
    seed, epoch = 7, 0
    def __getitem__(self, index): return HERE""",
    "BYTE": """
class OneByte(FastSequence):
    def write(self, number, image_out, mask_out):
        image, mask = read_pair(self.pairs[number])
        HERE""",
    "CACHE": f"{CACHED}HERE",
    "STORED": f"{CACHED}if number in self.cache: {AGAIN}\n        else: {FIRST}HERE",
    "AGAIN": f"{CACHED}if number in self.cache: HERE\n        else: {FIRST}image_out.copy(), mask_out.copy()",
    "DICE": """
def dice(truth, found):
    def each(x): return keras.ops.sum(x, (1, 2, 3))
    cut = keras.ops.cast(found > 0.5, 'float32')
    both, t, f = keras.ops.sum(truth * found), keras.ops.sum(truth), keras.ops.sum(found)
    return HERE""",
    "BATCHES": """
def pair_batches(folder, batch_size=4, size=128, train=False, seed=0):
    images, masks = f'{folder}/imgs', f'{folder}/masks'
    ids = [pair.stem for pair in utils.find_pairs(images, masks)]
    flip = keras.layers.RandomFlip('horizontal')
    mirror, change = utils.KerasAugment(flip), utils.KerasAugment(keras.layers.RandomRotation(20 / 360), flip)
    def apart(image, mask, rng): return change(image, mask, rng)[0], mask
    rotate = keras.layers.RandomRotation
    def turned(*layers): return made(augment=utils.KerasAugment(*layers) if train else None)
    def made(**other):
        given = dict(ids=ids, imgs_dir=images, masks_dir=masks, batch_size=batch_size, img_size=size)
        return utils.DataGenerator(**given | dict(shuffle=train, seed=seed, augment=change if train else None) | other)
    return HERE""",
    "LABELS": """
def count_labels(folder):
    files = iter(sorted(folder.glob('*.json')))
    def shapes(path): return [one['label'] for one in json.loads(path.read_text('utf-8'))['shapes']]
    return HERE""",
    "SPECKS": """
def specks(mask, least):
    areas = cv2.connectedComponentsWithStats(mask)[2][:, 4]
    return HERE""",
    "BRIGHT": """
def suspicious(image, mask):
    which = mask[..., 0] == 255
    those, ground = image[which], image[~which]
    return HERE""",
    "INDICES": f"{INDICES}return HERE",
    "STRANGE": f"""
def strange(text): raise ValueError(text)
{INDICES}if known.all(): return indices[..., None]
    return HERE""",
    "SHIFT": """
def shift(image, mask, rng):
    draw = lambda: rng.integers(-8, 9, size=2)
    return HERE""",
    "COUNTED": """
def count_objects(rows, least):
    counts, large, above = {}, {}, {}
    for row in rows:
        name, area = row['picture'], int(row['area_px'])
        for counted, counts_it in ((counts, True), (large, area >= least), (above, area > least)):
            if counts_it: counted[name] = counted.get(name, 0) + 1
    return HERE""",
    "WIDTHS": """
def pixel_size(rows, diameter):
    widths = [int(row['right']) - int(row['left']) for row in rows]
    return HERE""",
    "LEVEL": """
def best_threshold(truth, probabilities):
    levels = np.arange(0.05, 1, 0.05)
    def iou_at(level):
        found = probabilities >= level
        return np.sum(truth & found) / np.sum(truth | found)
    return HERE""",
    "WHO": """
def who_reads(order, number, batch_size, world):
    place = order.index(number)
    return HERE""",
}


def written(source):
    """The whole answer."""
    kind, _, rest = source.partition(" ")
    return PARTS[kind].replace("HERE", rest) if kind in PARTS else source
