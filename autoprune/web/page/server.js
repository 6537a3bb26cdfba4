// The server: the token of this tab, requests with it, and the stream of messages, which is opened again when it breaks.

const AGAIN = 1000; // milliseconds
const token = takeToken();

/** The token leaves the address bar, and thus history and copied addresses; a reload finds it in the tab's storage. */
function takeToken() {
  const given = location.hash.slice(1);
  if (given) {
    sessionStorage.setItem("token", given);
    history.replaceState(null, "", location.pathname);
  }
  return given || sessionStorage.getItem("token") || "";
}

/** What the server answers, or `{problem}`. A body makes it a POST. */
async function call(path, body) {
  const headers = { Authorization: `Bearer ${token}` };
  const sent = body === undefined ? {} : { method: "POST", body: JSON.stringify(body) };
  if (body !== undefined) headers["Content-Type"] = "application/json";
  let reply;
  try {
    reply = await fetch(path, { headers, ...sent });
  } catch {
    return { problem: "the server does not answer: is `autoprune view` still running?" };
  }
  return reply.ok ? reply.json() : { problem: await reply.text() };
}

/** Give every message to `take`, and what is wrong with the connection (or "") to `say`, for as long as the page is open. */
async function follow(take, say) {
  let last = "";
  for (;;) {
    const headers = { Authorization: `Bearer ${token}` };
    if (last) headers["Last-Event-ID"] = last;
    const reply = await fetch("api/events", { headers }).catch(() => null);
    if (reply && !reply.ok) {
      say(`${await reply.text()}: open the address that autoprune view has printed`);
      return;
    }
    let problem = "connection lost";
    if (reply) {
      for await (const event of eventsOf(reply.body)) {
        if (event.kind === "problem") {
          problem = event.data.problem;
          continue;
        }
        say("");
        last = event.id;
        take(event.data);
      }
    }
    say(`${problem}; trying again`);
    await new Promise((done) => setTimeout(done, AGAIN));
  }
}

/** The events of a stream of server-sent events, until it ends or breaks. */
async function* eventsOf(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  for (;;) {
    const { value, done } = await reader.read().catch(() => ({ done: true }));
    if (done) return;
    text += value;
    const blocks = text.split("\n\n");
    text = blocks.pop();
    for (const block of blocks) {
      const fields = Object.fromEntries(block.split("\n").map((line) => line.match(/^(\w*): (.*)$/s).slice(1)));
      if (fields.data) yield { kind: fields.event ?? "message", id: fields.id, data: JSON.parse(fields.data) };
    }
  }
}
