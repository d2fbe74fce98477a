"""The page as a person meets it: opened from a disk in headless Chromium, played, read by keys, on a small screen."""

from __future__ import annotations

import shutil
import time

import pytest

BROWSERS = ("chromium", "google-chrome", "chromium-browser", "google-chrome-stable")
# Contrast (WCAG 2.1, 1.4.3) of every element that holds text itself, against the nearest background that is not clear.
CONTRAST = """() => {
  const channel = (v) => (v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
  const light = ([r, g, b]) => 0.2126 * channel(r) + 0.7152 * channel(g) + 0.0722 * channel(b);
  const parse = (text) => text.match(/[\\d.]+/g).map(Number);
  const back = (element) => {
    for (let e = element; e; e = e.parentElement) {
      const colour = parse(getComputedStyle(e).backgroundColor);
      if (colour.length === 3 || colour[3] === 1) return colour;
    }
    return [255, 255, 255];
  };
  const wrong = [];
  let seen = 0;
  for (const element of document.querySelectorAll("body *")) {
    const own = [...element.childNodes].some((n) => n.nodeType === 3 && n.data.trim());
    if (!own || !element.checkVisibility() || element.closest("svg, script")) continue;
    const [a, b] = [light(parse(getComputedStyle(element).color)), light(back(element))];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    seen += 1;
    if (ratio < 4.5) wrong.push([element.className, element.textContent.slice(0, 40), ratio]);
  }
  return { seen, wrong };
}"""


@pytest.fixture(scope="module")
def browser():
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    path = next(filter(None, map(shutil.which, BROWSERS)), None)
    if path is None:
        pytest.skip(f"no browser: none of {', '.join(BROWSERS)} is installed")
    arguments = ["--no-sandbox", "--autoplay-policy=no-user-gesture-required"]
    with playwright.sync_playwright() as started:
        opened = started.chromium.launch(executable_path=path, args=arguments)
        yield opened
        opened.close()


@pytest.fixture
def open_report(browser, report):
    """Open the report from its file; at the end nothing may have been asked for or complained of."""
    contexts, faults = [], []

    def call(width: int = 1280, height: int = 900, **options):
        context = browser.new_context(viewport={"width": width, "height": height}, **options)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: faults.append(message.text))
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("request", lambda request: faults.append(request.url) if _is_foreign(request.url, report) else None)
        page.goto(report.as_uri())
        return page

    yield call
    for context in contexts:
        context.close()
    assert faults == []


def _is_foreign(url: str, report) -> bool:
    return not url.startswith("data:") and url.partition("#")[0] != report.as_uri()


def place(page, card: int = 0) -> float:
    """Return where the playhead of a card stands, in share of its width."""
    style = page.locator(".card").nth(card).locator(".playhead").get_attribute("style")
    return float(style.removeprefix("left:").strip(" ;%")) / 100


def sounding(page) -> list[int]:
    """Return the indices of all audio elements that play."""
    return page.evaluate("[...document.querySelectorAll('audio')].flatMap((a, i) => a.paused ? [] : [i])")


def until(page, condition: str, seconds: float = 10.0) -> None:
    """Wait for a condition; playwright's own waiting evaluates a string inside the page, which its policy forbids."""
    end = time.monotonic() + seconds
    while not page.evaluate(condition):
        assert time.monotonic() < end, condition
        page.wait_for_timeout(10)


def wait_for_time(page, audio: int, seconds: float) -> None:
    until(page, f"document.querySelectorAll('audio')[{audio}].currentTime >= {seconds}")


def first_heard(page, audio: int) -> float:
    """Return where an audio element stands once it plays."""
    element = f"document.querySelectorAll('audio')[{audio}]"
    until(page, f"!{element}.paused && !{element}.seeking && {element}.currentTime > 0")
    return page.evaluate(f"{element}.currentTime")


def test_it_plays_and_the_playhead_moves_with_it(open_report):
    page = open_report()
    button = page.locator(".card .play").first
    assert place(page) == 0 and button.get_attribute("aria-label").startswith("Play ")
    button.click()
    wait_for_time(page, 0, 0.2)
    page.wait_for_timeout(50)  # a few frames, in which the playhead follows
    assert place(page) > 0.1
    assert button.get_attribute("aria-label").startswith("Pause ")
    button.click()
    assert sounding(page) == []
    stood = place(page)
    page.wait_for_timeout(100)
    assert place(page) == stood


def test_one_plays_at_a_time_and_one_that_ends_begins_anew(open_report):
    page = open_report()
    page.locator(".card .play").nth(0).click()
    wait_for_time(page, 0, 0.05)
    page.locator(".card .play").nth(1).click()
    playing = sounding(page)
    assert len(playing) == 1 and playing != [0]
    until(page, "[...document.querySelectorAll('audio')].every((a) => a.paused)")
    page.wait_for_timeout(50)
    assert place(page, 1) == pytest.approx(1.0, abs=0.01)
    page.locator(".card .play").nth(1).click()
    until(page, "[...document.querySelectorAll('audio')].some((a) => !a.paused && a.currentTime > 0.05)")
    assert place(page, 1) < 0.9


