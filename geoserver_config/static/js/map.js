// Draws the map of a page. The page says what, in the JSON beside the map (templates/_map.html):
//   extent    [west, south, east, north] in degrees
//   features  GeoJSON in degrees, each with a `label`; `items` is the address they are found under
//   tiles     {kind: vector | raster | map, url with {grid} {z} {y} {x}, grid, grids, zoom: {min, max}, label,
//             titles and codes of the fields}
//   draw      area | line | point: one shape can be drawn and is told as the event "makan:drawn" (GeoJSON);
//             "makan:shape" shows one
//   pick      true: a click chooses a place and tells it as the event "makan:picked"; "makan:place" shows one
//   backdrop  {url, zoom, extent}: the city's aerial photo, the only base map there is
//   degrees   true: the features are in degrees, whatever CRS the address asks for
//   words     the texts in the reader's language
// OpenLayers is the global `ol` (static/vendor/ol/ol.js).

const spec = JSON.parse(document.getElementById("map-data").textContent);
const box = document.getElementById("map");
const note = document.getElementById("map-note");
const query = new URLSearchParams(location.search);

const WORLD = [-180, -85, 180, 85];
const FONT = "13px Vazirmatn, system-ui, sans-serif";

function style(feature, labelled, active) {
  const colour = active ? "#b3261e" : "#0b6470";
  const fill = new ol.style.Fill({ color: active ? "rgba(179, 38, 30, 0.25)" : "rgba(11, 100, 112, 0.14)" });
  const text = labelled === undefined || labelled === null ? "" : String(labelled);
  const line = /Line/.test(feature.getGeometry().getType());
  return [
    // A white casing keeps the line readable on the aerial photo.
    new ol.style.Style({ stroke: new ol.style.Stroke({ color: "rgba(255, 255, 255, 0.85)", width: 4 }) }),
    new ol.style.Style({
      fill,
      stroke: new ol.style.Stroke({ color: colour, width: 1.75 }),
      image: new ol.style.Circle({
        radius: active ? 8 : 6,
        fill: new ol.style.Fill({ color: colour }),
        stroke: new ol.style.Stroke({ color: "#fff", width: 2 }),
      }),
      text: new ol.style.Text({
        text,
        font: FONT,
        placement: line ? "line" : "point",
        offsetY: feature.getGeometry().getType() === "Point" ? -16 : 0,
        fill: new ol.style.Fill({ color: "#16242b" }),
        stroke: new ol.style.Stroke({ color: "#fff", width: 3 }),
      }),
    }),
  ];
}

const identity = (feature) => feature.getId() ?? feature.get("id");

// What is picked on the map or pointed at in the table is drawn in the second colour.
let active = null;
function activate(layer, id) {
  if (id === active) return;
  active = id;
  layer.changed();
}

function tileGrid(name, size) {
  if (name !== "WorldCRS84Quad") return undefined; // OpenLayers' own default is WebMercatorQuad
  const resolutions = Array.from({ length: 25 }, (_, zoom) => 180 / size / 2 ** zoom);
  return new ol.tilegrid.TileGrid({ origin: [-180, 90], extent: [-180, -90, 180, 90], tileSize: size, resolutions });
}

function photoLayer(projection) {
  const { url, zoom, extent } = spec.backdrop;
  return new ol.layer.Tile({
    extent: ol.proj.transformExtent(extent, "EPSG:4326", projection),
    source: new ol.source.XYZ({ url, minZoom: zoom?.min, maxZoom: zoom?.max, projection: "EPSG:3857" }),
  });
}

function tileLayer(grid, projection) {
  const { url, kind, zoom, label } = spec.tiles;
  const address = url.replace("{grid}", grid);
  const limits = { minZoom: zoom?.min, maxZoom: zoom?.max, projection };
  const extent = ol.proj.transformExtent(spec.extent, "EPSG:4326", projection);
  if (kind !== "vector") {
    const source = new ol.source.XYZ({ ...limits, url: address, tileGrid: tileGrid(grid, 256) });
    return new ol.layer.Tile({ extent, source });
  }
  // Tiles of 512 pixels on the screen: a quarter of the requests, the same tiles.
  const source = new ol.source.VectorTile({
    ...limits, url: address, format: new ol.format.MVT(), tileGrid: tileGrid(grid, 512),
  });
  return new ol.layer.VectorTile({
    extent, source, declutter: true,
    style: (feature) => style(feature, label ? feature.get(label) : "", identity(feature) === active),
  });
}

