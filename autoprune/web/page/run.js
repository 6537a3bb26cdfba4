// The run: its figures, its candidates and its events.

const LINES = 1000;
const rows = new Map();
let elapsed = { seconds: 0, since: performance.now(), running: false };

function figureOf(value, note) {
  const made = el("div", "card figure", el("strong", "", value), el("p", "", note));
  return made;
}

const decimals = (value, digits = 2) => (value === null || value === undefined ? "–" : value.toFixed(digits));

function clock() {
  const more = elapsed.running ? (performance.now() - elapsed.since) / 1000 : 0;
  const whole = Math.floor(elapsed.seconds + more);
  const part = (size, limit) => String(Math.floor(whole / size) % limit).padStart(2, "0");
  return `${Math.floor(whole / 3600)}:${part(60, 60)}:${part(1, 60)}`;
}

function drawHead(head, seconds) {
  elapsed = { seconds, since: performance.now(), running: head.running };
  document.title = `${head.name} · autoprune`;
  byId("name").textContent = head.name;
  byId("model").textContent = head.model;
  byId("sparsity").textContent = `at sparsity ${head.sparsity}`;
  byId("state").textContent = head.state;
  byId("stop").disabled = !head.running;
  byId("conclusion").textContent = head.conclusion;
  byId("conclusion").hidden = !head.conclusion;
  const time = figureOf(clock(), "elapsed");
  time.firstChild.id = "elapsed";
  byId("figures").replaceChildren(
    figureOf(decimals(head.best?.perplexity), head.best ? `best so far: ${head.best.slot}` : "best so far: none yet"),
    figureOf(decimals(head.ratio, 3), "best / best baseline"),
    figureOf(decimals(head.baseline?.perplexity), head.baseline ? `best baseline: ${head.baseline.name}` : "best baseline: none yet"),
    figureOf(decimals(head.dense), "dense model"),
    figureOf(head.candidates, `candidates, generation ${head.generation}`),
    time,
    figureOf(head.mode, "approval"),
  );
  for (const [slot, row] of rows) row.classList.toggle("best", slot === head.best?.slot);
}

function drawRow(row) {
  const made = el("tr", "",
    el("td", "", row.slot),
    el("td", "text", row.operator, el("small", "", row.engine)),
    el("td", "text idea", row.idea),
    el("td", "", row.perplexity === null ? "" : decimals(row.perplexity)),
    el("td", "text verdict", el("span", row.status || "agent", row.status || `${row.agent} …`), el("small", "", row.problem)));
  made.dataset.slot = row.slot;
  if (rows.has(row.slot)) rows.get(row.slot).replaceWith(made);
  else byId("candidates").tBodies[0].append(made);
  rows.set(row.slot, made);
}

function drawLines(lines) {
  const list = byId("events");
  const follows = list.scrollHeight - list.scrollTop - list.clientHeight < 40;
  list.append(...lines.map((line) => el("li", "", line)));
  while (list.childElementCount > LINES) list.firstChild.remove();
  if (follows) list.scrollTop = list.scrollHeight;
}

setInterval(() => {
  const shown = byId("elapsed");
  if (shown) shown.textContent = clock();
}, 1000);
