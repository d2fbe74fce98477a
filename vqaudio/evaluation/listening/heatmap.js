// Heat maps: the cell at the pointer, or at the arrow keys, is marked and read out beneath.
(() => {
  "use strict";
  document.querySelectorAll(".cells").forEach((cells) => {
    const rows = cells.dataset.rows.split("\t");
    const columns = cells.dataset.columns.split("\t");
    const shares = JSON.parse(cells.dataset.shares); // per mille, row by row
    const mark = cells.querySelector(".cell-mark");
    const readout = cells.closest("figure").querySelector(".readout");
    const summary = readout.textContent;
    let at = [0, 0];

    const read = (row, column) => {
      at = [Math.min(Math.max(row, 0), rows.length - 1), Math.min(Math.max(column, 0), columns.length - 1)];
      const share = shares[at[0] * columns.length + at[1]] / 10;
      const values = { row: rows[at[0]], column: columns[at[1]], share: share.toFixed(1) };
      readout.textContent = cells.dataset.sentence.replace(/\{(row|column|share)\}/g, (_, name) => values[name]);
      mark.style.display = "block";
      mark.style.left = `${(100 * at[1]) / columns.length}%`;
      mark.style.width = `${100 / columns.length}%`;
      mark.style.top = `${(100 * at[0]) / rows.length}%`;
      mark.style.height = `${100 / rows.length}%`;
    };
    const leave = () => { mark.style.display = "none"; readout.textContent = summary; };

    cells.addEventListener("pointermove", (event) => {
      const box = cells.getBoundingClientRect();
      const row = Math.floor(((event.clientY - box.top) / box.height) * rows.length);
      read(row, Math.floor(((event.clientX - box.left) / box.width) * columns.length));
    });
    cells.addEventListener("pointerleave", leave);
    cells.addEventListener("blur", leave);
    cells.addEventListener("keydown", (event) => {
      const moves = {
        ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1],
        Home: [0, -columns.length], End: [0, columns.length],
      };
      if (!(event.key in moves) || event.ctrlKey || event.altKey || event.metaKey) return;
      event.preventDefault();
      read(at[0] + moves[event.key][0], at[1] + moves[event.key][1]);
    });
  });
})();
