"""Train a U-Net on the pictures of a folder. Arguments: the folder, epochs, seed."""

import os
import sys

import keras

os.environ["SM_FRAMEWORK"] = "tf.keras"
import segmentation_models as sm
from generator_today import PairSequence


def main(data, epochs, seed, batch_size=4, size=128, validation=16):
    keras.utils.set_random_seed(seed)
    folders = data + "/imgs", data + "/masks_png"
    names = sorted(os.listdir(folders[0]))
    train_names, valid_names = names[:-validation], names[-validation:]
    train = PairSequence(train_names, *folders, batch_size, size, seed=seed, workers=2)
    valid = PairSequence(valid_names, *folders, batch_size, size, shuffle=False)
    model = sm.Unet("resnet18", encoder_weights=None)
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.9
    optimizer = keras.optimizers.Adam(keras.optimizers.schedules.InverseTimeDecay(1e-3, 1, 1e-5))
    model.compile(optimizer, sm.losses.bce_dice_loss, metrics=[keras.metrics.BinaryIoU([1], name="iou_score")])
    best = keras.callbacks.ModelCheckpoint(
        "best.weights.h5", monitor="val_iou_score", mode="max", save_best_only=True, save_weights_only=True
    )
    model.fit(train, validation_data=valid, epochs=epochs, callbacks=[best], shuffle=False, verbose=2)
    model.save("last.keras")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
