"use strict";

/* Photos wait in a queue and are sent one after the other. Whatever the server answers is put into the page as text; the
   map alone is markup, which the server makes and whose texts it escapes. */

const settings = JSON.parse(document.body.dataset.settings);
const answers = document.getElementById("answers");
const said = document.getElementById("said");
const input = document.getElementById("file");
const TRIES = 20;
const percent = (share) => `${(100 * share).toFixed(1)} %`;
const km = (value) => `${value.toLocaleString("en", { maximumFractionDigits: value < 10 ? 1 : 0 })} km`;
const pause = (seconds) => new Promise((done) => setTimeout(done, 1000 * seconds));
const queue = [];
let busy = false;

function element(name, className, text) {
  const made = document.createElement(name);
  made.className = className;
  made.textContent = text;
  return made;
}

function add(files) {
  const photos = [...files];
  if (!photos.length) return;
  const cards = document.createDocumentFragment();
  for (const file of photos) {
    const card = document.getElementById("answer").content.firstElementChild.cloneNode(true);
    const address = URL.createObjectURL(file);
    const picture = card.querySelector(".plain");
    card.querySelector("h2").textContent = file.name || "Pasted photo";
    // TIFF, for one, is answered but not shown by most browsers.
    picture.addEventListener("error", () => card.querySelector(".layers").classList.add("blind"));
    picture.src = address;
    card.querySelector(".remove").addEventListener("click", () => {
      URL.revokeObjectURL(address);
      card.remove();
      input.focus();
    });
    state(card, "waiting");
    cards.append(card);
    queue.push({ file, card });
  }
  answers.prepend(cards);
  work();
}

async function work() {
  if (busy) return;
  busy = true;
  while (queue.length) {
    const { file, card } = queue.shift();
    if (card.isConnected) await ask(file, card);
  }
  busy = false;
}

async function ask(file, card) {
  const name = card.querySelector("h2").textContent;
  if (file.size > settings.largest) {
    fail(card, name, `the photo has more than ${settings.largest / 1e6} MB; choose a smaller copy`);
    return;
  }
  for (let left = TRIES; left > 0 && card.isConnected; left -= 1) {
    state(card, "looking at it");
    const form = new FormData();
    form.append("photo", file, name);
    let response;
    let told;
    try {
      response = await fetch("/api/v1/predict?explain=true", { method: "POST", body: form });
      told = await response.json();
    } catch {
      fail(card, name, "t15 does not answer; is `t15 serve` still running?");
      return;
    }
    if (response.ok) {
      show(card, told.photos[0]);
      return;
    }
    if (![429, 503].includes(response.status)) {
      fail(card, name, told.error);
      return;
    }
    const seconds = Number(response.headers.get("Retry-After")) || 1;
    state(card, `the server is busy; again in ${seconds} s`);
    await pause(seconds);
  }
  if (card.isConnected) fail(card, name, "the server is busy; try again later");
}

function state(card, text) {
  card.setAttribute("aria-busy", "true");
  card.querySelector(".state span").textContent = text;
}

function settle(card) {
  card.removeAttribute("aria-busy");
  card.querySelector(".state").hidden = true;
}

function fail(card, name, reason) {
  settle(card);
  const problem = card.querySelector(".problem");
  problem.textContent = `No answer: ${reason}.`;
  problem.hidden = false;
  said.textContent = `${name}: no answer: ${reason}`;
}

function show(card, told) {
  settle(card);
  const best = told.candidates[0];
  const verdict = card.querySelector(".verdict");
  const only = told.candidates.length === 1; // nothing was compared with it
  const certain = only ? "the only city that the model knows: not in question" : `${percent(best.probability)} sure`;
  const sure = told.none_of_these ? "None of these." : `${best.name}, ${certain}.`;
  verdict.textContent = sure;
  card.querySelector(".place").textContent = told.none_of_these
    ? `Too unsure to be an answer: the likeliest city, ${best.name}, has ${percent(best.probability)}, and answers below ` +
      `${percent(settings.threshold)} are withheld.`
    : where(told);
  const learnt = card.querySelector(".learnt");
  learnt.hidden = !told.training_photo;
  learnt.textContent =
    `The model learnt from this very photo (${told.training_photo}): its answer says nothing of how good the model is.`;
  card.querySelector("caption").textContent = `The likeliest ${told.candidates.length}`;
  card.querySelector("table").hidden = only;
  card.querySelector("table").classList.toggle("unsure", told.none_of_these);
  card.querySelector("tbody").replaceChildren(...told.candidates.map(row));
  // A document that was parsed so runs nothing, and loads nothing.
  const map = new DOMParser().parseFromString(told.explanation.map.svg, "text/html").querySelector("svg");
  const maps = [map];
  if (told.explanation.map.density) {
    maps.unshift(new DOMParser().parseFromString(told.explanation.map.density, "text/html").querySelector("svg"));
  }
  card.querySelector(".map").replaceChildren(...maps.map((one) => document.adoptNode(one)));
  card.querySelector(".credit").textContent =
    (only && told.decimals !== null
      ? `The large dot is the answer, the small one the centre of ${best.name}.`
      : "The area of a dot is the city's probability.") +
    (told.radius50_km === null ? "" : " Dashed: inside it with a chance of 50 %.") +
    ` ${told.explanation.map.credit}`;
  heat(card, told.explanation.heat, best.name);
  const near = told.explanation.neighbours.map(neighbour);
  card.querySelector(".likeness ol").replaceChildren(...near);
  card.querySelector(".likeness").hidden = !near.length;
  card.querySelector(".told").hidden = false;
  said.textContent = `${card.querySelector("h2").textContent}: ${sure}`;
}

