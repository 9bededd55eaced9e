"use strict";
// Filters of a file that has no server: what does not fit is hidden, nothing is fetched.
(() => {
  const form = document.getElementById("filters");
  if (!form) return;
  const list = document.getElementById("matches"), found = document.getElementById("found");
  const none = document.getElementById("none"), rows = [...list.children];
  const value = (id) => { const one = document.getElementById(id); return one ? one.value : ""; };
  const plain = (text) => text.toLowerCase().normalize("NFD").replace(/\p{M}/gu, "").replace(/đ/g, "d");
  const keys = new Map(rows.map((row) => [row, plain(row.dataset.q)]));
  const number = (text, otherwise) => (text === "" ? otherwise : Number(text));
  const by = (name) => (a, b) => a.dataset[name].localeCompare(b.dataset[name]);
  const best = (a, b) => b.dataset.score - a.dataset.score;
  const orders = {
    score: best,
    product: (a, b) => by("product")(a, b) || best(a, b),
    video: (a, b) => by("video")(a, b) || a.dataset.ts - b.dataset.ts,
    published: (a, b) => by("published")(b, a) || best(a, b),
    price: (a, b) => number(a.dataset.price, Infinity) - number(b.dataset.price, Infinity) || best(a, b),
  };
  const fits = (row) => {
    const words = plain(value("q")).split(/\s+/).filter(Boolean);
    const least = Number(value("least").replace(",", ".")) || 0;
    return words.every((word) => keys.get(row).includes(word))
      && (!value("status") || row.dataset.status === value("status"))
      && (!value("platform") || row.dataset.platform === value("platform"))
      && Number(row.dataset.score) >= least;
  };
  const apply = () => {
    let shown = 0;
    for (const row of rows) {
      row.hidden = !fits(row);
      shown += row.hidden ? 0 : 1;
    }
    list.append(...rows.sort(orders[value("order")]));
    none.hidden = shown > 0;
    found.textContent = found.dataset.text.replace("{shown}", shown).replace("{total}", rows.length);
  };
  form.addEventListener("input", apply);
  form.addEventListener("submit", (event) => event.preventDefault());
  form.hidden = false;
  apply();
})();
