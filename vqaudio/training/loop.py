"""The training loop: what the VQ-VAE and the prior have in common.

    resume ─▶ ┌ batch ─▶ loss ─▶ gradients ─▶ step ─▶ average ┐ ─▶ publish
              └──── log · checkpoint · evaluate · signals ────┘

A checkpoint comes before every evaluation, and before the model is published: whatever ends the process then, only the
evaluation is to be done again.

On several ranks all do this side by side, gradients are averaged, and rank 0 does for all what is written anywhere.
"""

from __future__ import annotations

import copy
import logging
import signal
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from tqdm import tqdm

from vqaudio.config import OptimizationConfig
from vqaudio.config_files import to_dict
from vqaudio.errors import TrainingError
from vqaudio.training.averaging import WeightAverage
from vqaudio.training.checkpoint import Damaged, load_checkpoint
from vqaudio.training.distributed import ALONE, Ranks, changed_shares, seed_of_rank
from vqaudio.training.divergence import Divergence
from vqaudio.training.experiment import Experiment
from vqaudio.training.guard import Guard
from vqaudio.training.heartbeat import DONE, STOPPED, TRAINING, Heartbeat, facts_of
from vqaudio.training.keeping import Checkpoints, tensor_bytes
from vqaudio.training.machine import describe_machine
from vqaudio.training.monitor import Monitor
from vqaudio.training.precision import autocast, choose_precision, keep_freed_memory
from vqaudio.training.progress import Interval, Progress, format_seconds
from vqaudio.training.random_state import random_state, set_random_state
from vqaudio.training.schedule import Schedule
from vqaudio.training.signals import Interrupted, StopRequest
from vqaudio.training.task import Task
from vqaudio.training.update import NonFinite, Update

