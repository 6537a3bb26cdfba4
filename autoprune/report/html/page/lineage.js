// Who descends from whom: generations to the right, perplexity upwards.

function drawLineage() {
  const { points, line } = DATA.lineage;
  if (!points.length) return empty("plot-lineage", "No candidate has been measured yet.");
  const known = new Map(points.map((point) => [point.slot, point]));
  const peers = Map.groupBy ? Map.groupBy(points, (point) => point.generation) : new Map();
  const place = (point) => {
    const row = peers.get(point.generation) ?? [point];
    return point.generation + (row.length > 1 ? 0.5 * (row.indexOf(point) / (row.length - 1) - 0.5) : 0);
  };
  const lines = (pairs, trace) => ({
    type: "scatter", mode: "lines", hoverinfo: "skip", showlegend: false,
    x: pairs.flatMap(([from, to]) => [place(from), place(to), null]),
    y: pairs.flatMap(([from, to]) => [from.perplexity, to.perplexity, null]), ...trace,
  });
  const pairs = points.flatMap((point) => point.parents.filter((parent) => known.has(parent)).map((parent) => [known.get(parent), point]));
  const best = line.slice(1).map((slot, index) => [known.get(line[index]), known.get(slot)]);
  const some = (status, name, marker) => {
    const found = points.filter((point) => point.status === status);
    return {
      type: "scatter", mode: status === "baseline" ? "markers+text" : "markers", name, marker, hoverinfo: "text",
      x: found.map(place), y: found.map((point) => point.perplexity), customdata: found.map((point) => point.slot),
      text: found.map((point) => plain(point.slot.replace("seed.", ""))), textposition: "bottom center",
      hovertext: found.map((point) => `${plain(point.slot)}, perplexity ${figure(point.perplexity)}<br>${wrapped(CANDIDATES.has(point.slot) ? ideaOf(CANDIDATES.get(point.slot)) : "published score, best baseline")}`),
    };
  };
  const generations = points.map((point) => point.generation);
  const step = Math.max(1, Math.ceil((Math.max(...generations) - Math.min(...generations)) / 10));
  return show("plot-lineage", [
    lines(pairs, { line: { width: 1, color: colour("design") }, opacity: 0.35 }),
    lines(best, { line: { width: 3, color: colour("accent") } }),
    some("baseline", "published score", { size: 11, symbol: "diamond", color: colour("observation") }),
    some("measured", "measured", { size: 9, color: colour("algorithm"), line: { width: 1, color: colour("card") } }),
    some("stopped", "stopped early (estimate)", { size: 8, symbol: "circle-open", color: colour("warn") }),
  ], {
    xaxis: axis({ title: { text: "generation" }, showgrid: false, tick0: 0, dtick: step }),
    yaxis: axis({ title: { text: "perplexity, search split" }, type: "log", range: worthSeeing(points.map((point) => point.perplexity)), tickformat: ".4~g", nticks: 8 }),
    hovermode: "closest",
  }, { plotly_click: clickedSlot });
}
