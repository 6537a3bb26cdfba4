// The page's data, which gets into the page as text (elements.js), or escaped for plotly's pseudo-markup.

const DATA = JSON.parse(document.getElementById("data").textContent);

/** Text for plotly, which reads tags in labels and hover texts: none is left. */
function plain(text) {
  return String(text).replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");
}

/** At most `lines` lines of about `width` characters, for a hover text. */
function wrapped(text, width = 52, lines = 4) {
  const words = String(text).slice(0, width * (lines + 1)).split(/\s+/).flatMap((word) => word.match(/.{1,40}/gsu) ?? []);
  const rows = [""];
  for (const word of words) {
    if (rows.at(-1).length + word.length > width) rows.push("");
    rows[rows.length - 1] += (rows.at(-1) ? " " : "") + word;
  }
  const shown = rows.slice(0, lines);
  if (rows.length > lines || String(text).length > width * (lines + 1)) shown[shown.length - 1] += " …";
  return shown.map(plain).join("<br>");
}

function figure(value, digits = 2) {
  if (value === null || value === undefined) return "";
  return Math.abs(value) >= 1e6 ? value.toExponential(2) : value.toLocaleString("en", {
    minimumFractionDigits: digits, maximumFractionDigits: digits,
  });
}

const signed = (value) => (value === null || value === undefined ? "" : (value > 0 ? "+" : "") + value.toFixed(3));
const CANDIDATES = new Map(DATA.candidates.all.map((each) => [each.slot, each]));
const CODE = new Map(Object.entries(DATA.candidates.code));
const OUTLINE = new Map(Object.entries(DATA.candidates.outline));
const NODES = new Map(DATA.reasoning.nodes.map((node) => [node.id, node]));
const ideaOf = (candidate) => (candidate.thought.find(([key]) => key === "idea") ?? ["", ""])[1];
