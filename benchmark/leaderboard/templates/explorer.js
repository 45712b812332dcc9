"use strict";

/* Whatever comes from the data is put into the page as text. A photo is a row of `data.photos`:
   [id, label, place, title, author, licence, page, picture]. */

const data = JSON.parse(document.getElementById("data").textContent);
const $ = (id) => document.getElementById(id);
const PAGE = 60;
const providers = [...new Set(data.photos.map((photo) => photo[0].split(":")[0]))].sort();
let shown = [];
let drawn = 0;

function element(name, className, text) {
  const made = document.createElement(name);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}

function options(select, names, any) {
  if (any) select.append(new Option(any, ""));
  names.forEach((name, index) => select.append(new Option(name, String(index))));
}

const percent = (share) => `${(100 * share).toFixed(1)} %`;
const km = (value) => (value === null ? "–" : `${value.toLocaleString("en", { maximumFractionDigits: value < 10 ? 2 : 0 })} km`);
const named = (label) => (label < 0 ? "withheld" : data.labels[label]);
const isRight = (run, photo) => run.labels[photo] === data.photos[photo][1];

function number(id) {
  return $(id).value === "" ? null : Number($(id).value);
}

function passes(photo) {
  const [id, label, , title, author] = data.photos[photo];
  const run = data.runs[Number($("run").value)];
  const other = $("other").value === "" ? null : data.runs[Number($("other").value)];
  const right = isRight(run, photo);
  if ($("verdict").value && right !== ($("verdict").value === "right")) return false;
  if ($("label").value !== "" && label !== Number($("label").value)) return false;
  if ($("answer").value !== "" && run.labels[photo] !== Number($("answer").value)) return false;
  if ($("provider").value !== "" && !id.startsWith(`${providers[Number($("provider").value)]}:`)) return false;
  for (const [name, value, scale] of [["km", run.km[photo], 1], ["sure", run.confidence[photo], 100]]) {
    const [low, high] = [number(`${name}-low`), number(`${name}-high`)];
    if ((low !== null || high !== null) && value === null) return false;
    if (low !== null && scale * value < low) return false;
    if (high !== null && scale * value > high) return false;
  }
  if (other && $("differ").value) {
    const too = isRight(other, photo);
    const kinds = {
      differ: run.labels[photo] !== other.labels[photo], first: right && !too, second: too && !right, both: !right && !too,
    };
    if (!kinds[$("differ").value]) return false;
  }
  const words = $("words").value.trim().toLowerCase();
  return !words || `${id} ${title} ${author}`.toLowerCase().includes(words);
}

function filter() {
  const run = data.runs[Number($("run").value)];
  shown = data.photos.map((_, photo) => photo).filter(passes);
  const order = $("order").value;
  if (order) {
    const down = order.startsWith("-") ? 1 : -1;
    const values = run[order.replace("-", "")];
    shown.sort((a, b) => (values[a] === null) - (values[b] === null) || down * (values[a] - values[b]));
  }
  const right = shown.filter((photo) => isRight(run, photo)).length;
  const share = shown.length ? `; ${run.title} is right on ${percent(right / shown.length)} of them` : "";
  $("count").textContent = `${shown.length.toLocaleString("en")} of ${data.photos.length.toLocaleString("en")} photos${share}.`;
  $("differ").disabled = $("other").value === "";
  $("cards").replaceChildren();
  drawn = 0;
  more();
  map();
}

function picture(photo) {
  const box = element("span", "picture");
  const [id, , , title, , , , jpeg] = data.photos[photo];
  if (jpeg) {
    const image = element("img");
    image.src = `data:image/jpeg;base64,${jpeg}`;
    image.alt = title || id;
    box.append(image);
  } else {
    box.textContent = title || id;
  }
  return box;
}

function more() {
  const run = data.runs[Number($("run").value)];
  const cards = document.createDocumentFragment();
  for (const photo of shown.slice(drawn, drawn + PAGE)) {
    const item = element("li");
    const card = element("button");
    card.type = "button";
    card.append(picture(photo), element("span", "", named(data.photos[photo][1])), element("br"));
    const right = isRight(run, photo);
    card.append(element("span", right ? "good" : "bad", right ? "✓ right" : `✗ ${named(run.labels[photo])}`));
    card.append(element("br"), element("span", "", km(run.km[photo])));
    const marks = element("span", "marks");
    data.runs.slice(0, 12).forEach((one) => {
      const well = isRight(one, photo);
      marks.append(element("span", well ? "good" : "bad", well ? "●" : "○"));
    });
    marks.title = data.runs.slice(0, 12).map((one) => `${isRight(one, photo) ? "✓" : "✗"} ${one.title}`).join("\n");
    card.append(element("br"), marks);
    card.addEventListener("click", () => open(photo));
    item.append(card);
    cards.append(item);
  }
  drawn += PAGE;
  $("cards").append(cards);
  $("more").hidden = drawn >= shown.length;
}

