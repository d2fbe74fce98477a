"""The training loop: what the VQ-VAE and the prior have in common.

    resume ─▶ ┌ batch ─▶ loss ─▶ gradients ─▶ step ─▶ average ┐ ─▶ publish
              └──── log · evaluate · checkpoint · signals ────┘
"""

from __future__ import annotations

import logging
import math
import platform
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from tqdm import tqdm

from vqaudio.config import OptimizationConfig, to_dict
from vqaudio.errors import TrainingError
from vqaudio.training.averaging import WeightAverage
from vqaudio.training.checkpoint import load_newest, save_checkpoint
from vqaudio.training.experiment import Experiment
from vqaudio.training.monitor import Monitor
from vqaudio.training.monitor_layout import Charts
from vqaudio.training.precision import autocast, choose_precision, keep_freed_memory
from vqaudio.training.schedule import Schedule
from vqaudio.training.signals import StopRequest

logger = logging.getLogger(__name__)


class Task(Protocol):
    """What is learned. `model` is averaged and published; `modules` (with it) are trained and kept in checkpoints."""

    model: nn.Module
    modules: nn.ModuleDict
    items: str
    """What `items_per_step` counts, in the plural: 'samples' or 'units'."""
    items_per_step: int
    config: Any
    """The whole configuration, a dataclass."""
    charts: Charts
    """How TensorBoard groups the scalars."""

    def batches(self, start_step: int) -> Iterator[Any]:
        """Yield the batches of steps `start_step`, …: a function of seed and step alone."""

    def names(self, batch: Any) -> str:
        """Name the utterances of a batch, for messages."""

    def loss(self, batch: Any, step: int) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the loss of a batch, and scalars for the log by their TensorBoard names."""

    def after_step(self, step: int) -> None:
        """Do what follows the optimizer's step number `step` (0, 1, …): the codebook's own learning."""

    def window_scalars(self) -> dict[str, float]:
        """Return scalars over the window since the last call, and begin a new one."""

    def evaluate(self, monitor: Monitor, step: int, last: bool) -> dict[str, float]:
        """Return scalars on the dev set, and show what there is to see and hear."""

    def publish(self, folder: Path) -> None:
        """Write the model folder."""


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
    """Trains one task in one experiment folder."""

    def __init__(self, task: Task, config: OptimizationConfig, experiment: Experiment, seed: int, device: torch.device):
        self.task, self.config, self.experiment, self.device = task, config, experiment, device
        torch.manual_seed(seed)
        task.modules.to(device)
        parameters = list(task.modules.parameters())
        # beta2 below the usual 0.999: a training of minutes has a few thousand steps.
        self.optimizer = torch.optim.AdamW(
            parameters, lr=config.learning_rate, betas=(0.9, 0.99), weight_decay=config.weight_decay, fused=True
        )
        self.parameters = parameters
        self.average = WeightAverage(task.model, config.weight_average)
        self.schedule = Schedule(config)
        self.progress = Progress()
        self.monitor = Monitor(experiment.tensorboard)
        self.last_checkpoint: Path | None = None

    def run(self) -> bool:
        """Train to the end and publish the model; False where a signal ended it before (a checkpoint was saved)."""
        keep_freed_memory()
        self._resume()
        self.monitor.begin(self.progress.step, to_dict(self.task.config), self.task.charts)
        if self.schedule.is_done(self.progress.step):
            logger.info("the training is done already: %d steps in %s", self.progress.step, self.experiment.folder)
            if not (self.experiment.model / "model.safetensors").exists():
                self._finish()
                self.monitor.close()
            return True
        self._set_precision()
        logger.info("%s parameters, %s", f"{sum(p.numel() for p in self.parameters):,}", describe_machine(self.device))
        try:
            with StopRequest() as stop:
                self._steps(stop)
            if stop.signal is not None:
                self._checkpoint()
                logger.warning(
                    "%s: stopped after step %d, saved in %s; the same command goes on from there",
                    stop.signal.name, self.progress.step, self.last_checkpoint,
                )  # fmt: skip
                return False
            self._finish()
            return True
        finally:
            self.monitor.close()

    def _steps(self, stop: StopRequest) -> None:
        config, progress, schedule = self.config, self.progress, self.schedule
        batches = self.task.batches(progress.step)
        interval, before = Interval(), time.perf_counter()
        bar = tqdm(total=schedule.total_steps, initial=progress.step, unit="step", disable=None, dynamic_ncols=True)
        with bar:
            while not schedule.is_done(progress.step) and stop.signal is None:
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
                if schedule.plan(progress.step, progress.elapsed):
                    progress.total_steps = schedule.total_steps
                    logger.info("the learning rate falls from here on; %d steps in all", schedule.total_steps)
                self._show(bar)
                if progress.step % config.checkpoint_interval == 0:
                    self._checkpoint()
        close = getattr(batches, "close", None)
        if close:
            close()

    def _step(self, batch: Any) -> dict[str, Tensor | float]:
        step = self.progress.step
        rate = self.schedule.learning_rate(step)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        with autocast(self.device, self.precision):
            loss, scalars = self.task.loss(batch, step)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        norm = nn.utils.clip_grad_norm_(self.parameters, self.config.gradient_clip)
        if not (math.isfinite(loss.item()) and math.isfinite(norm.item())):
            self._stop_at_nonfinite(batch, loss, norm)
        self.optimizer.step()
        self.task.after_step(step)
        self.average.update(step)
        return {**scalars, "loss/total": loss.detach(), "train/gradient_norm": norm, "train/learning_rate": rate}

    def _stop_at_nonfinite(self, batch: Any, loss: Tensor, norm: Tensor) -> None:
        good = f"the last good checkpoint is {self.last_checkpoint}" if self.last_checkpoint else "no checkpoint yet"
        raise TrainingError(
            f"step {self.progress.step}: the loss is {loss.item()} and the gradient's norm {norm.item()}; nothing was "
            f"updated. Utterances of the batch: {self.task.names(batch)}. {good[0].upper()}{good[1:]}. A lower "
            "training.learning_rate, or training.precision=float32, often helps"
        )

    def _log(self, interval: Interval) -> None:
        progress = self.progress
        progress.throughput = self.task.items_per_step * interval.steps / interval.seconds
        scalars = interval.means() | self.task.window_scalars()
        scalars[f"train/{self.task.items}_per_second"] = progress.throughput
        self.monitor.scalars(scalars, progress.step)
        left = self.schedule.seconds_left(progress.step, progress.elapsed)
        shown = "  ".join(f"{name.split('/')[-1]} {value:.4g}" for name, value in scalars.items())
        logger.info("step %d  %s  %s left", progress.step, shown, format_seconds(left))

    def _evaluate(self, last: bool) -> None:
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
        with self.average.applied():
            self.task.publish(self.experiment.model)
        self._checkpoint()
        self.monitor.hyperparameters(to_dict(self.task.config), self.progress.elapsed)
        self.experiment.write_summary(
            {
                "steps": self.progress.step,
                "train_seconds": round(self.progress.elapsed, 1),
                f"train_{self.task.items}_per_second": round(self.progress.throughput, 1),
                "precision": str(self.precision).removeprefix("torch."),
                "machine": describe_machine(self.device),
            }
        )
        logger.info("done: %d steps in %s; model in %s", self.progress.step,
                    format_seconds(self.progress.elapsed), self.experiment.model)  # fmt: skip

    def _set_precision(self) -> None:
        batch = next(self.task.batches(0))
        state = self._state() if self.config.precision == "auto" else None

        def step() -> None:
            loss, _ = self.task.loss(batch, 0)
            loss.backward()

        self.precision = choose_precision(self.config.precision, step, self.device)
        if state is not None:  # measuring has drawn random numbers and filled windows: undo it
            self.optimizer.zero_grad(set_to_none=True)
            self.task.window_scalars()
            self._set_random(state["random"])

    def _state(self) -> dict[str, Any]:
        random = {"cpu": torch.get_rng_state()}
        if self.device.type == "cuda":
            random["cuda"] = torch.cuda.get_rng_state(self.device)
        return {
            "progress": asdict(self.progress),
            "modules": self.task.modules.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "average": self.average.state_dict(),
            "random": random,
        }

    def _checkpoint(self) -> None:
        folder, keep = self.experiment.checkpoints, self.config.keep_checkpoints
        self.last_checkpoint = save_checkpoint(folder, self.progress.step, self._state(), keep)

    def _resume(self) -> None:
        self.precision = torch.float32
        found = load_newest(self.experiment.checkpoints)
        if found is None:
            return
        self.last_checkpoint, state = found
        self.progress = Progress(**state["progress"])
        self.schedule.total_steps = self.schedule.total_steps or self.progress.total_steps
        self.task.modules.load_state_dict(state["modules"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.average.load_state_dict(state["average"])
        self._set_random(state["random"])
        logger.info("going on from step %d (%s)", self.progress.step, self.last_checkpoint)

    def _set_random(self, random: Mapping[str, Tensor]) -> None:
        torch.set_rng_state(random["cpu"].cpu())
        if "cuda" in random and self.device.type == "cuda":
            torch.cuda.set_rng_state(random["cuda"].cpu(), self.device)


def describe_machine(device: torch.device) -> str:
    """Say what computes: 'AMD EPYC, 2 threads' or the accelerator's name."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{_processor_name()}, {torch.get_num_threads()} threads"


def format_seconds(seconds: float) -> str:
    """Return 1:02:03 or 2:03."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def _processor_name() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass  # not Linux: the platform module knows less, but something
    return platform.processor() or platform.machine()
