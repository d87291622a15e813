"""Feed images and masks to Keras for segmentation.

    import segfeed

    train = segfeed.DataGenerator(ids, "images", "masks", batch_size=8, img_size=384)

The public names stand in `__init__.pyi`. Each is loaded when it is first asked for, so `import segfeed` loads
neither TensorFlow nor matplotlib. The command `segfeed` audits a folder, checks a Sequence, trains, predicts,
exports and packs.
"""

import lazy_loader

from segfeed.errors import NO_TENSORFLOW

_load, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)


def __getattr__(name: str) -> object:
    try:
        return _load(name)
    except ModuleNotFoundError as error:
        if error.name == "tensorflow":
            error.add_note(NO_TENSORFLOW)
        raise
