"""Train a U-Net on a folder of images and a folder of masks: what `segfeed train` does.

`--preset article` takes the settings of 2019 that this course grew out of. Where TF_CONFIG says so (see
`segfeed.distributed`), several machines train one model together, each with this command.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # read when TensorFlow is imported
os.environ["SM_FRAMEWORK"] = "tf.keras"  # read when segmentation_models is imported
