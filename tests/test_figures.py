"""Every figure draws whatever phases have run, shows its intervals, hides no text and gives the same bytes again."""

import itertools
from types import SimpleNamespace

import figure_data as data
import numpy as np
import pandas as pd
import pytest
from amounts import fault
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.text import Text

from arcjepa.errors import UserError
from arcjepa.figures import style
from arcjepa.figures.alignment import draw_alignment
from arcjepa.figures.candidates import draw_ranking
from arcjepa.figures.codebook import plot_codebook
from arcjepa.figures.geometry import plot_geometry
from arcjepa.figures.gradients import plot_gradients
from arcjepa.figures.losses import plot_losses
from arcjepa.figures.map import plot_map, project
from arcjepa.figures.ranking import plot_ranking
from arcjepa.figures.tables import no_runs, read_runs, read_table
from arcjepa.figures.targets import draw_gates, draw_risks, draw_targets
from arcjepa.figures.tokens import draw_tokens, find_place
from arcjepa.figures.yardstick import plot_yardstick
from arcjepa.frames import Grids
from arcjepa.tokens import tokenise

PHASES, CONTROLS = style.PHASES, style.CONTROLS
# None, each alone, each alone missing, all. Pairs are drawn by the same code and would take another half as long.
SUBSETS = [names for size in (0, 1, 3, 4) for names in itertools.combinations(PHASES, size)]
FIGURES = {
    "losses": lambda names: plot_losses(data.epochs(names, 1, 3), data.OBJECTIVES),
    "codebook": lambda names: plot_codebook(data.steps(names, 1, 3)),
    "geometry": lambda names: plot_geometry(data.steps(names, 1, 3)),
    "gradients": lambda names: plot_gradients(data.epochs(names, 1, 3), data.CLIPS),
    "yardstick": lambda names: plot_yardstick(data.metrics((*names, *CONTROLS)), data.CHANCE),
    "ranking": lambda names: plot_ranking(data.ranking((*names, *CONTROLS), ("arc1",))),
    "map": lambda names: plot_map(*data.embeddings(names, 40), "source"),
    "candidates": lambda names: draw_ranking(data.queries(names, 1)),
    "targets": lambda names: draw_targets(data.targets(names)),
    "alignment": lambda names: draw_alignment(data.alignment(names)),
    "gates": lambda names: draw_gates(data.gates(names)),
    "risks": lambda names: draw_risks(data.risks(names)),
}
TOKEN_SETTINGS = SimpleNamespace(connectivity=8, background="most_frequent", max_objects=4)


def shown_texts(figure: Figure) -> list[Text]:
    """Every text that is drawn: tick labels exist outside their axis' limits too, but are not drawn there."""
    figure.draw_without_rendering()
    own = [text for axes in figure.axes for text in own_texts(axes)]
    ticks = []
    for axes in (axes for axes in figure.axes if axes.axison):
        area = axes.get_window_extent()
        for axis, low, high, along in ((axes.xaxis, area.x0, area.x1, 0), (axes.yaxis, area.y0, area.y1, 1)):
            for label in axis.get_ticklabels():
                box = label.get_window_extent()
                if low - 1 <= (box.min[along] + box.max[along]) / 2 <= high + 1:
                    ticks.append(label)
    legends = [text for legend in figure.legends for text in legend.get_texts()]
    texts = [*figure.texts, *own, *ticks, *legends]
    return [text for text in texts if text.get_visible() and text.get_text().strip()]


def own_texts(axes) -> list[Text]:
    """Texts of axes other than tick labels."""
    labels = [axes.xaxis.label, axes.yaxis.label] if axes.axison else []
    return [*axes.texts, axes.title, axes._left_title, axes._right_title, *labels]


def words(figure: Figure) -> str:
    texts = [*figure.texts, *(text for axes in figure.axes for text in own_texts(axes))]
    return "\n".join(text.get_text() for text in texts)


def gids(figure: Figure | Axes, prefix: str) -> list:
    return figure.findobj(lambda artist: str(artist.get_gid() or "").startswith(prefix))


