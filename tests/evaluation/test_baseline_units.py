"""Baseline units: features against librosa's, frames where units lie, and k-means against an exhaustive one."""

from __future__ import annotations

import numpy as np
import pytest

from vqaudio.errors import ConfigError, VQAudioError
from vqaudio.evaluation.baseline_units import (
    KINDS,
    baseline_units,
    fit_kmeans,
    log_mel_features,
    mfcc_features,
    shuffled,
)
from vqaudio.evaluation.optional import NotMeasured

RATES_AND_HOPS = [(8000, 64), (8000, 160), (16000, 128), (16000, 320), (22050, 441)]


def noise(samples, seed=0):
    return (0.1 * np.random.default_rng(seed).standard_normal(samples)).astype(np.float32)


def speechlike(samples, seed=0, rate=8000):
    """Return noise whose colour changes every 50 ms among a few, so that there is something to cluster."""
    generator = np.random.default_rng(seed)
    time = np.arange(samples) / rate
    pitch = generator.choice([200, 400, 800, 1600, 3000], size=samples // (rate // 20) + 1)
    return (
        0.2 * np.sin(2 * np.pi * np.repeat(pitch, rate // 20)[:samples] * time) + 0.01 * noise(samples, seed)
    ).astype(np.float32)


@pytest.mark.parametrize(("rate", "hop"), RATES_AND_HOPS)
def test_features_are_librosas(rate, hop):
    feature = pytest.importorskip("librosa").feature
    waveform = noise(rate // 2 + 17)
    frames = -(-len(waveform) // hop)
    # librosa's frame n + 1 is centred on sample (n + 1) · hop of a waveform that begins half a hop earlier.
    padded = np.pad(waveform, (hop - hop // 2, hop))
    window = 2 * round(rate / 80)  # 25 ms
    mel = feature.melspectrogram(
        y=padded, sr=rate, n_fft=window, hop_length=hop, n_mels=40, power=1, pad_mode="constant"
    )
    bands = np.log(np.maximum(mel, 1e-5))[:, 1 : frames + 1]  # (40, N)
    cepstra = feature.mfcc(S=bands, n_mfcc=13)
    slopes = feature.delta(cepstra, width=5, mode="nearest")
    expected = np.concatenate([cepstra, slopes, feature.delta(slopes, width=5, mode="nearest")])
    # Logarithms of float32 sums of some hundred terms, differently ordered, of bands that noise can make small.
    _assert_equal_but_for_mean(log_mel_features(waveform, rate, hop), bands.T)
    _assert_equal_but_for_mean(mfcc_features(waveform, rate, hop), expected.T)


def _assert_equal_but_for_mean(features, expected):
    assert features.dtype == np.float32
    np.testing.assert_allclose(features.mean(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(features, expected - expected.mean(axis=0), atol=2e-4)


@pytest.mark.parametrize(("rate", "hop"), [*RATES_AND_HOPS, (8000, 63)])
@pytest.mark.parametrize("features", KINDS.values(), ids=KINDS)
def test_a_frame_for_each_unit(features, rate, hop):
    columns = {log_mel_features: 40, mfcc_features: 39}[features]
    for samples in (1, hop - 1, hop, hop + 1, 10 * hop + 3):
        assert features(noise(samples), rate, hop).shape == (-(-samples // hop), columns)


@pytest.mark.parametrize(("rate", "hop"), [(8000, 64), (8000, 160), (16000, 128), (8000, 63)])
def test_a_click_is_loudest_in_the_frame_of_its_unit(rate, hop):
    for unit, place in [(0, 0.1), (3, 0.1), (7, 0.5), (11, 0.9), (19, 0.5)]:
        waveform = np.zeros(20 * hop, dtype=np.float32)
        waveform[int((unit + place) * hop)] = 0.9
        assert log_mel_features(waveform, rate, hop).sum(axis=1).argmax() == unit


@pytest.mark.parametrize("features", KINDS.values(), ids=KINDS)
def test_what_comes_later_has_later_frames(features):
    waveform = noise(8000)
    plain, late = features(waveform, 8000, 64), features(np.concatenate([noise(5 * 64, seed=9), waveform]), 8000, 64)
    # Inside, away from what the windows (2 frames) and slopes (twice 2 frames) see of the other beginning and end.
    plain, late = plain[8:-8], late[13:-8]
    # The means over both differ; sums of float32 in the same order otherwise.
    np.testing.assert_allclose(plain - plain.mean(axis=0), late - late.mean(axis=0), atol=1e-4)


@pytest.mark.parametrize("features", KINDS.values(), ids=KINDS)
def test_loudness_does_not_matter(features):
    waveform = noise(8000)
    # Logarithms to 1e-7 of their size, which is below 12; the mean takes off what is the same in all frames.
    np.testing.assert_allclose(features(waveform, 8000, 64), features(waveform / 4, 8000, 64), atol=1e-4)


def test_silence_has_features():
    assert not mfcc_features(np.zeros(1000, dtype=np.float32), 8000, 64).any()


@pytest.mark.parametrize(
    ("waveform", "error", "words"),
    [
        (np.zeros(0, np.float32), VQAudioError, "no samples"),
        (np.zeros((2, 9), np.float32), VQAudioError, r"shape \(2, 9\)"),
        (np.full(9, np.nan, np.float32), VQAudioError, "NaN"),
    ],
)
def test_features_refuse(waveform, error, words):
    with pytest.raises(error, match=words):
        mfcc_features(waveform, 8000, 64)


def test_a_rate_too_low_for_the_bands_is_refused():
    with pytest.raises(ConfigError, match="40 mel filters are too many"):
        log_mel_features(noise(1000), 1000, 10)


# ----------------------------------------------------------------------------------------------- k-means


def test_centroids_find_the_clusters():
    pytest.importorskip("sklearn")
    means = np.array([[0, 0], [10, 0], [0, 10], [10, 10]], dtype=np.float32)
    cloud = np.concatenate([m + np.random.default_rng(i).standard_normal((500, 2)) for i, m in enumerate(means)])
    centroids = fit_kmeans(cloud, 4)
    assert centroids.dtype == np.float32
    # A mean of 500 has a standard deviation of 0.045; passes in batches weigh early frames a little differently.
    np.testing.assert_allclose(centroids[np.lexsort(centroids.T)], means, atol=0.25)


def test_centroids_are_nearly_as_good_as_those_of_every_pass():
    cluster = pytest.importorskip("sklearn.cluster")
    features = mfcc_features(speechlike(8000 * 20), 8000, 64)  # (2500, 39)
    ours = fit_kmeans(features, 32)
    distances = ((features[:, None] - ours) ** 2).sum(axis=-1).min(axis=1)
    best = cluster.KMeans(32, n_init=5, random_state=1).fit(features).inertia_
    # Batches cost 2% on speech; one beginning of k-means differs from the next by as much.
    assert distances.sum() < 1.1 * best


def test_same_seed_gives_the_same_centroids_and_another_others():
    pytest.importorskip("sklearn")
    features = np.random.default_rng(0).standard_normal((2000, 5))
    first, again, other = (fit_kmeans(features, 16, seed) for seed in (3, 3, 4))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_fewer_frames_than_codes_are_not_measured():
    with pytest.raises(NotMeasured, match="15 frames to fit 16 codes"):
        fit_kmeans(np.zeros((15, 3)), 16)
    with pytest.raises(NotMeasured, match="10 frames to fit 16 codes"):
        baseline_units("mfcc_kmeans", [("a", noise(640))], [], 8000, 64, 16)
    with pytest.raises(NotMeasured, match="0 frames to fit 16 codes"):
        baseline_units("mfcc_kmeans", [], [], 8000, 64, 16)


# ------------------------------------------------------------------------------------------------- units


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("rate", "hop"), [(8000, 64), (8000, 160), (16000, 128)])
def test_units_are_the_nearest_centroids(kind, rate, hop):
    pytest.importorskip("sklearn")
    train = [(f"t{i}", speechlike(rate * 2, i, rate)) for i in range(4)]
    heldout = {"a": speechlike(rate, 8, rate), "b": speechlike(rate // 3, 9, rate)}
    units = baseline_units(kind, train, heldout.items(), rate, hop, 24)
    assert (units.codebook_size, units.unit_rate) == (24, rate / hop)
    for id, waveform in heldout.items():
        features = KINDS[kind](waveform, rate, hop)
        distances = ((features[:, None].astype(np.float64) - units.codebook) ** 2).sum(axis=-1)  # (N, K)
        chosen = distances[np.arange(len(features)), units.sequences[id]]
        # float32 forms of ‖v‖² + ‖e‖² - 2 v·e, of vectors some ten long.
        np.testing.assert_allclose(chosen, distances.min(axis=1), atol=1e-2, rtol=1e-4)


def test_units_tell_sounds_apart():
    pytest.importorskip("sklearn")
    # Half a second of one tone and half a second of another, again and again: two codes are enough.
    tones = np.repeat([300, 2000] * 4, 4000)
    waveform = (0.3 * np.sin(2 * np.pi * tones * np.arange(len(tones)) / 8000)).astype(np.float32)
    units = baseline_units("logmel_kmeans", [("t", waveform)], [("a", waveform)], 8000, 160, 2).sequences["a"]
    expected = np.repeat([0, 1] * 4, 25)
    agreement = np.mean(units == expected)
    # A window over both tones may go either way: 7 changes, 2 frames each, of 200.
    assert max(agreement, 1 - agreement) > 0.92


def test_fitting_reads_no_more_than_its_share(monkeypatch):
    pytest.importorskip("sklearn")
    monkeypatch.setattr("vqaudio.evaluation.baseline_units.FIT_SECONDS", 5.0)
    read = []

    def utterances(count):
        for i in range(count):
            read.append(i)
            yield f"t{i}", speechlike(8000 * 2, i)

    some = baseline_units("mfcc_kmeans", utterances(9), [], 8000, 64, 8)
    assert read == [0, 1, 2]  # 2 + 2 + the first second of the third
    waveforms = [waveform for _, waveform in utterances(3)]
    cut = [("a", waveforms[0]), ("b", waveforms[1]), ("c", waveforms[2][:8000])]
    np.testing.assert_array_equal(some.codebook, baseline_units("mfcc_kmeans", cut, [], 8000, 64, 8).codebook)


def test_units_of_an_utterance_are_its_own():
    pytest.importorskip("sklearn")
    train = [("t", speechlike(8000 * 4))]
    heldout = [(f"h{i}", speechlike(4000, 10 + i)) for i in range(3)]
    together = baseline_units("mfcc_kmeans", train, iter(heldout), 8000, 64, 16)
    for id, waveform in heldout:
        alone = baseline_units("mfcc_kmeans", train, [(id, waveform)], 8000, 64, 16)
        np.testing.assert_array_equal(together.sequences[id], alone.sequences[id])


@pytest.mark.parametrize(
    ("kind", "hop", "codes", "words"),
    [
        ("mfcc_kmean", 64, 4, r"baseline 'mfcc_kmean', expected one of .* Did you mean 'mfcc_kmeans'"),
        ("mfcc_kmeans", 0, 4, "a hop of 0 samples"),
        ("mfcc_kmeans", 64, 0, "0 codes"),
    ],
)
def test_baseline_refuses(kind, hop, codes, words):
    with pytest.raises(VQAudioError, match=words):
        baseline_units(kind, [("t", noise(8000))], [], 8000, hop, codes)


def test_shuffled_keeps_all_in_an_order_of_the_seed():
    items = list(range(50))
    assert sorted(shuffled(items, 1)) == items != shuffled(items, 1)
    assert shuffled(items, 1) == shuffled(items, 1) != shuffled(items, 2)
