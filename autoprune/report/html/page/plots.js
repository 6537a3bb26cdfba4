// Plots are drawn when they come near the screen, and again when the theme changes.

const small = matchMedia("(max-width: 640px)");
const touch = matchMedia("(pointer: coarse)");
const plots = new Map();
const drawn = new Set();
let library = null;
/** Room at the right for the tools of a plot, which would cover the legend above it. */
const MODEBAR = 34;
const LEGEND = { orientation: "h", x: 0, y: 1.02, yanchor: "bottom", bgcolor: "rgba(0,0,0,0)" };

/** The library takes longest to read and to start: it is the last in the page, and what is there already is painted
first. Its hash is in the page's policy. */
function loadLibrary() {
  library ??= Promise.all([painted(), wholePage()]).then(() => {
    document.head.append(el("script", "", byId("library").textContent));
  });
  return library;
}

/** Done once the page has been read to its end and its load event is over. */
function wholePage() {
  return new Promise((done) => {
    if (document.readyState === "complete") done();
    else addEventListener("load", () => setTimeout(done));
  });
}

function axis(more = {}) {
  const title = more.title ? { title: { standoff: 12, ...more.title } } : {};
  return { gridcolor: colour("line"), zeroline: false, linecolor: colour("line"), automargin: true, ...more, ...title };
}

/** A title above a plot; on a phone from its left edge, where a long one fits. */
function heading(text) {
  return { text, x: 0, xref: small.matches ? "container" : "paper", font: { size: small.matches ? 12 : 13, color: colour("ink") } };
}

/** A colour bar with its title at the right, beside the tools. */
function colourBar(text) {
  const room = small.matches ? 10 : MODEBAR;
  return { title: { text, side: "right" }, thickness: 10, outlinewidth: 0, tickfont: { size: 10 }, xpad: room };
}

async function show(id, traces, layout, events = {}) {
  await loadLibrary();
  const whole = {
    paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)",
    font: { family: getComputedStyle(document.body).fontFamily, size: 12, color: colour("quiet") },
    margin: { l: 8, r: MODEBAR, t: 36, b: 8 },
    hoverlabel: { bgcolor: colour("card"), bordercolor: colour("line"), font: { color: colour("ink"), size: 12 }, align: "left" },
    legend: { ...LEGEND, font: { size: small.matches ? 10 : 12 }, ...(small.matches ? { entrywidth: 92 } : {}) },
    modebar: { bgcolor: "rgba(0,0,0,0)", orientation: "v", color: colour("quiet"), activecolor: colour("accent") },
    dragmode: touch.matches ? false : "zoom",
    ...layout,
  };
  const settings = {
    responsive: true, displaylogo: false, displayModeBar: small.matches ? id === "plot-graph" : "hover",
    modeBarButtonsToRemove: ["select2d", "lasso2d", "autoScale2d", "sendChartToCloud"],
  };
  const fresh = !byId(id).classList.contains("js-plotly-plot");
  const plot = await Plotly.react(byId(id), traces, whole, settings);
  byId(id).querySelector(".sketch")?.remove();
  performance.mark("drawn");
  performance.mark("interactive");
  if (fresh) for (const [name, act] of Object.entries(events)) plot.on(name, act);
}

function empty(id, words) {
  byId(id).replaceChildren(el("p", "note", words));
  byId(id).style.height = "auto";
}

function whenSeen(id, draw) {
  plots.set(id, draw);
}

function redraw() {
  for (const id of drawn) plots.get(id)();
}

function startPlots() {
  const watcher = new IntersectionObserver((entries) => {
    for (const { target, isIntersecting } of entries) {
      if (isIntersecting && !drawn.has(target.id)) {
        drawn.add(target.id);
        watcher.unobserve(target);
        plots.get(target.id)();
      }
    }
  }, { rootMargin: "300px" });
  for (const id of plots.keys()) watcher.observe(byId(id));
}

/** A colour scale from the style sheet's three colours. */
function scale(low, middle, high) {
  return [[0, colour(low)], [0.5, colour(middle)], [1, colour(high)]];
}

/** The range of a logarithmic axis that shows what is worth seeing: what is far above the rest is a zoom away. */
function worthSeeing(values, most = 12) {
  const known = values.filter((value) => value > 0);
  if (!known.length) return undefined;
  const lowest = Math.min(...known);
  const highest = Math.max(...known.filter((value) => value <= most * lowest));
  const room = Math.max(0.06 * Math.log10(highest / lowest), 0.004);
  return [Math.log10(lowest) - room, Math.log10(highest) + room];
}

function clickedSlot(event) {
  openSheet(event.points[0].customdata);
}
