"use strict";
/* Keys and buttons of the review's pages. Whatever comes from the server is put into the page as text, never as markup. */

const SAYS = { "keep": "Kept", "reject": "Rejected", "wrong-city": "Wrong city" };
const photos = [...document.querySelectorAll(".photo")];
const spots = [...document.querySelectorAll("#map a")];
const said = document.getElementById("said");
const large = document.getElementById("large");
const elsewhere = document.getElementById("elsewhere");
let current = photos[0] || null;
let pending = 0;
let queue = Promise.resolve(); // decisions reach the server in the order in which they were made

function say(text, wrong = false) {
  said.textContent = text;
  said.classList.toggle("wrong", wrong);
}

const titleOf = (photo) => photo.querySelector(".title").textContent;

/* ---- which photo is meant */

function choose(photo, focus = true) {
  if (!photo) return;
  for (const one of photos) {
    const chosen = one === photo;
    one.classList.toggle("current", chosen);
    for (const button of one.querySelectorAll("button")) button.tabIndex = chosen ? 0 : -1;
  }
  current = photo;
  if (large.open) showLarge();
  if (focus && !large.open) photo.querySelector(".open").focus();
}

const middle = (element) => {
  const box = element.getBoundingClientRect();
  return [box.left + box.width / 2, box.top + box.height / 2];
};

/* The nearest in a direction: steps across count double, so that a column or a row is kept where there is one. */
function neighbour(all, from, key) {
  const [x, y] = middle(from);
  const upright = key === "ArrowUp" || key === "ArrowDown";
  const sign = key === "ArrowRight" || key === "ArrowDown" ? 1 : -1;
  let best = null;
  let least = Infinity;
  for (const one of all) {
    if (one === from) continue;
    const [u, v] = middle(one);
    const [along, across] = upright ? [(v - y) * sign, Math.abs(u - x)] : [(u - x) * sign, Math.abs(v - y)];
    if (along > 1 && along + 2 * across < least) {
      least = along + 2 * across;
      best = one;
    }
  }
  return best;
}

function step(key) {
  const at = photos.indexOf(current);
  if (key === "ArrowRight") choose(photos[at + 1]);
  else if (key === "ArrowLeft") choose(photos[at - 1]);
  else if (key === "Home") choose(photos[0]);
  else if (key === "End") choose(photos[photos.length - 1]);
  else if (!large.open) choose(neighbour(photos, current, key));
}

/* ---- decisions */

async function send(path, body) {
  let answer;
  try {
    answer = await fetch(path, {
      method: "POST",
      headers: { "Content-Type": "application/json", "X-T15-Review": "1" },
      body: JSON.stringify(body),
    });
  } catch {
    throw new Error("the server does not answer; is `t15 review` still running?");
  }
  const text = await answer.text();
  let found;
  try {
    found = JSON.parse(text);
  } catch {
    throw new Error(text.slice(0, 300) || `status ${answer.status}`);
  }
  if (!answer.ok) throw new Error(found.error || `status ${answer.status}`);
  return found;
}

function enqueue(work) {
  pending += 1;
  queue = queue.then(work).finally(() => { pending -= 1; });
}

function decide(photo, verdict, rightCity = null) {
  photo.setAttribute("aria-busy", "true");
  enqueue(async () => {
    try {
      const body = { photo_id: photo.dataset.id, verdict };
      if (rightCity) body.right_city = rightCity;
      const found = await send("/decide", body);
      photo.classList.remove("unsaved");
      apply(found.photo);
      const before = found.replaced ? ` (${found.replaced.reviewer} had said: ${found.replaced.what})` : "";
      say(`${found.photo.words}: ${titleOf(photo)}${before}`);
    } catch (error) {
      photo.classList.add("unsaved");
      say(`Not saved: ${SAYS[verdict]}, ${titleOf(photo)}: ${error.message}`, true);
    } finally {
      photo.removeAttribute("aria-busy");
    }
  });
  const next = photos[photos.indexOf(photo) + 1];
  if (next) choose(next);
  else choose(photo);
}

function undo() {
  enqueue(async () => {
    try {
      const found = await send("/undo", {});
      if (!found.photo) {
        say("There is nothing to take back.");
        return;
      }
      const photo = apply(found.photo);
      if (photo) choose(photo);
      say(`Taken back: ${found.undone}${photo ? `, ${titleOf(photo)}` : ` of ${found.photo.photo_id} (not on this page)`}`);
    } catch (error) {
      say(`Not taken back: ${error.message}`, true);
    }
  });
}

function act(verdict, photo) {
  if (!photo) return;
  if (verdict !== "wrong-city") {
    decide(photo, verdict);
    return;
  }
  const cities = document.getElementById("right-city");
  for (const option of cities.options) option.hidden = option.disabled = option.value === photo.dataset.city;
  cities.value = photo.dataset.suggestion || "";
  if (cities.selectedIndex < 0) cities.value = "";
  elsewhere.returnValue = "";
  elsewhere.onclose = () => {
    if (elsewhere.returnValue === "save") decide(photo, "wrong-city", cities.value || null);
    else choose(photo);
  };
  elsewhere.showModal();
  cities.focus();
}

document.getElementById("right-city").addEventListener("keydown", (event) => {
  if (event.key !== "Enter") return;
  event.preventDefault();
  elsewhere.close("save");
});

