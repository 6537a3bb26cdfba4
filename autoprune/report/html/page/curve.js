// The course of the search: every candidate, the best so far, baselines and the dense model as lines.

function drawCurve() {
  const { points, best, baselines, dense } = DATA.curve;
  if (!points.length && !baselines.length) return empty("plot-curve", "Nothing has been measured yet.");
  const places = points.map((_, index) => index + 1);
  const last = Math.max(places.length, 1);
  const perplexityOf = (point) => {
    const value = point.perplexity ?? point.estimate;
    return value === null ? "" : `, perplexity ${figure(value)}`;
  };
  const hover = (point) => {
    const idea = CANDIDATES.has(point.slot) ? ideaOf(CANDIDATES.get(point.slot)) : "";
    return `${plain(point.slot)} ${plain(point.status)}${perplexityOf(point)}<br>${wrapped(idea)}`;
  };
  const some = (wanted, value, name, marker) => {
    const found = points.map((point, index) => [point, index + 1]).filter(([point]) => wanted(point));
    return {
      type: "scatter", mode: "markers", name, marker, hoverinfo: "text",
      x: found.map(([, place]) => place), y: found.map(([point]) => value(point)),
      text: found.map(([point]) => hover(point)), customdata: found.map(([point]) => point.slot),
    };
  };
  const isMeasured = (point) => point.perplexity !== null;
  const isStopped = (point) => !isMeasured(point) && point.estimate !== null;
  const dashes = ["dash", "dot", "dashdot", "longdash"];
  const shades = ["observation", "hypothesis", "lesson", "design", "evidence"];
  const level = (name, value, line, visible = true) => ({
    type: "scatter", mode: "lines", name: plain(name), x: [0.5, last + 0.5], y: [value, value], line, visible,
    hoverinfo: "text", text: `${plain(name)}, perplexity ${figure(value)}`,
  });
  const traces = [
    ...(dense === null ? [] : [level("dense", dense, { color: colour("quiet"), width: 1 })]),
    ...baselines.map((each, index) => level(each.name, each.perplexity, {
      color: colour(shades[index % shades.length]), width: 1.5, dash: dashes[index % dashes.length],
    }, index < 4 ? true : "legendonly")),
    some(isMeasured, (point) => point.perplexity, "candidate", { size: 8, color: colour("algorithm"), opacity: 0.55 }),
    some(isStopped, (point) => point.estimate, "stopped early (estimate)", { size: 8, symbol: "circle-open", color: colour("warn") }),
    {
      ...some((point) => !isMeasured(point) && !isStopped(point), () => 0.02, "not measured", { size: 7, symbol: "line-ns", line: { width: 1.5, color: colour("bad") } }),
      yaxis: "y2",
    },
    {
      type: "scatter", mode: "lines", name: "best so far", x: places, y: best, connectgaps: false,
      line: { shape: "hv", width: 3, color: colour("accent") }, hoverinfo: "skip",
    },
  ];
  const worth = worthSeeing([...points.map((point) => point.perplexity), ...baselines.slice(0, 4).map((each) => each.perplexity)]);
  const below = dense !== null && worth && Math.log10(dense) < worth[0] - 0.15;
  if (!below && worth && dense !== null) worth[0] = Math.min(worth[0], Math.log10(dense) - 0.01);
  const layout = {
    xaxis: axis({ title: { text: "candidates" }, range: [0.5, last + 0.5], showgrid: false }),
    yaxis: axis({ title: { text: "perplexity, search split" }, type: "log", range: worth, tickformat: ".4~g", nticks: 8 }),
    annotations: below ? [{
      text: `dense model: ${figure(dense)}, far below`, showarrow: false, xref: "paper", x: 1, xanchor: "right", yref: "paper", y: 1, yanchor: "top",
      font: { color: colour("quiet") },
    }] : [],
    yaxis2: { overlaying: "y", range: [0, 1], visible: false, fixedrange: true },
  };
  if (worth && !window.Plotly) sketch("plot-curve", traces, layout, clickedSlot);
  return show("plot-curve", traces, layout, { plotly_click: clickedSlot });
}
