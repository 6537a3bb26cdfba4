// The chart that is on the screen when the page opens, as plain SVG until plotly has started, which takes far longer. It is
// drawn from the same traces and layout, as far as the curve uses them.

const SVG = "http://www.w3.org/2000/svg";
const MARGIN = { left: 50, right: 8, top: 6, bottom: 46 };
const DASHES = { dash: "9 9", dot: "3 3", dashdot: "9 3 3 3", longdash: "15 15" };

/** Done once what is in the page now has been painted. */
function painted() {
  return new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
}

function shape(tag, attributes, ...children) {
  const made = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) if (value !== undefined) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

/** About six round values between two. */
function ticks(low, high) {
  const power = 10 ** Math.floor(Math.log10((high - low) / 6));
  const step = power * [1, 2, 5, 10].find((each) => each * power >= (high - low) / 6);
  const first = Math.ceil(low / step);
  return Array.from({ length: Math.floor(high / step) - first + 1 }, (_, index) => Number(((first + index) * step).toPrecision(4)));
}

/** From a value to its place on the screen, `from` and `to` being where the axis' range ends. */
function along({ range = [0, 1], type }, from, to) {
  const on = type === "log" ? Math.log10 : Number;
  return (value) => from + ((on(value) - range[0]) / (range[1] - range[0])) * (to - from);
}

function ticksOf({ range = [0, 1], type }) {
  return type === "log" ? ticks(10 ** range[0], 10 ** range[1]) : ticks(...range);
}

function lineOf({ x, y, line }, across, up) {
  let path = "";
  y.forEach((value, index) => {
    if (value === null) return;
    const [right, top] = [across(x[index]), up(value)];
    const goesOn = index > 0 && y[index - 1] !== null;
    path += !goesOn ? `M${right} ${top}` : line.shape === "hv" ? `H${right}V${top}` : `L${right} ${top}`;
  });
  return shape("path", {
    d: path, fill: "none", stroke: line.color, "stroke-width": line.width, "stroke-dasharray": DASHES[line.dash],
    "pointer-events": "none",  // a click is meant for the candidate below it
  });
}

function markersOf({ x, y, marker, customdata }, across, up, act) {
  const { size, symbol, color, line, opacity } = marker;
  return y.map((value, index) => {
    const [cx, cy] = [across(x[index]), up(value)];
    const made = symbol === "line-ns"
      ? shape("path", { d: `M${cx} ${cy - size}v${2 * size}`, stroke: line.color, "stroke-width": line.width })
      : shape("circle", { cx, cy, r: size / 2, opacity, ...(symbol === "circle-open" ? { stroke: color, fill: "transparent" } : { fill: color }) });
    made.addEventListener("click", () => act({ points: [{ customdata: customdata[index] }] }));
    return made;
  });
}

function legendOf(traces) {
  return el("div", "names", traces.map(({ name, mode, line, marker }) => {
    const sign = el("span", "", mode === "lines" ? "━" : marker.symbol === "circle-open" ? "○" : marker.symbol === "line-ns" ? "|" : "●");
    sign.style.color = mode === "lines" ? line.color : marker.color ?? marker.line.color;
    return el("span", "", sign, " ", name);
  }));
}

function sketch(id, traces, layout, act) {
  const shown = traces.filter((trace) => trace.x.length && trace.visible !== "legendonly");
  const picture = shape("svg", {});
  byId(id).querySelector(".sketch")?.remove();
  byId(id).append(el("div", "sketch", legendOf(shown), picture));
  const { width, height } = picture.getBoundingClientRect();
  const inner = { width: width - MARGIN.left - MARGIN.right, height: height - MARGIN.top - MARGIN.bottom };
  const across = along(layout.xaxis, 0, inner.width);
  const up = along(layout.yaxis, inner.height, 0);
  const up2 = along(layout.yaxis2, inner.height, 0);
  picture.append(
    ...ticksOf(layout.xaxis).map((value) => shape("text", { x: MARGIN.left + across(value), y: height - 30, "text-anchor": "middle" }, value)),
    ...ticksOf(layout.yaxis).flatMap((value) => {
      const y = MARGIN.top + up(value);
      return [
        shape("path", { d: `M${MARGIN.left} ${y}H${width - MARGIN.right}`, stroke: colour("line") }),
        shape("text", { x: MARGIN.left - 6, y: y + 4, "text-anchor": "end" }, value),
      ];
    }),
    shape("text", { x: width / 2, y: height - 8, "text-anchor": "middle" }, layout.xaxis.title.text),
    shape("text", { x: -MARGIN.top - inner.height / 2, y: 12, transform: "rotate(-90)", "text-anchor": "middle" }, layout.yaxis.title.text),
    shape("svg", { x: MARGIN.left, y: MARGIN.top, ...inner }, ...shown.flatMap((trace) => {
      const place = trace.yaxis === "y2" ? up2 : up;
      return trace.mode === "lines" ? lineOf(trace, across, place) : markersOf(trace, across, place, act);
    })),
    ...layout.annotations.map(({ text }) => shape("text", { x: width - MARGIN.right, y: MARGIN.top + 12, "text-anchor": "end" }, text)),
  );
  painted().then(() => performance.mark("drawn"));
}
