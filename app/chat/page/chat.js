// The conversation: what is on the page, and what of it the model is told.

import { Problem, answer } from "./answers.js";
import { show } from "./text.js";

const at = (id) => document.getElementById(id);
const [log, form, question, send, stop] = ["log", "form", "question", "send", "stop"].map(at);

let about = { model: "the model" };
let told = []; // messages of the rounds that have an answer; one that failed is not told again
let asking = null; // an AbortController while an answer is coming

/** A part of the page that shows one message. */
function part(kind, who) {
  const element = document.createElement("article");
  const name = document.createElement("h2");
  const text = document.createElement("div");
  element.className = kind;
  name.textContent = who;
  text.className = "text";
  element.append(name, text);
  log.append(element);
  at("empty").hidden = true;
  return { element, name, text };
}

function note(shown, text) {
  const element = document.createElement("p");
  element.className = "note";
  element.textContent = text;
  shown.element.append(element);
}

function problem(shown, error, again) {
  const element = document.createElement("div");
  const text = document.createElement("p");
  element.className = "problem";
  element.setAttribute("role", "alert");
  text.textContent = error.message;
  element.append(text);
  if (error.again) {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "again";
    button.textContent = "Try again";
    button.addEventListener("click", again);
    element.append(button);
  }
  shown.element.append(element);
}

/** Follow the text as it grows, unless the reader has scrolled up. */
function following(change) {
  const main = at("scroll");
  const follow = main.scrollHeight - main.scrollTop - main.clientHeight < 40;
  change();
  if (follow) main.scrollTop = main.scrollHeight;
}

function busy(controller, said) {
  asking = controller;
  log.setAttribute("aria-busy", String(controller !== null)); // an answer is read out once, when it is whole
  send.hidden = controller !== null;
  stop.hidden = controller === null;
  at("status").textContent = said;
}

function ask(text) {
  for (const button of log.querySelectorAll(".again")) button.remove();
  const shown = part("you", "You");
  show(shown.text, text);
  at("scroll").scrollTop = at("scroll").scrollHeight;
  return round(text, shown);
}

/** Ask for the answer to a question that is on the page already. */
async function round(text, asked) {
  const controller = new AbortController();
  const shown = part("model coming", about.model);
  const messages = [...told, { role: "user", content: text }];
  let said = "";
  busy(controller, "Answering");
  try {
    for await (const piece of answer(messages, controller.signal)) {
      if (piece.text !== undefined) {
        said += piece.text;
        following(() => show(shown.text, said));
      } else {
        shown.name.textContent = piece.model;
        if (piece.cut) note(shown, "The answer was cut at its limit of tokens.");
      }
    }
    if (asking !== controller) return; // another conversation has begun
    told = [...messages, { role: "assistant", content: said }];
    busy(null, "Answered");
  } catch (error) {
    if (asking !== controller) return;
    if (error.name === "AbortError") stopped(shown, asked, messages, said);
    else failed(shown, asked, text, error);
  } finally {
    shown.element.classList.remove("coming");
    following(() => {});
  }
}

function stopped(shown, asked, messages, said) {
  busy(null, "Stopped");
  if (said) {
    told = [...messages, { role: "assistant", content: said }];
    note(shown, "Stopped.");
    return;
  }
  shown.element.remove();
  asked.element.remove();
  at("empty").hidden = log.childElementCount > 0;
  if (!question.value) question.value = messages.at(-1).content;
}

function failed(shown, asked, text, error) {
  if (!(error instanceof Problem)) {
    console.error(error);
    error = new Problem("The page has a fault. Load it again.", false);
  }
  busy(null, "No answer");
  following(() =>
    problem(shown, error, () => {
      shown.element.remove();
      question.focus();
      void round(text, asked);
    }),
  );
}

function submit() {
  const text = question.value.trim();
  if (!text || asking) return;
  question.value = "";
  void ask(text);
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  submit();
});

question.addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  submit();
});

stop.addEventListener("click", () => {
  asking?.abort();
  question.focus();
});

at("new").addEventListener("click", () => {
  const controller = asking;
  told = [];
  busy(null, "New conversation");
  controller?.abort();
  log.replaceChildren();
  at("empty").hidden = false;
  question.value = "";
  question.focus();
});

fetch("api/about")
  .then((response) => response.json())
  .then((said) => {
    about = said;
    at("model").textContent = about.model;
    question.maxLength = about.question_chars;
  })
  .catch(() => {}); // the first question will say so
