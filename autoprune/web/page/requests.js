// What waits for approval: one card each, which stays as it is while a person works on it.

const cards = new Map();

/** Add a card for each new request, and close the cards of those that were decided elsewhere. */
function drawPending(pending) {
  const open = new Set(pending.map((names) => names.join("/")));
  for (const [slot, candidate] of pending) {
    if (!cards.has(`${slot}/${candidate}`)) addCard(slot, candidate);
  }
  for (const [key, card] of cards) {
    if (!open.has(key) && !card.closed) settleCard(key, card);
  }
  showWaiting();
}

function showWaiting() {
  byId("waiting").hidden = byId("requests").childElementCount === 0;
  byId("rest").disabled = ![...cards.values()].some((card) => !card.closed);
}

const pathOf = (key) => `api/requests/${key.split("/").map(encodeURIComponent).join("/")}`;

async function addCard(slot, candidate) {
  const key = `${slot}/${candidate}`;
  const card = { element: el("article", "request", el("h3", "", slot)), closed: false };
  card.element.dataset.slot = slot;
  cards.set(key, card);
  byId("requests").append(card.element);
  const request = await call(pathOf(key));
  if (request.problem) { // the next message tries again
    card.element.remove();
    cards.delete(key);
  } else if (!card.closed) {
    fillCard(card, request);
  }
}

/** The last word on a request; the card can then be put away. Code that a person was editing stays. */
function closeCard(card, text, kind) {
  if (card.closed) return;
  card.closed = true;
  const edited = card.element.querySelector("textarea");
  card.element.replaceChildren(el("p", kind, text), ...(edited ? [edited] : []), button("OK", () => {
    card.element.remove();
    showWaiting();
  }));
  showWaiting();
}

function settleCard(key, card) {
  card.closing ??= call(pathOf(key)).then((request) => {
    if (!card.deciding) closeCard(card, request.problem ?? `already decided: ${request.decision}`, "note");
    card.closing = null;
  });
}

function fillCard(card, request) {
  const { slot, candidate, sha256 } = request;
  const shown = { slot, candidate, sha256 };
  const problem = el("p", "problem");
  problem.setAttribute("role", "alert");
  const origin = request.parent ? `, from ${request.parent}` : "";
  const reason = el("input");
  reason.placeholder = "reason, for the proposer (optional)";
  reason.setAttribute("aria-label", "reason of a rejection");
  const editor = el("div");

  async function decide(words) {
    problem.textContent = "";
    card.deciding = true;
    const answer = await call("api/decide", { ...shown, ...words });
    card.deciding = false;
    if (!answer.problem) closeCard(card, answer.decision, "note");
    else if (answer.problem.startsWith("already decided")) closeCard(card, answer.problem, "problem");
    else problem.textContent = answer.problem;
  }

  const approve = button("Approve", () => decide({ decision: "approve" }));
  approve.className = "yes";
  const edit = button("Edit …", () => {
    editCode(editor, request, shown, decide);
    approve.disabled = editor.firstChild !== null; // it would approve the code without the edits
  });
  const reject = button("Reject", () => decide({ decision: "reject", comment: reason.value }));
  reject.className = "no";
  const parts = el("div", "",
    el("h3", "", `${slot} ${candidate.slice(0, 8)}: ${request.operator} by ${request.engine}${origin}`),
    facts([...request.thought, ["critic", request.review.join("; ") || "no comment"], ["screen", request.findings.join("; ") || "no findings"]]),
    request.reasoning ? fold("reasoning", el("p", "said", request.reasoning), false) : null,
    request.difference ? fold(`difference from ${request.parent}`, difference(request.difference)) : null,
    fold("code", el("div", "source", numbered(request.code.replace(/\n$/, "").split("\n"), 1))),
    el("div", "answers", approve, edit, reason, reject), problem, editor);
  card.element.replaceChildren(...parts.childNodes);
}

function fold(title, content, open = true) {
  const made = el("details", "", el("summary", "", title), content);
  made.open = open;
  return made;
}

function facts(pairs) {
  return el("dl", "facts", pairs.map(([key, text]) => [el("dt", "", key), el("dd", "", text)]));
}

/** Code to edit; it is checked and shown as a difference before it can be approved. */
function editCode(place, request, shown, decide) {
  if (place.firstChild) {
    place.replaceChildren();
    return;
  }
  const text = el("textarea");
  text.value = request.source;
  text.spellcheck = false;
  text.setAttribute("aria-label", "code to run instead");
  const outcome = el("div");
  const check = button("Check", async () => {
    const source = text.value;
    const checked = await call("api/check", { ...shown, source });
    if (text.value !== source) return; // edited meanwhile
    const accept = button("Approve the edited code", () => decide({ decision: "modify", source, edited_sha256: checked.sha256 }));
    accept.className = "yes";
    const findings = checked.problem ?? (checked.findings.join("; ") || "no findings");
    outcome.replaceChildren(
      el("p", checked.problem || checked.refused ? "problem" : "note", `screen: ${findings}`),
      checked.problem ? "" : difference(checked.difference),
      checked.problem || checked.refused ? "" : accept);
  });
  text.addEventListener("input", () => outcome.replaceChildren());
  place.replaceChildren(text, el("div", "answers", check), outcome);
  text.focus();
}
