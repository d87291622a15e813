"""Train a U-Net on the pictures of a folder that holds train and valid. Arguments: the folder, epochs, seed."""

import sys

import keras
from generator_today import pair_batches
from keras import ops
from keras.layers import Conv2D, Input, MaxPooling2D, UpSampling2D, concatenate
from keras.models import Model


def dice(truth, found):
    truth, found = ops.reshape(truth, [-1]), ops.reshape(found, [-1])
    return (2 * ops.sum(truth * found) + 1) / (ops.sum(truth) + ops.sum(found) + 1)


def dice_loss(truth, found):
    return 1 - dice(truth, found) + ops.mean(ops.binary_crossentropy(truth, found))


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
    return Model(inputs=inputs, outputs=Conv2D(1, 1, activation="sigmoid")(x))


def main(data, epochs, seed, batch_size=4, size=128):
    keras.utils.set_random_seed(seed)
    train, valid = data + "/train", data + "/valid"
    model = unet(size)
    rate = keras.optimizers.schedules.InverseTimeDecay(1e-3, 1, 1e-5)
    score = keras.metrics.BinaryIoU([1], name="iou")
    model.compile(keras.optimizers.Adam(learning_rate=rate), dice_loss, metrics=[score])
    best = keras.callbacks.ModelCheckpoint("best.keras", monitor="val_iou", mode="max", save_best_only=True)
    model.fit(
        pair_batches(train, batch_size, size, train=True, seed=seed),
        validation_data=pair_batches(valid, batch_size, size),
        epochs=epochs,
        callbacks=[best],
        shuffle=False,
        verbose=2,
    )


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
