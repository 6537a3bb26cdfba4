// What is known of a candidate, and of a thought in the reasoning graph, for panel, table and sheet.

function facts(pairs) {
  const known = pairs.filter(([, value]) => value !== null && value !== undefined && value !== "");
  return known.length ? el("dl", "facts", known.map(([key, value]) => [el("dt", "", key), el("dd", "", String(value))])) : null;
}

function titled(title, ...parts) {
  const known = parts.flat().filter((part) => part !== null && part !== undefined);
  return known.length ? [el("h4", "", title), ...known] : [];
}

function fold(title, ...parts) {
  return el("details", "", el("summary", "", title), ...parts);
}

function groundOf(ground) {
  return el("span", ground && ground !== "conjecture" ? "ground" : "conjecture",
    ground && ground !== "conjecture" ? ` (measured: ${ground})` : " (conjecture)");
}

function chainOf(candidate) {
  if (!candidate.chain.length) return null;
  return el("ol", "chain", candidate.chain.map((step) => el(
    "li", "", el("strong", "", `${step.kind} `), step.text ?? NODES.get(step.node)?.text ?? "", groundOf(step.ground),
  )));
}

function failureOf(candidate) {
  if (["measured", "unfinished"].includes(candidate.status)) return "";
  return [candidate.stage, candidate.reason, candidate.message].filter(Boolean).join(": ");
}

function resultOf(candidate) {
  const seconds = Object.entries(candidate.seconds ?? {}).map(([part, value]) => `${part} ${value}`).join(", ");
  const memory = candidate.memory ? `${Math.round(candidate.memory / 2 ** 20).toLocaleString("en")} MiB` : "";
  const windows = candidate.perplexity === null ? candidate.estimated_perplexity : null;
  return facts([
    ["status", candidate.status + (candidate.cached ? " (cached)" : "")],
    ["perplexity", figure(candidate.perplexity)],
    ["estimated", figure(windows)],
    ["gain", candidate.gain === undefined ? "" : signed(candidate.gain)],
    ["failure", failureOf(candidate)],
    ["flags", (candidate.flags ?? []).join("; ")],
    ["sparsity", candidate.sparsity],
    ["worst layers", (candidate.worst ?? []).join(", ")],
    ["nearest", candidate.nearest ? `${candidate.nearest} (masks agree on ${(100 * candidate.agreement).toFixed(1)} %)` : ""],
    ["seconds", seconds],
    ["memory", memory],
    ["report split", candidate.confirmed.join("\n")],
    ["agents", candidate.cost],
  ]);
}

function codesOf(candidate) {
  return candidate.revisions.map((name, index) => {
    const last = index === candidate.revisions.length - 1;
    const shown = sourceOf(name);
    return last ? el("div", "", el("p", "note", name), shown) : fold(`earlier revision ${name}`, shown);
  });
}

function againstOf({ against }) {
  if (!against) return null;
  if (!against.diff) return el("p", "note", against.lines ? `largely different from ${against.parent}` : `same code as ${against.parent}`);
  return fold(`difference from ${against.parent}`, difference(against.diff));
}

/** The first sentences of a long text; the rest is folded. */
function gistOf([head, rest]) {
  if (!head) return null;
  return el("div", "", el("pre", "words", head), rest ? fold(`… ${rest.length.toLocaleString("en")} more characters`, el("pre", "words", rest)) : null);
}

/** All of a candidate. */
function candidateDetails(candidate) {
  const origin = candidate.parents.length ? ` from ${candidate.parents.join(", ")}` : "";
  const models = candidate.models.length ? `, ${candidate.models.join(", ")}` : "";
  return el(
    "div", "candidate",
    el("p", "note", `${candidate.operator} by ${candidate.engine}${models}${origin}`),
    titled("thought", facts(candidate.thought), candidate.verdict ? el("p", "note", candidate.verdict) : null),
    titled("result", resultOf(candidate)),
    titled(candidate.chain_title, chainOf(candidate)),
    titled("reasoning", gistOf(candidate.reasoning)),
    titled("code", againstOf(candidate), codesOf(candidate)),
    titled("who said what", candidate.said.length ? el("pre", "words", candidate.said.join("\n")) : null),
    titled("tool calls", candidate.looked_up.length ? el("pre", "words", candidate.looked_up.join("\n")) : null),
    titled("thinking of the models", candidate.thinking.map(gistOf)),
    titled("output", candidate.diagnostics ? el("pre", "words", candidate.diagnostics) : null),
  );
}

/** A thought with what it came from and led to; `choose` goes to another. */
function thoughtDetails(node, before, after, choose) {
  const links = (edges, end) => (edges.length
    ? el("div", "links", edges.map((edge) => button(`${edge.kind} ${edge[end].id}`, () => choose(edge[end].id))))
    : null);
  const badge = el("span", "badge", node.kind);
  badge.style.color = `var(--${node.kind})`;
  const candidate = CANDIDATES.get(node.slot);
  return el(
    "div", "",
    el("p", "", badge, ` generation ${node.generation}`),
    el("h3", "", node.id),
    el("p", "said", node.text, groundOf(node.ground)),
    facts(node.facts),
    titled("came from", links(before, "source")),
    titled("led to", links(after, "target")),
    candidate ? titled(`candidate ${candidate.slot}`, candidateDetails(candidate)) : null,
  );
}

/** A candidate over the page, for those who click one in a chart. */
function openSheet(slot) {
  const candidate = CANDIDATES.get(slot);
  if (!candidate) return;
  byId("sheet-body").replaceChildren(el("h3", "", slot), candidateDetails(candidate));
  byId("sheet").showModal();
}

function startSheet() {
  byId("sheet-close").addEventListener("click", () => byId("sheet").close());
  byId("sheet").addEventListener("click", (click) => {
    if (click.target === byId("sheet")) byId("sheet").close();
  });
}