function featureLayer(projection) {
  const format = new ol.format.GeoJSON({ dataProjection: "EPSG:4326", featureProjection: projection });
  return new ol.layer.Vector({
    source: new ol.source.Vector({ features: format.readFeatures(spec.features) }),
    declutter: true,
    style: (feature) => style(feature, feature.get("label"), identity(feature) === active),
  });
}

function extentLayer(projection) {
  const shape = ol.geom.Polygon.fromExtent(ol.proj.transformExtent(spec.extent, "EPSG:4326", projection));
  return new ol.layer.Vector({
    source: new ol.source.Vector({ features: [new ol.Feature(shape)] }),
    style: new ol.style.Style({
      stroke: new ol.style.Stroke({ color: "#0b6470", width: 2, lineDash: [6, 4] }),
    }),
  });
}

// A value keeps its own direction: without <bdi> a parcel code reads backwards among Persian words.
function isolated(text) {
  const element = document.createElement("bdi");
  element.textContent = text;
  return element;
}

function shown(name, value) {
  if (typeof value === "boolean") return spec.words[value];
  return spec.tiles.codes[name]?.[value] ?? value;
}

// What was clicked, in words under the map: a link to the record, or the fields the tile carries.
function describe(feature) {
  if (spec.items) {
    const link = document.createElement("a");
    link.href = `${spec.items}/${encodeURIComponent(feature.getId())}?lang=${spec.lang}`;
    link.append(`${spec.words.open}: `, isolated(feature.get("label")));
    return link;
  }
  const list = document.createElement("dl");
  list.className = "facts";
  for (const [name, value] of Object.entries(feature.getProperties())) {
    if (name === "layer" || name === "geometry") continue;
    const term = document.createElement("dt");
    const text = document.createElement("dd");
    term.textContent = spec.tiles.titles[name] ?? name;
    term.title = name;
    text.append(isolated(shown(name, value)));
    list.append(term, text);
  }
  return list;
}

function photoSwitch(layer) {
  const label = document.createElement("label");
  const input = document.createElement("input");
  input.type = "checkbox";
  input.checked = true;
  input.addEventListener("change", () => layer.setVisible(input.checked));
  label.className = "photo";
  label.append(input, ` ${spec.words.photo}`);
  box.after(label);
}

// A place that is chosen, or told from beside the map.
function picking(map, projection) {
  const source = new ol.source.Vector();
  map.addLayer(new ol.layer.Vector({ source, style: (feature) => style(feature, "", true) }));
  const mark = (point) => {
    source.clear();
    source.addFeature(new ol.Feature(new ol.geom.Point(point)));
  };
  map.on("singleclick", (event) => {
    mark(event.coordinate);
    const detail = ol.proj.transform(event.coordinate, projection, "EPSG:4326");
    document.dispatchEvent(new CustomEvent("makan:picked", { detail }));
  });
  document.addEventListener("makan:place", (event) => {
    const point = ol.proj.transform(event.detail, "EPSG:4326", projection);
    mark(point);
    map.getView().animate({ center: point, zoom: Math.max(map.getView().getZoom(), 18), duration: 200 });
  });
  box.style.cursor = "crosshair";
}