def test_another_version_goes_on_from_the_same_place(open_report):
    page = open_report()
    page.locator(".card .play").first.click()
    wait_for_time(page, 0, 0.4)
    page.keyboard.press("2")
    assert first_heard(page, 1) >= 0.39  # the last frame before the key may be a little behind
    assert sounding(page) == [1]
    assert page.locator(".card input[type=radio]").nth(1).is_checked()


def test_a_click_into_a_spectrogram_plays_that_version_from_there(open_report):
    page = open_report()
    lane = page.locator(".card .lane[data-track='1']").first
    box = lane.bounding_box()
    lane.click(position={"x": box["width"] / 2, "y": 20})
    seconds = float(page.locator(".card").first.get_attribute("data-seconds"))
    assert seconds / 2 - 0.01 <= first_heard(page, 1) < 0.9 * seconds
    assert sounding(page) == [1]


def test_keys_alone_reach_play_seek_and_choose(open_report):
    page = open_report()
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.locator(".card .play").first.focus()
    page.keyboard.press("Space")
    wait_for_time(page, 0, 0.05)
    page.keyboard.press("Space")
    assert sounding(page) == []
    page.keyboard.press("Tab")
    slider = page.locator(".card .seek").first
    assert slider.evaluate("(e) => e === document.activeElement")
    page.keyboard.press("Home")
    page.keyboard.press("ArrowRight")
    units = page.locator(".card").first.get_attribute("data-units").split()
    readout = page.locator(".card .readout").first
    assert f"code {units[1]} · unit 2 of {len(units)}" in readout.inner_text()
    assert f"code {units[1]}" in slider.get_attribute("aria-valuetext")
    page.keyboard.press("ArrowRight")
    assert f"unit 3 of {len(units)}" in readout.inner_text()
    assert "phone sil" in readout.inner_text()
    page.keyboard.press("End")
    assert place(page) == 1
    page.keyboard.press("Tab")  # to the versions
    page.keyboard.press("ArrowDown")
    assert page.locator(".card input[type=radio]").nth(1).is_checked()
    page.keyboard.press("Space")
    assert sounding(page) == [1]


def test_units_are_read_at_the_pointer(open_report):
    page = open_report()
    card = page.locator(".card").first
    card.scroll_into_view_if_needed()
    box = card.locator(".lane.units").bounding_box()
    seconds, units = float(card.get_attribute("data-seconds")), card.get_attribute("data-units").split()
    share = 10.5 / (float(card.get_attribute("data-rate")) * seconds)  # the middle of the eleventh unit
    page.mouse.move(box["x"] + share * box["width"], box["y"] + 10)
    assert f"code {units[10]} · unit 11 of {len(units)}" in card.locator(".readout").inner_text()
    drawn = card.locator(".swatch").evaluate("(e) => e.style.background")
    page.mouse.move(box["x"] + box["width"] / 2, 5)
    assert drawn.startswith("rgb") and "runs" in card.locator(".readout").inner_text()


def test_charts_and_maps_are_read_by_keys(open_report):
    page = open_report()
    plot = page.locator(".plot").first
    plot.focus()
    page.keyboard.press("Home")
    readout = page.locator(".chart .readout").first
    assert readout.inner_text().startswith("step 1: ") and "training 7.95" in readout.inner_text()
    cells = page.locator(".cells").first
    cells.focus()
    page.keyboard.press("ArrowRight")
    text = page.locator(".heat .readout").first.inner_text()
    codes = cells.get_attribute("data-columns").split("\t")
    assert text.startswith(f"Code {codes[1]}: ") and text.endswith("% are aa.")


@pytest.mark.parametrize("width", [320, 390, 768, 1280])
def test_nothing_sticks_out_of_the_screen(open_report, width):
    page = open_report(width)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.evaluate("document.querySelectorAll('details').forEach((d) => d.open = true)")
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_controls_are_large_enough_for_a_finger(open_report):
    page = open_report(320, 700, has_touch=True)
    box = page.locator(".card .play").first.bounding_box()
    assert box["width"] >= 44 and box["height"] >= 44  # WCAG 2.1, 2.5.5
    page.locator(".card .play").first.tap()
    wait_for_time(page, 0, 0.1)


def test_texts_have_contrast_in_light_and_dark(open_report):
    backgrounds = []
    for scheme in ("light", "dark"):
        page = open_report(color_scheme=scheme)
        page.evaluate("document.querySelectorAll('details').forEach((d) => d.open = true)")
        found = page.evaluate(CONTRAST)
        assert found["seen"] > 200 and found["wrong"] == []
        backgrounds.append(page.evaluate("getComputedStyle(document.body).backgroundColor"))
    assert backgrounds[0] != backgrounds[1]


def test_without_scripts_the_browsers_own_players_are_there(open_report):
    page = open_report(java_script_enabled=False)
    assert page.locator("audio").first.is_visible()
    assert not page.locator(".controls").first.is_visible() and not page.locator(".overlay").first.is_visible()
