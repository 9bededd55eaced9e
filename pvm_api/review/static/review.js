"use strict";
// Everything here is a shortcut for a link or a form of the page, which work without it.

document.documentElement.classList.add("js");
const $ = (query, root = document) => root.querySelector(query);
const all = (query, root = document) => [...root.querySelectorAll(query)];
const texts = document.body.dataset;
const toast = $("#say");
let fading = 0;

function announce(text) {
  // Emptied first: a screen reader repeats a text only where it changed.
  toast.textContent = "";
  toast.classList.remove("past");
  clearTimeout(fading);
  requestAnimationFrame(() => { toast.textContent = text; });
  fading = setTimeout(() => toast.classList.add("past"), 5000);
}

// -- zoom ------------------------------------------------------------------------------

function zoomable(box) {
  const picture = $("img", box);
  const at = { scale: 1, x: 0, y: 0 };
  const held = new Map();
  const draw = () => {
    const wide = box.clientWidth, high = box.clientHeight;
    at.scale = Math.min(12, Math.max(1, at.scale));
    at.x = Math.min(0, Math.max(wide - wide * at.scale, at.x));
    at.y = Math.min(0, Math.max(high - high * at.scale, at.y));
    picture.style.transform = at.scale === 1 ? "" : `translate(${at.x}px, ${at.y}px) scale(${at.scale})`;
    box.dataset.scale = at.scale.toFixed(2);
  };
  const zoom = (factor, x = box.clientWidth / 2, y = box.clientHeight / 2) => {
    const next = Math.min(12, Math.max(1, at.scale * factor)), ratio = next / at.scale;
    Object.assign(at, { scale: next, x: x - (x - at.x) * ratio, y: y - (y - at.y) * ratio });
    draw();
  };
  const move = (x, y) => { at.x += x; at.y += y; draw(); };
  const fit = () => { Object.assign(at, { scale: 1, x: 0, y: 0 }); draw(); };
  const point = (event) => {
    const edge = box.getBoundingClientRect();
    return [event.clientX - edge.left, event.clientY - edge.top];
  };
  box.addEventListener("wheel", (event) => {
    // The page must scroll while the pointer is over a picture.
    if (!event.ctrlKey && at.scale === 1 && !box.closest("dialog")) return;
    event.preventDefault();
    zoom(Math.exp(-event.deltaY * 0.002), ...point(event));
  }, { passive: false });
  box.addEventListener("pointerdown", (event) => {
    held.set(event.pointerId, point(event));
    box.setPointerCapture(event.pointerId);
  });
  box.addEventListener("pointermove", (event) => {
    const before = held.get(event.pointerId);
    if (!before) return;
    const now = point(event), other = [...held].find(([id]) => id !== event.pointerId);
    held.set(event.pointerId, now);
    if (other) {
      const apart = (p) => Math.hypot(p[0] - other[1][0], p[1] - other[1][1]);
      zoom(apart(now) / Math.max(1, apart(before)), (now[0] + other[1][0]) / 2, (now[1] + other[1][1]) / 2);
    } else move(now[0] - before[0], now[1] - before[1]);
  });
  for (const end of ["pointerup", "pointercancel"]) box.addEventListener(end, (event) => held.delete(event.pointerId));
  box.addEventListener("dblclick", (event) => (at.scale > 1 ? fit() : zoom(3, ...point(event))));
  box.addEventListener("keydown", (event) => {
    const step = 60;
    const acts = {
      "+": () => zoom(1.4), "=": () => zoom(1.4), "-": () => zoom(1 / 1.4), "0": fit,
      ArrowLeft: () => move(step, 0), ArrowRight: () => move(-step, 0),
      ArrowUp: () => move(0, step), ArrowDown: () => move(0, -step),
    };
    const moves = event.key.startsWith("Arrow");
    if (event.ctrlKey || event.metaKey || event.altKey || !acts[event.key] || (moves && at.scale === 1)) return;
    event.preventDefault();
    event.stopPropagation();
    acts[event.key]();
  });
  return { zoom, fit };
}

