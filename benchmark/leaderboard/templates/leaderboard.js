"use strict";
/* Sorting, searching and filtering. Without this the page shows everything, best first. Text is only ever read from the page
   and written as text. */
(() => {
  const tools = document.querySelector(".tools");
  const tables = [...document.querySelectorAll("table.sortable")];
  const rows = [...document.querySelectorAll("tr[data-name]")];
  const counted = rows.filter((row) => row.closest(".ranking"));
  const [search, training, shared, order] = ["search", "training", "shared", "order"].map((id) => document.getElementById(id));
  const said = document.getElementById("said");

  const valueOf = (row, column) => {
    const cell = row.cells[column];
    const raw = cell.dataset.value ?? cell.textContent.trim();
    return raw === "" || Number.isNaN(Number(raw)) ? raw : Number(raw);
  };

  const compare = (a, b) =>
    typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b), undefined, { numeric: true });

  function sort(table, column, descending) {
    const body = table.tBodies[0];
    const sorted = [...body.rows].sort((one, other) => {
      const [a, b] = [valueOf(one, column), valueOf(other, column)];
      if (a === "" || b === "") return (a === "") - (b === ""); // what is unknown stands last, either way
      return descending ? compare(b, a) : compare(a, b);
    });
    body.append(...sorted);
    for (const [index, head] of [...table.tHead.rows[0].cells].entries()) {
      if (index === column) head.setAttribute("aria-sort", descending ? "descending" : "ascending");
      else head.removeAttribute("aria-sort");
    }
  }

  function sortBy(table, column) {
    const head = table.tHead.rows[0].cells[column];
    const now = head.getAttribute("aria-sort");
    const descending = now ? now === "ascending" : head.dataset.first === "descending";
    sort(table, column, descending);
  }

  for (const table of tables) {
    for (const [column, head] of [...table.tHead.rows[0].cells].entries()) {
      if (!head.hasAttribute("data-first")) continue;
      const button = document.createElement("button");
      button.type = "button";
      button.append(...head.childNodes);
      button.addEventListener("click", () => sortBy(table, column));
      head.append(button);
    }
  }

  function show() {
    const words = search.value.toLocaleLowerCase().split(/\s+/).filter(Boolean);
    for (const row of rows) {
      const { name, training: on, rank } = row.dataset;
      const wanted = words.every((word) => name.includes(word)) && (!training.value || on === training.value);
      row.hidden = !(wanted && (!shared.checked || rank === "1"));
    }
    const left = counted.filter((row) => !row.hidden).length;
    said.textContent = left === counted.length ? `${left} rows` : `${left} of ${counted.length} rows`;
  }

  // Each figure as a file of its own, in the colours that it has on the page now.
  const painted = (svg) => {
    const copy = svg.cloneNode(true);
    const own = [svg, ...svg.querySelectorAll("*")];
    for (const [index, element] of [copy, ...copy.querySelectorAll("*")].entries()) {
      const style = getComputedStyle(own[index]);
      for (const name of ["fill", "fill-opacity", "stroke", "stroke-width", "stroke-dasharray", "opacity", "font-size", "font-family", "text-anchor", "paint-order"])
        element.style.setProperty(name, style.getPropertyValue(name));
    }
    return new Blob([new XMLSerializer().serializeToString(copy)], { type: "image/svg+xml" });
  };
  for (const figure of document.querySelectorAll(".pictures figure")) {
    const title = figure.querySelector("figcaption b").textContent.replace(/\.$/, "");
    const button = document.createElement("button");
    button.type = "button";
    button.className = "save";
    button.textContent = "Save as SVG";
    button.setAttribute("aria-label", `Save as SVG: ${title}`);
    button.addEventListener("click", () => {
      const link = document.createElement("a");
      link.href = URL.createObjectURL(painted(figure.querySelector("svg")));
      link.download = `${title.toLowerCase().replace(/[^a-z0-9]+/g, "-").replace(/^-|-$/g, "")}.svg`;
      link.click();
      setTimeout(() => URL.revokeObjectURL(link.href), 1000);
    });
    figure.append(button);
  }

  if (!tools) return;
  for (const one of [search, training, shared]) one.addEventListener("input", show);
  order.addEventListener("change", () => {
    for (const table of document.querySelectorAll("table.ranking")) {
      const heads = [...table.tHead.rows[0].cells];
      const column = heads.findIndex((head) => head.dataset.key === order.value);
      if (column >= 0) sort(table, column, heads[column].dataset.first === "descending");
    }
  });
  tools.hidden = false;
  show();
})();
