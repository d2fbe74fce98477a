"""The training loop: what the VQ-VAE and the prior have in common.

    resume ─▶ ┌ batch ─▶ loss ─▶ gradients ─▶ step ─▶ average ┐ ─▶ publish
              └──── log · evaluate · checkpoint · signals ────┘

On several ranks all do this side by side, gradients are averaged, and rank 0 does for all what is written anywhere.
"""

from __future__ import annotations

import logging
import math
import signal
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NoReturn, Protocol

import torch
from torch import Tensor, nn
from tqdm import tqdm

from vqaudio.config import OptimizationConfig, to_dict
from vqaudio.errors import TrainingError
from vqaudio.training.averaging import WeightAverage
from vqaudio.training.checkpoint import load_newest, save_checkpoint
from vqaudio.training.distributed import ALONE, Ranks, Replicas, seed_of_rank
from vqaudio.training.experiment import Experiment
from vqaudio.training.machine import describe_machine
from vqaudio.training.monitor import Monitor
from vqaudio.training.monitor_layout import Charts
from vqaudio.training.precision import autocast, choose_precision, keep_freed_memory
from vqaudio.training.schedule import Schedule
from vqaudio.training.signals import StopRequest
from vqaudio.training.update import NonFinite, Update

logger = logging.getLogger(__name__)