def assert_texts_apart(figure: Figure) -> None:
    boxes = [(text.get_text(), text.get_window_extent()) for text in shown_texts(figure)]
    bounds = figure.bbox
    for text, box in boxes:
        assert bounds.x0 <= box.x0 < box.x1 <= bounds.x1, f"{text!r} leaves the figure"
        assert bounds.y0 <= box.y0 < box.y1 <= bounds.y1, f"{text!r} leaves the figure"
    low, high = (np.array([getattr(box, corner) for _, box in boxes]) for corner in ("min", "max"))
    shared = np.minimum(high[:, None], high) - np.maximum(low[:, None], low)
    for i, j in np.argwhere(np.triu((shared > (0.5, 1.5)).all(-1), 1)):
        raise AssertionError(f"{boxes[i][0]!r} lies over {boxes[j][0]!r}")


@pytest.mark.slow
@pytest.mark.parametrize("name", FIGURES)
@fault("a figure of some of the phases", len(SUBSETS))
def test_draws_every_subset_and_names_what_is_missing(name):
    for names in SUBSETS:
        text = words(FIGURES[name](names))
        # The baseline has no targets to miss.
        expected = PHASES[1:] if name == "targets" else PHASES
        missing = [phase for phase in expected if phase not in names]
        assert (f"not run: {', '.join(missing)}" in text) if missing and name != "gradients" else True
        assert ("not run" in text) == bool(missing)


@pytest.mark.slow
@pytest.mark.parametrize("name", FIGURES)
@pytest.mark.parametrize("names", [PHASES, ("phase2",)])
def test_texts_never_overlap(name, names):
    assert_texts_apart(FIGURES[name](names))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["map", "codebook"])
def test_saving_twice_gives_identical_bytes_with_the_stamp(name, tmp_path):
    stamp = style.stamp("0123456789abcdef", "fedcba9876543210")
    figure = FIGURES[name](PHASES)
    first, second = style.save(figure, tmp_path / "a" / name, stamp), style.save(figure, tmp_path / name, stamp)
    third = style.save(FIGURES[name](PHASES), tmp_path / "b" / name, stamp)
    for one, other, again in zip(first, second, third, strict=True):
        assert one.read_bytes() == other.read_bytes() == again.read_bytes()
    other = style.save(figure, tmp_path / "c" / name, style.stamp("f" * 16, "0" * 16))
    assert all(a.read_bytes() != b.read_bytes() for a, b in zip(first, other, strict=True))
    assert [path.suffix for path in first] == [".svg", ".png"]


@pytest.mark.slow
def test_intervals_are_drawn_for_every_value_that_has_one():
    def whiskers(figure: Figure) -> int:
        lines = figure.findobj(LineCollection)
        return sum(len(line.get_segments()) for line in lines)

    # Four phases on three measures and three controls on one; two sets with four measures and RE-ARC.
    assert whiskers(plot_yardstick(data.metrics(), data.CHANCE)) == 4 * 3 + 3
    assert whiskers(plot_ranking(data.ranking())) == 7 * (4 * 2 + 1)
    without = data.metrics().assign(val_nce_low=np.nan)
    assert whiskers(plot_yardstick(without, data.CHANCE)) == 4 * 2 + 3


@pytest.mark.slow
def test_chance_is_a_line_in_every_panel():
    assert len(gids(plot_yardstick(data.metrics(), data.CHANCE), "chance")) == 3
    assert len(gids(plot_ranking(data.ranking()), "chance")) == 4 * 2 + 1


def test_narrow_intervals_show_beside_their_markers():
    figure = plot_yardstick(data.metrics(), data.CHANCE)
    caps = [line for line in figure.axes[1].lines if line.get_marker() in ("|", 2, 3)]
    dots = [line for line in figure.axes[1].lines if line.get_marker() in {style.look(n).marker for n in PHASES}]
    assert min(cap.get_markersize() for cap in caps) > max(dot.get_markersize() for dot in dots)


