"""Train a U-Net on the pictures of a folder. Arguments: the folder, epochs, seed."""

import os
import sys

import numpy as np
import segmentation_models as sm
import tensorflow as tf
from generator_legacy import PairSequence
from tensorflow import keras


def main(data, epochs, seed, batch_size=4, size=128, validation=16):
    np.random.seed(seed)
    tf.random.set_seed(seed)
    folders = data + "/imgs", data + "/masks"
    names = sorted(os.listdir(folders[0]))
    train_names, valid_names = names[:-validation], names[-validation:]
    train = PairSequence(train_names, *folders, batch_size, size)
    valid = PairSequence(valid_names, *folders, batch_size, size)
    model = sm.Unet("resnet18", encoder_weights=None)
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.9
    optimizer = keras.optimizers.legacy.Adam(lr=1e-3, decay=1e-5)
    model.compile(optimizer, sm.losses.bce_dice_loss, metrics=[sm.metrics.iou_score])
    best = keras.callbacks.ModelCheckpoint(
        "best.h5", monitor="val_iou_score", mode="max", save_best_only=True, save_weights_only=True
    )
    model.fit_generator(train, validation_data=valid, epochs=epochs, callbacks=[best], workers=2, verbose=2)
    model.save("last.h5")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
