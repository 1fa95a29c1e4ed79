"""Every primitive does what its name says, on a small grid read by eye, and leaves its input alone."""

import numpy as np
import pytest

from arcjepa.dice import Dice
from arcjepa.grids import STYLES, random_grid
from arcjepa.primitives import BASE, KINDS, PRIMITIVES, draw_step
from arcjepa.programs import parse_program
from arcjepa.selection import SELECTORS, choose, objects_of

EXAMPLES = [  # (rule, input, output), rows apart by /
    ("flip_rows", "1200/0300/0000", "0000/0300/1200"),
    ("flip_cols", "1200/0300/0000", "0021/0030/0000"),
    ("rotate(90)", "1200/0300/0000", "000/000/230/100"),
    ("rotate(180)", "1200/0300/0000", "0000/0030/0021"),
    ("rotate(270)", "1200/0300/0000", "001/032/000/000"),
    ("translate(1,-1)", "000/012/000", "000/000/120"),
    ("recolour(3>5)", "1200/0300/0000", "1200/0500/0000"),
    ("upscale(2)", "10/02", "1100/1100/0022/0022"),
    ("tile(1,2)", "10/02", "1010/0202"),
    ("crop", "00000/01000/00000/00020/00000", "100/000/002"),
    ("fill(4)", "00000/01110/01010/01110/00000", "00000/01110/01410/01110/00000"),
    ("extend(down)", "010/000/000/020/000", "010/010/010/020/020"),
    ("transpose", "1200/0300/0000", "100/230/000/000"),
    ("antitranspose", "1200/0300/0000", "000/000/032/001"),
    ("wrap(0,1)", "1200/0300/0000", "0120/0030/0000"),
    ("shear(rows,1)", "100/100/100", "100/010/001"),
    ("swap(1>3)", "1200/0300/0000", "3200/0100/0000"),
    ("cycle(1>2>3)", "1200/0300/0000", "2300/0100/0000"),
    ("recolour_background(5)", "1200/0300/0000", "1255/5355/5555"),
    ("flatten(4)", "1200/0300/0000", "4400/0400/0000"),
    ("invert", "001/011/000", "110/100/111"),
    (
        "recolour_ranked(commonest,5)",
        "110000/110030/000000/022200/000000",
        "550000/550030/000000/022200/000000",
    ),
    ("keep_ranked(rarest)", "110000/110030/000000/022200/000000", "000000/000030/000000/000000/000000"),
    ("drop_ranked(commonest)", "110000/110030/000000/022200/000000", "000000/000030/000000/022200/000000"),
    ("keep_colour(2)", "110000/110030/000000/022200/000000", "000000/000000/000000/022200/000000"),
    ("drop_colour(1)", "110000/110030/000000/022200/000000", "000000/000030/000000/022200/000000"),
    ("output_ranked(rarest)", "110000/110030/000000/022200/000000", "3"),
    ("colour_strip(rows)", "110000/110030/000000/022200/000000", "123"),
    ("checkerboard(5)", "0000/0110/0000", "5050/0115/5050"),
    ("stripe_background(rows,2,5)", "000/010/000/000", "555/010/555/000"),
    ("alternate(cols,5)", "0000/1111/0000", "0000/1515/0000"),
    ("recolour_half(left,5)", "00000000/01111110/00000000", "00000000/05551110/00000000"),
    ("paint_rows(rows)", "0010/0000/0200", "1111/0000/2222"),
    ("midline(cols,5)", "0100/0000/0020", "0550/0550/0550"),
    ("frame(4)", "000/010/000", "444/414/444"),
    ("mirror_half(right)", "1200/3000", "1221/3003"),
    ("overlay_mirror(cols)", "1000/2300/0000", "1001/2332/0000"),
    ("repair_symmetry(9,rows)", "12/34/94/19", "12/34/34/12"),
    ("repair_tiling(9)", "1212/3494/1292", "1212/3434/1212"),
    ("swap_halves(cols)", "12300/45600", "00312/00645"),
    ("sort_lines(rows,up)", "110/000/010", "000/010/110"),
    ("stretch(cols,2)", "10/02", "1100/0022"),
    ("upscale_by_colours", "12/00/00", "1122/1122/0000/0000/0000/0000"),
    ("downscale(2)", "1100/1100/0022/0022", "10/02"),
    ("subsample(rows,2)", "100/020/003", "100/003"),
    ("join_mirrored(right)", "1200/0300/0000", "12000021/03000030/00000000"),
    ("join_turned(down)", "1200/0300/0000", "1200/0300/0000/0000/0030/0021"),
    ("kaleidoscope", "12/03", "1221/0330/0330/1221"),
    ("pinwheel", "12/00", "1201/0002/2000/1021"),
    ("crop_colour(2)", "110000/110030/000000/022200/000000", "222"),
    ("crop_ranked(rarest)", "1110/0220/1000", "22"),
    ("keep_half(up)", "10/02/30/00", "10/02"),
    ("keep_quarter(down,right)", "1000/0200/0031/0000", "31/00"),
    ("keep_edge(left,2)", "1200/0301", "12/03"),
    ("pad(5)", "10/02", "5555/5105/5025/5555"),
    ("pad_edge", "12/30", "1122/1122/3300/3300"),
    ("peel(1)", "0000/0120/0000", "12"),
    ("underline(down,5)", "10/02", "10/02/55"),
    ("squeeze", "1020/0000/0300", "102/030"),
    ("merge_equal", "1122/1122/0033", "12/03"),
    ("overlay_halves(and,5)", "1103300/0103030", "500/050"),
    ("stack_halves(cols)", "100200/000020", "100/020"),
    ("pick_panel(fullest)", "11301/00300/33333/00300/00310", "11/00"),
    ("odd_panel", "10310/00300/33333/10301/00300", "01/00"),
    ("shrink_panels", "10301/00300/33333/00300/00310", "11/01"),
    ("fill_panels", "10301/00300/33333/00300/00310", "11311/11311/33333/00311/00311"),
    ("extend_colour(1,right)", "0100/0200/0000", "0111/0200/0000"),
    ("extend_lines", "00000/01100/00000/00002", "00000/11111/00000/00002"),
    ("cross", "00000/01000/00000/00020/00000", "01020/11111/01020/22222/01020"),
    ("draw_line(rows)", "00000/01000/00000/00020/00000", "00000/11111/00000/22222/00000"),
    ("diagonals", "00000/00000/00100/00000", "10001/01010/00100/01010"),
    ("surround(1,5,sides)", "00000/01000/00000/00020/00000", "05000/51500/05000/00020/00000"),
    ("connect(rows)", "10010/00000/02000/03020", "11110/00000/02000/03020"),
    ("connect_both", "1001/0000/0000/1000", "1111/1000/1000/1000"),
    ("gravity(down)", "120/000/003", "000/000/123"),
    ("outline(5)", "0000/0100/0000/0000", "5550/5150/5550/0000"),
    ("grow(sides)", "00000/01000/00000/00020/00000", "01000/11100/01020/00222/00020"),
    ("erode", "000000/011110/011110/011110/000000", "000000/000000/001100/000000/000000"),
    ("hollow", "000000/011110/011110/011110/000000", "000000/011110/010010/011110/000000"),
    ("recolour_inside(5)", "000000/011110/011110/011110/000000", "000000/011110/015510/011110/000000"),
    ("recolour_rim(5)", "000000/011110/011110/011110/000000", "000000/055550/051150/055550/000000"),
    ("recolour_degree(2,5)", "00000/01110/01000/00000", "00000/05510/01000/00000"),
    ("flood(5)", "00000/01110/01010/01110/00000", "55555/51115/51015/51115/55555"),
    ("fill_own", "00000/01110/01010/01110/00000", "00000/01110/01110/01110/00000"),
    ("drop_specks", "110000/110030/000000/022200/000000", "110000/110000/000000/022200/000000"),
    ("fill_boxes(5)", "0000/0100/0110/0000", "0000/0150/0110/0000"),
    ("edge_lines(down)", "0100/0000/0002/0000", "0100/0100/0102/0100"),
    (
        "recolour_objects(largest,5)",
        "110000/110030/000000/022200/000000",
        "550000/550030/000000/022200/000000",
    ),
    ("delete_objects(border)", "110000/110030/000000/022200/000000", "000000/000030/000000/022200/000000"),
    ("keep_objects(single)", "110000/110030/000000/022200/000000", "000000/000030/000000/000000/000000"),
    ("crop_object(widest)", "110000/110030/000000/022200/000000", "222"),
    ("outline_objects(single,5)", "110000/110030/000000/022200/000000", "110555/110535/000555/022200/000000"),
    ("box_objects(single,5)", "110000/110030/000000/022200/000000", "110555/110535/000555/022200/000000"),
    ("hollow_objects(all)", "000000/011110/011110/011110/000000", "000000/011110/010010/011110/000000"),
    ("fill_objects(holed,5)", "000000/011102/010100/011100/000000", "000000/011102/015100/011100/000000"),
    ("flip_objects(all,rows)", "0000/0100/0110/0000", "0000/0110/0100/0000"),
    ("move_objects(single,-1,0)", "110000/110030/000000/022200/000000", "110030/110000/000000/022200/000000"),
    ("copy_objects(single,2,0)", "110000/110030/000000/022200/000000", "110000/110030/000000/022230/000000"),
    (
        "slide_objects(single,down)",
        "110000/110030/000000/022200/000000",
        "110000/110000/000000/022200/000030",
    ),
    ("mark_centres(all,5)", "00000/01110/01110/01110/00000", "00000/01110/01510/01110/00000"),
    ("colour_like(smallest)", "110000/110030/000000/022200/000000", "330000/330030/000000/033300/000000"),
    ("rank_objects(size,5,6,7)", "110000/110030/000000/022200/000000", "550000/550070/000000/066600/000000"),
    ("size_classes(1,5)", "110000/110030/000000/022200/000000", "110000/110050/000000/022200/000000"),
    ("touching(2,5)", "0000000/0120010/0000000", "0000000/0520010/0000000"),
    ("count_objects(all,cols,5)", "110000/110030/000000/022200/000000", "5/5/5"),
    ("chart_objects(rows)", "0000000/0101020/0000000", "11/20"),
]