def test_colours_and_markers_of_phases_differ_and_are_fixed():
    looks = [style.look(name) for name in (*PHASES, *CONTROLS)]
    assert len({look.colour for look in looks}) == len({look.marker for look in looks}) == len(looks)
    assert all(look.colour[1:3] == look.colour[3:5] == look.colour[5:7] for look in looks[len(PHASES) :])
    assert style.look("my-phase") == style.look("my-phase")
    for figure in (FIGURES["losses"](("phase2",)), FIGURES["codebook"](PHASES)):
        assert {line.get_color() for line in gids(figure, "curve-phase2")} == {style.look("phase2").colour}


def test_losses_keep_objectives_in_panels_of_their_own():
    figure = plot_losses(data.epochs(), data.OBJECTIVES)
    for axes in figure.axes:
        names = {line.get_gid().removeprefix("curve-") for line in gids(axes, "curve-")}
        assert len({data.OBJECTIVES[name] for name in names}) <= 1
    assert "(nats)" in words(figure)
    assert "(squared error)" in words(figure)


def test_refreshes_are_marked_where_codes_were_replaced():
    marks = gids(plot_codebook(data.steps()), "refresh-baseline")
    assert {line.get_xdata()[0] for line in marks} == set(data.REFRESHES["baseline"])
    assert not gids(plot_codebook(data.steps()), "refresh-phase1")


def test_clip_threshold_is_drawn_where_there_is_one():
    clips = data.CLIPS | {"phase3": None}
    figure = plot_gradients(data.epochs(), clips)
    assert [line.get_ydata()[0] for line in gids(figure, "clip-")] == [0.5, 0.5, 1.0]
    assert "no clipping" in words(figure)


@pytest.mark.slow
@pytest.mark.parametrize("n", [1, 40])
def test_any_number_of_epochs_draws_and_a_single_one_is_visible(n):
    figure = plot_losses(data.epochs(n=n, seeds=1), data.OBJECTIVES)
    assert_texts_apart(figure)
    assert all(line.get_marker() != "" for line in gids(figure, "curve-")) or n > 1
    assert_texts_apart(plot_gradients(data.epochs(("phase1",), n=n, seeds=1), {"phase1": 0.5}))


def test_columns_of_nan_are_said_to_be_absent():
    steps = data.steps(n=5)
    steps[["code_usage", "perplexity", "variance_target"]] = np.nan
    assert "no codebook" in words(plot_codebook(steps))
    assert "not recorded" in words(plot_geometry(steps))
    assert_texts_apart(plot_codebook(steps))


@pytest.mark.slow
def test_twelve_test_sets_and_further_phases_fit():
    sets = [f"a-rather-long-user-set-{i}" for i in range(12)]
    figure = plot_ranking(data.ranking(("phase1", "copy"), sets), ("phase1",), ("copy",))
    assert all(name in words(figure) for name in sets)
    assert_texts_apart(figure)
    assert "my-phase" in words(plot_yardstick(data.metrics(), data.CHANCE, phases=(*PHASES, "my-phase")))


@pytest.mark.slow
def test_no_runs_at_all_draw():
    for figure in (plot_losses(no_runs(), data.OBJECTIVES), plot_codebook(no_runs()), plot_geometry(no_runs())):
        assert "not run" in words(figure)
    assert "not run" in words(plot_gradients(no_runs(), data.CLIPS))


def test_labels_are_spread_apart_in_order():
    placed = style.spread(np.array([0.5, 0.5, 0.51, 0.9]), 0.1)
    assert np.diff(placed).min() >= 0.1 - 1e-12
    assert placed[3] == 0.9
    assert placed[:3].mean() == pytest.approx(np.mean([0.5, 0.5, 0.51]))


def test_projection_is_the_two_directions_of_most_variance():
    rng = np.random.default_rng(0)
    values = rng.normal(size=(200, 6)) * [9, 4, 1, 1, 1, 1]
    points, shares = project(values)
    assert points.var(0) == pytest.approx(np.linalg.eigvalsh(np.cov(values.T, ddof=0))[:-3:-1])
    assert shares.sum() == pytest.approx(97 / 101, abs=0.02)
    assert project(np.ones((3, 1)))[0].shape == (3, 2)
    assert "not finite" in words(plot_map({"baseline": values * np.nan}, ["a"] * 200, "source"))


