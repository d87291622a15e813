"""From the files of annotation tools to masks of class indices, and back: `segfeed masks`.

Each format is one file that gives shapes on pictures (`reader.Annotated`). `shapes` says which pixels a shape covers,
`draw` draws and writes the masks, and `to_labelme` makes polygons of masks.
"""

from segfeed.annotations.draw import Drawing, Summary, draw_masks
from segfeed.annotations.to_labelme import write_labelme

__all__ = ["Drawing", "Summary", "draw_masks", "write_labelme"]
