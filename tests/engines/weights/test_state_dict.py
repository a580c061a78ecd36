"""Files of weights: what is read, what is refused and in which words, and writing by several at once."""

from __future__ import annotations

import argparse
import os
import pickle
import random
import re
import warnings
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from configs.errors import EngineError
from engines.weights import detectron2, state_dict
from engines.weights.folding import fold_batch_norm

HALF = torch.tensor([0.5, 1.5, 2.5])
DAMAGED = "it is damaged or cut short, or it holds no weights, .*: get the file anew"


def refused(path: Path) -> str:
    """What is said of a file, without its name."""
    with pytest.raises(EngineError, match=f"^weights file {re.escape(str(path))} ") as told:
        state_dict.read(path)
    said = str(told.value).removeprefix(f"weights file {path} ")
    assert said.isprintable()
    assert len(said) < 300
    return said


@pytest.mark.parametrize(
    "held",
    [
        b"",
        b"hello\nworld",
        b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a2146\nsize 237034793\n",
        b"<!DOCTYPE html>\n<html><body>404</body></html>\n",
        b"PK\x03\x04" + bytes(100),
        pickle.dumps({"weight": "\x1b[1m"}, protocol=4),
    ],
    ids="empty text git-lfs html zip protocol-4".split(),
)
@pytest.mark.parametrize("suffix", ["pth", "pt", "safetensors"])
def test_what_is_no_file_of_weights_is_refused_in_our_words(held: bytes, suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"odd.{suffix}"
    path.write_bytes(held)
    assert re.fullmatch(f"cannot be read: {DAMAGED}", refused(path))


def test_a_pickled_module_is_answered_with_how_to_save_its_weights(tmp_path: Path) -> None:
    path = tmp_path / "module.pth"
    torch.save(nn.Linear(2, 2), path)
    assert refused(path) == (
        "cannot be read: it wants torch.nn.modules.linear.Linear, which no weights need: "
        "save only its state dict, torch.save(model.state_dict(), FILE)"
    )


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # it is no longer how one saves a network
def test_torchscript_is_told_by_its_name_and_without_a_warning(tmp_path: Path) -> None:
    path = tmp_path / "script.pt"
    torch.jit.save(torch.jit.script(nn.Identity()), path)
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        assert refused(path).startswith("cannot be read: it wants TorchScript, which no weights need: save only its")
    assert warned == []


def test_the_name_of_what_a_file_wants_cannot_write_to_a_terminal(tmp_path: Path) -> None:
    path = tmp_path / "odd.pth"
    path.write_bytes(b"\x80\x02c\x1b[31mevil\n\x1b]0;title\x07\n.")
    assert re.fullmatch(f"cannot be read: {DAMAGED}", refused(path))
    path = path.rename(tmp_path / "odd.pkl")
    with pytest.raises(EngineError, match=r"it wants \[31mevil\.\]0;title, which no weights need$"):
        detectron2.read(path)


@pytest.mark.filterwarnings("ignore::UserWarning")  # torch has less and less use for some of these
@pytest.mark.parametrize(
    ("made", "said"),
    [
        (lambda: [HALF], "and tensors were expected, not a list$"),
        (lambda: {1: HALF}, "and tensors were expected, and a name is a int$"),
        (lambda: {"a\nb": HALF}, r"and tensors were expected, and 'a\\nb' is no name$"),
        (lambda: {"a" * 1000: HALF}, "and tensors were expected, and 'a{200}' is no name$"),
        (lambda: {"weight": 0.5}, "and tensors were expected, and weight is a float$"),
        (lambda: {"weight": HALF.to_sparse()}, "holds weight in a form that is not read: save dense tensors$"),
        (lambda: {"weight": HALF.to("meta")}, "holds weight in a form"),
        (lambda: {"weight": torch.quantize_per_tensor(HALF, 0.1, 0, torch.qint8)}, "holds weight in a form"),
        (lambda: {"weight": torch.nested.nested_tensor([HALF, HALF[:2]])}, "holds weight in a form"),
        (lambda: {"weight": HALF.cfloat()}, "holds weight in a form"),
        (lambda: {"weight": HALF.bool()}, "holds weight in a form"),
        (lambda: {"weight": HALF[:1].expand(1 << 40)}, "holds weight in a form"),
    ],
    ids="list number newline long float sparse meta quantized nested complex bool endless".split(),
)
def test_what_is_no_state_dict_of_plain_tensors_is_refused(
    made: Callable[[], object], said: str, tmp_path: Path
) -> None:
    torch.save(made(), tmp_path / "odd.pth")
    assert re.search(said, refused(tmp_path / "odd.pth"))


def test_parameters_and_tensors_of_any_layout_are_read_as_plain_tensors(tmp_path: Path) -> None:
    given = {
        "parameter": nn.Parameter(torch.rand(2, 3)),
        "channels_last": torch.rand(2, 3, 4, 5).to(memory_format=torch.channels_last),
        "part": torch.rand(9)[2:5],
        "count": torch.tensor(3),
    }
    torch.save(given, tmp_path / "given.pth")
    found = state_dict.read(tmp_path / "given.pth")
    assert {type(tensor) for tensor in found.values()} == {Tensor}
    assert all(torch.equal(found[name], given[name]) for name in given)
    assert not any(tensor.requires_grad for tensor in found.values())


class _Lying:
    """A pickle that makes an OrderedDict whose own methods are hidden by what lies in the file."""

    def __init__(self, held: dict[str, object]) -> None:
        self.held = held

    def __reduce__(self) -> tuple[object, ...]:
        return OrderedDict, (), dict.fromkeys(("get", "items", "values", "keys"), 7), None, iter(self.held.items())


def test_a_dictionary_whose_methods_come_out_of_the_file_is_read_all_the_same(tmp_path: Path) -> None:
    torch.save(_Lying({"model": _Lying({"weight": HALF})}), tmp_path / "lying.pth")
    assert torch.equal(state_dict.read(tmp_path / "lying.pth")["weight"], HALF)
    held = pickle.dumps(_Lying({"model": _Lying({"weight": HALF.numpy()})}), protocol=2)
    (tmp_path / "lying.pkl").write_bytes(held)
    assert torch.equal(detectron2.read(tmp_path / "lying.pkl")["weight"], HALF)


@pytest.mark.parametrize("kind", ["zip", "legacy", "pickle", "pkl", "safetensors"])
def test_a_damaged_file_is_read_or_refused_in_one_line_whatever_its_damage(kind: str, tmp_path: Path) -> None:
    path = tmp_path / f"damaged.{kind if kind in ('pkl', 'safetensors') else 'pth'}"
    state = {"model": {"weight": HALF, "bias": HALF[:2].half()}, "args": argparse.Namespace(lr=0.02)}
    if kind == "safetensors":
        save_file({"weight": HALF, "bias": HALF[:2].half()}, path)
    elif kind in ("pickle", "pkl"):
        path.write_bytes(pickle.dumps({"model": {"weight": HALF.numpy()}}, protocol=2))
    else:
        torch.save(state, path, _use_new_zipfile_serialization=kind == "zip")
    whole, dice, said = path.read_bytes(), random.Random(0), []
    for _ in range(150):
        damaged = bytearray(whole)
        for _ in range(dice.choice((1, 1, 2, 8))):
            damaged[dice.randrange(len(whole))] = dice.randrange(256)
        path.write_bytes(damaged)
        try:
            detectron2.read(path)
        except EngineError as error:
            said.append(str(error))
    assert len(said) > 20
    assert all(line.isprintable() for line in said)


def test_the_case_of_a_suffix_does_not_matter(tmp_path: Path) -> None:
    for name in ("A.SAFETENSORS", "b.SafeTensors"):
        save_file({"weight": HALF}, tmp_path / name, {"posestream.architecture": "lite"})
        assert torch.equal(state_dict.read(tmp_path / name)["weight"], HALF)
        assert state_dict.metadata(tmp_path / name) == {"posestream.architecture": "lite"}


@pytest.mark.parametrize("suffix", ["pth", "safetensors", "pkl"])
def test_a_place_where_no_file_can_be_is_told_in_one_line(suffix: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / f"folder.{suffix}").mkdir()
    os.mkfifo(tmp_path / f"fifo.{suffix}")
    for name, said in {
        f"none.{suffix}": "^no weights file {}$",
        f"file/none.{suffix}": "^no weights file {}$",
        f"{'a' * 300}.{suffix}": "^weights file {} cannot be read: File name too long$",
        f"folder.{suffix}": "^weights file {} is a folder: name a file in it$",
        f"fifo.{suffix}": "^weights file {} is no ordinary file$",
        f"\0.{suffix}": "^weights file {} cannot be read: ",
    }.items():
        with pytest.raises(EngineError, match=said.format(re.escape(str(tmp_path / name)))):
            detectron2.read(tmp_path / name)
        assert state_dict.metadata(tmp_path / name) == {}


@pytest.mark.parametrize("suffix", ["pth", "safetensors", "pkl"])
def test_a_file_that_may_not_be_read_is_told_in_one_line(
    suffix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = Path(f"closed.{suffix}")
    monkeypatch.chdir(tmp_path)
    tmp_path.chmod(0o755)
    path.write_bytes(b"")
    path.chmod(0)
    me = os.geteuid()
    try:
        if me == 0:  # who may do everything
            os.seteuid(65534)
        with pytest.raises(EngineError, match=rf"^weights file closed\.{suffix} cannot be read: Permission denied$"):
            detectron2.read(path)
    finally:
        os.seteuid(me)


def test_of_several_who_write_the_same_file_one_is_last_and_all_succeed(tmp_path: Path) -> None:
    path = tmp_path / "out.safetensors"

    def write(number: int) -> None:
        state_dict.write(path, {"weight": torch.full((1000,), float(number))}, {})

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write, range(60)))
    assert len(state_dict.read(path)["weight"].unique()) == 1
    assert os.listdir(tmp_path) == [path.name]


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"bn1.weight": None}, r"^it has no bn1\.weight$"),
        ({"conv1.weight": None}, r"^it has no conv1\.weight$"),
        ({"bn1.running_mean": torch.ones(65)}, r"^its bn1 is not of the size of its conv1, \(64, 3, 7, 7\)$"),
        ({"bn1.running_var": torch.ones(())}, r"^its bn1 is not of the size of its conv1, \(64, 3, 7, 7\)$"),
        ({"conv1.weight": torch.ones(64)}, r"^its bn1 is not of the size of its conv1, \(64,\)$"),
        ({"conv1.weight": torch.ones(())}, r"^its bn1 is not of the size of its conv1, \(\)$"),
    ],
    ids="lonely alone 65 single flat number".split(),
)
def test_a_batch_norm_that_does_not_go_with_its_convolution_is_named(
    changed: dict[str, Tensor | None], said: str
) -> None:
    norm = {f"bn1.{part}": torch.ones(64) for part in ("weight", "bias", "running_mean", "running_var")}
    state = {"conv1.weight": torch.ones(64, 3, 7, 7), **norm} | changed
    with pytest.raises(ValueError, match=said):
        fold_batch_norm({name: tensor for name, tensor in state.items() if tensor is not None}, eps=0.0)
