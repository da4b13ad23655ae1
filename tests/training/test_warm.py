"""Warm starts: what is carried over by name and shape, and where a spec may point."""

import numpy as np
import pytest

from dotnn.training.checkpoint import pack
from dotnn.training.run import WEIGHTS
from dotnn.training.warm import begin_from, carried, notes, start_folder, warm
from dotnn_grammar.problems import ProblemError


def state(**shapes):
    return {
        name.replace("__", ":").replace("_", "."): np.full(shape, 1.0, np.float32) for name, shape in shapes.items()
    }


def test_names_and_shapes_decide():
    new = {**state(Net_a=(2, 3), Net_b=(3,), Net_c=(4,)), "step": np.array(0), "key": np.array(5, np.uint64)}
    old = {k: v * 7 for k, v in state(Net_a=(2, 3), Net_b=(5,), Net_d=(1,)).items()}
    old |= {"Net.a:adam.m": np.ones((2, 3), np.float32), "step": np.array(900), "key": np.array(9, np.uint64)}
    before = {k: v.copy() for k, v in new.items()}
    made = warm(new, old)
    assert (made.taken, made.missing, made.extra) == (("Net.a",), ("Net.c",), ("Net.d",))
    assert made.resized == (("Net.b", (3,), (5,)),)
    assert np.all(made.state["Net.a"] == 7)
    assert np.all(made.state["Net.b"] == 1)
    assert [int(made.state[n]) for n in ("step", "key")] == [0, 5]
    assert list(made.state) == list(new)
    assert all(np.array_equal(new[k], before[k]) for k in new)


def test_the_notes_name_everything_that_did_not_fit(tmp_path):
    made = warm(state(A_x=(2,), A_y=(3,), A_z=(1,)), state(A_x=(2,), A_y=(4,), B_w=(1,)))
    assert notes(made, tmp_path / "r") == [
        f"note: 1 of 3 weights start from {tmp_path / 'r'}",
        "note: not in that run, so they begin anew: A.z",
        "note: of another shape there, so they begin anew: A.y ([3] here, [4] there)",
        "note: in that run alone, and not used: B.w",
    ]


def test_a_part_is_found_in_a_net_of_another_name(tmp_path):
    """A net that told digits hands its eyes to one that does something else; where two could be meant, none is."""
    made = warm(
        state(B_eye_W=(2,), B_eye_b=(1,), B_head=(3,)), {n: a * 7 for n, a in state(A_eye_W=(2,), A_eye_b=(4,)).items()}
    )
    assert (made.taken, made.missing, made.extra) == (("B.eye.W",), ("B.head",), ())
    assert made.resized == (("B.eye.b", (1,), (4,)),)
    assert np.all(made.state["B.eye.W"] == 7)
    assert "note: from a net of another name: A.eye.W as B.eye.W" in notes(made, tmp_path)
    for ours, theirs in (({"B_x": (2,), "C_x": (2,)}, {"A_x": (2,)}), ({"B_x": (2,)}, {"A_x": (2,), "C_x": (2,)})):
        made = warm(state(**ours), state(**theirs))
        assert (made.taken, made.extra) == ((), tuple(state(**theirs)))
    made = warm(state(A_x=(2,), B_x=(2,)), state(A_x=(2,)))
    assert (made.taken, made.missing) == (("A.x",), ("B.x",))


def test_what_belongs_to_the_run_stays_behind():
    assert [n for n in ("Net.W", "Net.norm.mean", "Net.W:adam.m", "step", "key") if carried(n)] == [
        "Net.W",
        "Net.norm.mean",
    ]


def test_a_run_of_which_nothing_fits_is_a_problem(tmp_path):
    (tmp_path / WEIGHTS).write_bytes(pack(state(B_w=(1,))))
    with pytest.raises(ProblemError) as caught:
        begin_from(tmp_path, state(A_x=(2,)))
    assert caught.value.problems[0].code == "T040"
    assert "B.w [1]" in caught.value.problems[0].help_text
    made, said = begin_from(tmp_path, state(B_w=(1,), C_v=(2,)))
    assert len(said) == 2
    assert set(made) == {"B.w", "C.v"}


def test_a_spec_starts_from_runs_of_its_own_folder(tmp_path):
    (tmp_path / "spec" / "runs" / "one").mkdir(parents=True)
    (tmp_path / "out").mkdir()
    (tmp_path / "spec" / "link").symlink_to(tmp_path / "out")
    folder = tmp_path / "spec"
    assert start_folder("runs/one", folder) == folder / "runs" / "one"
    assert start_folder("./runs//one/", folder) == folder / "runs" / "one"
    for text in ("../out", "/etc", "runs/../../out", "link", "link/deeper", "~/x", "C:\\x", "a\0b", "", "\\\\host\\x"):
        with pytest.raises(ProblemError) as caught:
            start_folder(text, folder)
        assert caught.value.problems[0].code == "T041", text
