"""Same-colour connected components of many grids in one compiled call, with all that a token says about them.

A grid is read once, as maximal horizontal *runs* of one colour, and all features follow from the runs. With R
runs in a component and L contacts between its runs in neighbouring rows, R - L is its Euler number, so
holes = 1 - (R - L).
"""

import numpy as np
from numba import njit

import arcjepa.layout as at

# nogil: threads may tokenise shards side by side. cache: compiling takes seconds, once per installation.
compiled = njit(cache=True, nogil=True)


@compiled
def _choose_background(histogram, zero_background):
    """Most frequent colour; none where two tie, as a choice by index would depend on the names of colours."""
    if zero_background:
        return 0
    best, count, tied = 0, histogram[0], False
    for colour in range(1, 10):
        if histogram[colour] > count:
            best, count, tied = colour, histogram[colour], False
        elif histogram[colour] == count:
            tied = True
    return at.NO_BACKGROUND if tied else best


@compiled
def _find_runs(grid, width, background, runs):
    """Fills row, start, stop, colour and first; returns the number of runs."""
    n = 0
    for row in range(len(grid) // width):
        runs.first[row] = n
        base = row * width
        col = 0
        while col < width:
            start = col
            colour = grid[base + col]
            while col < width and grid[base + col] == colour:
                col += 1
            if colour != background:
                runs.row[n], runs.start[n], runs.stop[n], runs.colour[n] = row, start, col, colour
                runs.parent[n], runs.links[n], runs.shared[n] = n, 0, 0
                n += 1
    runs.first[len(grid) // width] = n
    return n


@compiled
def _union(parent, a, b):
    """The smaller root wins, so that a component's root is its first run and parent[i] <= i."""
    while parent[a] != a:
        parent[a] = parent[parent[a]]
        a = parent[a]
    while parent[b] != b:
        parent[b] = parent[parent[b]]
        b = parent[b]
    parent[max(a, b)] = min(a, b)


@compiled
def _link_rows(runs, height, reach):
    """Joins touching runs of one colour; returns the number of pairs of different colours in 4-contact."""
    n_pairs = 0
    for row in range(1, height):
        low, end = runs.first[row - 1], runs.first[row]
        for j in range(end, runs.first[row + 1]):
            while low < end and runs.stop[low] + reach <= runs.start[j]:
                low += 1
            i = low
            while i < end and runs.start[i] < runs.stop[j] + reach:
                overlap = min(runs.stop[i], runs.stop[j]) - max(runs.start[i], runs.start[j])
                if runs.colour[i] == runs.colour[j]:
                    runs.links[j] += 1
                    runs.shared[j] += max(overlap, 0)
                    _union(runs.parent, i, j)
                elif overlap > 0:
                    runs.pairs[n_pairs, 0], runs.pairs[n_pairs, 1] = i, j
                    n_pairs += 1
                i += 1
    return n_pairs


@compiled
def _measure(runs, n_runs, parts):
    """Labels the runs and sums up each component; returns the number of components."""
    n = 0
    for i in range(n_runs):
        row, start, stop = runs.row[i], runs.start[i], runs.stop[i]
        if runs.parent[i] == i:
            p = n
            n += 1
            parts.colour[p], parts.top[p], parts.left[p], parts.right[p] = runs.colour[i], row, start, stop
            parts.area[p], parts.euler[p], parts.perimeter[p] = 0, 0, 0
            parts.sum_row[p], parts.sum_col[p] = 0, 0
        else:
            p = runs.label[runs.parent[i]]
        runs.label[i] = p
        size = stop - start
        parts.left[p], parts.right[p] = min(parts.left[p], start), max(parts.right[p], stop)
        parts.bottom[p] = row + 1
        parts.area[p] += size
        parts.euler[p] += 1 - runs.links[i]
        parts.perimeter[p] += 2 + 2 * size - 2 * runs.shared[i]
        parts.sum_row[p] += size * row
        parts.sum_col[p] += size * (start + stop - 1) // 2
    return n


@compiled
def _rank(parts, n_parts, height, width, best):
    """Orders the components and cuts: fills parts.entry, returns the number kept; k-th: best[k] & 0xFFFF.

    Keys: larger area, nearer to the grid's centre, earlier in raster order. The first two do not change under
    D8 and colours, but the last does: so the cut never falls between components that tie on the first two.
    """
    limit = len(best) - 1
    n_best = 0
    for p in range(n_parts):
        down = parts.top[p] + parts.bottom[p] - height
        right = parts.left[p] + parts.right[p] - width
        key = ((at.MAX_CELLS - parts.area[p]) << 32) | ((down * down + right * right) << 16) | p
        if n_best <= limit:
            n_best += 1
        elif key > best[limit]:
            continue
        i = n_best - 1
        while i > 0 and best[i - 1] > key:
            best[i] = best[i - 1]
            i -= 1
        best[i] = key
    kept = n_best
    if n_best > limit:
        kept = limit
        while kept > 0 and best[kept - 1] >> 16 == best[limit] >> 16:
            kept -= 1
    parts.entry[:n_parts] = kept
    for k in range(kept):
        parts.entry[best[k] & 0xFFFF] = k
    return kept


@compiled
def _add_entry(found, index, parts, p):
    """Columns but symmetry, no contacts and blank mask rows for part p."""
    top, left, area = parts.top[p], parts.left[p], parts.area[p]
    height = parts.bottom[p] - top
    columns = found.columns[index]
    columns[at.COLOUR], columns[at.TOP], columns[at.LEFT] = parts.colour[p], top, left
    columns[at.HEIGHT], columns[at.WIDTH], columns[at.AREA] = height, parts.right[p] - left, area
    columns[at.HOLES], columns[at.PERIMETER] = 1 - parts.euler[p], parts.perimeter[p]
    columns[at.SUM_ROW], columns[at.SUM_COL] = parts.sum_row[p] - area * top, parts.sum_col[p] - area * left
    found.contact[index] = 0
    begin = found.row_start[index]
    found.row_start[index + 1] = begin + height
    found.rows[begin : begin + height] = 0


@compiled
def _merge(parts, n_parts, kept, residual):
    """Sums the dropped components up as part n_parts, and their cells per colour in residual."""
    m = n_parts
    parts.colour[m], parts.euler[m], parts.perimeter[m] = at.MIXED, 0, 0
    parts.area[m], parts.sum_row[m], parts.sum_col[m] = 0, 0, 0
    parts.top[m], parts.left[m], parts.bottom[m], parts.right[m] = at.MAX_SIDE, at.MAX_SIDE, 0, 0
    for p in range(n_parts):
        if parts.entry[p] == kept:
            residual[parts.colour[p]] += parts.area[p]
            parts.top[m] = min(parts.top[m], parts.top[p])
            parts.left[m] = min(parts.left[m], parts.left[p])
            parts.bottom[m] = max(parts.bottom[m], parts.bottom[p])
            parts.right[m] = max(parts.right[m], parts.right[p])
            parts.area[m] += parts.area[p]
            parts.sum_row[m] += parts.sum_row[p]
            parts.sum_col[m] += parts.sum_col[p]


@compiled
def _draw_and_touch(found, base, runs, n_runs, n_pairs, entry):
    """Mask rows of all entries, and which of them touch along a cell edge."""
    for i in range(n_runs):
        e = entry[runs.label[i]]
        o = base + e
        bits = ((1 << (runs.stop[i] - runs.start[i])) - 1) << (runs.start[i] - found.columns[o, at.LEFT])
        found.rows[found.row_start[o] + runs.row[i] - found.columns[o, at.TOP]] |= bits
        if i > 0 and runs.row[i] == runs.row[i - 1] and runs.start[i] == runs.stop[i - 1]:
            _touch(found.contact, base, e, entry[runs.label[i - 1]])
    for k in range(n_pairs):
        a, b = runs.pairs[k]
        _touch(found.contact, base, entry[runs.label[a]], entry[runs.label[b]])


@compiled
def _touch(contact, base, a, b):
    if a != b:
        contact[base + a] |= 1 << b
        contact[base + b] |= 1 << a


@compiled
def _outline_residual(columns, grid_shape, runs, n_runs, parts, reach):
    """Holes and perimeter of the union of the dropped cells, colours ignored. Overwrites the scratch."""
    height, width, kept = grid_shape
    mask = np.zeros(height * width, np.uint8)
    for i in range(n_runs):
        if parts.entry[runs.label[i]] == kept:
            mask[runs.row[i] * width + runs.start[i] : runs.row[i] * width + runs.stop[i]] = 1
    n_runs = _find_runs(mask, width, 0, runs)
    _link_rows(runs, height, reach)
    n_parts = _measure(runs, n_runs, parts)
    columns[at.HOLES] = n_parts - parts.euler[:n_parts].sum()
    columns[at.PERIMETER] = parts.perimeter[:n_parts].sum()


@compiled
def _mirrored(rows, height, width, kind):
    """Whether a mask equals its image; rows[i] >> j & 1 is cell (i, j)."""
    for i in range(height):
        for j in range(width):
            a, b = i, j
            if kind == at.LEFT_RIGHT:
                b = width - 1 - j
            elif kind == at.UP_DOWN:
                a = height - 1 - i
            elif kind == at.DIAGONAL:
                a, b = j, i
            elif kind == at.ANTIDIAGONAL:
                a, b = width - 1 - j, height - 1 - i
            else:
                a, b = height - 1 - i, width - 1 - j
            if (rows[i] >> j) & 1 != (rows[a] >> b) & 1:
                return False
    return True


@compiled
def _symmetry(columns, rows):
    """Symmetry bits of a cropped mask. The centroid rules most candidates out before any cell is compared."""
    height, width, area = columns[at.HEIGHT], columns[at.WIDTH], columns[at.AREA]
    square = height == width
    if area == height * width:
        return 31 if square else at.LEFT_RIGHT | at.UP_DOWN | at.ROT180
    down, across = 2 * columns[at.SUM_ROW] - area * (height - 1), 2 * columns[at.SUM_COL] - area * (width - 1)
    bits = 0
    if across == 0 and _mirrored(rows, height, width, at.LEFT_RIGHT):
        bits |= at.LEFT_RIGHT
    if down == 0 and _mirrored(rows, height, width, at.UP_DOWN):
        bits |= at.UP_DOWN
    if square and down == across and _mirrored(rows, height, width, at.DIAGONAL):
        bits |= at.DIAGONAL
    if square and down == -across and _mirrored(rows, height, width, at.ANTIDIAGONAL):
        bits |= at.ANTIDIAGONAL
    if down == 0 and across == 0 and _mirrored(rows, height, width, at.ROT180):
        bits |= at.ROT180
    return bits


@compiled
def find_objects(grids, rules, found, runs, parts):
    """Fills `found` from `grids` (Cells) by `rules` (Rules); buffers and scratch: see `layout.allocate`."""
    best = np.empty(rules.max_objects + 1, np.int64)
    for f in range(len(grids.height)):
        grid = grids.cells[grids.start[f] : grids.start[f + 1]]
        height, width = np.int64(grids.height[f]), np.int64(grids.width[f])
        found.histogram[f], found.residual[f] = 0, 0
        for colour in grid:
            found.histogram[f, colour] += 1
        found.background[f] = _choose_background(found.histogram[f], rules.zero_background)
        n_runs = _find_runs(grid, width, found.background[f], runs)
        n_pairs = _link_rows(runs, height, rules.reach)
        n_parts = _measure(runs, n_runs, parts)
        kept = _rank(parts, n_parts, height, width, best)
        base = found.object_start[f]
        end = base + kept
        for k in range(kept):
            _add_entry(found, base + k, parts, best[k] & 0xFFFF)
        if kept < n_parts:
            _merge(parts, n_parts, kept, found.residual[f])
            _add_entry(found, end, parts, n_parts)
            end += 1
        _draw_and_touch(found, base, runs, n_runs, n_pairs, parts.entry)
        if kept < n_parts:
            _outline_residual(found.columns[end - 1], (height, width, kept), runs, n_runs, parts, rules.reach)
        for o in range(base, end):
            rows = found.rows[found.row_start[o] : found.row_start[o + 1]]
            found.columns[o, at.SYMMETRY] = _symmetry(found.columns[o], rows)
        found.n_components[f] = n_parts
        found.object_start[f + 1] = end
