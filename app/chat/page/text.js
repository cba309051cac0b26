// Text to nodes: fenced and inline code in backticks, the rest as it is. It is never read as HTML.

const FENCE = /^```[^\n`]*\n([\s\S]*?)(?:^```[ \t]*$\n?|$(?![\s\S]))/gm;
const INLINE = /`([^`\n]+)`/g;

/** Replace what an element shows. An answer that is still coming may end inside of a fence. */
export function show(element, text) {
  element.replaceChildren(...blocks(text));
}

function* blocks(text) {
  let after = false;
  for (const [plain, code] of split(text, FENCE)) {
    const from = after ? plain.replace(/^\n+/, "") : plain; // a block has space around it of its own
    yield* inline(code === undefined ? from : from.replace(/\n+$/, ""));
    if (code !== undefined) {
      after = true;
      const block = document.createElement("pre");
      block.tabIndex = 0; // so that the keyboard can scroll it
      block.append(codeElement(code.replace(/\n$/, "")));
      yield block;
    }
  }
}

function* inline(text) {
  for (const [plain, code] of split(text, INLINE)) {
    if (plain) yield document.createTextNode(plain);
    if (code !== undefined) yield codeElement(code);
  }
}

/** Pairs of the text before a match and the match's group; the last pair has no group. */
function* split(text, pattern) {
  let from = 0;
  for (const match of text.matchAll(pattern)) {
    yield [text.slice(from, match.index), match[1]];
    from = match.index + match[0].length;
  }
  yield [text.slice(from)];
}

function codeElement(code) {
  const element = document.createElement("code");
  element.textContent = code;
  return element;
}
