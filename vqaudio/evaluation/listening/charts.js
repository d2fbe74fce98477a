// Charts: the values at the pointer, or at the arrow keys, are read out beneath.
(() => {
  "use strict";
  const text = (value) => {
    if (value !== 0 && Math.abs(value) < 0.01) return value.toExponential(2);
    return value.toLocaleString("en", { maximumSignificantDigits: 4 });
  };

  document.querySelectorAll(".plot").forEach((plot) => {
    const lines = JSON.parse(plot.dataset.lines);
    const [low, high, log] = JSON.parse(plot.dataset.ends);
    const readout = plot.closest("figure").querySelector(".readout");
    const summary = readout.textContent;
    const places = [...new Set(lines.flatMap(([, x]) => x))].sort((a, b) => a - b);
    const cursor = document.createElement("div");
    cursor.className = "cursor";
    cursor.hidden = true;
    plot.append(cursor);
    let at = -1;

    const scale = (x) => (log ? Math.log(x / low) / Math.log(high / low) : (x - low) / (high - low));
    const nearest = (list, x) => list.reduce((best, v, i) => (Math.abs(v - x) < Math.abs(list[best] - x) ? i : best), 0);

    const read = (index) => {
      at = index;
      const x = places[at];
      cursor.hidden = false;
      cursor.style.left = `${100 * scale(x)}%`;
      const values = lines.map(([name, xs, ys]) => {
        const i = nearest(xs, x);
        const where = xs[i] === x || xs.length === 2 ? "" : ` (${plot.dataset.x} ${xs[i].toLocaleString("en")})`;
        return `${lines.length > 1 ? `${name} ` : ""}${text(ys[i])}${where}`;
      });
      readout.textContent = `${plot.dataset.x} ${x.toLocaleString("en")}: ${values.join("; ")}`;
    };
    const leave = () => { cursor.hidden = true; readout.textContent = summary; };

    plot.addEventListener("pointermove", (event) => {
      const box = plot.getBoundingClientRect();
      const share = (event.clientX - box.left) / box.width;
      read(nearest(places, log ? low * (high / low) ** share : low + share * (high - low)));
    });
    plot.addEventListener("pointerleave", leave);
    plot.addEventListener("blur", leave);
    plot.addEventListener("keydown", (event) => {
      const last = places.length - 1;
      const page = Math.max(1, Math.round(last / 10));
      const steps = { ArrowLeft: -1, ArrowRight: 1, PageUp: -page, PageDown: page, Home: -last, End: last };
      if (!(event.key in steps) || event.ctrlKey || event.altKey || event.metaKey) return;
      event.preventDefault();
      read(Math.min(Math.max((at < 0 ? last : at) + steps[event.key], 0), last));
    });
  });
})();
