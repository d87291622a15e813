"""Batches of images and masks from two folders."""

import math
import os

import cv2
import keras
import numpy as np
from skimage import io


class PairSequence(keras.utils.Sequence):
    def __init__(self, names, img_dir, mask_dir, batch_size=4, size=128, shuffle=True, seed=0, **kwargs):
        super().__init__(**kwargs)
        self.names = names
        self.img_dir = img_dir
        self.mask_dir = mask_dir
        self.batch_size = batch_size
        self.size = size
        self.shuffle = shuffle
        self.rng = np.random.default_rng(seed)
        self.on_epoch_end()

    def __len__(self):
        return math.ceil(len(self.names) / self.batch_size)

    def on_epoch_end(self):
        self.order = np.arange(len(self.names))
        if self.shuffle:
            self.rng.shuffle(self.order)

    def load(self, name):
        image = io.imread(os.path.join(self.img_dir, name))
        png = os.path.splitext(name)[0] + ".png"
        mask = cv2.imread(os.path.join(self.mask_dir, png), cv2.IMREAD_GRAYSCALE)
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
        return np.array(images, np.float32), np.array(masks, np.float32)