const viewers = new Map(all("[data-viewer]").map((box) => [box, zoomable(box)]));
for (const button of all("[data-zoom]")) {
  const viewer = viewers.get($("[data-viewer]", button.closest("figure")));
  const acts = { in: () => viewer.zoom(1.6), out: () => viewer.zoom(1 / 1.6), fit: () => viewer.fit() };
  button.addEventListener("click", acts[button.dataset.zoom]);
}

// -- dialogs -----------------------------------------------------------------------------------------

for (const button of all("[data-opens]")) {
  button.addEventListener("click", () => $(`#${button.dataset.opens}`).showModal());
}

function enlarge(source, name) {
  const dialog = $("#large");
  if (!dialog || !source) return;
  const box = $("[data-viewer]", dialog), picture = $("img", box);
  picture.src = source;
  picture.alt = name;
  $("#large-name").textContent = name;
  viewers.get(box).fit();
  dialog.showModal();
  box.focus();
}

// -- the video ---------------------------------------------------------------------------------------

const video = $("video[data-at]");
if (video) {
  const seek = () => { video.currentTime = Number(video.dataset.at); };
  // The fragment of its address does the same, but not in every browser.
  const first = () => { if (Math.abs(video.currentTime - Number(video.dataset.at)) > 0.5) seek(); };
  if (video.readyState > 0) first(); else video.addEventListener("loadedmetadata", first, { once: true });
  $("[data-seek]").addEventListener("click", () => { seek(); video.play(); });
}

// -- the list ----------------------------------------------------------------------------------------

const list = $("#cards");
const cards = () => (list ? list.children : []);
const judged = [];
let now = null;

function selectCard(card, { focus = true } = {}) {
  if (!card) return;
  if (now) { now.classList.remove("now"); now.tabIndex = -1; }
  now = card;
  now.classList.add("now");
  now.tabIndex = 0;
  if (focus) {
    now.focus({ preventScroll: true });
    now.scrollIntoView({ block: "nearest", behavior: "instant" });
  }
  if (!now.nextElementSibling) follow();
}

const step = (by) => selectCard(cards()[now ? [...cards()].indexOf(now) + by : 0]);

function row(by) {
  if (!now) return step(0);
  const from = now.getBoundingClientRect();
  let card = now;
  // The next row begins where the cards' height on the page changes.
  do { card = by > 0 ? card.nextElementSibling : card.previousElementSibling; }
  while (card && (Math.abs(card.getBoundingClientRect().top - from.top) < 8
    || Math.abs(card.getBoundingClientRect().left - from.left) > from.width / 2));
  selectCard(card);
}

function nextOpen(card) {
  for (let one = card.nextElementSibling; one; one = one.nextElementSibling) {
    if (!one.dataset.verdict) return one;
  }
  return null;
}

function replaced(card, html) {
  const holder = document.createElement("template");
  holder.innerHTML = html;
  const fresh = holder.content.firstElementChild;
  // The loaded picture is reused, so that nothing flickers.
  const old = $(".proof img", card), img = $(".proof img", fresh);
  if (old && img && old.getAttribute("src") === img.getAttribute("src")) img.replaceWith(old);
  fresh.tabIndex = card.tabIndex;
  card.replaceWith(fresh);
  return fresh;
}

async function judge(card, verdict) {
  const form = $("form.judge", card);
  const body = new URLSearchParams(new FormData(form));
  body.set("verdict", verdict);
  body.set("back", location.pathname + location.search);
  card.setAttribute("aria-busy", "true");
  try {
    const answer = await fetch(form.action, { method: "POST", body, headers: { "X-Requested-With": "review" } });
    if (answer.status === 401) throw new Error(texts.signedOut);
    const found = await answer.json();
    if (!answer.ok) throw new Error(found.reason || answer.statusText);
    const was = now === card;
    const fresh = replaced(card, found.card);
    if (was) { now = null; selectCard(fresh, { focus: verdict === "undo" }); }
    $("#tally").outerHTML = found.tally;
    announce(found.said);
    return fresh;
  } catch (error) {
    card.removeAttribute("aria-busy");
    announce(`${texts.failed} ${error.message}`);
    return null;
  }
}

