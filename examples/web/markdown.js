// Why it exists: the model's text is shown as markdown, and the model's text is not to be trusted.
// Laws: HTML in the text is shown as text; what marked makes of the rest still goes through DOMPurify;
// no image is ever fetched (a fetch can carry data out), it becomes a link; links open elsewhere.

import { Marked } from "./vendor/marked.js";
import DOMPurify from "./vendor/dompurify.js";

const escapeHtml = (text) =>
  text.replace(/[&<>"']/g, (char) => ({ "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;" })[char]);

const marked = new Marked({
  gfm: true,
  renderer: {
    html: ({ text, block }) => (block ? `<p>${escapeHtml(text.trim())}</p>` : escapeHtml(text)),
    image: ({ href, text }) => `<a href="${escapeHtml(href)}">${escapeHtml(text || href)}</a>`,
    checkbox: ({ checked }) => (checked ? "\u2611 " : "\u2610 "),
  },
});

const purifier = DOMPurify(window);
purifier.addHook("afterSanitizeAttributes", (node) => {
  if (node.tagName !== "A") return;
  node.setAttribute("target", "_blank");
  node.setAttribute("rel", "noopener noreferrer nofollow");
});

const ALLOWED = {
  ALLOWED_TAGS: [
    "a", "blockquote", "br", "code", "del", "em", "h1", "h2", "h3", "h4", "h5", "h6", "hr", "li", "ol", "p", "pre",
    "strong", "table", "tbody", "td", "th", "thead", "tr", "ul",
  ],
  ALLOWED_ATTR: ["href", "class", "start", "align"],
  ALLOWED_URI_REGEXP: /^(?:https?:|mailto:)/i,
  RETURN_DOM_FRAGMENT: true,
};

const fragmentOf = (tokens) => purifier.sanitize(marked.parser(tokens), ALLOWED);

/**
 * A growing markdown text. Only top-level blocks whose source changed are drawn again, so that a long
 * reply costs no more per delta than a short one, and a selection in finished text stays.
 */
export class MarkdownView {
  element = document.createElement("div");
  #drawn = []; // {raw, nodes}
  #text = null;

  constructor() {
    this.element.className = "prose";
  }

  update(text) {
    if (text === this.#text) return;
    this.#text = text;
    const tokens = marked.lexer(text);
    let kept = 0;
    while (kept < this.#drawn.length && kept < tokens.length && this.#drawn[kept].raw === tokens[kept].raw) kept++;
    for (const block of this.#drawn.splice(kept)) for (const node of block.nodes) node.remove();
    for (const token of tokens.slice(kept)) {
      const fragment = fragmentOf(Object.assign([token], { links: tokens.links }));
      const nodes = [...fragment.childNodes];
      this.element.append(fragment);
      this.#drawn.push({ raw: token.raw, nodes });
    }
  }
}
