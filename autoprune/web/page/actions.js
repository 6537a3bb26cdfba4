// What needs a confirmation: stop, fork, and approving everything from now on.

/** Ask in a dialog. `act` returns what the server answered; the dialog stays open with a problem. */
function confirmFirst(title, content, label, act) {
  const dialog = byId("ask"), yes = byId("yes"), problem = dialog.querySelector(".problem");
  dialog.querySelector("h3").textContent = title;
  dialog.querySelector("form > div").replaceChildren(...content);
  problem.textContent = "";
  yes.textContent = label;
  yes.disabled = false;
  yes.onclick = async () => {
    yes.disabled = true;
    const answer = await act();
    yes.disabled = false;
    if (answer.problem) problem.textContent = answer.problem;
    else dialog.close();
  };
  dialog.showModal();
}

function field(label, name, kind = "text") {
  const input = el("input");
  input.type = kind;
  input.name = name;
  return { input, label: el("label", "", label, input) };
}

function startActions() {
  byId("stop").addEventListener("click", () => confirmFirst(
    "Stop this search?",
    [el("p", "", "No further generation begins, and the one at work gets no further replies of a chat model; the best candidates are then confirmed on the report split. A search that waits for approval pauses instead.")],
    "Stop", () => call("api/stop", {})));
  byId("rest").addEventListener("click", () => confirmFirst(
    "Approve everything?",
    [el("p", "", "Approves all that waits, and all further candidates of this run without asking.")],
    "Approve all", () => call("api/rest", {})));
  byId("fork").addEventListener("click", () => {
    const settings = field("changed settings", "settings");
    settings.input.placeholder = "seed=5 search.max_candidates=20";
    const generation = field("after generation (empty: the last)", "generation", "number");
    generation.input.min = 0;
    confirmFirst("Fork this run?",
      [el("p", "", "A new run starts from the state after a generation, in a process of its own."), settings.label, generation.label],
      "Fork",
      () => call("api/fork", {
        words: settings.input.value,
        generation: generation.input.value === "" ? null : Number(generation.input.value),
      }));
  });
}

function drawForks(forks) {
  byId("forks").hidden = !forks.length;
  byId("forks").lastElementChild.replaceChildren(...forks.map((fork) =>
    el("p", "note", el("strong", "", fork.path), ` ${fork.state} · `, el("code", "", `autoprune view ${fork.path}`))));
}
