"""Train a U-Net on the pictures of a folder that holds train and valid. Arguments: the folder, epochs, seed."""

import os
import sys

import keras
import numpy as np
import tensorflow as tf
from generator_2019 import pair_batches
from keras import backend as K
from keras.layers import Conv2D, Input, MaxPooling2D, UpSampling2D, concatenate
from keras.models import Model


def dice(truth, found):
    truth, found = K.flatten(truth), K.flatten(found)
    return (2 * K.sum(truth * found) + 1) / (K.sum(truth) + K.sum(found) + 1)


def dice_loss(truth, found):
    return 1 - dice(truth, found) + K.mean(K.binary_crossentropy(truth, found))


def convolve(x, filters):
    for _ in range(2):
        x = Conv2D(filters, 3, activation="relu", padding="same", kernel_initializer="he_normal")(x)
    return x


def unet(size):
    inputs = x = Input((size, size, 3))
    skips = []
    for filters in (16, 32, 64):
        skips.append(convolve(x, filters))
        x = MaxPooling2D()(skips[-1])
    x = convolve(x, 128)
    for filters in (64, 32, 16):
        x = convolve(concatenate([UpSampling2D()(x), skips.pop()]), filters)
    return Model(input=inputs, output=Conv2D(1, 1, activation="sigmoid")(x))


def main(data, epochs, seed, batch_size=4, size=128):
    np.random.seed(seed)
    tf.set_random_seed(seed)
    train, valid = data + "/train", data + "/valid"
    steps = [len(os.listdir(folder + "/imgs")) // batch_size for folder in (train, valid)]
    model = unet(size)
    model.compile(keras.optimizers.Adam(lr=1e-3, decay=1e-5), dice_loss, metrics=[dice])
    best = keras.callbacks.ModelCheckpoint("best.hdf5", monitor="val_dice", save_best_only=True)
    model.fit_generator(
        pair_batches(train, batch_size, size),
        steps_per_epoch=steps[0],
        validation_data=pair_batches(valid, batch_size, size),
        validation_steps=steps[1],
        epochs=epochs,
        callbacks=[best],
        verbose=2,
    )


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