/* Show what is known of a photo now; returns its place on this page, if it has one. */
function apply(state) {
  const bar = document.getElementById("progress");
  const [decided, total] = state.progress[bar.dataset.city] || [bar.value, bar.max];
  bar.value = decided;
  bar.max = total || 1;
  const group = (number) => String(number).replace(/\B(?=(\d{3})+$)/g, "\u202f");
  document.getElementById("progress-words").textContent = `${group(decided)} of ${group(total)} decided`;
  for (const link of document.querySelectorAll(".filters a")) {
    const count = bar.dataset.city in state.progress ? state.counts[bar.dataset.city]?.[link.dataset.filter] : undefined;
    if (count !== undefined) link.querySelector(".count").textContent = group(count);
  }
  const photo = photos.find((one) => one.dataset.id === state.photo_id);
  if (!photo) return null;
  photo.dataset.verdict = state.verdict || "";
  photo.querySelector(".words").textContent = state.words;
  photo.querySelector(".open").setAttribute("aria-label", titleOf(photo) + (state.words && `, ${state.words}`));
  photo.querySelector(".by").textContent = state.reviewer || "";
  const past = photo.querySelector(".past").content;
  past.replaceChildren(...state.history.map((line) => {
    const item = document.createElement("li");
    const who = document.createElement("b");
    const when = document.createElement("time");
    who.textContent = line.reviewer;
    when.textContent = line.at;
    when.className = "quiet";
    item.append(who, ` ${line.what} `, when);
    return item;
  }));
  if (large.open && photo === current) showLarge();
  return photo;
}

/* ---- the large view */

function showLarge() {
  if (!current) return;
  const picture = document.getElementById("large-picture");
  const address = `/picture?id=${encodeURIComponent(current.dataset.id)}`;
  if (picture.getAttribute("src") !== address) picture.setAttribute("src", address);
  picture.alt = titleOf(current);
  const boxes = current.querySelector("svg.boxes");
  document.getElementById("large-boxes").replaceChildren(...(boxes ? [boxes.cloneNode(true)] : []));
  document.getElementById("large-title").textContent = titleOf(current);
  const verdict = document.getElementById("large-verdict");
  verdict.replaceChildren(...[...current.querySelector(".verdict").children].map((part) => part.cloneNode(true)));
  large.dataset.verdict = current.dataset.verdict;
  document.getElementById("large-facts").replaceChildren(current.querySelector(".facts").content.cloneNode(true));
  const past = current.querySelector(".past").content;
  document.getElementById("large-history").replaceChildren(past.cloneNode(true));
  large.querySelector(".none").hidden = past.childElementCount > 0;
  if (large.open) return;
  large.showModal();
  document.getElementById("large-title").focus(); // not the first button, or a second Enter would press it
}

/* ---- keys, buttons, dots */

const KEYS = {
  "k": () => act("keep", current),
  "r": () => act("reject", current),
  "w": () => act("wrong-city", current),
  "u": undo,
  "?": () => document.getElementById("keys").showModal(),
  "c": () => document.getElementById("next-city")?.click(),
  "+": () => document.getElementById("zoom-in")?.click(),
  "-": () => document.getElementById("zoom-out")?.click(),
  "n": () => document.querySelector(".pager [rel=next]")?.click(),
  "p": () => document.querySelector(".pager [rel=prev]")?.click(),
};

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
  if (event.target.closest("input, select, textarea, #elsewhere, #keys")) return;
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  const arrow = key.startsWith("Arrow") || key === "Home" || key === "End";
  const dot = event.target.closest("#map a");
  if (arrow && dot) {
    const next = neighbour(spots, dot, key);
    if (next) {
      for (const one of spots) one.tabIndex = one === next ? 0 : -1;
      next.focus();
    }
  } else if (arrow && current && !event.target.closest(".bar, .filters, .pager")) {
    step(key);
  } else if (!event.repeat && Object.hasOwn(KEYS, key)) {
    KEYS[key]();
  } else {
    return;
  }
  event.preventDefault();
});

document.addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (!button) return;
  const photo = button.closest(".photo");
  if (photo && button.matches(".open")) {
    choose(photo, false);
    showLarge();
  } else if (button.dataset.act) {
    if (photo) choose(photo, false);
    act(button.dataset.act, photo || current);
  } else if (button.dataset.step) {
    choose(photos[photos.indexOf(current) + Number(button.dataset.step)]);
  } else if ("close" in button.dataset) {
    large.close();
  }
});
document.addEventListener("focusin", (event) => {
  const photo = event.target.closest(".photo");
  if (photo && photo !== current) choose(photo, false);
});
const city = document.getElementById("city");
city.form.classList.add("at-once"); // with a script, choosing is enough
city.addEventListener("change", () => city.form.requestSubmit());
document.getElementById("undo").addEventListener("click", undo);
document.getElementById("help").addEventListener("click", KEYS["?"]);
large.addEventListener("close", () => choose(current));
window.addEventListener("beforeunload", (event) => {
  if (pending) event.preventDefault();
});

for (const [at, dot] of spots.entries()) dot.tabIndex = at ? -1 : 0;
choose(current, !spots.length);
if (location.hash === "#photos" && current) choose(current);