let busy = Promise.resolve();

function decide(verdict) {
  const card = now;
  if (!card || card.getAttribute("aria-busy")) return;
  // The next card is selected at once; verdicts are saved in the background, in order.
  const target = nextOpen(card);
  judged.push(card.dataset.match);
  busy = busy.then(() => judge(card, verdict)).then((fresh) => {
    if (!fresh) judged.splice(judged.lastIndexOf(card.dataset.match), 1);
  });
  if (target) selectCard(target);
  else busy = busy.then(async () => {
    await follow();
    const further = [...cards()].find((one) => !one.dataset.verdict);
    if (further) selectCard(further); else announce(texts.end);
  });
}

function undo() {
  busy = busy.then(async () => {
    const id = judged.pop() || (now && now.dataset.verdict ? now.dataset.match : null);
    const card = id && document.getElementById(`m-${id}`);
    if (!card) return announce(texts.nothing);
    selectCard(card);
    await judge(card, "undo");
  });
}

let following = null;

function follow() {
  const more = $("#more");
  if (!more) return following;
  following ??= (async () => {
    try {
      const answer = await fetch(more.href);
      if (!answer.ok) return;
      const found = new DOMParser().parseFromString(await answer.text(), "text/html");
      for (const card of all(".card", found)) {
        if (!document.getElementById(card.id)) { card.tabIndex = -1; list.append(card); }
      }
      const next = $("#more", found);
      if (next) more.href = next.getAttribute("href"); else more.remove();
    } finally { following = null; }
    const left = $("#more");
    if (left) { watch.unobserve(left); watch.observe(left); }
  })();
  return following;
}

const watch = new IntersectionObserver((seen) => { if (seen.some((one) => one.isIntersecting)) follow(); }, { rootMargin: "1200px" });

if (list) {
  if ($("#more")) watch.observe($("#more"));
  for (const card of cards()) card.tabIndex = -1;
  const named = location.hash && document.getElementById(location.hash.slice(1));
  selectCard(named || cards()[0], { focus: Boolean(named) });
  list.addEventListener("focusin", (event) => selectCard(event.target.closest(".card"), { focus: false }));
  list.addEventListener("submit", (event) => {
    const card = event.target.closest(".card");
    if (!card || !event.submitter) return;
    event.preventDefault();
    selectCard(card, { focus: false });
    if (event.submitter.value === "undo") judge(card, "undo"); else decide(event.submitter.value);
  });
}

const filters = $(".filters");
if (filters) {
  // On a phone matches come first.
  if (matchMedia("(max-width: 720px)").matches) $(".fold", filters).open = false;
  const apply = () => {
    // Empty fields would only make the address long.
    // Without a word on it the order follows from the filters.
    const usual = (select) => !new URLSearchParams(location.search).has("sort")
      && $(`option[value="${select.value}"]`, select).defaultSelected;
    for (const field of all("input, select", filters)) field.disabled = !field.value || (field.name === "sort" && usual(field));
    filters.submit();
  };
  // Text is applied by Enter alone: leaving the field changes nothing.
  filters.addEventListener("change", (event) => { if (event.target.type !== "search") apply(); });
  filters.addEventListener("submit", (event) => { event.preventDefault(); apply(); });
}

// -- keys --------------------------------------------------------------------------------------------