// A shape that is drawn, a new one instead of the one before, or told from beside the map.
function drawing(map, projection) {
  const source = new ol.source.Vector();
  const format = new ol.format.GeoJSON({ dataProjection: "EPSG:4326", featureProjection: projection });
  map.addLayer(new ol.layer.Vector({ source, style: (feature) => style(feature, "", true) }));
  const type = { area: "Polygon", line: "LineString", point: "Point" }[spec.draw];
  const pen = new ol.interaction.Draw({ source, type });
  pen.on("drawstart", () => source.clear());
  pen.on("drawend", (event) => {
    const detail = format.writeGeometryObject(event.feature.getGeometry(), { decimals: 7, rightHanded: true });
    document.dispatchEvent(new CustomEvent("makan:drawn", { detail }));
  });
  map.addInteraction(pen);
  document.addEventListener("makan:shape", (event) => {
    source.clear();
    source.addFeature(new ol.Feature(format.readGeometry(event.detail)));
    map.getView().fit(source.getExtent(), { padding: [40, 40, 40, 40], maxZoom: 19 });
  });
}

function draw() {
  const chosen = query.get("scheme");
  const grid = spec.tiles?.grids?.includes(chosen) ? chosen : spec.tiles?.grid;
  const projection = grid === "WorldCRS84Quad" ? "EPSG:4326" : "EPSG:3857";
  const layers = [];

  const itself = spec.tiles?.url.replace("{grid}", grid) === spec.backdrop?.url;
  if (spec.backdrop && !itself) {
    const photo = photoLayer(projection);
    layers.push(photo);
    photoSwitch(photo);
  }
  if (spec.tiles) layers.push(tileLayer(grid, projection));
  else if (spec.features) layers.push(featureLayer(projection));
  if (spec.extent && spec.tiles?.kind !== "vector") layers.push(extentLayer(projection));

  const { words } = spec;
  const map = new ol.Map({
    target: box,
    layers,
    controls: ol.control.defaults.defaults({
      attribution: false,
      rotate: false,
      zoomOptions: { zoomInTipLabel: words.zoom_in, zoomOutTipLabel: words.zoom_out },
    }).extend([new ol.control.ScaleLine(), new ol.control.FullScreen({ tipLabel: words.full, label: '', labelActive: '' })]),
    // The wheel scrolls the page until the map has been clicked.
    interactions: ol.interaction.defaults.defaults({ onFocusOnly: true }),
    view: new ol.View({ projection, maxZoom: 22 }),
  });

  const top = layers.at(-1);
  const drawn = spec.features ? top.getSource().getExtent() : null;
  const wanted = spec.extent ?? spec.backdrop?.extent ?? WORLD;
  const target = drawn && !ol.extent.isEmpty(drawn) ? drawn : ol.proj.transformExtent(wanted, "EPSG:4326", projection);
  map.getView().fit(target, { padding: [40, 40, 40, 40], maxZoom: 18 });

  // Tiles that begin at zoom 13 would leave the first view of a whole city empty.
  const first = spec.tiles?.zoom?.min;
  if (spec.tiles?.kind === "vector" && first !== undefined) {
    map.getView().setZoom(Math.max(map.getView().getZoom(), first));
  }

  if (spec.pick) picking(map, projection);
  if (spec.draw) drawing(map, projection);
  if (spec.items || (spec.tiles?.kind === "vector" && !spec.pick && !spec.draw)) {
    map.on("singleclick", (event) => {
      const feature = map.forEachFeatureAtPixel(event.pixel, (found) => found, { hitTolerance: 4 });
      activate(top, feature ? identity(feature) : null);
      note.replaceChildren(...(feature ? [describe(feature)] : []));
    });
    map.on("pointermove", (event) => {
      box.style.cursor = map.hasFeatureAtPixel(event.pixel, { hitTolerance: 4 }) ? "pointer" : "";
    });
  }
  for (const row of document.querySelectorAll("tr[data-id]")) {
    const feature = spec.features?.features.find((one) => String(one.id) === row.dataset.id);
    if (!feature) continue;
    row.addEventListener("pointerenter", () => activate(top, feature.id));
    row.addEventListener("focusin", () => activate(top, feature.id));
  }
  // Canvas text does not wait for a web font: draw again when it has come.
  document.fonts.load(FONT, "قم").then(() => top.changed());
}

if (!window.ol) note.textContent = spec.words.no_library;
else if (query.get("crs") && !spec.degrees && !query.get("crs").endsWith("CRS84")) note.textContent = spec.words.degrees;
else draw();