function at(place) {
  const turned = (((place[1] - data.view.west) % 360) + 360) % 360;
  return [data.view.scale * turned, data.view.scale * data.view.stretch * (data.view.north - place[0])];
}

/* The part of the map that holds the photos: all of it where they are all shown. */
function framed(placed, canvas) {
  const whole = [0, 0, canvas.width, canvas.height];
  if (!placed.length || shown.length === data.photos.length) return whole;
  const points = placed.map((photo) => at(data.photos[photo][2]));
  const low = [0, 1].map((axis) => points.reduce((least, point) => Math.min(least, point[axis]), Infinity));
  const high = [0, 1].map((axis) => points.reduce((most, point) => Math.max(most, point[axis]), -Infinity));
  const ratio = canvas.width / canvas.height;
  const width = Math.min(canvas.width, Math.max(1.15 * (high[0] - low[0]), 1.15 * ratio * (high[1] - low[1]), 1));
  return [(low[0] + high[0] - width) / 2, (low[1] + high[1] - width / ratio) / 2, width, width / ratio];
}

function map(opened = null) {
  const run = data.runs[Number($("run").value)];
  const placed = shown.filter((photo) => data.photos[photo][2]);
  $("map").hidden = !placed.length;
  const canvas = $("map").querySelector("canvas");
  const frame = framed(placed, canvas);
  $("map").querySelector("svg").setAttribute("viewBox", frame.join(" "));
  const zoom = canvas.width / frame[2];
  const dot = (place) => {
    const [x, y] = at(place);
    return [zoom * (x - frame[0]), zoom * (y - frame[1])];
  };
  const pen = canvas.getContext("2d");
  const style = getComputedStyle(document.documentElement);
  const [good, bad, accent] = ["--good", "--bad", "--accent"].map((name) => style.getPropertyValue(name));
  pen.clearRect(0, 0, canvas.width, canvas.height);
  pen.globalAlpha = placed.length > 2000 ? 0.35 : 0.7;
  for (const photo of placed) {
    const [x, y] = dot(data.photos[photo][2]);
    pen.fillStyle = isRight(run, photo) ? good : bad;
    pen.beginPath();
    pen.arc(x, y, 3, 0, 7);
    pen.fill();
  }
  pen.globalAlpha = 1;
  if (opened === null || !data.photos[opened][2]) return;
  pen.strokeStyle = accent;
  for (const one of data.runs) {
    if (!one.places[opened]) continue;
    pen.beginPath();
    pen.moveTo(...dot(data.photos[opened][2]));
    pen.lineTo(...dot(one.places[opened]));
    pen.stroke();
  }
}

function open(photo) {
  const [id, label, place, title, author, licence, page] = data.photos[photo];
  const head = element("div", "head");
  const facts = element("div");
  const name = element("h2", "", title || id);
  name.id = "photo-name";
  facts.append(name, element("p", "", `${named(label)}${place ? ` at ${place[0]}, ${place[1]}` : ", place unknown"}`));
  facts.append(element("p", "", `by ${author || "unknown"}, ${licence}, ${id}`));
  if (page) {
    const link = element("a", "", "Page of the photo");
    link.href = page;
    link.rel = "noreferrer noopener";
    link.target = "_blank";
    facts.append(link);
  }
  head.append(picture(photo), facts);
  const table = element("table");
  table.append(element("caption", "", "What each run said"));
  const top = element("tr");
  for (const text of ["run", "answer", "confidence", "off by"]) top.append(element("th", "", text));
  table.append(top);
  for (const run of data.runs) {
    const line = element("tr");
    const right = isRight(run, photo);
    const sure = run.confidence[photo];
    line.append(element("th", "", run.title));
    line.append(element("td", right ? "good" : "bad", `${right ? "✓" : "✗"} ${named(run.labels[photo])}`));
    line.append(element("td", "number", sure === null ? "–" : percent(sure)), element("td", "number", km(run.km[photo])));
    table.append(line);
  }
  const wide = element("div", "scroll");
  wide.append(table);
  $("one").replaceChildren(head, wide);
  map(photo);
  $("photo").showModal();
}

options($("run"), data.runs.map((run) => `${run.title} (${percent(run.right)})`));
options($("other"), data.runs.map((run) => run.title), "no other run");
options($("label"), data.labels, "any");
options($("answer"), data.labels, "any");
options($("provider"), providers, "any");
$("filters").addEventListener("input", filter);
$("filters").addEventListener("submit", (event) => event.preventDefault());
$("more").addEventListener("click", more);
$("close").addEventListener("click", () => $("photo").close());
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => map());
filter();
