"""The learning rate's shape, and a budget in minutes."""

from itertools import pairwise

import pytest

from vqaudio.config import OptimizationConfig
from vqaudio.training.schedule import NOTICE, Schedule


def schedule(**changes) -> Schedule:
    return Schedule(OptimizationConfig(**({"learning_rate": 1.0, "warmup_steps": 10, "decay_share": 0.5} | changes)))


def test_rate_rises_stays_and_falls():
    s = schedule(max_steps=100, final_rate_share=0.1)
    rates = [s.learning_rate(step) for step in range(100)]
    assert rates[:10] == pytest.approx([0.1 * (i + 1) for i in range(10)])
    assert rates[10:51] == pytest.approx([1.0] * 41)
    assert all(a > b for a, b in pairwise(rates[50:95]))
    assert rates[-1] == pytest.approx(0.1)  # 0.02 by the line, held up by the final rate


def test_without_decay_the_rate_stays():
    assert schedule(max_steps=100, decay_share=0.0).learning_rate(98) == 1.0


def test_a_budget_becomes_steps_when_the_decay_begins():
    s = schedule(max_minutes=1)  # decay in the last 30 s
    assert not s.plan(100, 29.9) and s.total_steps is None and not s.is_done(100)
    assert s.seconds_left(100, 20) == 40
    assert s.plan(100, 30.0)  # 0.3 s a step: 100 more
    assert s.total_steps == 200
    assert not s.plan(150, 50.0)  # once
    assert s.learning_rate(150) == pytest.approx(0.5)
    assert s.is_done(200)


def test_spectral_steps_come_before_with_a_warm_up_of_their_own():
    s = schedule(max_steps=140, spectral_steps=40, mel_loss=0.1, final_rate_share=0.1)
    plain = schedule(max_steps=100, final_rate_share=0.1)
    rates = [s.learning_rate(step) for step in range(140)]
    assert rates[:40] == pytest.approx([0.1 * (i + 1) for i in range(10)] + [1.0] * 30)
    assert rates[40:] == pytest.approx([plain.learning_rate(step) for step in range(100)])


def test_a_budget_is_planned_by_the_speed_of_the_steps_after_the_spectral_ones():
    s = schedule(max_minutes=1, spectral_steps=10, mel_loss=0.1)  # which take 20 s: 40 s are left, 20 of them decay
    assert not s.plan(10, 55.0, 20.0)  # no other step yet
    assert not s.plan(50, 39.9, 20.0)
    assert s.seconds_left(50, 39.9, 20.0) == pytest.approx(20.1)
    assert s.plan(50, 40.0, 20.0)  # 0.5 s a step: 40 more
    assert s.total_steps == 90
    assert s.seconds_left(70, 50.0, 20.0) == pytest.approx(10.0)  # 0.5 s each of 20
    assert s.learning_rate(70) == pytest.approx(0.5)


def test_spectral_steps_without_time_become_fewer_once():
    s = schedule(max_minutes=1, spectral_steps=1000, spectral_share=0.25, mel_loss=0.1)
    assert not s.shorten_spectra(30, 14.9, least=0)
    assert s.shorten_spectra(31, 15.0, least=0)
    assert s.spectral_steps == 31 + NOTICE
    assert not any(s.shorten_spectra(step, 0.5 * step, least=0) for step in range(32, 100))
    assert s.plan(31 + NOTICE + 19, 40.0, 20.0)  # 20 of the 40 s that they left: the rest is planned without them
    assert s.total_steps == 31 + NOTICE + 38


def test_spectral_steps_are_as_many_as_units_need():
    s = schedule(max_minutes=1, spectral_steps=1000, spectral_share=0.25, mel_loss=0.1)
    assert s.shorten_spectra(31, 15.0, least=600)
    assert s.spectral_steps == 600
    assert not any(s.shorten_spectra(step, 0.5 * step, least=600) for step in range(32, 700))


def test_spectral_steps_stay_where_there_is_time_or_their_number_is_that_of_a_plan():
    assert not schedule(max_minutes=1, spectral_steps=40, mel_loss=0.1).shorten_spectra(35, 50.0, least=0)
    assert not schedule(max_steps=900, spectral_steps=800, mel_loss=0.1).shorten_spectra(35, 1e6, least=0)


def test_a_budget_overdrawn_ends_at_once():
    s = schedule(max_minutes=1)
    assert s.plan(7, 90.0) and s.is_done(7)
