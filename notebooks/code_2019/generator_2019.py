"""Batches of images and masks, turned and mirrored alike, from the folders imgs and masks."""

from keras.preprocessing.image import ImageDataGenerator


def pair_batches(folder, batch_size=4, size=128, seed=1):
    changes = {"rotation_range": 20, "horizontal_flip": True, "fill_mode": "reflect"}
    flow = {"class_mode": None, "target_size": (size, size), "batch_size": batch_size, "seed": seed}
    images = ImageDataGenerator(rescale=1 / 255, **changes)
    masks = ImageDataGenerator(rescale=1 / 255, **changes)
    images = images.flow_from_directory(folder, classes=["imgs"], **flow)
    masks = masks.flow_from_directory(folder, classes=["masks"], color_mode="grayscale", **flow)
    while True:
        yield next(images), next(masks)
