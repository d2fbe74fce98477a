// Players: one sounds at a time; all versions of an utterance share a place in time, which the playhead shows.
(() => {
  "use strict";
  let sounding = null; // the player that was started last

  const runStart = (units, n) => { while (n > 0 && units[n - 1] === units[n]) n--; return n; };
  const runEnd = (units, n) => { while (n + 1 < units.length && units[n + 1] === units[n]) n++; return n + 1; };

  class Player {
    constructor(card) {
      this.card = card;
      this.find = (selector) => card.querySelector(selector);
      this.tracks = [...card.querySelectorAll("audio")];
      this.radios = [...card.querySelectorAll(".name input")];
      this.lanes = [...card.querySelectorAll(".lane[data-track]")];
      this.seconds = Number(card.dataset.seconds);
      this.rate = Number(card.dataset.rate);
      this.units = card.dataset.units ? card.dataset.units.split(" ").map(Number) : [];
      this.phones = card.dataset.phones ? JSON.parse(card.dataset.phones) : [];
      this.chosen = 0;
      this.place = 0;
      this.button = this.find(".play");
      this.slider = this.find(".seek");
      this.readout = this.find(".readout");
      this.hint = this.readout.textContent;
      this.find(".controls").hidden = false;
      this.listen();
      this.show();
    }

    get track() { return this.tracks[this.chosen]; }
    get playing() { return !this.track.paused; }

    listen() {
      const { card } = this;
      this.button.addEventListener("click", () => this.toggle());
      this.slider.addEventListener("input", () => this.seek(Number(this.slider.value), true));
      this.slider.addEventListener("keydown", (event) => this.step(event));
      this.radios.forEach((radio, i) => radio.addEventListener("change", () => this.choose(i)));
      this.lanes.forEach((lane, i) => lane.addEventListener("click", (event) => {
        const place = this.placeAt(event);
        this.choose(i);
        this.seek(place, false);
        this.play();
      }));
      const rows = this.find(".rows");
      rows.addEventListener("pointermove", (event) => this.point(event));
      rows.addEventListener("pointerleave", () => this.unpoint());
      card.addEventListener("keydown", (event) => this.key(event));
      this.tracks.forEach((audio, i) => {
        audio.controls = false;
        audio.addEventListener("play", () => card.classList.toggle("playing", this.playing));
        audio.addEventListener("pause", () => { card.classList.toggle("playing", this.playing); this.show(); });
        audio.addEventListener("ended", () => { if (i === this.chosen) this.seek(this.place, true); });
        audio.addEventListener("error", () => { this.readout.textContent = "This browser cannot play the audio."; });
      });
    }

    toggle() { if (this.playing) this.track.pause(); else this.play(); }

    play() {
      if (sounding && sounding !== this) sounding.track.pause();
      sounding = this;
      const length = this.track.duration || this.seconds;
      if (this.place >= length - 0.02) this.place = 0;
      this.track.currentTime = this.place;
      const started = this.track.play();
      if (started) started.catch(() => this.card.classList.remove("playing"));
      this.button.setAttribute("aria-label", this.button.getAttribute("aria-label").replace(/^Play/, "Pause"));
      requestAnimationFrame(() => this.follow());
    }

    follow() {
      if (this.playing && !this.track.seeking) this.place = this.track.currentTime;
      this.show();
      if (this.playing) requestAnimationFrame(() => this.follow());
    }

    choose(i) {
      if (i === this.chosen) return;
      const wasPlaying = this.playing;
      if (wasPlaying) this.place = this.track.currentTime;
      this.track.pause();
      this.chosen = i;
      this.radios[i].checked = true;
      if (wasPlaying) this.play(); else this.show();
    }

    seek(place, detailed) {
      this.place = Math.min(Math.max(place, 0), this.seconds);
      if (this.track.readyState > 0) this.track.currentTime = this.place;
      this.show();
      this.keepInView();
      if (detailed) this.readout.replaceChildren(...this.describe(this.place));
    }

    step(event) { // a unit at a time, a tenth of the utterance with Page Up and Page Down
      const small = this.units.length ? 1 / this.rate : 0.01;
      const steps = {
        ArrowLeft: -small, ArrowDown: -small, ArrowRight: small, ArrowUp: small,
        PageDown: -this.seconds / 10, PageUp: this.seconds / 10, Home: -Infinity, End: Infinity,
      };
      if (!(event.key in steps) || event.ctrlKey || event.altKey || event.metaKey) return;
      event.preventDefault();
      let target = this.place + steps[event.key];
      if (this.units.length && Math.abs(steps[event.key]) === small) { // to the middle of the next unit
        const now = Math.floor(this.place * this.rate + 1e-6);
        target = (now + Math.sign(steps[event.key]) + 0.5) / this.rate;
      }
      this.seek(target, true);
    }

    key(event) {
      if (event.ctrlKey || event.altKey || event.metaKey) return;
      const digit = Number(event.key);
      if (digit >= 1 && digit <= this.tracks.length) { event.preventDefault(); this.choose(digit - 1); }
      const inert = event.target === this.button || (event.target !== this.card && event.target.closest("a, summary"));
      if (event.key === " " && !inert) { event.preventDefault(); this.toggle(); }
    }

    placeAt(event) {
      const box = this.find(".overlay").getBoundingClientRect();
      return Math.min(Math.max((event.clientX - box.left) / box.width, 0), 1) * this.seconds;
    }

    point(event) {
      const box = this.find(".overlay").getBoundingClientRect();
      if (event.clientX < box.left) { this.unpoint(); return; }
      const place = this.placeAt(event);
      const line = this.find(".pointer");
      line.style.left = `${(100 * place) / this.seconds}%`;
      line.style.opacity = 0.8;
      this.pointing = true;
      this.readout.replaceChildren(...this.describe(place));
    }

    unpoint() {
      if (!this.pointing) return;
      this.pointing = false;
      this.find(".pointer").style.opacity = 0;
      this.readout.textContent = this.hint;
    }

    describe(place) {
      const parts = [`${place.toFixed(3)} s`];
      const n = Math.floor(place * this.rate + 1e-6);
      let swatch = null;
      if (n < this.units.length) {
        const [from, to] = [runStart(this.units, n), runEnd(this.units, n)];
        const times = `${(from / this.rate).toFixed(3)} to ${(to / this.rate).toFixed(3)} s`;
        parts.push(`code ${this.units[n]}`, `unit ${n + 1} of ${this.units.length}`);
        parts.push(to - from > 1 ? `run of ${to - from}, ${times}` : times);
        const block = [...this.card.querySelectorAll(".strip rect")].find((r) => Number(r.getAttribute("x")) === from);
        swatch = document.createElement("span");
        swatch.className = "swatch";
        if (block) swatch.style.background = block.getAttribute("fill");
      }
      const phone = this.phones.find(([start, end]) => start <= place && place < end);
      if (phone) parts.push(`phone ${phone[2]}`);
      return swatch ? [swatch, parts.join(" · ")] : [parts.join(" · ")];
    }

    show() {
      const share = `${(100 * this.place) / this.seconds}%`;
      this.find(".playhead").style.left = share;
      this.find(".now").textContent = this.place.toFixed(2);
      this.slider.value = this.place;
      const n = Math.floor(this.place * this.rate + 1e-6);
      const unit = n < this.units.length ? `, code ${this.units[n]}` : "";
      this.slider.setAttribute("aria-valuetext", `${this.place.toFixed(2)} of ${this.seconds.toFixed(2)} seconds${unit}`);
      const verb = this.playing ? "Pause" : "Play";
      const label = this.button.getAttribute("aria-label").replace(/^(Play|Pause)/, verb);
      if (label !== this.button.getAttribute("aria-label")) this.button.setAttribute("aria-label", label);
      if (this.playing) this.keepInView();
    }

    keepInView() {
      const scroll = this.find(".scroll");
      if (scroll.scrollWidth <= scroll.clientWidth + 1) return;
      const x = this.find(".overlay").offsetLeft + (this.place / this.seconds) * this.find(".overlay").offsetWidth;
      if (x < scroll.scrollLeft || x > scroll.scrollLeft + scroll.clientWidth - 16) scroll.scrollLeft = x - 32;
    }
  }

  document.querySelectorAll(".card").forEach((card) => new Player(card));
})();
