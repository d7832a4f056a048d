// The form of a process that asks for a shape (templates/processes/process.html): what is drawn on the map (map.js) or stands in
// a file of GeoJSON goes into the field, as degrees.

const field = document.querySelector("[data-shape]");
const file = document.getElementById("shape-file");
const told = document.getElementById("shape-told");
const several = { Polygon: "MultiPolygon", LineString: "MultiLineString" };

function fill(geometry) {
  field.value = JSON.stringify(geometry);
  told.textContent = "";
  // Of several ways to ask this is the one now; and what was said of another CRS is about what stood there before.
  for (const name of [...field.dataset.instead.split(" "), "crs"]) {
    const other = field.form.elements.namedItem(name);
    if (name && other) other.value = "";
  }
}

function parts(geometry) {
  if (geometry.type === "GeometryCollection") return geometry.geometries.flatMap(parts);
  if (!geometry.type.startsWith("Multi")) return [geometry];
  return geometry.coordinates.map((coordinates) => ({ type: geometry.type.slice(5), coordinates }));
}

// All of what a file holds as one shape; of several kinds none can be made.
function whole(content) {
  const features = content.type === "FeatureCollection" ? content.features : [content];
  const found = features.map((one) => one.geometry ?? one).flatMap(parts);
  if (!found.length || new Set(found.map((one) => one.type)).size > 1) throw new TypeError("not one kind of shape");
  if (found.length === 1) return found[0];
  return { type: several[found[0].type] ?? "MultiPoint", coordinates: found.map((one) => one.coordinates) };
}

document.addEventListener("makan:drawn", (event) => fill(event.detail));
file.addEventListener("change", async () => {
  try {
    const geometry = whole(JSON.parse(await file.files[0].text()));
    fill(geometry);
    document.dispatchEvent(new CustomEvent("makan:shape", { detail: geometry }));
  } catch {
    told.textContent = told.dataset.wrong;
  }
});
