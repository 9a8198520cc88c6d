// Why it exists: the messages of one conversation, drawn as they grow.
// Laws: what has been drawn stays put (keyed, updated in place); the view follows the newest text only
// while the reader is at the end.

import { ArtifactCard } from "./artifact-card.js";
import { h, setAttribute, setText, syncList } from "./dom.js";
import { fillIcon } from "./icons.js";
import { MarkdownView } from "./markdown.js";
import { blocksOf, plainText } from "./message.js";

const NEAR_END = 80; // pixels

class UserView {
  element = h("article", { class: "message user", "aria-label": "You" });

  update({ message }) {
    setText(this.element, plainText(message));
  }
}

class TextBlock {
  #view = new MarkdownView();
  element = this.#view.element;

  update({ block }) {
    this.#view.update(block.text);
  }
}

class ReasoningBlock {
  #label = h("span");
  #body = h("div", { class: "reasoning-text" });
  element;

  constructor() {
    const summary = h("summary", {}, this.#label);
    fillIcon(summary, "bulb");
    this.element = h("details", { class: "reasoning" }, summary, this.#body);
  }

  update({ block, live }) {
    setText(this.#label, block.open && live ? "Thinking\u2026" : "Thoughts");
    setAttribute(this.element, "data-busy", block.open && live);
    setText(this.#body, block.text);
  }
}

class NoticeBlock {
  #words = h("span");
  element = h("p", { class: "notice" }, this.#words);

  constructor() {
    fillIcon(this.element, "alert");
  }

  update({ block }) {
    setText(this.#words, wordsOf(block.data));
  }
}

class ArtifactBlock {
  #card;
  element;

  constructor(openFile) {
    this.#card = new ArtifactCard(openFile);
    this.element = this.#card.element;
  }

  update({ block, files, message, live }) {
    this.#card.update({ block, files, written: message.written, live });
  }
}

export const wordsOf = (data) => data?.message ?? data?.text ?? data?.label ?? data?.code ?? "";

const ENDINGS = {
  stopped: "Stopped. What came so far is kept.",
  interrupted: "The reply was interrupted.",
  failed: "The reply failed.",
};

class ReplyView {
  element = h("article", { class: "message reply", "aria-label": "Reply" });
  #blocks = h("div", { class: "blocks" });
  #working = h("p", { class: "working" }, h("span", { class: "dots", "aria-hidden": "true" }, h("i"), h("i"), h("i")), h("span", { class: "working-text" }));
  #ending = h("div", { class: "ending", hidden: true });
  #foot = h("footer", { class: "message-foot" });
  #actions;
  #drawn = null;

  constructor(actions) {
    this.#actions = actions;
    this.element.append(this.#blocks, this.#working, this.#ending, this.#foot);
  }

  update({ message, conversation, isLast }) {
    const state = [message, isLast, isLast && conversation.turn, isLast && conversation.title];
    if (this.#drawn?.every((value, index) => value === state[index])) return;
    this.#drawn = state;

    const live = message.status === "streaming";
    const { blocks, files, foot } = blocksOf(message);
    const items = blocks.map((block) => ({ block, files, message, live }));
    syncList(this.#blocks, items, ({ block }) => block.key, ({ block }) => this.#make(block));
    setAttribute(this.element, "aria-busy", live);
    this.#working.hidden = !live;
    setText(this.#working.querySelector(".working-text"), wordsOf(foot.progress) || (blocks.length === 0 ? "Thinking\u2026" : "Writing\u2026"));
    this.#showEnding(message, isLast && !conversation.running);
    this.#showFoot(message, foot, live);
  }

  #make(block) {
    if (block.kind === "text") return new TextBlock();
    if (block.kind === "reasoning") return new ReasoningBlock();
    if (block.kind === "notice") return new NoticeBlock();
    return new ArtifactBlock(this.#actions.openFile);
  }

  #showEnding(message, mayAct) {
    const cut = message.status === "complete" && message.finishReason === "length";
    const refused = message.status === "complete" && message.finishReason === "content-filter";
    const words = cut
      ? "The reply reached its length limit."
      : refused
        ? "The model declined to go on."
        : message.error || ENDINGS[message.status];
    this.#ending.hidden = !words;
    if (!words) return;
    this.#ending.dataset.tone = message.status === "failed" ? "bad" : "warn";
    const again = h("button", { type: "button", class: "button small" }, cut ? "Go on" : "Try again");
    again.addEventListener("click", () => (cut ? this.#actions.goOn() : this.#actions.regenerate()));
    this.#ending.replaceChildren(h("span", {}, words), mayAct ? again : "");
  }

  #showFoot(message, foot, live) {
    this.#foot.hidden = live;
    if (live) return;
    const copy = h("button", { type: "button", class: "link-button" }, "Copy text");
    copy.addEventListener("click", () => this.#actions.copy(plainText(message)));
    this.#foot.replaceChildren(
      foot.usage ? h("span", { class: "usage" }, usageLine(foot.usage)) : "",
      foot.context ? contextDetails(foot.context) : "",
      plainText(message) ? copy : "",
    );
  }
}

const count = new Intl.NumberFormat("en");

/** Tokens and money in one line; the cost comes as a decimal string and is shown as it came, at most 4 digits. */
export function usageLine(usage) {
  const words = [`${count.format(usage.inputTokens ?? 0)} tokens in`, `${count.format(usage.outputTokens ?? 0)} out`];
  if (usage.cacheReadTokens) words.push(`${count.format(usage.cacheReadTokens)} from cache`);
  if (usage.cacheWriteTokens) words.push(`${count.format(usage.cacheWriteTokens)} to cache`);
  if (usage.segments > 1) words.push(`${usage.segments} segments`);
  const cost = Number(usage.costUsd);
  if (usage.costUsd != null && cost > 0) words.push(cost < 0.0001 ? "under $0.0001" : `$${cost.toFixed(4)}`);
  return words.join(" \u00b7 ");
}

function contextDetails(context) {
  const rows = Object.entries(context).filter(([, value]) => Array.isArray(value) && value.length > 0);
  if (rows.length === 0) return "";
  const lists = rows.map(([name, items]) =>
    h("div", {}, h("h4", {}, name.replace(/([A-Z])/g, " $1").toLowerCase()), h("ul", {}, ...items.map((item) => h("li", {}, contextItem(item))))),
  );
  return h("details", { class: "context" }, h("summary", {}, "What the model saw"), ...lists);
}

function contextItem(item) {
  if (typeof item !== "object" || item === null) return String(item);
  const name = item.path ?? item.filePath ?? item.name ?? item.id ?? "";
  return [name, item.reason ?? item.why].filter(Boolean).join(": ") || JSON.stringify(item);
}

export class ChatView {
  #scroller;
  #list;
  #jump;
  #actions;
  #following = true;

  constructor({ scroller, list, jump, actions }) {
    this.#scroller = scroller;
    this.#list = list;
    this.#jump = jump;
    this.#actions = actions;
    scroller.addEventListener("scroll", () => this.#look(), { passive: true });
    jump.addEventListener("click", () => this.follow());
    new ResizeObserver(() => this.#following && this.#toEnd()).observe(list);
  }

  update(conversation) {
    const last = conversation.messages.at(-1);
    const items = conversation.messages.map((message) => ({ message, conversation, isLast: message === last }));
    const waiting = conversation.running && last?.role !== "assistant";
    if (waiting) items.push({ message: WAITING, conversation, isLast: true });
    syncList(this.#list, items, ({ message }) => `${conversation.id}/${message.id}`, ({ message }) =>
      message.role === "user" ? new UserView() : new ReplyView(this.#actions),
    );
    if (this.#following) this.#toEnd();
    this.#look();
  }

  /** Go to the newest text and stay there. */
  follow() {
    this.#following = true;
    this.#toEnd();
    this.#look();
  }

  #toEnd() {
    this.#scroller.scrollTop = this.#scroller.scrollHeight;
  }

  #look() {
    const { scrollTop, scrollHeight, clientHeight } = this.#scroller;
    this.#following = scrollHeight - scrollTop - clientHeight < NEAR_END;
    this.#jump.hidden = this.#following;
  }
}

const WAITING = { id: "waiting", role: "assistant", status: "streaming", parts: [], written: {} };
