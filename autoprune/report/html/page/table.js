// Every candidate in a table: sort by a click on a column's name, open by a click on a row.

const COLUMNS = [
  ["slot", "c-slot", (each) => each.slot, (each) => [each.generation, Number(each.slot.split(".c")[1] ?? 0)]],
  ["operator", "c-operator text", (each) => each.operator],
  ["engine", "c-engine text", (each) => each.engine],
  ["parents", "c-parents text", (each) => each.parents.join(", ")],
  ["status", "c-status text", (each) => each.status],
  ["perplexity", "c-number", (each) => figure(each.perplexity ?? null), (each) => [each.perplexity ?? Infinity, each.generation]],
  ["gain", "c-gain", (each) => signed(each.gain), (each) => [-(each.gain ?? -Infinity), each.generation]],
  ["idea, or reason of failure", "c-words text", (each) => (failureOf(each) || ideaOf(each)).slice(0, 300)],
];
let sortedBy = 0;
let backwards = false;

function compare(one, other) {
  const key = COLUMNS[sortedBy][3] ?? ((each) => [COLUMNS[sortedBy][2](each)]);
  const [mine, theirs] = [key(one), key(other)];
  for (let part = 0; part < mine.length; part += 1) {
    if (mine[part] !== theirs[part]) return (mine[part] < theirs[part] ? -1 : 1) * (backwards ? -1 : 1);
  }
  return 0;
}

function rowOf(candidate) {
  const row = el("tr", "row", COLUMNS.map(([name, names, value]) => el("td", name === "status" ? `${names} ${candidate.status}` : names, value(candidate))));
  row.tabIndex = 0;
  row.dataset.slot = candidate.slot;
  const toggle = () => {
    if (row.nextElementSibling?.classList.contains("open")) return row.nextElementSibling.remove();
    const cell = el("td", "", candidateDetails(candidate));
    cell.colSpan = COLUMNS.length;
    return row.after(el("tr", "open", cell));
  };
  row.addEventListener("click", toggle);
  row.addEventListener("keydown", (event) => event.key === "Enter" && toggle());
  return row;
}

function drawTable() {
  const words = byId("table-find").value.trim().toLowerCase();
  const status = byId("table-status").value;
  const isWanted = (each) => (!status || each.status === status)
    && (!words || COLUMNS.some(([, , value]) => String(value(each)).toLowerCase().includes(words)));
  const found = DATA.candidates.all.filter(isWanted).sort(compare);
  const head = COLUMNS.map(([name, names], index) => {
    const made = el("th", names, name, index === sortedBy ? (backwards ? " ↓" : " ↑") : "");
    made.addEventListener("click", () => {
      backwards = sortedBy === index && !backwards;
      sortedBy = index;
      drawTable();
    });
    return made;
  });
  byId("table").replaceChildren(found.length
    ? el("table", "", el("thead", "", el("tr", "", head)), el("tbody", "", found.map(rowOf)))
    : el("p", "note", DATA.candidates.all.length ? "No matching candidate." : "No candidates yet."));
}

function startTable() {
  byId("table-status").append(...[...new Set(DATA.candidates.all.map((each) => each.status))].map((status) => {
    const made = el("option", "", status);
    made.value = status;
    return made;
  }));
  byId("table-find").addEventListener("input", drawTable);
  byId("table-status").addEventListener("change", drawTable);
  drawTable();
}