def grid_of(text: str) -> np.ndarray:
    return np.array([[int(colour) for colour in row] for row in text.split("/")], np.uint8)


def text_of(grid: np.ndarray) -> str:
    return "/".join("".join(map(str, row)) for row in grid.tolist())


@pytest.mark.parametrize(("rule", "before", "after"), EXAMPLES, ids=[example[0] for example in EXAMPLES])
def test_example(rule: str, before: str, after: str) -> None:
    grid = grid_of(before)
    (step,) = parse_program(rule)
    result = step.apply(grid)
    assert result is not None
    assert text_of(result) == after
    assert text_of(grid) == before, "the input was modified"
    assert result.dtype == np.uint8
    assert result.flags.c_contiguous


def test_every_primitive_has_an_example() -> None:
    assert {parse_program(rule)[0].primitive.name for rule, _, _ in EXAMPLES} == set(PRIMITIVES)


def test_enough_primitives() -> None:
    assert len(BASE) == 10
    assert set(BASE) < set(PRIMITIVES)
    assert len(PRIMITIVES) - len(BASE) >= 40


def test_table_names_only_known_styles_and_kinds() -> None:
    for primitive in PRIMITIVES.values():
        assert set(primitive.styles) <= set(STYLES), primitive.name
        assert set(primitive.kinds) <= {*KINDS, "old", "new"}, primitive.name


