// The page for touch screens (templates/kiosk.html): what is typed is searched while it is typed, a hit or a touch on the map is told
// with its units, its parcel and the offices nearby, and a case is followed by its number and a postcode. Everything is asked of
// this server's processes. The map tells touches by "makan:picked" and is told places by "makan:place" (map.js).

const root = document.getElementById("kiosk").dataset.processes;
const words = JSON.parse(document.getElementById("kiosk-data").textContent);
const hits = document.getElementById("hits");
const place = document.getElementById("place");
const WAIT_MS = 120;
const named = (one) => (one ? one[`name_${words.lang}`] ?? one.name_fa ?? one.name_en ?? one.code : null);

async function ask(process, inputs) {
  const answer = await fetch(`${root}/${process}/execution?${new URLSearchParams({ ...inputs, f: "json" })}`);
  return answer.ok ? answer.json() : null;
}

function element(name, text, more = {}) {
  const made = Object.assign(document.createElement(name), more);
  const inner = document.createElement("bdi");
  inner.textContent = text;
  made.append(inner);
  return made;
}

function said(target, ...parts) {
  target.replaceChildren(...parts.filter(Boolean));
}

// ---- search

let waiting = 0;
let asked = 0;
document.getElementById("words").addEventListener("input", (event) => {
  clearTimeout(waiting);
  waiting = setTimeout(search, WAIT_MS, event.target.value.trim());
});
document.getElementById("search").addEventListener("submit", (event) => {
  event.preventDefault();
  search(document.getElementById("words").value.trim());
});

async function search(text) {
  const mine = ++asked;
  if (text.length < 2) return said(hits);
  const found = await ask("search", { q: text, limit: 8 });
  if (mine !== asked) return; // an older answer that comes late
  if (!found?.hits.length) return said(hits, element("li", words.nothing, { className: "empty" }));
  said(hits, ...found.hits.map((hit) => {
    const item = document.createElement("li");
    const button = element("button", hit.name, { type: "button" });
    const within = [named(hit.within?.neighbourhood), named(hit.within?.region)].filter(Boolean).join(" · ");
    if (within) button.append(element("small", within));
    button.addEventListener("click", () => choose(hit.point.coordinates));
    item.append(button);
    return item;
  }));
}

// ---- a place

function choose(coordinates) {
  document.dispatchEvent(new CustomEvent("makan:place", { detail: coordinates }));
  tell(coordinates);
}
document.addEventListener("makan:picked", (event) => tell(event.detail));

async function tell([x, y]) {
  const point = `POINT(${x.toFixed(7)} ${y.toFixed(7)})`;
  const [found, near] = await Promise.all([ask("reverse-geocode", { point }), ask("nearest-office", { point, limit: 3 })]);
  if (!found) return said(place, element("p", words.nothing));
  const units = [found.street?.name_fa, named(found.within?.neighbourhood), named(found.within?.region)].filter(Boolean);
  const parts = [element("p", units.join(" · "), { className: "lead" })];
  if (found.parcel) {
    parts.push(element("p", found.parcel[words.code], { dir: "ltr" }));
    const query = new URLSearchParams({ parcel_id: found.parcel.id, f: "pdf", lang: words.lang });
    parts.push(element("a", words.sheet, { className: "button main", href: `${root}/location-sheet/execution?${query}` }));
  }
  if (near?.offices.length) {
    const list = document.createElement("ul");
    list.append(...near.offices.map((one) =>
      element("li", `${named(one)}: ${Math.round(one.distance_m).toLocaleString(words.lang)} ${words.metres}`)));
    parts.push(element("h2", words.offices), list);
  }
  said(place, ...parts);
}

// ---- a case

document.querySelector("#follow form")?.addEventListener("submit", async (event) => {
  event.preventDefault();
  const stages = document.getElementById("stages");
  const inputs = { case_no: document.getElementById("case").value.trim(), postcode: document.getElementById("code").value.trim() };
  const found = await ask("case-status", inputs);
  if (!found) return said(stages, element("p", words.nothing));
  said(stages, ...found.cases.map((one) => {
    const part = document.createElement("div");
    part.append(element("h3", `${named(one)} · ${one.open ? words.open : words.closed}`));
    const list = document.createElement("ol");
    list.append(...one.stages.map((stage) => element("li", `${named(stage)} ${new Date(stage.since).toLocaleDateString(words.lang)}`)));
    part.append(list);
    return part;
  }));
});
