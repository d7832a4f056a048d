// Sends a new feature of the form #new to the collection's items (templates/collections/new.html): what it needs of the map
// comes as the event "makan:picked" (map.js), what it knows better goes there as "makan:place". Coordinates are degrees.

const form = document.getElementById("new");
const told = document.getElementById("told");
const words = JSON.parse(document.getElementById("new-data").textContent);
const lon = document.getElementById("lon");
const lat = document.getElementById("lat");

function say(kind, ...parts) {
  told.className = `notice ${kind}`;
  told.replaceChildren(...parts);
  told.scrollIntoView({ block: "nearest" });
}

function place(x, y) {
  lon.value = x.toFixed(7);
  lat.value = y.toFixed(7);
}

document.addEventListener("makan:picked", (event) => place(...event.detail));
for (const input of [lon, lat]) {
  input.addEventListener("change", () => {
    if (lon.value && lat.value) {
      document.dispatchEvent(new CustomEvent("makan:place", { detail: [Number(lon.value), Number(lat.value)] }));
    }
  });
}

document.getElementById("find")?.addEventListener("click", async () => {
  const postcode = document.getElementById("postcode").value.trim();
  const answer = await fetch(`${form.dataset.geocode}?${new URLSearchParams({ postcode, f: "json" })}`);
  const found = answer.ok ? (await answer.json()).results[0] : null;
  if (!found) return say("", words.nowhere);
  told.replaceChildren();
  place(...found.point.coordinates);
  document.dispatchEvent(new CustomEvent("makan:place", { detail: found.point.coordinates }));
});

function value(field) {
  const text = field.value.trim();
  if (text === "") return undefined;
  if (["integer", "number"].includes(field.dataset.type)) return Number(text);
  if (field.dataset.type === "boolean") return text === "true";
  if (field.dataset.type === "datetime") return new Date(text).toISOString();
  return text;
}

function isolated(text) {
  const element = document.createElement("bdi");
  element.textContent = text;
  return element;
}

// What became of it: every property of the stored feature, as a list.
function listed(properties) {
  const list = document.createElement("dl");
  list.className = "facts";
  for (const [name, stored] of Object.entries(properties)) {
    if (stored === null) continue;
    const term = document.createElement("dt");
    const text = document.createElement("dd");
    term.append(isolated(words.titles[name] ?? name));
    term.title = name;
    text.append(isolated(words.codes[name]?.[stored] ?? stored));
    list.append(term, text);
  }
  return list;
}

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  if (!lon.value || !lat.value) return say("", words.place);
  if (!form.reportValidity()) return;
  const properties = {};
  for (const field of form.elements) {
    if (field.name && value(field) !== undefined) properties[field.name] = value(field);
  }
  const geometry = { type: "Point", coordinates: [Number(lon.value), Number(lat.value)] };
  const answer = await fetch(`${form.dataset.items}?lang=${words.lang}`, {
    method: "POST",
    headers: { "Content-Type": "application/geo+json", Prefer: "return=representation" },
    body: JSON.stringify({ type: "Feature", geometry, properties }),
  });
  const said = await answer.json();
  if (!answer.ok) return say("", `${words.refused}: `, isolated(said.detail ?? said.description ?? answer.status));
  const link = document.createElement("a");
  link.href = `${form.dataset.items}/${said.id}?lang=${words.lang}&f=html`;
  link.append(isolated(said.id));
  say("good", `${words.sent} `, link, listed(said.properties));
  form.reset();
});
