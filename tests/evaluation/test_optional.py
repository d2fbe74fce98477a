"""What is said where a package of the extra is missing, half installed or broken; tried on packages made for it."""

from __future__ import annotations

import sys
import warnings

import pytest

from vqaudio.evaluation.optional import NotMeasured, load_optional, without_output


@pytest.fixture
def package(tmp_path, monkeypatch):
    """Return a function that makes a package `made_up` of the given source."""
    monkeypatch.syspath_prepend(tmp_path)

    def make(source: str) -> None:
        folder = tmp_path / "made_up"
        folder.mkdir()
        (folder / "__init__.py").write_text(source)

    yield make
    for name in [name for name in sys.modules if name.partition(".")[0] == "made_up"]:
        del sys.modules[name]


def test_what_is_installed_is_loaded(package):
    package("answer = 42")
    assert load_optional("made_up").answer == 42


def test_a_missing_package_comes_with_the_way_to_get_it():
    with pytest.raises(NotMeasured, match=r"^made-up is not installed \(the extra \[eval\] brings it"):
        load_optional("made_up", "made-up")
    with pytest.raises(NotMeasured, match=r"^made_up is not installed"):
        load_optional("made_up.inner")


def test_a_package_that_lacks_another_names_that_one(package):
    package("import another_made_up")
    with pytest.raises(NotMeasured, match=r"^made-up cannot be imported: it lacks another_made_up$"):
        load_optional("made_up", "made-up")


def test_a_package_that_lacks_a_part_of_its_own_is_not_called_missing(package):
    package("")
    with pytest.raises(NotMeasured, match=r"^made_up cannot be imported: it lacks made_up\.inner$"):
        load_optional("made_up.inner")


def test_pkg_resources_comes_with_the_version_that_has_it(package, monkeypatch):
    monkeypatch.setitem(sys.modules, "pkg_resources", None)  # as where setuptools no longer has it
    package("import pkg_resources")
    with pytest.raises(NotMeasured, match=r"it lacks pkg_resources \(.*pip install 'setuptools<81'\)"):
        load_optional("made_up")


@pytest.mark.parametrize("error", ["OSError", "ImportError", "RuntimeError", "ModuleNotFoundError"])
def test_a_package_that_breaks_tells_its_own_reason(package, error):
    package(f"raise {error}('libcudart.so.13: cannot open shared object file')")
    with pytest.raises(NotMeasured, match=r"^made_up cannot be imported: libcudart\.so\.13"):
        load_optional("made_up")


def test_a_mistake_inside_a_package_is_not_hidden(package):
    package("1 / 0")
    with pytest.raises(ZeroDivisionError):
        load_optional("made_up")


def test_warnings_of_the_import_are_not_shown(package):
    package("import warnings\nwarnings.warn('pkg_resources is deprecated')")
    with warnings.catch_warnings(record=True) as shown:
        warnings.simplefilter("always")
        load_optional("made_up")
        warnings.warn("this one is", stacklevel=1)
    assert [str(w.message) for w in shown] == ["this one is"]


def test_without_output_drops_what_is_printed_inside_alone(capsys):
    with without_output():
        print("weights loaded")
    print("score")
    assert capsys.readouterr().out == "score\n"