const press = (query) => { const found = $(query); if (found) found.click(); return Boolean(found); };
const onList = {
  a: () => decide("accept"), r: () => decide("reject"), s: () => decide("unsure"), u: undo,
  j: () => step(1), k: () => step(-1), ArrowRight: () => step(1), ArrowLeft: () => step(-1),
  ArrowDown: () => row(1), ArrowUp: () => row(-1),
  Enter: () => now && $("h2 a", now).click(), " ": () => now && $("h2 a", now).click(),
  z: () => now && enlarge(($("[data-large]", now) || {}).dataset?.large || ($(".proof img", now) || {}).src, $("h2", now).textContent.trim()),
  b: () => { location.href = "/review"; }, "/": () => $("[name=q]").focus(),
};
const onMatch = {
  a: () => press(".judge .accept"), r: () => press(".judge .reject"), s: () => press(".judge .unsure"),
  u: () => press("#undo-last") || press(".judge .undo") || announce(texts.nothing),
  j: () => press("[rel=next].button"), k: () => press("[rel=prev].button"),
  ArrowRight: () => press("[rel=next].button"), ArrowLeft: () => press("[rel=prev].button"),
  z: () => { const shown = $("#evidence") || $("#frame"); if (shown) enlarge(shown.currentSrc, shown.alt); },
  b: () => press("#up"), Escape: () => press("#up"),
};
const acts = list ? onList : document.body.classList.contains("match") ? onMatch : {};

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
  const open = $("dialog[open]");
  if (open) {
    if ((open.id === "large" && event.key === "z") || (open.id === "help" && event.key === "?")) open.close();
    return;
  }
  const target = event.target;
  if (target.matches("input:not([type=checkbox]), select, textarea, video")) {
    if (event.key === "Escape") { target.value = target.defaultValue; target.blur(); }
    return;
  }
  const own = target.matches("a, button, summary, input") && (event.key === "Enter" || event.key === " ");
  if (event.key === "?" && $("#help")) { event.preventDefault(); $("#help").showModal(); return; }
  const act = acts[event.key.length === 1 ? event.key.toLowerCase() : event.key];
  if (!act || own || (event.repeat && !/^Arrow|^[jk]$/.test(event.key))) return;
  event.preventDefault();
  act();
});

// A screen reader announces only what changes after the page has loaded.
if (toast.textContent.trim()) announce(toast.textContent.trim());

// -- attention as it is found --------------------------------------------------------------------------

const attention = $("#attention");

function followed(place) {
  // One connection a page that is looked at; another one begins after what came last.
  let open = null, opened = false, pause = 1000;
  const took = async (id, text) => {
    place = id;
    if (text.video_id !== attention.dataset.video) return;
    const answer = await fetch(attention.dataset.shown);
    if (answer.ok) attention.innerHTML = await answer.text();
  };
  const socket = () => {
    const found = new WebSocket(`${location.origin.replace(/^http/, "ws")}${attention.dataset.live}socket?after=${place}`);
    found.onopen = () => { opened = true; pause = 1000; attention.dataset.connected = "socket"; };
    found.onmessage = (said) => { const { id, data } = JSON.parse(said.data); took(id, data); };
    found.onclose = () => {
      if (open !== found) return;
      open = null;
      // A proxy that passes no websocket passes an event stream.
      if (!opened) open = events();
      else setTimeout(turn, pause = Math.min(60000, pause * 2));
    };
    return found;
  };
  const events = () => {
    const found = new EventSource(`${attention.dataset.live}stream?after=${place}`);
    found.onopen = () => { attention.dataset.connected = "stream"; };
    found.addEventListener("video.attention.ready", (said) => took(said.lastEventId, JSON.parse(said.data)));
    return found;
  };
  const turn = () => {
    const before = open;
    if (document.hidden) { open = null; before?.close(); } else if (!open) open = socket();
  };
  document.addEventListener("visibilitychange", turn);
  addEventListener("pagehide", () => { const before = open; open = null; before?.close(); });
  addEventListener("pageshow", turn);
  turn();
}

if (attention) followed(attention.dataset.after);
