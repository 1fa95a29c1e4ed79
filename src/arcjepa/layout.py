"""The arrays of object tokens: which column means what, and the buffers that the compiled tokeniser fills.

Apart from `objects.py` so that reading tokens does not import numba (0.5 s). Compiled code freezes these
constants and field orders, and numba's cache watches only the function's own file: after a change here, touch
`objects.py` too, or its tests fail.
"""

from typing import NamedTuple

import numpy as np

MAX_SIDE = 30
MAX_CELLS = MAX_SIDE * MAX_SIDE
MAX_OBJECTS = 62  # and the residual: 63 entries fit the value bits of one contact word
NO_BACKGROUND = 10  # two colours tie for the most frequent one: every colour is an object
MIXED = 10  # colour of the residual entry
OUTSIDE = 11  # what a painted frame has beyond its grid
COLUMNS = (
    "colour",
    "top",  # of the bounding box, as left, height and width
    "left",
    "height",
    "width",
    "area",
    "holes",  # enclosed regions; 4-connected ones for 8-connected objects and the other way round
    "perimeter",  # cell edges to cells of others or to the border
    "sum_row",  # over its cells, of row - top: with area, the centroid without rounding
    "sum_col",
    "symmetry",  # bits as below, of the mask cropped to its box; the diagonal ones only if that is square
)
COLOUR, TOP, LEFT, HEIGHT, WIDTH, AREA, HOLES, PERIMETER, SUM_ROW, SUM_COL, SYMMETRY = range(len(COLUMNS))
LEFT_RIGHT, UP_DOWN, DIAGONAL, ANTIDIAGONAL, ROT180 = 1, 2, 4, 8, 16  # bits of the symmetry column


class Cells(NamedTuple):
    """Input: n grids, row-major."""

    cells: np.ndarray  # uint8 (n_cells,) 0..9
    start: np.ndarray  # int64 (n+1,)
    height: np.ndarray  # uint8 (n,) 1..30, as width
    width: np.ndarray


class Rules(NamedTuple):
    """The settings as compiled code reads them."""

    reach: int  # 1: diagonal neighbours are connected (8), 0: they are not (4)
    zero_background: bool
    max_objects: int  # 1..62: 62 objects and the residual are the 63 value bits of one contact word


class Found(NamedTuple):
    """Output for n grids, o entries, r mask rows: the arrays of `Tokens`, filled from the front."""

    background: np.ndarray  # uint8 (n,)
    histogram: np.ndarray  # uint16 (n, 10)
    residual: np.ndarray  # uint16 (n, 10)
    n_components: np.ndarray  # uint16 (n,)
    object_start: np.ndarray  # int64 (n+1,)
    columns: np.ndarray  # int16 (o, 11)
    contact: np.ndarray  # int64 (o,)
    row_start: np.ndarray  # int64 (o+1,)
    rows: np.ndarray  # int32 (r,)


class Runs(NamedTuple):
    """Scratch, int32: the runs of one frame, each the cells start..stop-1 of a row."""

    row: np.ndarray
    start: np.ndarray
    stop: np.ndarray
    colour: np.ndarray
    parent: np.ndarray
    links: np.ndarray  # contacts with runs of its component in the row above
    shared: np.ndarray  # cell edges shared with them
    label: np.ndarray  # component
    first: np.ndarray  # (31,) index of each row's first run
    pairs: np.ndarray  # (1800, 2) runs of different colours in vertical contact


class Parts(NamedTuple):
    """Scratch, int32: the components of one frame in raster order; sums are over absolute positions."""

    colour: np.ndarray
    top: np.ndarray
    left: np.ndarray
    bottom: np.ndarray  # exclusive, as right
    right: np.ndarray
    area: np.ndarray
    euler: np.ndarray
    perimeter: np.ndarray
    sum_row: np.ndarray
    sum_col: np.ndarray
    entry: np.ndarray  # position among the frame's tokens


def allocate(n_frames: int, max_objects: int) -> tuple[Found, Runs, Parts]:
    """Buffers that hold the worst case of `n_frames` frames, and the scratch of one."""
    n_entries = n_frames * (max_objects + 1)
    found = Found(
        background=np.empty(n_frames, np.uint8),
        histogram=np.empty((n_frames, 10), np.uint16),
        residual=np.empty((n_frames, 10), np.uint16),
        n_components=np.empty(n_frames, np.uint16),
        object_start=np.zeros(n_frames + 1, np.int64),
        columns=np.empty((n_entries, len(COLUMNS)), np.int16),
        contact=np.empty(n_entries, np.int64),
        row_start=np.zeros(n_entries + 1, np.int64),
        rows=np.empty(n_entries * MAX_SIDE, np.int32),
    )
    first, pairs = np.empty(MAX_SIDE + 1, np.int32), np.empty((2 * MAX_CELLS, 2), np.int32)
    runs = Runs(*(*np.empty((8, MAX_CELLS), np.int32), first, pairs))
    return found, runs, Parts(*np.empty((11, MAX_CELLS + 1), np.int32))
