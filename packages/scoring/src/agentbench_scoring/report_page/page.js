"use strict";
// Sorts a table by the column whose heading is pressed, best first, then reversed.
for (const table of document.querySelectorAll("table.sortable")) {
  const headings = [...table.tHead.rows[0].cells];
  const key = (row, column) => {
    const text = row.cells[column].dataset.sort ?? "";
    const number = Number(text);
    return text !== "" && !Number.isNaN(number) ? number : text;
  };
  headings.forEach((heading, column) => {
    heading.querySelector("button").addEventListener("click", () => {
      const ascends = heading.getAttribute("aria-sort") === "descending";
      const rows = [...table.tBodies[0].rows];
      rows.sort((a, b) => {
        const x = key(a, column);
        const y = key(b, column);
        const order = typeof x === typeof y
          ? (typeof x === "number" ? x - y : x.localeCompare(y))
          : (typeof x === "number" ? -1 : 1);
        return ascends ? order : -order;
      });
      table.tBodies[0].append(...rows);
      for (const other of headings) other.setAttribute("aria-sort", "none");
      heading.setAttribute("aria-sort", ascends ? "ascending" : "descending");
    });
  });
}
