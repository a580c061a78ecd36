"""The loop: it learns, it goes on exactly where it was killed, and says what is wrong."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from tiny_training import Tiny, batch, trainer

from configs.errors import EngineError, OutputError
from engines.train import checkpoint
from engines.train.budget import Budget
from engines.train.loop import Batch, Recipe, Step, Trainer
from engines.train.optim import Optim

PROGRAM = Path(__file__).with_name("tiny_training.py")


def steps_of(training: Trainer) -> list[Step]:
    told: list[Step] = []
    training.run(told.append)
    return told


def test_it_learns() -> None:
    told = steps_of(trainer(300, optim=Optim(rate=0.02)))
    assert len(told) == 300
    assert sum(step.losses["mean"] for step in told[-20:]) < 0.2 * sum(step.losses["mean"] for step in told[:20])
    assert (told[-1].samples, told[-1].done) == (600, 1)


def test_a_run_in_two_parts_is_the_run_in_one(tmp_path: Path) -> None:
    whole = steps_of(trainer(20))
    first = trainer(20)

    def tell(step: Step) -> None:
        if step.number == 9:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        first.run(tell)
    first.save(tmp_path / "kept.pt")
    second = trainer(20)
    second.resume(tmp_path / "kept.pt")
    rest = steps_of(second)
    assert [step.number for step in rest] == list(range(10, 21))
    assert [step.losses for step in rest] == [step.losses for step in whole[9:]]
    assert [step.rate for step in rest] == [step.rate for step in whole[9:]]
    alone = trainer(20)
    alone.run()
    for name, weights in alone.average.weights.items():
        assert torch.equal(second.average.weights[name], weights)


def test_killed_at_any_moment_it_goes_on_to_the_same_losses(tmp_path: Path) -> None:
    command = [sys.executable, str(PROGRAM), str(tmp_path / "kept.pt"), "40"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout
        seen = [process.stdout.readline().split() for _ in range(13)]
        process.send_signal(signal.SIGKILL)
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    rest = [line.split() for line in done.stdout.splitlines()]
    alone = {str(step.number): step.losses["mean"].hex() for step in steps_of(trainer(40))}
    assert int(rest[0][0]) > 1  # it did not begin anew
    assert rest[-1][0] == "40"
    assert dict(seen + rest) == {number: alone[number] for number, _ in seen + rest}


def test_two_half_batches_are_one_step() -> None:
    class NoChance(Tiny):
        def __init__(self) -> None:
            super().__init__()
            self.body = self.body[:1]

    def one_batch(number: int) -> Batch:
        parts = [batch(2 * number), batch(2 * number + 1)]
        return Batch(torch.cat([part.images for part in parts]), [each for part in parts for each in part.targets])

    found, sgd = [], Optim(kind="sgd", rate=1.0)  # AdamW does not mind how long a gradient is
    for batches, accumulate in ((one_batch, 1), (batch, 2)):
        torch.manual_seed(0)
        training = Trainer(NoChance(), Recipe(budget=Budget(steps=5), optim=sgd, accumulate=accumulate), batches)
        found.append(steps_of(training))
        assert training.samples == 20
    for whole, halves in zip(*found, strict=True):
        assert halves.losses == pytest.approx(whole.losses, rel=1e-4)


def test_bf16_goes_the_same_way_roughly() -> None:
    exact, rough = (steps_of(trainer(30, precision=name))[-1].losses["mean"] for name in ("fp32", "bf16"))
    assert exact != rough
    assert rough == pytest.approx(exact, rel=0.3, abs=0.01)


def test_a_loss_that_is_not_finite_ends_the_run_with_its_name() -> None:
    def broken(number: int) -> Batch:
        return Batch(torch.full((2, 3, 8, 8), torch.nan), batch(0).targets)

    training = Trainer(Tiny(), Recipe(budget=Budget(steps=3)), broken)
    with pytest.raises(EngineError, match="step 1: loss mean is not finite; try a lower rate"):
        training.run()


def test_long_gradients_are_cut() -> None:
    def moved(clip_norm: float | None) -> float:
        training = trainer(1, optim=Optim(kind="sgd", rate=1.0, decay=0.0), clip_norm=clip_norm)
        before = torch.cat([p.detach().flatten().clone() for p in training.network.parameters()])
        training.run()
        return float((torch.cat([p.detach().flatten() for p in training.network.parameters()]) - before).norm())

    assert moved(1e-3) == pytest.approx(1e-3 * 0.01, rel=1e-2)  # a hundredth: the warm-up's first step
    assert moved(None) > 0.0011 * 0.01


def test_a_duration_ends_a_run_too() -> None:
    training = Trainer(Tiny(), Recipe(budget=Budget(duration_s=10.0)), batch)
    ticks = iter(range(100))
    told: list[Step] = []
    training.run(told.append, clock=lambda: next(ticks))
    assert len(told) == 10
    assert [step.done for step in told] == pytest.approx([number / 10 for number in range(1, 11)])


def test_asked_to_stop_it_ends_after_a_step_and_keeps_that(tmp_path: Path) -> None:
    training = trainer(10)
    told: list[Step] = []
    assert not training.run(told.append, tmp_path / "kept.pt", stop=lambda: len(told) == 3)
    assert [step.number for step in told] == [1, 2, 3, 4]
    assert checkpoint.load(tmp_path / "kept.pt")["step"] == 4
    assert training.run()


def test_checkpoints_are_kept_every_so_often_and_at_the_end(tmp_path: Path) -> None:
    training = trainer(10)
    ticks, kept = iter(range(0, 1000, 10)), list[int]()

    def tell(step: Step) -> None:
        if (tmp_path / "kept.pt").exists():
            kept.append(checkpoint.load(tmp_path / "kept.pt")["step"])

    training.run(tell, tmp_path / "kept.pt", keep_every_s=30, clock=lambda: next(ticks))
    assert kept == [3, 3, 3, 6, 6, 6, 9]
    assert checkpoint.load(tmp_path / "kept.pt")["step"] == 10
    assert [path.name for path in tmp_path.iterdir()] == ["kept.pt"]


def test_a_checkpoint_of_another_network_is_refused(tmp_path: Path) -> None:
    trainer(2).save(tmp_path / "kept.pt")

    class Wider(Tiny):
        def __init__(self) -> None:
            super().__init__()
            self.head = torch.nn.Linear(4, 2)

    other = Trainer(Wider(), Recipe(budget=Budget(steps=2)), batch)
    with pytest.raises(EngineError, match=r"kept\.pt is of another training: .*size mismatch for head\.weight"):
        other.resume(tmp_path / "kept.pt")


@pytest.mark.parametrize("content", [b"", b"no checkpoint", None])
def test_a_damaged_checkpoint_is_told(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "kept.pt"
    trainer(2).save(path)
    path.write_bytes(path.read_bytes()[:2000] if content is None else content)
    with pytest.raises(EngineError, match=r"kept\.pt is damaged, or none: start without it"):
        trainer(2).resume(path)


def test_a_missing_checkpoint_and_a_folder_that_cannot_be_made_are_told(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match=r"none\.pt cannot be read: No such file or directory"):
        trainer(2).resume(tmp_path / "none.pt")
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match=r"file/kept\.pt cannot be written: (Not a directory|File exists)"):
        trainer(2).save(tmp_path / "file/kept.pt")


def test_a_failed_write_leaves_the_old_checkpoint(tmp_path: Path) -> None:
    path = tmp_path / "kept.pt"
    checkpoint.save(path, {"step": 1})
    with pytest.raises((AttributeError, TypeError, RuntimeError)):
        checkpoint.save(path, {"step": lambda: 2})
    assert checkpoint.load(path) == {"step": 1}
    assert [each.name for each in tmp_path.iterdir()] == ["kept.pt"]


def test_weights_in_fp16_take_half_the_room_and_counters_stay() -> None:
    weights = Tiny().state_dict()
    half = checkpoint.halved(weights)
    assert half["head.weight"].dtype == torch.float16
    assert half["body.1.num_batches_tracked"].dtype == torch.int64
    torch.testing.assert_close(half["head.weight"].float(), weights["head.weight"], rtol=1e-3, atol=1e-4)