class Task(Protocol):
    """What is learned. `model` is averaged and published; `modules` (with it) are trained and kept in checkpoints."""

    model: nn.Module
    modules: nn.ModuleDict
    items: str
    """What `items_per_step` counts, in the plural: 'samples' or 'units'."""
    items_per_step: int
    """Of one rank."""
    late_parameters: list[nn.Parameter]
    """Those on which the loss of the first steps does not depend."""
    config: Any
    """The whole configuration, a dataclass."""
    charts: Charts
    """How TensorBoard groups the scalars."""

    def batches(self, start_step: int) -> Iterator[Any]:
        """Yield this rank's batches of steps `start_step`, …: a function of seed and step alone."""

    def names(self, batch: Any) -> str:
        """Name the utterances of a batch, for messages."""

    def loss(self, batch: Any, step: int) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the loss of a batch, and scalars for the log by their TensorBoard names."""

    def after_step(self, step: int) -> None:
        """Do what follows the optimizer's step number `step` (0, 1, …): the codebook's own learning."""

    def window_scalars(self) -> dict[str, float]:
        """Return scalars over the window since the last call and over all ranks, and begin a new one."""

    def evaluate(self, monitor: Monitor, step: int, last: bool) -> dict[str, float]:
        """Return scalars on the dev set, and show what there is to see and hear. On rank 0 alone."""

    def publish(self, folder: Path) -> None:
        """Write the model folder. On rank 0 alone."""


@dataclass
class Progress:
    """What is known of a run beside its weights; kept in checkpoints."""

    step: int = 0
    elapsed: float = 0.0
    """Seconds of training, over all resumptions."""
    total_steps: int | None = None
    throughput: float = 0.0
    """Items per second of the steps alone, over the last interval of the log."""


@dataclass
class Interval:
    """Sums since the last line of the log."""

    sums: dict[str, float] = field(default_factory=dict)
    steps: int = 0
    seconds: float = 0.0

    def add(self, scalars: Mapping[str, Tensor | float], seconds: float) -> None:
        """Take in one step."""
        for name, value in scalars.items():
            self.sums[name] = self.sums.get(name, 0.0) + float(value)
        self.steps += 1
        self.seconds += seconds

    def means(self) -> dict[str, float]:
        """Return the mean of each scalar."""
        return {name: total / self.steps for name, total in self.sums.items()}


class Trainer:
    """Trains one task in one experiment folder, which rank 0 alone reads and writes."""

    def __init__(
        self,
        task: Task,
        config: OptimizationConfig,
        experiment: Experiment,
        seed: int,
        device: torch.device,
        ranks: Ranks = ALONE,
    ) -> None:
        self.task, self.config, self.experiment, self.device = task, config, experiment, device
        self.seed, self.ranks = seed, ranks
        torch.manual_seed(seed_of_rank(seed, ranks.rank))
        task.modules.to(device)
        self.update = Update(task, config, device)
        self.average = WeightAverage(task.model, config.weight_average)
        self.schedule = Schedule(config)
        self.progress = Progress()
        self.monitor = Monitor(experiment.tensorboard if ranks.first else None)
        self.last_checkpoint: Path | None = None

    def run(self) -> bool:
        """Train to the end and publish the model; False where a signal ended it before (a checkpoint was saved)."""
        keep_freed_memory()
        self._resume()
        self.monitor.begin(self.progress.step, to_dict(self.task.config), self.task.charts)
        if self.schedule.is_done(self.progress.step):
            logger.info("the training is done already: %d steps in %s", self.progress.step, self.experiment.folder)
            if not self.ranks.from_first((self.experiment.model / "model.safetensors").exists):
                self._finish()
                self.monitor.close()
            return True
        self._set_precision()
        if not self.ranks.alone:  # after the precision was measured: its hooks wait for every rank's gradients
            self.update.replicas = Replicas(self.task)
        self._introduce()
        try:
            with StopRequest(insistent=self.ranks.alone) as stop:
                stopped = self._steps(stop)
                if stopped is not None:
                    self._stop_at(stopped)
                    return False
            self._finish()
            return True
        finally:
            self.monitor.close()

    def _introduce(self) -> None:
        parameters, machine = sum(p.numel() for p in self.update.parameters), describe_machine(self.device, self.ranks)
        logger.info("%s parameters, %s", f"{parameters:,}", machine)
        if not self.ranks.alone:
            count, size = self.ranks.world_size, self.config.batch_size
            logger.info("%d ranks × batch_size %d = %d crops per step", count, size, count * size)

    def _steps(self, stop: StopRequest) -> signal.Signals | None:
        """Train to the end, or until a signal reaches any of the ranks: return it."""
        config, progress, schedule = self.config, self.progress, self.schedule
        batches = self.task.batches(progress.step)
        interval, before = Interval(), time.perf_counter()
        disable = None if self.ranks.first else True
        bar = tqdm(total=schedule.total_steps, initial=progress.step, unit="step", disable=disable, dynamic_ncols=True)
        stopped = self.ranks.agreed_stop(stop.signal)
        with bar:
            while not schedule.is_done(progress.step) and stopped is None:
                start = time.perf_counter()
                scalars = self._step(next(batches))
                interval.add(scalars, time.perf_counter() - start)
                progress.step += 1
                if progress.step % config.log_interval == 0:
                    self._log(interval)
                    interval = Interval()
                if progress.step % config.eval_interval == 0 and not schedule.is_done(progress.step):
                    self._evaluate(last=False)
                now = time.perf_counter()
                progress.elapsed, before = progress.elapsed + now - before, now
                self._plan()
                self._show(bar)
                if progress.step % config.checkpoint_interval == 0:
                    self._checkpoint()
                stopped = self.ranks.agreed_stop(stop.signal)
        close = getattr(batches, "close", None)
        if close:
            close()
        return stopped

    def _plan(self) -> None:
        """Fix the number of steps when the time has come, by rank 0's clock."""
        progress, schedule = self.progress, self.schedule
        if schedule.total_steps is not None:
            return
        progress.elapsed = self.ranks.from_first(lambda: progress.elapsed)
        if schedule.plan(progress.step, progress.elapsed):
            progress.total_steps = schedule.total_steps
            logger.info("the learning rate falls from here on; %d steps in all", schedule.total_steps)

    def _stop_at(self, stopped: signal.Signals) -> None:
        StopRequest.latest = stopped  # it may have reached another rank
        self._checkpoint()
        self.ranks.wait()  # torchrun ends all ranks when the first one has gone: not before it is written
        if self.ranks.first:
            logger.warning(
                "%s: stopped after step %d, saved in %s; the same command goes on from there",
                stopped.name, self.progress.step, self.last_checkpoint,
            )  # fmt: skip

    def _step(self, batch: Any) -> dict[str, Tensor | float]:
        step = self.progress.step
        try:
            scalars = self.update.step(batch, step, self.schedule.learning_rate(step), self.precision)
        except NonFinite as found:
            self._stop_at_nonfinite(batch, found)
        self.task.after_step(step)
        self.average.update(step)
        return scalars

    def _stop_at_nonfinite(self, batch: Any, found: NonFinite) -> NoReturn:
        """Raise TrainingError on all ranks: where the loss is not finite on one, no rank has a finite gradient."""
        last = self.ranks.from_first(lambda: self.last_checkpoint)
        good = f"the last good checkpoint is {last}" if last else "no checkpoint yet"
        losses = self.ranks.gathered((found.loss, self.task.names(batch)))
        chosen = [rank for rank, (value, _) in enumerate(losses) if not math.isfinite(value)] or [0]
        value, names = losses[chosen[0]]
        where = "" if self.ranks.alone else f" on rank {', '.join(map(str, chosen))} of {self.ranks.world_size}"
        raise TrainingError(
            f"step {self.progress.step}: the loss is {value}{where} and the gradient's norm {found.norm}; nothing was "
            f"updated. Utterances of the batch: {names}. {good[0].upper()}{good[1:]}. A lower "
            "training.learning_rate, or training.precision=float32, often helps"
        )

    def _log(self, interval: Interval) -> None:
        progress = self.progress
        items = self.task.items_per_step * self.ranks.world_size
        progress.throughput = items * interval.steps / interval.seconds
        scalars = self.ranks.means(interval.means()) | self.task.window_scalars()
        scalars[f"train/{self.task.items}_per_second"] = progress.throughput
        self.monitor.scalars(scalars, progress.step)
        left = self.schedule.seconds_left(progress.step, progress.elapsed)
        shown = "  ".join(f"{name.split('/')[-1]} {value:.4g}" for name, value in scalars.items())
        logger.info("step %d  %s  %s left", progress.step, shown, format_seconds(left))

    def _evaluate(self, last: bool) -> None:
        """Evaluate and show, on rank 0.

        Meanwhile the other ranks wait where ranks agree next, in `control`: not in NCCL, whose patience would end.
        """
        if not self.ranks.first:
            return
        training = self.task.modules.training
        self.task.modules.eval()
        with self.average.applied(), torch.inference_mode(), autocast(self.device, self.precision):
            scalars = self.task.evaluate(self.monitor, self.progress.step, last)
        self.task.modules.train(training)
        self.monitor.scalars(scalars, self.progress.step)
        shown = "  ".join(f"{name} {value:.4g}" for name, value in scalars.items())
        logger.info("step %d  on the dev set: %s", self.progress.step, shown)

    def _show(self, bar: tqdm) -> None:
        if bar.disable:
            return
        bar.total = self.schedule.total_steps
        left = self.schedule.seconds_left(self.progress.step, self.progress.elapsed)
        bar.set_postfix_str(f"{format_seconds(left)} left", refresh=False)
        bar.update(self.progress.step - bar.n)

    def _finish(self) -> None:
        self._evaluate(last=True)
        if self.ranks.first:
            with self.average.applied():
                self.task.publish(self.experiment.model)
        self._checkpoint()
        self.monitor.hyperparameters(to_dict(self.task.config), self.progress.elapsed)
        if self.ranks.first:
            self._write_summary()
        logger.info("done: %d steps in %s; model in %s", self.progress.step,
                    format_seconds(self.progress.elapsed), self.experiment.model)  # fmt: skip

    def _write_summary(self) -> None:
        self.experiment.write_summary(
            {
                "steps": self.progress.step,
                "train_seconds": round(self.progress.elapsed, 1),
                f"train_{self.task.items}_per_second": round(self.progress.throughput, 1),
                "precision": str(self.precision).removeprefix("torch."),
                "machine": describe_machine(self.device, self.ranks),
                "world_size": self.ranks.world_size,
            }
        )

    def _set_precision(self) -> None:
        """Choose the precision: rank 0's choice, for all. All ranks measure, side by side as they will train."""
        batch = next(self.task.batches(0))
        random = self._random()

        def step() -> None:
            loss, _ = self.task.loss(batch, 0)
            loss.backward()

        chosen = choose_precision(self.config.precision, step, self.device)
        self.precision = self.ranks.from_first(lambda: chosen)
        if self.config.precision == "auto":  # measuring has drawn random numbers and filled windows: undo it
            self.update.optimizer.zero_grad(set_to_none=True)
            self.task.window_scalars()
            self._set_random(random)

    def _checkpoint(self) -> None:
        random, *of_others = self.ranks.gathered(self._random())
        if not self.ranks.first:
            return
        state = {
            "progress": asdict(self.progress),
            "modules": self.task.modules.state_dict(),
            "optimizer": self.update.optimizer.state_dict(),
            "average": self.average.state_dict(),
            "random": random,
            "random_of_others": of_others,
        }
        folder, keep = self.experiment.checkpoints, self.config.keep_checkpoints
        self.last_checkpoint = save_checkpoint(folder, self.progress.step, state, keep)

    def _resume(self) -> None:
        self.precision = torch.float32
        found = self.ranks.from_first(lambda: load_newest(self.experiment.checkpoints))
        if found is None:
            return
        self.last_checkpoint, state = found
        self.progress = Progress(**state["progress"])
        self.schedule.total_steps = self.schedule.total_steps or self.progress.total_steps
        self.task.modules.load_state_dict(state["modules"])
        self.update.optimizer.load_state_dict(state["optimizer"])
        self.average.load_state_dict(state["average"])
        logger.info("going on from step %d (%s)", self.progress.step, self.last_checkpoint)
        self._resume_random([state["random"], *state.get("random_of_others", [])])

    def _resume_random(self, states: list[Mapping[str, Tensor]]) -> None:
        """Go on with the random numbers of each rank; ranks that there were not before begin theirs."""
        if self.ranks.rank < len(states):
            self._set_random(states[self.ranks.rank])
        else:
            torch.manual_seed(seed_of_rank(self.seed, self.ranks.rank, self.progress.step))
        now, before = self.ranks.world_size, len(states)
        if now != before and self.ranks.first:
            logger.warning(
                "ranks: %d until here, %d from here on. A step takes %d crops instead of %d; the place in the data is "
                "that of step %d with so many; new ranks draw other random numbers. The result is not, bit for bit, "
                "that of %d from beginning to end",
                before, now, now * self.config.batch_size, before * self.config.batch_size, self.progress.step, before,
            )  # fmt: skip

    def _random(self) -> dict[str, Tensor]:
        random = {"cpu": torch.get_rng_state()}
        if self.device.type == "cuda":
            random["cuda"] = torch.cuda.get_rng_state(self.device)
        return random

    def _set_random(self, random: Mapping[str, Tensor]) -> None:
        torch.set_rng_state(random["cpu"].cpu())
        if "cuda" in random and self.device.type == "cuda":
            torch.cuda.set_rng_state(random["cuda"].cpu(), self.device)


def format_seconds(seconds: float) -> str:
    """Return 1:02:03 or 2:03."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
