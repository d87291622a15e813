"""Batches of images and masks from two folders."""

import os

import cv2
import numpy as np
from skimage import io
from tensorflow import keras


class PairSequence(keras.utils.Sequence):
    def __init__(self, names, img_dir, mask_dir, batch_size=4, size=128, classes=1, shuffle=True):
        self.names = names
        self.img_dir = img_dir
        self.mask_dir = mask_dir
        self.batch_size = batch_size
        self.size = size
        self.classes = classes
        self.shuffle = shuffle
        self.on_epoch_end()

    def __len__(self):
        return int(np.floor(len(self.names) / self.batch_size))

    def on_epoch_end(self):
        self.order = np.arange(len(self.names))
        if self.shuffle:
            np.random.shuffle(self.order)

    def load(self, name):
        image = io.imread(os.path.join(self.img_dir, name))
        mask = cv2.imread(os.path.join(self.mask_dir, name), cv2.IMREAD_GRAYSCALE)
        image = cv2.resize(image, (self.size, self.size), interpolation=cv2.INTER_AREA)
        mask = cv2.resize(mask, (self.size, self.size), interpolation=cv2.INTER_NEAREST_EXACT)
        image = image / 255.0
        mask = mask / 255.0
        return image, mask

    def __getitem__(self, index):
        chosen = self.order[index * self.batch_size : (index + 1) * self.batch_size]
        images, masks = [], []
        for number in chosen:
            image, mask = self.load(self.names[number])
            images.append(image)
            masks.append(np.expand_dims(mask, -1))
        return np.array(images), np.array(masks)