def test_tokens_show_every_object_its_contacts_and_the_residual():
    grid = np.zeros((9, 9), np.uint8)
    grid[1:4, 1:4], grid[1:4, 4], grid[6, 6], grid[8, 0], grid[8, 2], grid[0, 8] = 1, 2, 3, 4, 5, 6
    tokens = tokenise(Grids.from_list([grid]), TOKEN_SETTINGS)
    figure = draw_tokens(grid, tokens.columns, tokens.contact, "a grid")
    assert [text.get_text().strip() for text in shown_texts(figure)].count("mix") == 1
    assert len(gids(figure, "contact")) == 1
    assert figure.axes[0].images
    entry = dict(zip(("colour", "top", "left", "height", "width", "area"), (0, 0, 0, 9, 9, 1), strict=True))
    x, y = find_place(grid, entry | {"sum_row": 2, "sum_col": 2})
    assert grid[int(y), int(x)] == 0


def test_the_numbers_of_nested_objects_of_one_colour_lie_apart():
    """A frame of the colour of what it holds: the nearest cell of that colour to its centre is not its own."""
    grid = np.zeros((9, 9), np.uint8)
    grid[1:8, 1:8], grid[2:7, 2:7], grid[4, 4] = 2, 3, 2
    tokens = tokenise(Grids.from_list([grid]), TOKEN_SETTINGS)
    figure = draw_tokens(grid, tokens.columns, tokens.contact, "a grid")
    numbers = [text for text in figure.axes[0].texts if text.get_bbox_patch()]
    assert len({text.get_position() for text in numbers}) == len(numbers) == 3


def test_candidates_come_in_the_encoders_order_with_the_true_one_framed():
    query = data.queries()[0]
    figure = draw_ranking([query])
    assert len(gids(figure, "true")) == len(PHASES)
    assert [f"true output {1 + (1 + 4 * i) % 16} of 16" in words(figure) for i in range(4)] == [True] * 4
    assert "no examples" in words(draw_ranking([]))


def test_every_outcome_has_its_sign_and_a_line_to_run_is_not_torn():
    gates, risks = words(draw_gates(data.gates())), words(draw_risks(data.risks()))
    assert all(sign in gates for sign in ("●  fired", "○  not fired", "–  cannot be judged"))
    assert all(sign in risks for sign in ("●  yes", "○  no", "–  cannot be judged"))
    for text in (gates, risks):
        assert not [line for line in text.splitlines() if line.rstrip().endswith("-S")]
        assert "-S\u00a0phases.phase3.quantizer.kind=vq" in text
    assert "30\u00a0%, impact\u00a0medium" in risks


def test_the_scorecard_shows_scores_beside_the_printed_ones_with_letters():
    text = words(draw_alignment(data.alignment()))
    assert all(sign in text for sign in ("●", "◐", "○", "(◐)"))
    assert text.count("68.75 %") == len(PHASES)
    assert text.count("(31.25 %)") == len(PHASES) - 1
    assert text.count("\nB-\n") == len(PHASES)


def test_ultimate_targets_have_a_block_of_their_own():
    text = words(draw_targets(data.targets()))
    assert "all phases" in text
    assert text.count("success metrics") == text.count("success criteria") == 3


def test_run_tables_are_read_with_name_and_seed(tmp_path):
    folder = tmp_path / "laptop" / "phase2" / "seed1"
    folder.mkdir(parents=True)
    pd.DataFrame({"epoch": [1], "train_relational_weighted": [np.nan]}).to_csv(folder / "epochs.csv", index=False)
    table = read_runs([folder / "epochs.csv"])
    assert table.loc[0, ["name", "seed", "epoch"]].tolist() == ["phase2", 1, 1]
    assert read_runs([]).empty
    with pytest.raises(UserError, match=r"steps\.csv: no such file"):
        read_runs([folder / "steps.csv"])
    with pytest.raises(UserError, match=r"column 'name' is missing"):
        read_table(folder / "epochs.csv", ["name"])
