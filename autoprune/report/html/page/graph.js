// The reasoning graph: thoughts in the places that Python gave them; a click shows one and lights up what led to it.

const EDGES = DATA.reasoning.edges.map(([source, target, kind, credit]) => ({
  source: DATA.reasoning.nodes[source], target: DATA.reasoning.nodes[target], kind, credit,
}));
const INTO = Map.groupBy ? Map.groupBy(EDGES, (edge) => edge.target.id) : grouped("target");
const FROM = Map.groupBy ? Map.groupBy(EDGES, (edge) => edge.source.id) : grouped("source");
const MANY = 160;
let current = null;

function grouped(end) {
  const found = new Map();
  for (const edge of EDGES) found.set(edge[end].id, [...(found.get(edge[end].id) ?? []), edge]);
  return found;
}

/** The ids of a thought and of all that led to it. Verdicts lead to evidence, not from it. */
function ledTo(id) {
  const found = new Set([id]);
  const waiting = [id];
  while (waiting.length) {
    for (const edge of INTO.get(waiting.pop()) ?? []) {
      if (!found.has(edge.source.id)) {
        found.add(edge.source.id);
        waiting.push(edge.source.id);
      }
    }
  }
  return found;
}

/** The links of a thought, and those by which its candidate descends from others. */
function descentOf(id) {
  const found = new Set([...(INTO.get(id) ?? []), ...(FROM.get(id) ?? [])]);
  const own = ["refines", "combines", "implements", "tests"];
  const waiting = [id];
  const seen = new Set(waiting);
  while (waiting.length) {
    for (const edge of INTO.get(waiting.pop()) ?? []) {
      if (own.includes(edge.kind)) {
        found.add(edge);
        if (!seen.has(edge.source.id)) waiting.push(edge.source.id);
        seen.add(edge.source.id);
      }
    }
  }
  return found;
}

function evidenceOf(slot) {
  return NODES.has(`${slot}.evidence`) ? `${slot}.evidence` : slot;
}

function nodesShown() {
  const part = byId("graph-part").value;
  const end = part === "best" && DATA.best !== null ? evidenceOf(DATA.best) : part === "chosen" ? current : null;
  if (end === null || !NODES.has(end)) return DATA.reasoning.nodes;
  const wanted = ledTo(end);
  for (const edge of FROM.get(end) ?? []) wanted.add(edge.target.id);
  return DATA.reasoning.nodes.filter((node) => wanted.has(node.id));
}

/** Generations are moved together where none of their thoughts is shown. */
function placesOf(nodes) {
  const columns = [...new Set(nodes.map((node) => node.x))].sort((a, b) => a - b);
  const left = new Map(columns.map((column, index) => [column, index]));
  return nodes.length === DATA.reasoning.nodes.length ? (node) => [node.x, node.y] : (node) => [left.get(node.x), node.y];
}

function lines(edges, place, name, line, more = {}) {
  const x = [], y = [];
  for (const { source, target } of edges) {
    const [from, to] = [place(source), place(target)];
    x.push(from[0], to[0], null);
    y.push(from[1], to[1], null);
  }
  return { type: "scatter", mode: "lines", name, x, y, line, hoverinfo: "skip", showlegend: false, ...more };
}

function drawGraph() {
  if (!DATA.reasoning.nodes.length) return empty("plot-graph", "The graph is empty.");
  const nodes = nodesShown();
  const ids = new Set(nodes.map((node) => node.id));
  const edges = EDGES.filter((edge) => ids.has(edge.source.id) && ids.has(edge.target.id));
  const place = placesOf(nodes);
  const lit = current === null ? new Set() : descentOf(current);
  const columns = new Set(nodes.map((node) => place(node)[0])).size;
  const step = byId("plot-graph").clientWidth / (columns + 2);
  const size = Math.max(nodes.length > 400 ? 6 : 8, Math.min(15, 0.75 * step));
  const isVerdict = (edge) => edge.kind === "supports" || edge.kind === "refutes";
  const traces = [
    lines(edges.filter((edge) => !isVerdict(edge)), place, "link", { width: 1, color: colour("design") }, { opacity: 0.4 }),
    lines(edges.filter((edge) => edge.kind === "supports"), place, "supports", { width: 2, color: colour("good") }, { opacity: 0.8 }),
    lines(edges.filter((edge) => edge.kind === "refutes"), place, "refutes", { width: 1.5, color: colour("bad"), dash: "dot" }, { opacity: 0.8 }),
    lines(edges.filter((edge) => lit.has(edge)), place, "descent", { width: 2.5, color: colour("accent") }),
    ...DATA.reasoning.kinds.map((kind) => {
      const found = nodes.filter((node) => node.kind === kind);
      const labelled = kind === "algorithm" && step > 12;
      return {
        type: "scatter", mode: labelled ? "markers+text" : "markers", name: kind, hoverinfo: "text",
        x: found.map((node) => place(node)[0]), y: found.map((node) => place(node)[1]),
        customdata: found.map((node) => node.id),
        text: found.map((node) => plain(node.id)), textposition: "bottom center", textfont: { size: 10, color: colour("quiet") },
        hovertext: found.map((node) => `${plain(node.id)} · ${kind}<br>${wrapped(node.text)}`),
        marker: { size, color: colour(kind), line: { width: 1.5, color: colour("card") } },
      };
    }),
    {
      type: "scatter", mode: "markers", showlegend: false, hoverinfo: "skip",
      x: ids.has(current) ? [place(NODES.get(current))[0]] : [], y: ids.has(current) ? [place(NODES.get(current))[1]] : [],
      marker: { size: size + 9, symbol: "circle-open", color: colour("ink"), line: { width: 2 } },
    },
  ];
  const hidden = { visible: false, showgrid: false, zeroline: false };
  return show("plot-graph", traces, {
    xaxis: { ...hidden, range: reach(nodes.map((node) => place(node)[0]), 1 + 0.02 * columns) },
    yaxis: { ...hidden, range: reach(nodes.map((node) => place(node)[1]), 0.7) },
    dragmode: "pan", hovermode: "closest", uirevision: byId("graph-part").value + (byId("graph-part").value === "chosen" ? current : ""),
  }, { plotly_click: (event) => choose(event.points[0].customdata) });
}

function reach(values, room) {
  return [Math.min(...values) - room, Math.max(...values) + room];
}

function choose(id) {
  if (!NODES.has(id)) return;
  current = id;
  byId("thought").replaceChildren(thoughtDetails(NODES.get(id), INTO.get(id) ?? [], FROM.get(id) ?? [], choose));
  byId("thought").scrollTop = 0;
  if (drawn.has("plot-graph")) drawGraph();
}

/** Go to the thought that is named so, else to the first that says so. */
function find(words) {
  const wanted = words.trim().toLowerCase();
  if (!wanted) return;
  const found = NODES.get(words.trim()) ?? DATA.reasoning.nodes.find((node) => node.id.toLowerCase().startsWith(wanted))
    ?? DATA.reasoning.nodes.find((node) => node.text.toLowerCase().includes(wanted));
  if (found) choose(found.id);
}

function startGraph() {
  byId("graph-names").append(...DATA.reasoning.nodes.slice(0, 2000).map((node) => {
    const made = el("option");
    made.value = node.id;
    return made;
  }));
  if (DATA.best !== null && DATA.reasoning.nodes.length > MANY) byId("graph-part").value = "best";
  byId("graph-part").addEventListener("change", () => drawGraph());
  byId("graph-find").addEventListener("change", (event) => find(event.target.value));
  if (DATA.best !== null) choose(DATA.best);
}