function where(told) {
  const digits = told.decimals === null ? 4 : told.decimals;
  const degrees = (value, positive, negative) => `${Math.abs(value).toFixed(digits)}° ${value < 0 ? negative : positive}`;
  const radii = [[50, told.radius50_km], [90, told.radius90_km]]
    .filter(([, radius]) => radius !== null)
    .map(([share, radius]) => `${share} % within ${km(radius)}`);
  const place = `${degrees(told.latitude, "N", "S")}, ${degrees(told.longitude, "E", "W")}`;
  const areas = [[50, told.area50_km2], [90, told.area90_km2]]
    .filter(([, area]) => area !== null)
    .map(([share, area]) => `${share} % in ${area.toLocaleString("en", { maximumSignificantDigits: 2 })} km²`);
  const density = areas.length ? ` By its density: ${areas.join(", ")}.` : "";
  return `${place}: ${radii.join(", ") || "how far off is unknown"}.${density}`;
}

function row(candidate) {
  const line = document.createElement("tr");
  const head = element("th", "", candidate.name);
  head.scope = "row";
  const whole = element("td", "whole", "");
  const bar = element("div", "bar", "");
  bar.style.width = `${100 * candidate.probability}%`;
  whole.append(bar);
  line.append(head, element("td", "number", percent(candidate.probability)), whole);
  return line;
}

function heat(card, told, city) {
  const layer = card.querySelector(".heat");
  const toggle = card.querySelector(".toggle");
  layer.src = told.image;
  layer.hidden = false;
  toggle.addEventListener("change", () => {
    layer.hidden = !toggle.checked;
  });
  card.querySelector(".best").textContent = city;
  const strength = told.strength === null ? "" : ` Hiding the strongest spot lowers the probability by ${(100 * told.strength).toFixed(1)} points.`;
  card.querySelector(".method").textContent = `By ${told.method}. The strongest spot always has full colour.${strength}`;
  card.querySelector("figcaption").hidden = false;
}

function neighbour(near) {
  const item = document.createElement("li");
  if (near.thumbnail) {
    const picture = document.createElement("img");
    picture.src = near.thumbnail;
    picture.alt = `Training photo of ${near.city}`;
    item.append(picture);
  }
  const distance = near.distance === null ? "" : `, distance ${near.distance.toFixed(2)}`;
  const vote = near.vote === null ? "" : `, ${(100 * near.vote).toFixed(0)} % of the vote`;
  item.append(element("strong", "", near.city), `${distance}${vote}`);
  item.append(element("small", "", `${near.title || "Untitled"}, by ${near.author || "unknown"}, ${near.licence}`));
  const source = element(near.url ? "a" : "small", "", near.photo_id);
  if (near.url) {
    source.href = near.url;
    source.rel = "noreferrer noopener";
    source.target = "_blank";
  }
  item.append(source);
  return item;
}

input.addEventListener("change", () => {
  add(input.files);
  input.value = "";
});
document.addEventListener("paste", (event) => add(event.clipboardData.files));
document.addEventListener("dragover", (event) => {
  event.preventDefault();
  document.body.classList.add("dragging");
});
document.addEventListener("dragleave", (event) => {
  if (!event.relatedTarget) document.body.classList.remove("dragging");
});
document.addEventListener("drop", (event) => {
  event.preventDefault();
  document.body.classList.remove("dragging");
  add(event.dataTransfer.files);
});