@pytest.mark.slow
@pytest.mark.parametrize("name", PRIMITIVES)
def test_pure_valid_and_readable_back(name: str) -> None:
    """On any grid: the input stays, the output is a legal grid or None, the text of the step parses to the step."""
    dice = Dice(np.random.default_rng(7))
    for style in (*STYLES, "noise"):
        step = draw_step(dice, PRIMITIVES[name])
        grid = random_grid(dice, style, dice.between(3, 14), dice.between(3, 14), (0, *step.needs, 1, 2, 3, 4)[:7])
        before = grid.copy()
        result = step.apply(grid)
        np.testing.assert_array_equal(grid, before)
        if result is not None:
            assert result.dtype == np.uint8
            assert 1 <= min(result.shape) <= max(result.shape) <= 30
            assert result.max() <= 9
            np.testing.assert_array_equal(result, step.apply(before))
        assert parse_program(str(step)) == (step,)


@pytest.mark.parametrize(
    "rule", ["recolour(7>5)", "swap(1>7)", "keep_colour(7)", "crop_colour(7)", "extend_colour(7,up)"]
)
def test_a_colour_that_is_not_there_refuses_the_grid(rule: str) -> None:
    assert parse_program(rule)[0].apply(grid_of("1200/0300/0000")) is None


@pytest.mark.parametrize("rule", ["upscale(3)", "tile(1,3)", "kaleidoscope"])
def test_outputs_beyond_30_cells_are_refused(rule: str) -> None:
    assert parse_program(rule)[0].apply(np.eye(16, dtype=np.uint8)) is None


def test_the_longest_output_is_foreseen() -> None:
    """`Step.growth` bounds how much a side may grow, so that inputs can be chosen small enough."""
    dice = Dice(np.random.default_rng(1))
    for primitive in PRIMITIVES.values():
        for _ in range(5):
            step = draw_step(dice, primitive)
            grid = random_grid(dice, "noise", 8, 8, (0, *step.needs, 5, 6))
            result = step.apply(grid)
            if result is not None and primitive.name not in (
                "upscale_by_colours",
                "count_objects",
                "chart_objects",
            ):
                assert max(result.shape) <= 8 * step.growth + 2, str(step)


SCENE = "1100020/1000020/0000020/0333000/0303040/0333000"
CHOSEN = {
    "largest": "3", "smallest": "4", "widest": "3", "left": "1", "single": "4", "straight": "2", "holed": "3",
    "border": "123", "inner": "4", "square": "13", "symmetric": "234", "asymmetric": "1", "solid": "2", "upright": "2",
    "plural": "123", "own_colour": "1234", "all": "1234",
}  # fmt: skip


@pytest.mark.parametrize("selector", CHOSEN)
def test_selectors(selector: str) -> None:
    found = objects_of(grid_of(SCENE))
    chosen = SELECTORS[selector](found)
    assert "".join(sorted(str(colour) for colour in found.table[chosen][:, 0])) == CHOSEN[selector]


def test_a_choice_that_shows_nothing_is_refused() -> None:
    grid = grid_of(SCENE)
    assert choose(grid, "own_colour") is None, "everything is chosen"
    assert choose(grid, "flat") is None, "nothing is chosen"
    assert choose(grid, "tallest") is None, "a tie"
    assert choose(grid, "all") is not None
