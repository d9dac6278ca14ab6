"use strict";
// The frame's script: tables that sort, filter and unfold. Without it a page shows everything, in the order in which it was written.
//
//   <table data-sortable>               columns whose <th data-sort="text|number"> become buttons; a cell's data-value precedes its text
//   <table> of several <tbody>          each <tbody> is one item that stays together: a row and what unfolds below it
//   <form data-filter="TABLE">          <input type="search"> finds words of an item; <input type="radio" name="KEY" value="WORD"> or
//                                       <select name="KEY"> keeps items whose data-KEY has the word; value "" keeps all
//   <output data-shown="TABLE">         says how many items are shown
//   <button data-unfold="ID">           shows and hides the element with that id; it is folded at first
//   <a href="#ITEM">                    unfolds and shows that item, whatever the filter says
(() => {
  document.documentElement.classList.add("js");

  const itemsOf = table => table.tBodies.length > 1 ? [...table.tBodies] : [...(table.tBodies[0]?.rows ?? [])];

  const keyOf = (item, column, isNumber) => {
    const row = item.rows ? item.rows[0] : item;
    const cell = row.cells[column];
    const text = cell ? cell.dataset.value ?? cell.textContent.trim() : "";
    if (!isNumber) return text;
    const number = Number.parseFloat(text);
    return Number.isNaN(number) ? -Infinity : number;
  };

  function sort(table, header, descending) {
    const column = header.cellIndex;
    const isNumber = header.dataset.sort === "number";
    const order = new Intl.Collator("en", { numeric: true });
    const keyed = itemsOf(table).map(item => ({ item, key: keyOf(item, column, isNumber) }));
    keyed.sort((a, b) => (isNumber ? a.key - b.key || 0 : order.compare(a.key, b.key)) * (descending ? -1 : 1));
    for (const { item } of keyed) item.parentElement.append(item);
    for (const other of header.parentElement.cells) other.removeAttribute("aria-sort");
    header.setAttribute("aria-sort", descending ? "descending" : "ascending");
  }

  function makeSortable(table) {
    for (const header of table.tHead.querySelectorAll("th[data-sort]")) {
      const button = document.createElement("button");
      button.type = "button";
      button.className = "sort";
      button.append(...header.childNodes);
      header.append(button);
      // Numbers are looked at from the largest on, text from A.
      button.addEventListener("click", () => {
        const now = header.getAttribute("aria-sort");
        sort(table, header, now ? now === "ascending" : header.dataset.sort === "number");
      });
    }
  }

  function filter(form) {
    const table = document.getElementById(form.dataset.filter);
    const words = (form.querySelector("input[type=search]")?.value ?? "").toLowerCase().split(/\s+/).filter(word => word);
    const wanted = [...form.querySelectorAll("select, input[type=radio]:checked")].filter(choice => choice.value);
    let shown = 0;
    const items = itemsOf(table);
    for (const item of items) {
      item._text ??= item.textContent.toLowerCase();
      const keep = words.every(word => item._text.includes(word))
        && wanted.every(choice => (item.getAttribute("data-" + choice.name) ?? "").split(" ").includes(choice.value));
      item.hidden = !keep;
      if (keep) shown++;
    }
    for (const output of document.querySelectorAll(`output[data-shown="${table.id}"]`))
      output.value = shown === items.length ? `all ${shown}` : `${shown} of ${items.length}`;
    for (const empty of document.querySelectorAll(`[data-empty="${table.id}"]`)) empty.hidden = shown > 0;
  }

  function makeFilter(form) {
    form.addEventListener("input", () => filter(form));
    form.addEventListener("submit", event => event.preventDefault());
    form.addEventListener("reset", () => setTimeout(() => filter(form)));
    filter(form);
  }

  function unfold(button, open) {
    button.setAttribute("aria-expanded", String(open));
    document.getElementById(button.dataset.unfold).hidden = !open;
  }

  function makeUnfold(button) {
    button.setAttribute("aria-controls", button.dataset.unfold);
    unfold(button, false);
    button.addEventListener("click", () => unfold(button, button.getAttribute("aria-expanded") !== "true"));
  }

  function reveal() {
    const item = location.hash.length > 1 ? document.getElementById(decodeURIComponent(location.hash.slice(1))) : null;
    if (!item) return;
    item.hidden = false;
    const button = item.querySelector("button[data-unfold]");
    if (button) unfold(button, true);
    item.scrollIntoView();
  }

  document.addEventListener("DOMContentLoaded", () => {
    document.querySelectorAll("button[data-unfold]").forEach(makeUnfold);
    document.querySelectorAll("table[data-sortable]").forEach(makeSortable);
    document.querySelectorAll("form[data-filter]").forEach(makeFilter);
    window.addEventListener("hashchange", reveal);
    reveal();
  });
})();
