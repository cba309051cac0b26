// The service's answers, as events.

/** Why there is no answer, or not all of it, in words for the reader. `again`: asking once more may help. */
export class Problem extends Error {
  constructor(message, again) {
    super(message);
    this.again = again;
  }
}

/** Yields {text} as it comes, and at last {model, cut}. Throws Problem, and AbortError once `signal` says so. */
export async function* answer(messages, signal) {
  const response = await ask(messages, signal);
  for await (const { event, data } of events(response)) {
    if (event === "problem") throw new Problem(data.message, data.again);
    yield data;
    if (event === "end") return;
  }
  throw new Problem("The connection to the chat broke off.", true);
}

async function ask(messages, signal) {
  let response;
  try {
    response = await fetch("api/chat", {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ messages }),
      signal,
    });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem("The chat can't be reached. Is it running?", true);
  }
  if (response.ok) return response;
  if (response.status === 413) throw new Problem("This conversation is too long. Start a new one.", false);
  const said = await response.json().catch(() => ({}));
  throw new Problem(said.message ?? `The chat answered with status ${response.status}.`, said.again ?? true);
}

async function* events(response) {
  let rest = "";
  try {
    for await (const piece of response.body.pipeThrough(new TextDecoderStream())) {
      const blocks = (rest + piece).split("\n\n");
      rest = blocks.pop();
      for (const block of blocks) {
        const fields = Object.fromEntries(block.split("\n").map((line) => line.split(/: (.*)/s)));
        if (fields.data) yield { event: fields.event, data: JSON.parse(fields.data) };
      }
    }
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem("The connection to the chat broke off.", true);
  }
}
