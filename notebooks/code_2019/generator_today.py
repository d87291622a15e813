"""Batches of images and masks, turned and mirrored alike, from the folders imgs and masks."""

import keras

from segfeed import DataGenerator, KerasAugment, find_pairs


def pair_batches(folder, batch_size=4, size=128, train=False, seed=0):
    images, masks = f"{folder}/imgs", f"{folder}/masks"
    ids = [pair.stem for pair in find_pairs(images, masks)]
    turn = keras.layers.RandomRotation(20 / 360)
    flip = keras.layers.RandomFlip("horizontal")
    augment = KerasAugment(turn, flip) if train else None
    settings = {"shuffle": train, "seed": seed, "augment": augment}
    return DataGenerator(ids, images, masks, batch_size, size, **settings)
