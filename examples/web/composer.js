// Why it exists: the prompt box: drafts, Enhance and Undo, Send and Stop, the keys.
// Laws: words typed are never lost: a draft is kept per chat until the server took it, and a failed
// Enhance puts the original back.

import * as api from "./api.js";
import { chunksOf } from "./stream.js";
import { recall, remember } from "./storage.js";

export class Composer {
  #box;
  #parts;
  #actions;
  #chat = null; // the key of the draft
  #conversation = null;
  #original = null; // the prompt before Enhance
  #enhancing = null; // AbortController

  /** `actions`: send(text) -> promise, stop(), say(text), fail(error), model(), preferences(). */
  constructor(parts, actions) {
    this.#parts = parts;
    this.#box = parts.prompt;
    this.#actions = actions;
    this.#box.addEventListener("input", () => this.#typed());
    this.#box.addEventListener("keydown", (event) => this.#key(event));
    parts.form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.submit();
    });
    parts.stop.addEventListener("click", () => actions.stop());
    parts.enhance.addEventListener("click", () => (this.#enhancing ? this.#enhancing.abort() : this.#enhance()));
    parts.undo.addEventListener("click", () => this.#undo());
  }

  /** Show the draft of a chat; a new chat that has just been stored takes its draft along under the new key. */
  open(chatKey, conversation) {
    if (chatKey === this.#chat && conversation === this.#conversation) return;
    if (conversation === this.#conversation) {
      remember(`draft.${this.#chat}`, null);
      remember(`undo.${this.#chat}`, null);
      this.#chat = chatKey;
      this.#keep();
      return;
    }
    this.#enhancing?.abort();
    this.#chat = chatKey;
    this.#conversation = conversation;
    this.#original = recall(`undo.${chatKey}`);
    this.#write(recall(`draft.${chatKey}`) ?? "");
  }

  suggest(text) {
    this.#original = null;
    this.#write(text);
    this.#keep();
    this.focus();
  }

  focus() {
    this.#box.focus();
    this.#box.setSelectionRange(this.#box.value.length, this.#box.value.length);
  }

  update({ running, stopping }) {
    const { send, stop, enhance, undo } = this.#parts;
    const empty = this.#box.value.trim() === "";
    const hadFocus = document.activeElement === send || document.activeElement === stop;
    send.hidden = running;
    stop.hidden = !running;
    if (hadFocus) (running ? stop : this.#box).focus();
    stop.disabled = stopping;
    stop.lastElementChild.textContent = stopping ? "Stopping\u2026" : "Stop";
    send.disabled = empty || this.#enhancing !== null;
    enhance.disabled = empty && !this.#enhancing;
    enhance.querySelector(".label").textContent = this.#enhancing ? "Cancel" : "Enhance";
    enhance.toggleAttribute("data-busy", this.#enhancing !== null);
    undo.hidden = this.#original === null || this.#enhancing !== null;
    this.running = running;
  }

  async submit() {
    const text = this.#box.value.trim();
    if (text === "" || this.running || this.#enhancing) return;
    const conversation = this.#conversation;
    if (this.#original === null && this.#actions.preferences().enhanceOnSend) {
      const better = await this.#enhance();
      if (!better || conversation !== this.#conversation) return;
    }
    await this.#send(this.#box.value.trim());
  }

  async #send(text) {
    const chat = this.#chat;
    const conversation = this.#conversation;
    const original = this.#original;
    this.#original = null;
    this.#write("");
    // The draft stays in storage until the server has taken it.
    try {
      await this.#actions.send(text);
      if (conversation === this.#conversation) this.#keep();
      else remember(`draft.${chat}`, null);
    } catch (error) {
      if (conversation === this.#conversation && this.#box.value === "") {
        this.#original = original;
        this.#write(text);
        this.#keep();
      }
      this.#actions.fail(error);
    }
  }

  #typed() {
    this.#grow();
    this.#keep();
    this.#actions.changed();
  }

  #keep() {
    remember(`draft.${this.#chat}`, this.#box.value);
    remember(`undo.${this.#chat}`, this.#original);
  }

  #write(text) {
    this.#box.value = text;
    this.#grow();
    this.#actions.changed();
  }

  /** For browsers without `field-sizing: content`. */
  #grow() {
    if (CSS.supports("field-sizing", "content")) return;
    this.#box.style.height = "auto";
    this.#box.style.height = `${this.#box.scrollHeight}px`;
  }

  #key(event) {
    if (event.isComposing) return;
    if (event.key !== "Enter" || event.shiftKey || event.altKey) return;
    if (this.#actions.preferences().sendKey === "mod+enter" && !event.ctrlKey && !event.metaKey) return;
    event.preventDefault();
    this.submit();
  }

  /** Esc anywhere: first an Enhance under way, then a reply. */
  escape() {
    if (this.#enhancing) this.#enhancing.abort();
    else if (this.running) this.#actions.stop();
  }

  /** Whether a better prompt stands in the box now. */
  async #enhance() {
    const original = this.#box.value;
    const conversation = this.#conversation;
    const abort = (this.#enhancing = new AbortController());
    this.#box.readOnly = true;
    this.#actions.say("Enhancing the prompt");
    this.#actions.changed();
    let better = false;
    let text = "";
    try {
      const response = await api.enhance(original, this.#actions.model(), abort.signal);
      const decoder = new TextDecoder();
      for await (const chunk of chunksOf(response)) {
        text += decoder.decode(chunk, { stream: true });
        if (conversation === this.#conversation) this.#write(text);
        this.#box.scrollTop = this.#box.scrollHeight;
      }
      if (text.trim() === "") throw new api.ApiError("Nothing came back; your prompt is unchanged.");
      if (conversation === this.#conversation) this.#original = original;
      better = true;
      this.#actions.say("Prompt enhanced. Undo brings the original back");
    } catch (error) {
      if (conversation === this.#conversation) this.#write(original);
      if (error.name !== "AbortError") {
        this.#actions.fail(error instanceof api.ApiError ? error : new api.ApiError("Enhancing broke off; your prompt is unchanged."));
      }
    }
    this.#enhancing = null;
    this.#box.readOnly = false;
    if (conversation === this.#conversation) this.#keep();
    this.#actions.changed();
    this.focus();
    return better;
  }

  #undo() {
    this.#write(this.#original);
    this.#original = null;
    this.#keep();
    this.#actions.changed();
    this.focus();
  }
}
