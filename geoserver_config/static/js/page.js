// Small conveniences for every page; without them the pages still work.

// The language links keep the rest of the query (filter, page size, ...).
for (const link of document.querySelectorAll("a[data-lang]")) {
  const address = new URL(location.href);
  address.searchParams.set("lang", link.dataset.lang);
  link.href = address.href;
}

// A form[data-auto] is one select: it shows the current value, answers a change at once and keeps the query.
for (const form of document.querySelectorAll("form[data-auto]")) {
  const select = form.querySelector("select");
  const query = new URLSearchParams(location.search);
  const current = query.get(select.name);
  if (current) {
    if (![...select.options].some((option) => option.value === current)) select.add(new Option(current));
    select.value = current;
  }
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    query.set(select.name, select.value);
    query.delete("offset"); // page borders move with the page size
    location.search = query;
  });
  select.addEventListener("change", () => form.requestSubmit());
  form.querySelector("button").hidden = true;
}

// JSON comes in one line, with escapes instead of Persian letters.
for (const block of document.querySelectorAll("pre[data-json]")) {
  try {
    block.textContent = JSON.stringify(JSON.parse(block.textContent), null, 2);
  } catch {
    // Not JSON after all: it stays as it came.
  }
}
