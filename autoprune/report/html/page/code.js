// Python with colours, line numbers and folds, and differences. Every piece is a text node.

const PIECES = new RegExp(
  [
    /(?<comment>#[^\n]*)/,
    /(?<string>"""[\s\S]*?"""|'''[\s\S]*?'''|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*')/,
    /(?<keyword>\b(?:and|as|def|elif|else|for|from|if|import|in|is|lambda|not|or|pass|raise|return|while|with|None|True|False)\b)/,
    /(?<digit>\b\d[\d_]*(?:\.\d+)?(?:e[+-]?\d+)?\b)/,
  ].map((part) => part.source).join("|"),
  "g",
);

function code(source) {
  const made = el("pre", "code");
  let end = 0;
  for (const found of source.matchAll(PIECES)) {
    made.append(source.slice(end, found.index));
    const kind = Object.keys(found.groups).find((name) => found.groups[name] !== undefined);
    made.append(el("span", kind, found[0]));
    end = found.index + found[0].length;
  }
  made.append(source.slice(end));
  return made;
}

/** Lines of a file with their numbers beside them. */
function numbered(lines, first) {
  const numbers = lines.map((_, index) => first + index).join("\n");
  return el("div", "numbered", el("pre", "numbers", numbers), code(lines.join("\n")));
}

/** A source in reading order, its helpers folded; in its own order where it has no outline. */
function sourceOf(name) {
  const lines = (CODE.get(name) ?? "").replace(/\n$/, "").split("\n");
  const parts = OUTLINE.get(name) ?? [[1, lines.length, lines.length]];
  return el("div", "source", parts.map(([first, count, head]) => {
    const shown = numbered(lines.slice(first - 1, first - 1 + head), first);
    if (head === count) return shown;
    const more = el("span", "more", `… ${(count - head).toLocaleString("en")} lines`);
    return el("details", "", el("summary", "", shown, more), numbered(lines.slice(first - 1 + head, first - 1 + count), first + head));
  }));
}

/** A unified diff. */
function difference(text) {
  const kinds = { "+": "added", "-": "removed", "@": "more" };
  return el("div", "source", el("pre", "code", text.split("\n").map((line) => el("span", kinds[line[0]] ?? "", `${line}\n`))));
}