logger = logging.getLogger(__name__)


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
        self.progress = Progress(accumulate_steps=config.accumulate_steps)
        self.monitor = Monitor(experiment.tensorboard if ranks.first else None)
        self.checkpoints = Checkpoints(experiment.checkpoints, config.keep_checkpoints)
        per_item = f"bits_per_{task.items[:-1]}"
        names = f"loss/{per_item}", f"loss/unigram_{per_item}"
        self.divergence = Divergence(self.schedule, *names, task.frequencies.chance)
        self.guard = Guard(self.divergence, experiment.checkpoints, ranks)
        self.heartbeat = Heartbeat(experiment.folder if ranks.first else None, lambda: facts_of(self))

    @property
    def last_checkpoint(self) -> Path | None:
        """The last whole checkpoint, on rank 0."""
        return self.checkpoints.last

    def run(self) -> bool:
        """Train to the end and publish the model; False where a signal ended it before (a checkpoint was saved)."""
        with self.heartbeat.watched():
            return self._run()

    def _run(self) -> bool:
        keep_freed_memory()
        self.heartbeat.beat("starting")
        self._resume()
        self.monitor.begin(self.progress.step, to_dict(self.task.config), self.task.charts)
        if self.schedule.is_done(self.progress.step) and self.ranks.from_first(self.experiment.is_published):
            logger.info("the training is done already: %d steps in %s", self.progress.step, self.experiment.folder)
            self.heartbeat.beat(DONE)
            return True
        if self.ranks.first:
            self.checkpoints.require_room(self._size_of_checkpoints())
        self._set_precision()
        if not self.ranks.alone:  # after the precision was measured: its hooks wait for every rank's gradients
            self.update.replicate(self.precision)
        self._introduce()
        try:
            with StopRequest(insistent=self.ranks.alone) as stop:
                stopped = self._steps(stop) or self._finish(stop)
                if stopped is not None:
                    self._stop_at(stopped)
            return stopped is None
        finally:
            self.monitor.close()

    def _introduce(self) -> None:
        parameters, machine = sum(p.numel() for p in self.update.parameters), describe_machine(self.device, self.ranks)
        logger.info("%s parameters, %s", f"{parameters:,}", machine)
        ranks, size, parts = self.ranks.world_size, self.config.batch_size, self.config.accumulate_steps
        if ranks * parts > 1:
            factors = [f"{ranks} ranks"] * (ranks > 1) + [f"batch_size {size}"]
            factors += [f"accumulate_steps {parts}"] * (parts > 1)
            logger.info("%s = %d crops per step", " × ".join(factors), ranks * self.config.crops_per_step)

    def _steps(self, stop: StopRequest) -> signal.Signals | None:
        """Train to the end, or until a signal reaches any of the ranks: return it."""
        config, progress, schedule = self.config, self.progress, self.schedule
        batches = self.task.batches(progress.step)
        interval, before = Interval(), time.perf_counter()
        disable = None if self.ranks.first else True
        bar = tqdm(total=schedule.total_steps, initial=progress.step, unit="step", disable=disable, dynamic_ncols=True)
        if self.ranks.alone:  # several ranks would not break off at the same place
            self.task.interruptible = stop.interruptible
        if progress.step and self._is_evaluated(progress.step) and not self.checkpoints.is_evaluated(progress.step):
            self._evaluate(stop)  # the checkpoint was saved before it
        stopped = self.ranks.agreed_stop(stop.signal)
        with bar, closing(batches):
            while not schedule.is_done(progress.step) and stopped is None:
                start = time.perf_counter()
                try:
                    scalars = self._step(next(batches))
                except Interrupted:
                    return stop.signal
                interval.add(scalars, time.perf_counter() - start, self.task.items_per_step)
                progress.step += 1
                if progress.step % config.log_interval == 0:
                    self._log(interval)
                    interval = Interval()
                now = time.perf_counter()
                progress.elapsed, before = progress.elapsed + now - before, now
                if progress.step == schedule.spectral_steps:
                    progress.spectral_seconds = progress.elapsed
                self._plan()
                self._show(bar)
                self.guard.look(progress.step)
                self._save_and_evaluate(stop)
                self.heartbeat.beat(TRAINING)
                stopped = self.ranks.agreed_stop(stop.signal)
        return stopped

    def _save_and_evaluate(self, stop: StopRequest) -> None:
        """Save a checkpoint where one is due, and evaluate where that is due."""
        step = self.progress.step
        if self._is_evaluated(step):
            self._checkpoint()
            self._evaluate(stop)
        elif step % self.config.checkpoint_interval == 0 and not self.schedule.is_done(step):
            self._checkpoint()

    def _is_evaluated(self, step: int) -> bool:
        """Whether there is an evaluation after `step` steps; the one at the end is another."""
        return step % self.config.eval_interval == 0 and not self.schedule.is_done(step)

    def _plan(self) -> None:
        """Fix the numbers of steps when the time has come, by rank 0's clock."""
        progress, schedule = self.progress, self.schedule
        if schedule.total_steps is not None:
            return
        progress.elapsed, progress.spectral_seconds = self.ranks.from_first(
            lambda: (progress.elapsed, progress.spectral_seconds)
        )
        if schedule.shorten_spectra(progress.step, progress.elapsed, self.task.least_spectral_steps):
            progress.spectral_steps = self.task.spectral_steps = schedule.spectral_steps
            logger.info(
                "%d spectral steps, of %d: more would take over %.0f%% of the time here",
                schedule.spectral_steps, self.config.spectral_steps, 100 * self.config.spectral_share,
            )  # fmt: skip
        if schedule.plan(progress.step, progress.elapsed, progress.spectral_seconds):
            progress.total_steps = schedule.total_steps
            logger.info("the learning rate falls from here on; %d steps in all", schedule.total_steps)

    def _stop_at(self, stopped: signal.Signals) -> None:
        StopRequest.latest = stopped  # it may have reached another rank
        self._checkpoint(needed=True)
        self.ranks.wait()  # torchrun ends all ranks when the first one has gone: not before it is written
        if self.ranks.first:
            logger.warning(
                "%s: stopped after step %d, saved in %s; the same command goes on from there",
                stopped.name, self.progress.step, self.last_checkpoint,
            )  # fmt: skip
        self.heartbeat.beat(STOPPED, f"{stopped.name}; saved in {self.last_checkpoint}")

    def _step(self, batch: Any) -> dict[str, Tensor | float]:
        step = self.progress.step
        try:
            scalars = self.update.step(batch, step, self.schedule.learning_rate(step), self.precision)
        except NonFinite as found:
            self.guard.stop(step, found, self.task.names(batch))
        self.task.after_step(step)
        self.average.update(step)
        self.divergence.take(scalars)
        return scalars

    def _log(self, interval: Interval) -> None:
        progress = self.progress
        progress.throughput = interval.items * self.ranks.world_size / interval.seconds
        scalars = self.ranks.means(interval.means()) | self.task.window_scalars()
        scalars[f"train/{self.task.items}_per_second"] = progress.throughput
        self.monitor.scalars(scalars, progress.step)
        left = self.schedule.seconds_left(progress.step, progress.elapsed, progress.spectral_seconds)
        shown = "  ".join(f"{name.split('/')[-1]} {value:.4g}" for name, value in scalars.items())
        logger.info("step %d  %s  %s left", progress.step, shown, format_seconds(left))
        self.heartbeat.logged()

    def _evaluate(self, stop: StopRequest, last: bool = False) -> None:
        """Evaluate and show, on rank 0; a signal breaks it off.

        Meanwhile the other ranks wait where ranks agree next, in `control`: not in NCCL, whose patience would end.
        """
        if not self.ranks.first:
            return
        step = self.progress.step
        self.heartbeat.beat("evaluating")
        try:
            with self._as_published(), stop.interruptible():
                scalars = self.task.evaluate(self.monitor, step, last)
        except Interrupted:
            logger.info("step %d  the evaluation was broken off; it is done again when the training goes on", step)
            return
        self.monitor.scalars(scalars, step)
        shown = "  ".join(f"{name} {value:.4g}" for name, value in scalars.items())
        logger.info("step %d  on the dev set: %s", step, shown)
        self.monitor.flush()  # before it counts as done
        self.checkpoints.take_score(step, self.task.score, scalars)

    @contextmanager
    def _as_published(self) -> Iterator[None]:
        """Give the model its averaged weights, for use alone; what is drawn at random is drawn again afterwards."""
        training, random = self.task.modules.training, random_state(self.device)
        self.task.modules.eval()
        try:
            with self.average.applied(), torch.inference_mode(), autocast(self.device, self.precision):
                yield
        finally:
            self.task.modules.train(training)
            set_random_state(random, self.device)

    def _show(self, bar: tqdm) -> None:
        if bar.disable:
            return
        bar.total = self.schedule.total_steps
        left = self.schedule.seconds_left(self.progress.step, self.progress.elapsed, self.progress.spectral_seconds)
        bar.set_postfix_str(f"{format_seconds(left)} left", refresh=False)
        bar.update(self.progress.step - bar.n)

    def _finish(self, stop: StopRequest) -> signal.Signals | None:
        """Save, evaluate and publish; return the signal that came before the model was published."""
        self._checkpoint()
        self._evaluate(stop, last=True)
        stopped = self.ranks.agreed_stop(stop.signal)
        if stopped is not None:
            return stopped
        if self.ranks.first:
            self.heartbeat.beat("publishing")
            self._publish()
        self._checkpoint(needed=True)  # if it failed above: the model is there now, but its end is to be known as well
        self.monitor.hyperparameters(to_dict(self.task.config), self.progress.elapsed)
        if self.ranks.first:
            self._write_summary()
        logger.info("done: %d steps in %s; model in %s", self.progress.step,
                    format_seconds(self.progress.elapsed), self.experiment.model)  # fmt: skip
        self.heartbeat.beat(DONE)
        return None

    def _publish(self) -> None:
        """Write the model folder, of the last weights or of those with the best score on the dev set."""
        best = self.checkpoints.best
        with ExitStack() as stack:
            if self.config.publish == "best" and best is not None and best.step != self.progress.step:
                try:
                    state = load_checkpoint(self.experiment.checkpoints / best.checkpoint)
                except Damaged as error:
                    logger.warning("%s: %s. The last weights are published", best.checkpoint, error)
                else:
                    stack.enter_context(self._weights_of(state))
                    logger.info("publishing %s: %s %.4g", best.checkpoint, best.score, best.value)
            stack.enter_context(self.average.applied())
            self.task.publish(self.experiment.model)

    @contextmanager
    def _weights_of(self, state: Mapping[str, Any]) -> Iterator[None]:
        """Give the modules and their average the weights of another checkpoint within the block."""
        own = copy.deepcopy((self.task.modules.state_dict(), self.average.state_dict()))
        try:
            self.task.modules.load_state_dict(state["modules"])
            self.average.load_state_dict(state["average"])
            yield
        finally:
            self.task.modules.load_state_dict(own[0])
            self.average.load_state_dict(own[1])

    def _write_summary(self) -> None:
        self.experiment.write_summary(
            {
                "steps": self.progress.step,
                "train_seconds": round(self.progress.elapsed, 1),
                f"train_{self.task.items}_per_second": round(self.progress.throughput, 1),
                "precision": self.progress.precision,
                "machine": describe_machine(self.device, self.ranks),
                "world_size": self.ranks.world_size,
            }
        )

    def _set_precision(self) -> None:
        """Choose the precision: rank 0's choice, for all. All ranks measure, side by side as they will train.

        A training that goes on keeps its own.
        """
        if self.progress.precision is not None:
            self.precision = getattr(torch, self.progress.precision)
            return
        batch = next(self.task.batches(0))
        random = random_state(self.device)

        def step() -> None:
            loss, _ = self.task.loss(self.task.begin_step(batch, 0)[0], 0)
            loss.backward()

        chosen = choose_precision(self.config.precision, step, self.device)
        self.precision = self.ranks.from_first(lambda: chosen)
        self.progress.precision = str(self.precision).removeprefix("torch.")
        if self.config.precision == "auto":  # measuring has drawn random numbers and filled windows: undo it
            self.update.optimizer.zero_grad(set_to_none=True)
            self.task.window_scalars()
            set_random_state(random, self.device)

    def _checkpoint(self, needed: bool = False) -> None:
        """Save all that resuming needs, unless it is saved already; on all ranks, of which rank 0 writes."""
        if self.ranks.from_first(lambda: self.checkpoints.is_saved(self.progress.step)):
            return
        random, *of_others = self.ranks.gathered(random_state(self.device))
        learned = {
            "modules": self.task.modules.state_dict(),
            "optimizer": self.update.optimizer.state_dict(),
            "average": self.average.state_dict(),
        }
        self.guard.before_saving(self.progress.step, learned)
        if not self.ranks.first:
            return
        self.heartbeat.beat("saving")
        state = {
            "progress": asdict(self.progress),
            **learned,
            "divergence": self.divergence.state_dict(),
            "random": random,
            "random_of_others": of_others,
        }
        self.checkpoints.save(self.progress.step, state, needed, self.divergence.good_step)

    def _size_of_checkpoints(self) -> int:
        """Return about how many bytes one takes: the modules, and for each parameter its average and two moments."""
        return tensor_bytes(self.task.modules.state_dict()) + 3 * tensor_bytes(self.update.parameters)

    def _resume(self) -> None:
        self.precision = torch.float32
        found = self.ranks.from_first(self.checkpoints.load_newest)
        if found is None:
            return
        path, state = found
        try:
            self._restore(state)
        except (RuntimeError, ValueError, KeyError, TypeError, AttributeError) as error:
            reason = " ".join(str(error).split())[:300]
            raise TrainingError(
                f"{path} is not of a training with this configuration: {reason}. Give another --expdir, or the "
                "configuration that it began with"
            ) from error
        logger.info("going on from step %d (%s)", self.progress.step, path)
        self._resume_random([state["random"], *state.get("random_of_others", [])])

    def _restore(self, state: Mapping[str, Any]) -> None:
        """Take over what a checkpoint holds, but for the random states."""
        self.progress = Progress(**state["progress"])
        self.schedule.total_steps = self.schedule.total_steps or self.progress.total_steps
        if self.progress.spectral_steps is not None:
            self.task.spectral_steps = self.schedule.spectral_steps = self.progress.spectral_steps
        self.task.modules.load_state_dict(state["modules"])
        self.update.optimizer.load_state_dict(state["optimizer"])
        self.average.load_state_dict(state["average"])
        self.divergence.load_state_dict(state["divergence"])

    def _resume_random(self, states: list[Mapping[str, Tensor]]) -> None:
        """Go on with the random numbers of each rank; ranks that there were not before begin theirs."""
        if self.ranks.rank < len(states):
            set_random_state(states[self.ranks.rank], self.device)
        else:
            torch.manual_seed(seed_of_rank(self.seed, self.ranks.rank, self.progress.step))
        before = len(states), self.progress.accumulate_steps
        now = self.ranks.world_size, self.config.accumulate_steps
        self.progress.accumulate_steps = self.config.accumulate_steps
        if now != before and self.ranks.first:
            logger.warning("%s", changed_shares(before, now, self.config.batch_size, self.progress.step))
