// Python with colours: comments, strings, keywords and numbers. Every piece is a text node.

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
